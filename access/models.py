"""Who may charge where and when: grants, windows, exceptions, holidays; the edges; the decisions made."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models

from access.fenced import FencedLocation, Pass, PassWindow
from locations.models import Depot, Location
from roaming.models import Party
from tariffs.models import Tariff

__all__ = [
    "Decision",
    "Edge",
    "FencedLocation",
    "Grant",
    "Holiday",
    "Pass",
    "PassWindow",
    "Schedule",
    "Window",
    "WindowException",
]


class Schedule(models.Model):
    """A named set of weekly windows with its dated exceptions, in a depot's local time."""

    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="schedules")
    name = models.CharField(max_length=60)
    night_counts_to_start_day = models.BooleanField(
        default=False, help_text="On: a night that began before a closed day runs on until its normal end."
    )

    class Meta:
        ordering: ClassVar = ["depot", "name"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["depot", "name"], name="schedule_unique")]

    def __str__(self) -> str:
        return f"{self.depot}: {self.name}"


class Window(models.Model):
    """One weekly opening; the weekdays are those of its start, and an end at or before the start is tomorrow's."""

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="windows")
    weekdays = ArrayField(models.PositiveSmallIntegerField(), help_text="1 = Monday … 7 = Sunday.")
    opens = models.TimeField()
    closes = models.TimeField(help_text="At or before the opening: closes on the next day.")

    class Meta:
        ordering: ClassVar = ["schedule", "opens"]

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"


class WindowException(models.Model):
    """One date on which the weekly rule does not hold: closed, or open at other hours."""

    class Kind(models.TextChoices):
        OPEN = "OPEN", "also open"
        CLOSED = "CLOSED", "closed"

    schedule = models.ForeignKey(Schedule, on_delete=models.CASCADE, related_name="exceptions")
    date = models.DateField()
    kind = models.CharField(max_length=6, choices=Kind)
    opens = models.TimeField(null=True, blank=True, help_text="Empty: from midnight.")
    closes = models.TimeField(null=True, blank=True, help_text="Empty: to midnight.")
    reason = models.CharField(max_length=100, blank=True)

    class Meta:
        ordering: ClassVar = ["schedule", "date"]

    def __str__(self) -> str:
        return f"{self.date} {self.get_kind_display()}"


class Holiday(models.Model):
    """One public holiday of a depot: its day counts as closed, or as another weekday."""

    depot = models.ForeignKey(Depot, on_delete=models.CASCADE, related_name="holidays")
    date = models.DateField()
    name = models.CharField(max_length=60)
    counts_as = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Weekday whose windows hold (7 = Sunday). Empty: closed."
    )

    class Meta:
        ordering: ClassVar = ["depot", "date"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["depot", "date"], name="holiday_unique")]

    def __str__(self) -> str:
        return f"{self.date} {self.name}"


