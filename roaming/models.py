"""Who we talk to: platforms, the parties on them, their endpoints and the credentials tokens between us."""

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models.functions import Now

from ocpi.headers import PartyId
from roaming import dialect
from roaming.checks.models import Comparison, Finding
from roaming.delivery.models import Attempt, Lane, Obligation
from roaming.hub.models import Agreement, HubDocument, HubTrail, Relay

__all__ = [
    "Agreement",
    "Attempt",
    "Comparison",
    "CredentialsToken",
    "Endpoint",
    "Finding",
    "HubDocument",
    "HubTrail",
    "Lane",
    "Obligation",
    "Party",
    "Platform",
    "Relay",
    "StaffScope",
]


class Platform(models.Model):
    """One partner system that speaks OCPI with us over one pair of credentials tokens."""

    class Status(models.TextChoices):
        INVITED = "INVITED", "invited, handshake not done"
        CONNECTED = "CONNECTED", "connected"
        SUSPENDED = "SUSPENDED", "suspended by an operator"
        UNREGISTERED = "UNREGISTERED", "unregistered"

    name = models.CharField(max_length=100)
    status = models.CharField(max_length=12, choices=Status, default=Status.INVITED)
    versions_url = models.CharField(max_length=255, blank=True, help_text="Their versions endpoint.")
    version = models.CharField(
        max_length=10, blank=True, help_text="The OCPI version chosen in the handshake."
    )
    outbound_token = models.BinaryField(
        null=True,
        editable=False,
        help_text="The token that we send to them, encrypted (see roaming/secrets.py).",
    )
    approved_hosts = ArrayField(
        models.CharField(max_length=253),
        default=list,
        blank=True,
        help_text="Host names that this partner's URLs (versions, endpoints, response_url) may lie on. "
        "Filled by the first handshake when left empty; a later change needs an operator.",
    )
    allowed_roles = models.JSONField(
        default=list,
        blank=True,
        help_text='Roles this partner may claim, as [["EMSP", "NL", "EMS"], …]; set by the invitation.',
    )
    accept_raw_token = models.BooleanField(
        default=False, help_text="This partner sends (and expects) its token without Base64."
    )
    trailing_slash = models.BooleanField(
        default=False,
        help_text="This partner answers only at URLs that end with a slash: those that we make below its endpoints do.",
    )
    patch_not_supported = models.BooleanField(
        default=False, help_text="This partner takes no PATCH: changes go to it as whole objects (PUT)."
    )
    page_size_cap = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Ask for so many objects per page at most when reading its lists; empty: 1000.",
    )
    midnight_as = models.CharField(
        max_length=5,
        blank=True,
        choices=[(dialect.LAST_MINUTE, "23:59 everywhere"), (dialect.NEXT_DAY, "00:00 everywhere")],
        help_text="How this partner reads the end of a day. Empty: as the specification has it, 23:59 in opening hours "
        "and 00:00 in tariffs.",
    )
    nacs_as = models.CharField(
        max_length=9,
        default=dialect.LEAVE_OUT,
        choices=[(dialect.LEAVE_OUT, "left out"), ("TESLA_S", "TESLA_S")],
        help_text="What this partner is shown of NACS connectors, for which OCPI 2.2.1 has no word. Bays that have no "
        "other connector are left out with it; left out later, they are shown as REMOVED.",
    )
    requests_per_second = models.PositiveSmallIntegerField(
        default=10, help_text="Pushes to this partner per second."
    )
    max_requests_per_second = models.PositiveSmallIntegerField(
        default=20,
        help_text="Requests that this partner may make per second, five times as many at once; 0: no limit.",
    )
    cdr_mode = models.CharField(
        max_length=14,
        choices=[("push_and_pull", "push and pull"), ("pull_only", "pull only")],
        default="push_and_pull",
        help_text="pull_only: this partner fetches its CDRs; nothing is re-sent.",
    )
    on_ambiguous = models.CharField(
        max_length=20,
        choices=[("resend", "resend"), ("lookup_then_resend", "look up, then resend"), ("hold", "hold")],
        default="resend",
        help_text="What to do with a CDR when it is unknown whether the partner stored it.",
    )
    announced = models.CharField(
        max_length=64,
        blank=True,
        editable=False,
        help_text="Digest of our endpoints and roles as this partner knows them.",
    )
    announce_after = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Not told of a change of ours before this moment: partners are told one by one.",
    )
    connected_at = models.DateTimeField(null=True, blank=True, editable=False)
    last_seen_at = models.DateTimeField(null=True, blank=True, editable=False)
    tokens_pulled_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Newest last_updated seen when pulling this partner's tokens.",
    )
    checked_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When we last asked whether it is there (HubClientInfo).",
    )
    asks_openly = models.BooleanField(
        default=False,
        verbose_name="ask this hub about unknown cards",
        help_text="Only for a hub: a card that nobody is known to own is asked about without naming a party; "
        "the hub finds the one that knows it.",
    )
    clients_next_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="When the list of parties behind this hub is read next; empty: at once.",
    )
    clients_problem = models.CharField(
        max_length=200, blank=True, editable=False, help_text="Why that list could not be read to its end."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


class Party(models.Model):
    """One role of one party: a CPO of ours (platform empty) or a partner's eMSP on its platform."""

    class Presence(models.TextChoices):
        CONNECTED = "CONNECTED", "connected"
        OFFLINE = "OFFLINE", "offline"
        PLANNED = "PLANNED", "planned"
        SUSPENDED = "SUSPENDED", "suspended"

    platform = models.ForeignKey(
        Platform,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="parties",
        help_text="Empty: ours.",
    )
    role = models.CharField(max_length=5)
    country_code = models.CharField(max_length=2)
    party_id = models.CharField(max_length=3)
    name = models.CharField(max_length=100)
    website = models.CharField(max_length=255, blank=True)
    is_active = models.BooleanField(default=True, help_text="Off: this role was given up by the partner.")
    presence = models.CharField(
        max_length=9,
        choices=Presence,
        default=Presence.CONNECTED,
        editable=False,
        help_text="What HubClientInfo says of it: by our own checks, or by the hub that it is connected to.",
    )
    presence_at = models.DateTimeField(
        db_default=Now(), editable=False, help_text="When that last changed (ClientInfo.last_updated)."
    )
    is_behind_hub = models.BooleanField(
        default=False,
        editable=False,
        help_text="Announced by the hub on this platform (HubClientInfo), not in its own credentials.",
    )
    announced_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="last_updated of what the hub last said of this party; empty: no hub said anything.",
    )
    answers_unknown_tokens = models.BooleanField(
        default=False, help_text="May be asked by the hub about cards that nobody is known to own."
    )
    token_prefixes = ArrayField(
        models.CharField(max_length=36),
        default=list,
        blank=True,
        help_text="The hub asks this party first about unknown cards whose uid begins so.",
    )
    acts_for = models.ManyToManyField(
        "self",
        symmetrical=False,
        blank=True,
        related_name="steered_by",
        help_text="Role SCSP: the eMSP parties that contracted it. It may limit the power of their sessions, as it may for "
        "the eMSP parties of its own platform.",
    )

    class Meta:
        verbose_name_plural = "parties"
        ordering: ClassVar = ["country_code", "party_id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["country_code", "party_id", "role"], name="party_role_unique"),
            models.CheckConstraint(
                condition=models.Q(country_code__regex=r"^[!-~]{2}$", party_id__regex=r"^[!-~]{3}$"),
                name="party_ids_printable",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id} ({self.name})"

    @property
    def ocpi_id(self) -> PartyId:
        """The pair that routing headers and URLs carry."""
        return PartyId(self.country_code, self.party_id)

    @property
    def is_own(self) -> bool:
        """Whether this party is hosted here."""
        return self.platform_id is None


class CredentialsToken(models.Model):
    """One token that a partner may present to us; only its keyed hash is kept."""

    class Kind(models.TextChoices):
        REGISTRATION = "A", "registration (opens versions and credentials only)"
        CALLBACK = "B", "announced by us in a running handshake (opens versions only)"
        SESSION = "C", "full access"

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="inbound_tokens")
    kind = models.CharField(max_length=1, choices=Kind)
    hash = models.BinaryField(
        unique=True, max_length=32, editable=False, help_text="HMAC-SHA256 of the token."
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Set when a newer token has replaced this one (grace until its first use).",
    )
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} token of {self.platform}"


class Endpoint(models.Model):
    """One entry of a partner's version details: where it serves one side of one module."""

    platform = models.ForeignKey(Platform, on_delete=models.CASCADE, related_name="endpoints")
    module = models.CharField(max_length=20)
    role = models.CharField(max_length=8)
    url = models.CharField(max_length=255)
    off_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Nothing is sent here before this moment: the partner says there is nothing.",
    )
    off_reason = models.CharField(max_length=255, blank=True)

    class Meta:
        ordering: ClassVar = ["module", "role"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["platform", "module", "role"], name="endpoint_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.module} {self.role}"


class StaffScope(models.Model):
    """One operator of ours whose rows a member of staff may see and act on; without any they see nothing (S1)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="operator_scopes"
    )
    party = models.ForeignKey(
        Party,
        on_delete=models.PROTECT,
        related_name="+",
        limit_choices_to={"platform": None, "role": "CPO"},
        verbose_name="operator",
        help_text="A CPO party that is hosted here.",
    )

    class Meta:
        verbose_name = "operator that this person works for"
        verbose_name_plural = "operators that this person works for"
        ordering: ClassVar = ["party"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "party"], name="staff_scope_unique"),
        ]

    def __str__(self) -> str:
        return f"{self.user} for {self.party}"
