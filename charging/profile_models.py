"""Rows of charging profiles: what bounds a session, and what partners asked about it."""

import uuid
from typing import ClassVar

from django.db import models

from ocpi import v221
from roaming.models import Party
from sessions.models import Session


class ChargingProfile(models.Model):
    """The profile that partners have set on one session, and what they were told of it (mod_charging_profiles)."""

    session = models.OneToOneField(Session, on_delete=models.PROTECT, related_name="charging_profile")
    profile = models.BinaryField(
        default=b"",
        help_text="The v221.ChargingProfile that the station took last, as JSON bytes; empty: none.",
    )
    unit = models.CharField(
        max_length=1,
        choices=[(unit.value, unit.value) for unit in v221.ChargingRateUnit],
        help_text="Unit of the last profile: partners are told of limits in it.",
    )
    senders = models.ManyToManyField(
        Party, related_name="+", help_text="Who has set a profile here and is told of every change."
    )
    told = models.BinaryField(
        default=b"", help_text="The plan behind the newest news to the senders, as JSON bytes."
    )
    changed_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-changed_at"]

    def __str__(self) -> str:
        return f"profile of {self.session}"


class ProfileRequest(models.Model):
    """One GET, PUT or DELETE of a profile, from its acceptance to the one result that it is owed."""

    class Method(models.TextChoices):
        GET = "GET", "read"
        PUT = "PUT", "set"
        DELETE = "DELETE", "clear"

    class State(models.TextChoices):
        SENT = "SENT", "with the station"
        ANSWERED = "ANSWERED", "result known"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="profile_requests")
    own_party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="profile_requests")
    method = models.CharField(max_length=6, choices=Method)
    state = models.CharField(max_length=8, choices=State, default=State.SENT)
    profile = models.BinaryField(default=b"", help_text="PUT: the v221.ChargingProfile, as JSON bytes.")
    unit = models.CharField(max_length=1, help_text="In which the station was asked last.")
    is_second_unit = models.BooleanField(
        default=False, help_text="PUT: the station refused the first unit and was asked in the other one."
    )
    duration_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="GET: how far to look.")
    response_url = models.CharField(max_length=255)
    correlation_id = models.CharField(max_length=64)
    result = models.CharField(max_length=8, blank=True)
    message = models.CharField(
        max_length=255, blank=True, help_text="Why; OCPI has no place for it in a result."
    )
    expires_at = models.DateTimeField(help_text="The promised timeout: by then a result has been given.")
    created_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], name="profile_open", condition=models.Q(state="SENT")),
            models.Index(fields=["session", "-created_at"], name="profile_of_session"),
        ]

    def __str__(self) -> str:
        return f"{self.method} of {self.party}"