class Grant(models.Model):
    """A partner party (or token groups of it) may charge at a Location, in windows, on terms."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", "active"
        SUSPENDED = "SUSPENDED", "suspended"
        ENDED = "ENDED", "ended (final)"

    class EndPolicy(models.TextChoices):
        STOP = "STOP", "stop at the end of the window"
        GRACE = "GRACE", "stop after a grace period"
        FINISH = "FINISH", "let running sessions finish (up to the overrun)"

    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="grants")
    location = models.ForeignKey(Location, on_delete=models.PROTECT, related_name="grants")
    schedule = models.ForeignKey(Schedule, on_delete=models.PROTECT, related_name="grants")
    tariff = models.ForeignKey(
        Tariff,
        on_delete=models.PROTECT,
        related_name="grants",
        help_text="Of every session whose driver has no other preference.",
    )
    profile_tariffs = models.ManyToManyField(
        Tariff,
        blank=True,
        related_name="profile_grants",
        help_text="For drivers who prefer cheap, fast or green charging: at most one tariff of each of the types "
        "PROFILE_CHEAP, PROFILE_FAST and PROFILE_GREEN.",
    )
    token_groups = ArrayField(
        models.CharField(max_length=36),
        default=list,
        blank=True,
        help_text="group_id values; empty means all customers of the partner.",
    )
    status = models.CharField(max_length=9, choices=Status, default=Status.ACTIVE, editable=False)
    version = models.PositiveIntegerField(default=1, editable=False)
    valid_from = models.DateTimeField(null=True, blank=True)
    valid_to = models.DateTimeField(null=True, blank=True)
    end_policy = models.CharField(max_length=6, choices=EndPolicy, default=EndPolicy.GRACE)
    grace_minutes = models.PositiveSmallIntegerField(default=15)
    max_overrun_minutes = models.PositiveSmallIntegerField(default=120)
    min_useful_minutes = models.PositiveSmallIntegerField(
        default=20, help_text="No start when less time than this is left in the window."
    )
    last_start_offset_minutes = models.PositiveSmallIntegerField(
        default=0, help_text="Last start this long before the end (if longer than the minimum useful time)."
    )
    max_session_minutes = models.PositiveSmallIntegerField(null=True, blank=True)
    max_concurrent = models.PositiveSmallIntegerField(null=True, blank=True)
    priority_class = models.PositiveSmallIntegerField(default=3)
    status_mask = models.CharField(
        max_length=11,
        choices=[("INOPERATIVE", "INOPERATIVE while closed"), ("TRUTHFUL", "true status also while closed")],
        default="INOPERATIVE",
    )

    class Meta:
        ordering: ClassVar = ["location", "party"]
        indexes: ClassVar = [models.Index(fields=["location", "party"], name="grant_by_location")]

    def __str__(self) -> str:
        return f"{self.party} at {self.location}"

    def clean(self) -> None:
        """Hours and prices are those of the place; errors go to the fields of a form (ValidationError)."""
        if any(getattr(self, key) is None for key in ("location_id", "schedule_id", "tariff_id")):
            return  # the form says by itself what is missing
        depot = self.location.depot
        problems = {}
        if self.schedule.depot_id != depot.pk:
            problems["schedule"] = f"schedule: must be one of {depot} (given {self.schedule})"
        if self.tariff.party_id != depot.operator_id:
            problems["tariff"] = (
                f"tariff: must be one of {depot.operator}, which runs {depot} (given {self.tariff})"
            )
        if problems:
            raise ValidationError(problems)


class Edge(models.Model):
    """A moment at which what a partner sees at a Location changes; planned ahead, swept when due."""

    class Kind(models.TextChoices):
        OPEN = "open", "opens"
        LAST_START = "last_start", "last start"
        CLOSE = "close", "closes"

    party = models.ForeignKey(Party, on_delete=models.CASCADE, related_name="+")
    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="edges")
    kind = models.CharField(max_length=10, choices=Kind)
    at = models.DateTimeField()
    policy_version = models.CharField(max_length=16, help_text="Digest of the rules it was planned from.")
    swept_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["party", "location", "kind", "at"], name="edge_unique"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["at"], name="edge_due", condition=models.Q(swept_at__isnull=True))
        ]

    def __str__(self) -> str:
        return f"{self.location} {self.get_kind_display()} {self.at:%Y-%m-%d %H:%M}"


class Decision(models.Model):
    """One answer of `decide`, kept with its inputs: the receipt that settles every dispute."""

    ref = models.CharField(max_length=20, unique=True)
    at = models.DateTimeField()
    source = models.CharField(max_length=16)
    party = models.ForeignKey(
        Party, null=True, blank=True, on_delete=models.SET_NULL, related_name="decisions"
    )
    location = models.ForeignKey(
        Location, null=True, blank=True, on_delete=models.SET_NULL, related_name="decisions"
    )
    evse_uid = models.CharField(max_length=36, blank=True)
    outcome = models.CharField(max_length=5, choices=[("ALLOW", "allowed"), ("DENY", "refused")])
    reason = models.CharField(max_length=30)
    message = models.CharField(max_length=255, blank=True, help_text="What the partner was told.")
    retry_at = models.DateTimeField(null=True, blank=True)
    grant_ref = models.CharField(max_length=40, blank=True)
    inputs = models.JSONField(
        default=dict, help_text="Grant version, window, clock and EVSE facts it was made from."
    )
    trace = models.JSONField(default=list, help_text="The rules in order, with what each found.")

    class Meta:
        ordering: ClassVar = ["-at"]
        indexes: ClassVar = [models.Index(fields=["-at"], name="decision_recent")]

    def __str__(self) -> str:
        return self.ref
