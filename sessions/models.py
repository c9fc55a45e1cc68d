"""Charging sessions as partners see them, with the readings behind them."""

import uuid
from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from locations.models import EVSE, Location
from ocpi import v221
from roaming.models import Party


class Session(models.Model):
    """One charge of one guest. Everything that the price needs is frozen here at the start (CDR-12,
    TAR-27)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    own_party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    party = models.ForeignKey(
        Party,
        on_delete=models.PROTECT,
        related_name="sessions",
        help_text="The partner that pays (frozen at start).",
    )
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="sessions")
    evse = models.ForeignKey(EVSE, on_delete=models.PROTECT, related_name="sessions")
    connector_id = models.CharField(max_length=36)
    status = models.CharField(max_length=11, choices=[(s.value, s.value) for s in v221.SessionStatus])
    cdr_token = models.BinaryField(help_text="The v221.CdrToken as JSON bytes.")
    token_uid = models.CharField(max_length=36)
    token_group = models.CharField(max_length=36, blank=True)
    auth_method = models.CharField(max_length=12)
    authorization_reference = models.CharField(max_length=36, blank=True)
    currency = models.CharField(max_length=3)
    time_zone = models.CharField(max_length=64)
    tariffs = models.BinaryField(help_text="JSON list of the v221.Tariff objects in force at the start.")
    tariff_changes = models.BinaryField(
        default=b"[]",
        help_text="JSON list of {at, tariff_id}: which of the tariffs bills from when on. Empty: the first one that is valid.",
    )
    cdr_location = models.BinaryField(help_text="The v221.CdrLocation at the start, as JSON bytes.")
    started_at = models.DateTimeField(
        help_text="PENDING, RESERVATION: creation; from ACTIVE on: start of the transaction."
    )
    reserved_from = models.DateTimeField(
        null=True, blank=True, help_text="Start of the reservation that it began with; empty: there was none."
    )
    is_reservation_expired = models.BooleanField(
        default=False, help_text="The driver let the reservation pass: RESERVATION_EXPIRES prices it."
    )
    ended_at = models.DateTimeField(null=True, blank=True)
    meter_start_wh = models.BigIntegerField(null=True, blank=True)
    meter_last_wh = models.BigIntegerField(
        null=True, blank=True, help_text="Newest register value that counts."
    )
    meter_last_at = models.DateTimeField(null=True, blank=True, help_text="The station's time of that value.")
    suspended_ev_from = models.DateTimeField(
        null=True, blank=True, help_text="From then until the end the vehicle asked for no power."
    )
    kwh = models.DecimalField(
        max_digits=12, decimal_places=4, default=0, help_text="As partners were last told, see refreshed_at."
    )
    total_cost = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True, help_text="Excluding VAT, as it would be now."
    )
    total_cost_incl_vat = models.DecimalField(
        max_digits=12, decimal_places=4, null=True, blank=True, help_text="Empty: the VAT is not known."
    )
    refreshed_at = models.DateTimeField(
        null=True, blank=True, help_text="When kwh, cost and periods were last brought up to the readings."
    )
    charging_periods = models.BinaryField(default=b"[]", help_text="JSON list of v221.ChargingPeriod so far.")
    grant_ref = models.CharField(
        max_length=40, blank=True, help_text="Grant and version that allowed the start."
    )
    decision_ref = models.CharField(
        max_length=20, blank=True, help_text="Reference of the decision that allowed it."
    )
    must_end_by = models.DateTimeField(
        null=True, blank=True, help_text="When we stop it, by the grant's end policy."
    )
    end_reason = models.CharField(max_length=40, blank=True, help_text="Why it ended, in our words.")
    anomalies = models.JSONField(
        default=list,
        help_text="List of {code, text}: what the station said that cannot be. Such a session is reviewed.",
    )
    charging_preferences = models.BinaryField(
        default=b"",
        help_text="The last v221.ChargingPreferences that we accepted, as JSON bytes; empty: none.",
    )
    is_estimated = models.BooleanField(
        default=False, help_text="Closed from the last reading; no stop ever came."
    )
    last_updated = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["created_at", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["evse"],
                condition=models.Q(status__in=["PENDING", "ACTIVE", "RESERVATION"]),
                name="session_one_live_per_evse",
            ),
            models.CheckConstraint(condition=models.Q(kwh__range=(0, 1_000_000)), name="session_kwh_sane"),
            models.CheckConstraint(
                condition=models.Q(ended_at__isnull=True) | models.Q(ended_at__gte=models.F("started_at")),
                name="session_ends_after_start",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["party", "created_at", "id"], name="session_page"),
            models.Index(fields=["party", "last_updated"], name="session_delta"),
            models.Index(fields=["evse", "ended_at"], name="session_on_evse"),
        ]

    def __str__(self) -> str:
        return f"{self.evse} {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def is_unused_reservation(self) -> bool:
        """Whether it is a reservation and no more: no transaction has begun under it."""
        return self.reserved_from is not None and self.meter_start_wh is None


class MeterReading(models.Model):
    """One register reading of a session's meter; append-only, repeats fall on the unique key."""

    session = models.ForeignKey(Session, on_delete=models.CASCADE, related_name="readings")
    at = models.DateTimeField()
    energy_wh = models.BigIntegerField(help_text="Import register in Wh.")
    power_w = models.IntegerField(null=True, blank=True)
    received_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["session", "at"], name="reading_unique")]

    def __str__(self) -> str:
        return f"{self.energy_wh} Wh at {self.at:%H:%M:%S}"
