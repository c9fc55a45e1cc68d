"""Charging stations as OCPP knows them, and the calls that wait for them."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from chargers.exact import ExactDecoder, ExactEncoder
from locations.models import Depot


class Station(models.Model):
    """One charging station: one OCPP identity, one connection at a time."""

    depot = models.ForeignKey(Depot, on_delete=models.PROTECT, related_name="stations")
    identity = models.CharField(max_length=48, unique=True)
    password_hash = models.CharField(max_length=200, blank=True, editable=False, help_text="argon2.")
    vendor = models.CharField(max_length=50, blank=True, editable=False)
    model = models.CharField(max_length=50, blank=True, editable=False)
    firmware_version = models.CharField(max_length=50, blank=True, editable=False)
    is_online = models.BooleanField(default=False, editable=False)
    epoch = models.BigIntegerField(
        default=0, editable=False, help_text="Counts connections; the newest one owns."
    )
    connected_at = models.DateTimeField(null=True, blank=True, editable=False)
    booted_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    clock_skew_seconds = models.BigIntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text="How far its clock is ahead (negative: behind), as its messages since the boot tell.",
    )
    refused_configuration = models.JSONField(
        default=dict,
        blank=True,
        editable=False,
        help_text="Keys that are not as they must be: {key: {wanted, has, answer}}; empty is as wanted.",
    )
    configuration_read_at = models.DateTimeField(null=True, blank=True, editable=False)
    rate_units = models.CharField(
        max_length=3,
        default="W,A",
        editable=False,
        help_text="Units that it takes in charging profiles, the one that it is known to take first.",
    )
    refused_actions = ArrayField(
        models.CharField(max_length=30),
        default=list,
        blank=True,
        editable=False,
        help_text="Calls that it answered with NotImplemented or NotSupported since its boot.",
    )

    class Meta:
        ordering: ClassVar = ["identity"]

    def __str__(self) -> str:
        return self.identity


class StationCall(models.Model):
    """One call that the gateway owes a station; the row is the truth, NOTIFY only wakes the gateway."""

    class State(models.TextChoices):
        NEW = "NEW", "waiting"
        SENT = "SENT", "sent"
        DONE = "DONE", "answered"
        FAILED = "FAILED", "failed"
        EXPIRED = "EXPIRED", "too late"

    identity = models.CharField(max_length=48)
    action = models.CharField(max_length=30)
    payload = models.JSONField(encoder=ExactEncoder, decoder=ExactDecoder)
    priority = models.PositiveSmallIntegerField(default=3, help_text="0 safety, 1 stop, 2 start, 3 rest.")
    purpose = models.CharField(
        max_length=60, blank=True, help_text="Whom the answer is for, e.g. command:<uuid>."
    )
    state = models.CharField(max_length=7, choices=State, default=State.NEW)
    not_after = models.DateTimeField(help_text="Never sent after this moment.")
    answer = models.JSONField(null=True, blank=True, encoder=ExactEncoder, decoder=ExactDecoder)
    error = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    sent_at = models.DateTimeField(null=True, blank=True)
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(fields=["identity", "id"], name="call_waiting", condition=models.Q(state="NEW")),
            models.Index(
                fields=["not_after"], name="call_open", condition=models.Q(state__in=["NEW", "SENT"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} to {self.identity}"
