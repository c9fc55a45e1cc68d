"""What we owe to whom, the lanes it travels on, and every attempt (delivery.md 4.2, in the form of this product)."""

import uuid
from typing import Any, ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Lane(models.Model):
    """The one queue of one kind towards one platform; whoever holds its lease is its only sender."""

    class Name(models.TextChoices):
        CDR = "cdr", "CDRs"
        LIVE = "live", "sessions and statuses"
        STATIC = "static", "locations and tariffs"
        RESULT = "result", "command results"

    class Breaker(models.TextChoices):
        CLOSED = "CLOSED", "flowing"
        OPEN = "OPEN", "partner is failing; probing"
        AUTH_BLOCKED = "AUTH_BLOCKED", "partner refuses our token"

    platform = models.ForeignKey("roaming.Platform", on_delete=models.CASCADE, related_name="lanes")
    name = models.CharField(max_length=6, choices=Name)
    due_at = models.DateTimeField(
        db_default=Now(), help_text="Nothing is sent here before this moment (pace, Retry-After, next probe)."
    )
    lease_token = models.UUIDField(null=True, blank=True, editable=False)
    lease_until = models.DateTimeField(db_default=Now(), editable=False)
    breaker = models.CharField(max_length=12, choices=Breaker, default=Breaker.CLOSED)
    failures = models.PositiveIntegerField(default=0, help_text="Lane failures in a row.")
    last_failed_id = models.BigIntegerField(
        null=True,
        blank=True,
        editable=False,
        help_text="The delivery of the last failure: only another one counts.",
    )
    setbacks = models.PositiveIntegerField(
        default=0, help_text="Probes and requests to wait in a row without a delivery between them."
    )
    rate = models.FloatField(
        null=True,
        blank=True,
        help_text="Deliveries per second for now; empty: as many as the platform takes.",
    )
    refused_token = models.BinaryField(
        null=True,
        editable=False,
        help_text="The (encrypted) token that was refused; a newer one is tried at once.",
    )
    blocked_reason = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["platform", "name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["platform", "name"], name="lane_unique")]

    def __str__(self) -> str:
        return f"{self.platform} / {self.get_name_display()}"


class Obligation(models.Model):
    """One thing that one partner party must learn: an object's current state, a sealed CDR or a command result."""

    class Shape(models.TextChoices):
        LEDGER = "LEDGER", "sealed bytes, never given up"
        STATE = "STATE", "current state, latest wins"
        SHORT_LIVED = "SHORT_LIVED", "sealed bytes, expires"

    class State(models.TextChoices):
        PENDING = "PENDING", "pending"
        ACKED = "ACKED", "acknowledged"
        PARKED = "PARKED", "parked: refused by the partner"
        CONTESTED = "CONTESTED", "contested: the partner holds something else"
        SERVED = "SERVED", "served by pull"
        EXPIRED = "EXPIRED", "expired"
        CANCELLED = "CANCELLED", "cancelled"
        WITHHELD = "WITHHELD", "withheld: the party is not connected"

    lane = models.ForeignKey(Lane, on_delete=models.CASCADE, related_name="obligations")
    own_party = models.ForeignKey("roaming.Party", on_delete=models.PROTECT, related_name="+")
    party = models.ForeignKey("roaming.Party", on_delete=models.PROTECT, related_name="obligations")
    shape = models.CharField(max_length=11, choices=Shape)
    kind = models.CharField(max_length=20, help_text="Name of the registered push, e.g. cdr, session, evse.")
    object_key = models.CharField(max_length=120, help_text="The object in the words of its push.")
    state = models.CharField(max_length=9, choices=State, default=State.PENDING)
    wanted_version = models.PositiveBigIntegerField(default=1)
    confirmed_version = models.PositiveBigIntegerField(default=0)
    changed_fields = ArrayField(
        models.CharField(max_length=40),
        default=list,
        help_text="Members changed since the last confirmation.",
    )
    force_put = models.BooleanField(default=True, help_text="The next push sends the whole object.")
    url = models.CharField(max_length=255, blank=True, help_text="Short-lived: the exact response_url.")
    body = models.BinaryField(null=True, editable=False, help_text="Short-lived: the sealed bytes.")
    sent_sha256 = models.BinaryField(null=True, editable=False)
    correlation_id = models.CharField(max_length=36, default=uuid.uuid4, editable=False)
    attempts = models.PositiveIntegerField(
        default=0, help_text="Tries; of a state since its last confirmation."
    )
    crashes = models.PositiveSmallIntegerField(
        default=0, help_text="Tries in a row that ended with our own fault: not rendered, or the sender died."
    )
    ambiguous = models.BooleanField(
        default=False, help_text="A try may have been stored although we saw no answer."
    )
    next_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField(null=True, blank=True)
    acked_at = models.DateTimeField(null=True, blank=True)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    ocpi_status = models.PositiveSmallIntegerField(null=True, blank=True)
    location_url = models.CharField(
        max_length=255, blank=True, help_text="The Location header of the partner's answer."
    )
    last_error = models.CharField(max_length=500, blank=True)
    owed_since = models.DateTimeField(
        db_default=Now(),
        help_text="Since when the partner does not know; starts again after each confirmation.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    # What its push has read for a whole batch (Push.load); None: the push reads by itself.
    loaded: Any = None

    class Meta:
        verbose_name = "delivery"
        verbose_name_plural = "deliveries"
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["party", "kind", "object_key"], name="obligation_unique"),
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["lane", "next_at", "id"], name="obligation_due", condition=models.Q(state="PENDING")
            ),
            models.Index(
                fields=["expires_at"],
                name="obligation_expiry",
                condition=models.Q(state="PENDING", shape="SHORT_LIVED"),
            ),
            models.Index(fields=["party"], name="obligation_withheld", condition=models.Q(state="WITHHELD")),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_key} to {self.party}"


class Attempt(models.Model):
    """One HTTP request made for an obligation: started, and how it ended. Bodies are never kept here."""

    obligation = models.ForeignKey(Obligation, on_delete=models.CASCADE, related_name="tries")
    started_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True, blank=True)
    worker = models.CharField(max_length=80)
    request_id = models.CharField(max_length=36)
    method = models.CharField(max_length=6)
    url = models.CharField(max_length=600)
    http_status = models.PositiveSmallIntegerField(null=True, blank=True)
    ocpi_status = models.PositiveSmallIntegerField(null=True, blank=True)
    milliseconds = models.PositiveIntegerField(null=True, blank=True)
    outcome = models.CharField(max_length=20, blank=True, help_text="Empty: started, no outcome known.")
    error = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [
            models.Index(
                fields=["obligation"], name="attempt_open", condition=models.Q(ended_at__isnull=True)
            ),
            models.Index(fields=["started_at"], name="attempt_age"),
        ]

    def __str__(self) -> str:
        return f"{self.method} {self.outcome or 'unknown'}"
