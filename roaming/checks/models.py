"""What our own checks have found, and how far each comparison with a partner has come."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now


class Finding(models.Model):
    """One thing that is not as it should be, found by a check of ours; it closes when a later check finds it gone."""

    class Severity(models.TextChoices):
        NOTICE = "NOTICE", "look at it today"
        ALERT = "ALERT", "look at it now"

    kind = models.CharField(max_length=20, help_text="Which check found it, e.g. cdr_copy.")
    object_key = models.CharField(max_length=120, help_text="What it is about; one open finding for each.")
    severity = models.CharField(max_length=6, choices=Severity, default=Severity.NOTICE)
    platform = models.ForeignKey(
        "roaming.Platform", null=True, blank=True, on_delete=models.CASCADE, related_name="findings"
    )
    own_party = models.ForeignKey(
        "roaming.Party",
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="+",
        help_text="The operator whose affair it is; empty: everybody's here.",
    )
    text = models.CharField(max_length=500, help_text="What is wrong.")
    remedy = models.CharField(max_length=300, help_text="What a person can do.")
    opened_at = models.DateTimeField()
    seen_at = models.DateTimeField(help_text="When a check last found it so.")
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["kind", "object_key"],
                condition=models.Q(closed_at__isnull=True),
                name="finding_one_open",
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_key}"


class Comparison(models.Model):
    """The nightly reading of what one platform holds of one module: when it is due and how far it has come."""

    platform = models.ForeignKey("roaming.Platform", on_delete=models.CASCADE, related_name="comparisons")
    module = models.CharField(max_length=20)
    next_at = models.DateTimeField(db_default=Now())
    began_at = models.DateTimeField(null=True, blank=True, help_text="Of the round that is not finished yet.")
    cursor = models.BigIntegerField(
        default=0, help_text="The last delivery of this round that was compared; it goes on after it."
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    compared = models.PositiveIntegerField(default=0, help_text="In this round, or in the last one.")
    differing = models.PositiveIntegerField(default=0)
    unreadable_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The partner does not show single objects; not asked before this moment.",
    )
    problem = models.CharField(max_length=200, blank=True, help_text="Why it was broken off.")

    class Meta:
        ordering: ClassVar = ["platform", "module"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["platform", "module"], name="comparison_unique")
        ]

    def __str__(self) -> str:
        return f"{self.module} at {self.platform}"
