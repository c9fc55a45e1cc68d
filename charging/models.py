"""What happens at the bay: commands of partners, authorizations at the reader, transactions of stations."""

import uuid
from typing import ClassVar

from django.contrib.postgres.constraints import ExclusionConstraint
from django.db import models
from django.db.models import F, Func, Value
from django.db.models.functions import Now, Upper

from charging.profile_models import ChargingProfile, ProfileRequest
from locations.models import EVSE, Location
from roaming.models import Party
from sessions.models import Session

__all__ = [
    "Authorization",
    "ChargingProfile",
    "Command",
    "ProfileRequest",
    "Reservation",
    "Transaction",
    "UnmatchedMessage",
]


class Reservation(models.Model):
    """One bay kept for one driver of a partner (RESERVE_NOW), from now until it expires.

    Its key is the reservationId that stations know: partners' own ids never reach them (CMD-21). It is written
    only under the lock of its Location.
    """

    class State(models.TextChoices):
        REQUESTED = "REQUESTED", "asked of the station"
        PLACED = "PLACED", "in force"
        USED = "USED", "used: charging began"
        EXPIRED = "EXPIRED", "expired unused"
        CANCELED = "CANCELED", "canceled by the partner"
        WITHDRAWN = "WITHDRAWN", "canceled by us"
        REPLACED = "REPLACED", "replaced by the partner"
        FAILED = "FAILED", "refused by the station"

    LIVE = (State.REQUESTED, State.PLACED)

    id = models.AutoField(primary_key=True, help_text="The OCPP reservationId.")
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="reservations")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="+")
    evse = models.ForeignKey(EVSE, on_delete=models.PROTECT, related_name="reservations")
    session = models.OneToOneField(Session, on_delete=models.PROTECT, related_name="reservation")
    ocpi_id = models.CharField("reservation id", max_length=36, help_text="The partner's own id.")
    id_tag = models.CharField(
        max_length=20, help_text="Whom the station lets in: the driver's card, or a tag of ours."
    )
    state = models.CharField(max_length=9, choices=State, default=State.REQUESTED)
    is_at_station = models.BooleanField(
        default=False, help_text="The station keeps the bay too; otherwise only our own decisions do."
    )
    starts_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    end_reason = models.CharField(max_length=100, blank=True, help_text="Why it ended, in our words.")

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                "party",
                "location",
                Upper("ocpi_id"),
                condition=models.Q(state__in=["REQUESTED", "PLACED"]),
                name="reservation_one_per_id",
            ),
            # A range of one number instead of "=": the latter would need the extension btree_gist.
            ExclusionConstraint(
                name="reservation_no_overlap",
                expressions=[
                    (Func(F("evse_id"), F("evse_id"), Value("[]"), function="int8range"), "&&"),
                    (Func(F("starts_at"), F("expires_at"), function="tstzrange"), "&&"),
                ],
                condition=models.Q(state__in=["REQUESTED", "PLACED"]),
            ),
            models.CheckConstraint(
                condition=models.Q(expires_at__gt=models.F("starts_at")), name="reservation_ends_after_start"
            ),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["expires_at"],
                name="reservation_live",
                condition=models.Q(state__in=["REQUESTED", "PLACED"]),
            ),
        ]

    def __str__(self) -> str:
        return f"reservation of {self.evse} by {self.party}"

    @property
    def is_live(self) -> bool:
        """Whether it keeps its bay."""
        return self.state in self.LIVE


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
    reservation = models.ForeignKey(
        Reservation, null=True, blank=True, on_delete=models.PROTECT, related_name="commands"
    )
    reserve_until = models.DateTimeField(
        null=True, blank=True, help_text="RESERVE_NOW: the expiry that it asks for."
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
