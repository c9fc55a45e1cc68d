"""Sealed CDRs, and the sessions that could not be sealed yet."""

from typing import ClassVar

from django.db import models

from roaming.models import Party
from sessions.models import Session


class CDR(models.Model):
    """One sealed CDR. The database refuses UPDATE and DELETE (mod_cdrs: immutable once sent)."""

    key = models.UUIDField(
        primary_key=True,
        editable=False,
        help_text="uuid5 of charger, connector, start, meter, id tag and revision.",
    )
    own_party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="cdrs", help_text="Who pays.")
    ocpi_id = models.CharField(max_length=39)
    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="cdrs")
    revision = models.PositiveSmallIntegerField(default=1)
    is_credit = models.BooleanField(default=False)
    credit_of = models.OneToOneField(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="credited_by"
    )
    body = models.BinaryField(help_text="The v221.CDR exactly as it is sent, for ever.")
    sha256 = models.BinaryField()
    previous_sha256 = models.BinaryField(
        help_text="chain_sha256 of the CDR before it of the same own party; 32 zero bytes for the first."
    )
    chain_sha256 = models.BinaryField(
        help_text="sha256(previous_sha256 + sha256): whoever alters one CDR breaks all that follow."
    )
    explain = models.BinaryField(help_text="The bill behind it, line by line, unrounded, as JSON bytes.")
    currency = models.CharField(max_length=3)
    time_zone = models.CharField(
        max_length=64, help_text="IANA name; local times and months of exports follow it."
    )
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    energy_kwh = models.DecimalField(max_digits=12, decimal_places=4)
    total_excl_vat = models.DecimalField(max_digits=12, decimal_places=4)
    total_incl_vat = models.DecimalField(max_digits=12, decimal_places=4, null=True, blank=True)
    feed_seq = models.BigIntegerField(unique=True, help_text="Commit order; a puller can never skip a row.")
    last_updated = models.DateTimeField()

    class Meta:
        verbose_name = "CDR"
        ordering: ClassVar = ["feed_seq"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["own_party", "ocpi_id"], name="cdr_id_unique"),
            models.UniqueConstraint(
                fields=["session", "revision", "is_credit"], name="cdr_one_per_session_revision"
            ),
            models.UniqueConstraint(fields=["own_party", "previous_sha256"], name="cdr_chain_never_forks"),
            # BETWEEN also refuses NaN, which >= does not.
            models.CheckConstraint(
                condition=models.Q(total_excl_vat__range=(-1_000_000, 1_000_000)), name="cdr_total_sane"
            ),
            models.CheckConstraint(
                condition=models.Q(energy_kwh__range=(0, 1_000_000)), name="cdr_energy_sane"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["party", "feed_seq"], name="cdr_page"),
            models.Index(fields=["party", "last_updated"], name="cdr_delta"),
            models.Index(fields=["own_party", "feed_seq"], name="cdr_chain"),
            models.Index(fields=["ended_at", "key"], name="cdr_export"),
        ]

    def __str__(self) -> str:
        return self.ocpi_id


class Review(models.Model):
    """A finished session that could not be sealed correctly: held with reasons until a person decides."""

    session = models.OneToOneField(Session, on_delete=models.PROTECT, related_name="review")
    reasons = models.JSONField(help_text="List of {code, text, remedy} in plain words.")
    station_key = models.CharField(
        max_length=255,
        help_text="Charger, connector and id tag as they were given to seal: part of the CDR's key.",
    )
    opened_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True, editable=False)
    resolved_by = models.CharField(max_length=150, blank=True, editable=False)
    resolution = models.CharField(max_length=255, blank=True, help_text="What was done, in words.")

    class Meta:
        ordering: ClassVar = ["-opened_at"]

    def __str__(self) -> str:
        return f"review of {self.session}"


class Pull(models.Model):
    """How far a partner that fetches its CDRs has come: what it was shown, and so may have moved past."""

    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    own_party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
    answered_until = models.BigIntegerField(
        default=0, help_text="Every CDR up to this feed_seq was on a page that we answered."
    )

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["party", "own_party"], name="pull_unique")]

    def __str__(self) -> str:
        return f"{self.party} up to {self.answered_until}"


class Correction(models.Model):
    """What a person found to be true of a session under review; append-only.

    The Session itself stays as it was told (nothing changes after COMPLETED, SES-11): a correction is laid
    over it when its CDR is built, and the CDR is what is billed.
    """

    session = models.ForeignKey(Session, on_delete=models.PROTECT, related_name="corrections")
    made_at = models.DateTimeField()
    made_by = models.CharField(max_length=150)
    reason = models.CharField(max_length=255)
    changes = models.JSONField(
        help_text="Corrected facts by name, and the codes of findings that were accepted."
    )
    findings = models.JSONField(help_text="The reasons of the review as they stood before.")

    class Meta:
        ordering: ClassVar = ["id"]

    def __str__(self) -> str:
        return f"{self.made_by}: {self.reason}"


class CreditRequest(models.Model):
    """One person asks to take a CDR back, and perhaps to bill the charge again; another one decides (S3).

    Nothing is sealed before it is approved. What was sealed then stands in the chain; this row says who wanted
    it, who agreed and why.
    """

    class State(models.TextChoices):
        OPEN = "OPEN", "waiting for a second person"
        APPROVED = "APPROVED", "approved"
        DECLINED = "DECLINED", "declined"

    cdr = models.ForeignKey(CDR, on_delete=models.PROTECT, related_name="credit_requests")
    reason = models.CharField(max_length=255, help_text="Why the CDR is wrong.")
    changes = models.JSONField(
        null=True,
        blank=True,
        help_text="Corrected facts by which the charge is billed again; empty: it is only taken back.",
    )
    state = models.CharField(max_length=8, choices=State, default=State.OPEN, editable=False)
    asked_by = models.CharField(max_length=150, editable=False)
    asked_at = models.DateTimeField(editable=False)
    decided_by = models.CharField(max_length=150, blank=True, editable=False)
    decided_at = models.DateTimeField(null=True, blank=True, editable=False)
    decision_reason = models.CharField(
        max_length=255, blank=True, editable=False, help_text="Why it was declined."
    )

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["cdr"], condition=models.Q(state="OPEN"), name="credit_one_open_request"
            ),
            models.CheckConstraint(
                condition=~models.Q(state="APPROVED")
                | (~models.Q(decided_by="") & ~models.Q(decided_by=models.F("asked_by"))),
                name="credit_two_persons",
            ),
        ]

    def __str__(self) -> str:
        return f"credit of {self.cdr}"
