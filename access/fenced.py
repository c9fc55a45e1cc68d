"""Fences around Locations of other operators that are reached through our hub: whose, for whom, in which hours."""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from locations.validators import IanaZone
from roaming.models import Party


class FencedLocation(models.Model):
    """One Location of a CPO behind the hub, or all of its Locations; only parties with a pass see and use it."""

    owner = models.ForeignKey(
        Party, on_delete=models.PROTECT, related_name="+", help_text="The CPO whose Locations these are."
    )
    location_id = models.CharField(
        max_length=36,
        blank=True,
        help_text="The Location's id as its CPO publishes it. Empty: every Location of this CPO that has no fence "
        "of its own, also those that it publishes later.",
    )
    name = models.CharField(max_length=100, help_text="What people call the place.")
    time_zone = models.CharField(
        max_length=64,
        default="Europe/Brussels",
        validators=[IanaZone()],
        help_text="IANA zone in which the hours below are meant.",
    )
    is_closed = models.BooleanField(
        default=False, help_text="Closed to everybody at once; passes stay as they are."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        verbose_name = "fence"
        ordering: ClassVar = ["owner", "location_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["owner", "location_id"], name="fence_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.owner.ocpi_id}{' ' + self.location_id if self.location_id else ''})"


class Pass(models.Model):
    """A partner party (or token groups of it) may use what is fenced, in its weekly windows; without any it is closed."""

    class Status(models.TextChoices):
        ACTIVE = "ACTIVE", "active"
        SUSPENDED = "SUSPENDED", "suspended"
        ENDED = "ENDED", "ended (final)"

    fence = models.ForeignKey(FencedLocation, on_delete=models.PROTECT, related_name="passes")
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="+")
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
    min_useful_minutes = models.PositiveSmallIntegerField(
        default=20, help_text="No start when less time than this is left in the window."
    )
    closed_dates = ArrayField(
        models.DateField(),
        default=list,
        blank=True,
        help_text="Days on which no window opens, e.g. 2026-12-25.",
    )

    class Meta:
        verbose_name_plural = "passes"
        ordering: ClassVar = ["fence", "party"]
        indexes: ClassVar = [models.Index(fields=["party"], name="pass_of_party")]

    def __str__(self) -> str:
        return f"{self.party} at {self.fence}"


class PassWindow(models.Model):
    """One weekly opening of a pass; the weekdays are those of its start, and an end at or before it is tomorrow's."""

    granted = models.ForeignKey(Pass, on_delete=models.CASCADE, related_name="windows")
    weekdays = ArrayField(models.PositiveSmallIntegerField(), help_text="1 = Monday … 7 = Sunday.")
    opens = models.TimeField()
    closes = models.TimeField(
        help_text="At or before the opening: closes on the next day; 00:00 to 00:00 is the whole day."
    )

    class Meta:
        ordering: ClassVar = ["granted", "opens"]
        verbose_name = "window"

    def __str__(self) -> str:
        return f"{self.opens:%H:%M}-{self.closes:%H:%M}"
