"""What the roaming hub keeps: who may reach whom, what was broadcast, where things lead, and nothing else.

What travels between two parties is never stored: of a Session or a CDR the hub remembers whose it is (HubTrail).
"""

from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now


class Agreement(models.Model):
    """Two parties may reach each other through the hub, in the named modules; without one there is no route."""

    class Status(models.TextChoices):
        PLANNED = "PLANNED", "planned: announced, nothing is routed"
        ACTIVE = "ACTIVE", "active"
        ENDED = "ENDED", "ended"

    one = models.ForeignKey("roaming.Party", on_delete=models.PROTECT, related_name="+")
    other = models.ForeignKey("roaming.Party", on_delete=models.PROTECT, related_name="+")
    status = models.CharField(max_length=7, choices=Status, default=Status.ACTIVE)
    modules = ArrayField(
        models.CharField(max_length=20),
        default=list,
        blank=True,
        help_text="ModuleIDs such as locations or commands; empty: all of them.",
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    changed_at = models.DateTimeField(
        db_default=Now(), editable=False, help_text="When its status last changed (ClientInfo.last_updated)."
    )

    class Meta:
        ordering: ClassVar = ["one", "other"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["one", "other"], name="agreement_unique"),
            models.CheckConstraint(
                condition=models.Q(one__lt=models.F("other")), name="agreement_smaller_key_first"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.one} – {self.other}"


class HubDocument(models.Model):
    """One object that its owner pushed to a party of ours: to the hub (a broadcast), or to another role hosted here."""

    recipient = models.ForeignKey(
        "roaming.Party",
        on_delete=models.CASCADE,
        related_name="+",
        help_text="The party of ours it was sent to.",
    )
    owner = models.ForeignKey("roaming.Party", on_delete=models.CASCADE, related_name="+")
    module = models.CharField(max_length=20)
    object_key = models.CharField(
        max_length=80, help_text="Its id in upper case; of a token uid and type, parted by a slash."
    )
    document = models.BinaryField(help_text="The object as JSON bytes.")
    last_updated = models.DateTimeField(help_text="The owner's own last_updated; never ours (HUB-15).")
    received_at = models.DateTimeField(db_default=Now())
    is_deleted = models.BooleanField(default=False, help_text="Deleted by its owner; only Tariffs can be.")

    class Meta:
        ordering: ClassVar = ["id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["recipient", "owner", "module", "object_key"], name="hub_document_unique"
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["recipient", "module", "last_updated"], name="hub_document_delta"),
            models.Index(fields=["module", "object_key"], name="hub_document_by_key"),
        ]

    def __str__(self) -> str:
        return f"{self.module} {self.object_key} of {self.owner}"


class HubTrail(models.Model):
    """Whose an id is, learned from what passed by: finds the addressee of a request that names none (open routing)."""

    module = models.CharField(max_length=20)
    object_key = models.CharField(max_length=80, help_text="In upper case.")
    owner = models.ForeignKey("roaming.Party", on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering: ClassVar = ["-seen_at"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["module", "object_key", "owner"], name="hub_trail_unique")
        ]

    def __str__(self) -> str:
        return f"{self.module} {self.object_key} of {self.owner}"


class Relay(models.Model):
    """One URL of the hub that stands for a URL of a party: a response_url, a Location or a next page.

    Whoever calls it must be ``caller``; the call goes to ``url`` in the name of both parties.
    """

    class Kind(models.TextChoices):
        RESPONSE_URL = "response_url", "result of a command or profile"
        LOCATION = "location", "stored CDR"
        LINK = "link", "next page"

    uid = models.CharField(max_length=43, unique=True, help_text="256 random bits: cannot be guessed.")
    kind = models.CharField(max_length=12, choices=Kind)
    module = models.CharField(max_length=20)
    caller = models.ForeignKey("roaming.Party", on_delete=models.CASCADE, related_name="+")
    target = models.ForeignKey("roaming.Party", on_delete=models.CASCADE, related_name="+")
    url = models.CharField(max_length=2048)
    expires_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]
        indexes: ClassVar = [models.Index(fields=["expires_at"], name="relay_expiry")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.target} for {self.caller}"
