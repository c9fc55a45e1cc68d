"""Partners' tokens: who may be recognised at a reader, and what the partner said about them."""

from typing import ClassVar

from django.db import models
from django.db.models.functions import Now

from roaming.models import Party, Platform


class Token(models.Model):
    """One token as its owner last told one party of ours; key is (ours, owner, uid without case, type) (mod_tokens)."""

    own_party = models.ForeignKey(
        Party,
        on_delete=models.PROTECT,
        related_name="+",
        help_text="The operator that was told: each party of ours knows its own (HUB-06).",
    )
    party = models.ForeignKey(Party, on_delete=models.PROTECT, related_name="tokens")
    uid = models.CharField(max_length=36)
    uid_key = models.CharField(
        max_length=36, editable=False, help_text="uid in upper case: CiStrings ignore case."
    )
    type = models.CharField(max_length=12)
    contract_id = models.CharField(max_length=36)
    group_id = models.CharField(max_length=36, blank=True)
    valid = models.BooleanField()
    whitelist = models.CharField(max_length=15)
    is_blocked_here = models.BooleanField(
        default=False, help_text="Blocked by an operator of ours; wins over whatever the partner says."
    )
    document = models.BinaryField(help_text="The v221.Token as JSON bytes.")
    last_updated = models.DateTimeField(help_text="The owner's last_updated.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["own_party", "party", "uid_key", "type"], name="token_of_own_party"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["uid_key", "type"], name="token_by_uid")]

    def __str__(self) -> str:
        return f"{self.type} of {self.party}"


class Pull(models.Model):
    """When a platform's token list is read next, and how the last reading went (TOK-07, TOK-08)."""

    platform = models.OneToOneField(
        Platform, on_delete=models.CASCADE, related_name="token_pull", primary_key=True
    )
    next_at = models.DateTimeField(db_default=Now())
    full_at = models.DateTimeField(
        null=True, blank=True, help_text="When the whole list was last read to its end."
    )
    finished_at = models.DateTimeField(null=True, blank=True)
    received = models.PositiveIntegerField(default=0)
    stored = models.PositiveIntegerField(default=0, help_text="New or changed.")
    broken = models.PositiveIntegerField(
        default=0, help_text="Skipped: not a token as the specification has it."
    )
    foreign = models.PositiveIntegerField(
        default=0, help_text="Skipped: owned by a party of another platform."
    )
    problem = models.CharField(max_length=200, blank=True, help_text="Why the list was not read to its end.")

    class Meta:
        ordering: ClassVar = ["next_at"]
        verbose_name = "token pull"

    def __str__(self) -> str:
        return f"tokens of {self.platform}"
