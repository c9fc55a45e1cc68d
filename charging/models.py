"""What happens at the bay: commands of partners, authorizations at the reader, transactions of stations."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from charging.profile_models import ChargingProfile, ProfileRequest
from roaming.models import Party
from sessions.models import Session

__all__ = [
    "Authorization",
    "ChargingProfile",
    "Command",
    "ProfileRequest",
    "Transaction",
    "UnmatchedMessage",
]


class Command(models.Model):
    """One command of a partner, from its acceptance to the one result that it is owed (mod_commands)."""

    class State(models.TextChoices):
        SENT = "SENT", "with the station"
        ANSWERED = "ANSWERED", "result known"
        REFUSED = "REFUSED", "refused at once"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="commands")
    own_party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    type = models.CharField(max_length=18)
    state = models.CharField(max_length=8, choices=State)
    session = models.ForeignKey(
        Session, null=True, blank=True, on_delete=models.PROTECT, related_name="commands"
    )
    id_tag = models.CharField(
        max_length=20, blank=True, help_text="START_SESSION: the id tag given to the station."
    )
    response_url = models.CharField(max_length=255)
    correlation_id = models.CharField(max_length=64)
    result = models.CharField(max_length=20, blank=True)
    message = models.CharField(max_length=255, blank=True)
    decision_ref = models.CharField(max_length=20, blank=True)
    expires_at = models.DateTimeField(help_text="The promised timeout: by then a result has been given.")
    created_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["expires_at"], name="command_open", condition=models.Q(state="SENT")),
            models.Index(fields=["id_tag"], name="command_of_tag", condition=~models.Q(id_tag="")),
        ]

    def __str__(self) -> str:
        return f"{self.type} of {self.party}"


class Authorization(models.Model):
    """One positive answer at a reader: whoever starts there with this id tag charges on these terms."""

    station_identity = models.CharField(max_length=48)
    id_tag = models.CharField(max_length=36)
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    token = models.BinaryField(help_text="The v221.Token it was given for, as JSON bytes.")
    auth_method = models.CharField(max_length=12)
    authorization_reference = models.CharField(max_length=36, blank=True)
    evse_uids = models.JSONField(default=list, help_text="EVSEs named by the partner; empty means any.")
    decision_ref = models.CharField(max_length=20, blank=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-created_at"]
        indexes: ClassVar = [
            models.Index(fields=["station_identity", "id_tag", "-created_at"], name="auth_lookup")
        ]

    def __str__(self) -> str:
        return f"authorization at {self.station_identity}"


class Transaction(models.Model):
    """One transaction of a station, always stored and numbered, whoever started it (OCPP 1.6 StartTransaction)."""

    id = models.AutoField(primary_key=True, help_text="The OCPP transactionId.")
    station_identity = models.CharField(max_length=48)
    ocpp_connector = models.PositiveSmallIntegerField()
    id_tag = models.CharField(max_length=36)
    started_at = models.DateTimeField(help_text="The station's own time.")
    meter_start_wh = models.BigIntegerField()
    id_tag_status = models.CharField(
        max_length=12, help_text="What the station was answered; a repeat gets the same."
    )
    session = models.OneToOneField(
        Session, null=True, blank=True, on_delete=models.PROTECT, related_name="transaction"
    )
    stopped_at = models.DateTimeField(null=True, blank=True)
    meter_stop_wh = models.BigIntegerField(null=True, blank=True)
    stop_reason = models.CharField(max_length=20, blank=True)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_cause = models.CharField(
        max_length=20, blank=True, help_text="Why we asked it to stop: PARTNER, WINDOW, …"
    )
    orphaned_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The station came back without it; closed from the last reading if no stop comes.",
    )
    received_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["station_identity", "ocpp_connector", "id_tag", "started_at", "meter_start_wh"],
                name="transaction_unique",
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["station_identity"],
                name="transaction_open",
                condition=models.Q(stopped_at__isnull=True),
            ),
            models.Index(fields=["id_tag"], name="transaction_of_tag"),
        ]

    def __str__(self) -> str:
        return f"transaction {self.id} at {self.station_identity}"


class UnmatchedMessage(models.Model):
    """A stop or a reading that fits no transaction of its station: kept for a person, never guessed."""

    station_identity = models.CharField(max_length=48)
    action = models.CharField(max_length=30)
    payload = models.JSONField()
    reason = models.CharField(max_length=200)
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["station_identity", "action"], name="unmatched_of_station")]

    def __str__(self) -> str:
        return f"{self.action} of {self.station_identity}"
