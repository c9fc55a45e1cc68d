"""The operator's face of roaming: partner platforms, the way we reach them, and who they are."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from ocpi import v221
from roaming import invitations, own
from roaming.checks.admin import ComparisonAdmin, FindingAdmin
from roaming.delivery.admin import DeliveryAdmin, LaneAdmin
from roaming.handshake import (
    register_with,
    resume_platform,
    revoke_credentials,
    rotate_credentials,
    suspend_platform,
    unregister,
)
from roaming.hub.admin_agreements import AgreementAdmin, presence_badge
from roaming.models import CredentialsToken, Endpoint, Party, Platform
from roaming.operators import OperatorAdmin, ReadOnlyInline, badge, duration, without
from roaming.pages import PageForm, ask, row_of
from roaming.quirks import QUIRKS, change_quirks

__all__ = [
    "AgreementAdmin",
    "ComparisonAdmin",
    "DeliveryAdmin",
    "FindingAdmin",
    "LaneAdmin",
    "PartyAdmin",
    "PlatformAdmin",
]

STATUS_COLOURS = {
    Platform.Status.INVITED: "amber",
    Platform.Status.CONNECTED: "green",
    Platform.Status.SUSPENDED: "red",
    Platform.Status.UNREGISTERED: "grey",
}
# What cannot be done in each state of the connection.
WRONG_VERBS = {
    Platform.Status.INVITED: {"rotate", "suspend", "resume"},
    Platform.Status.CONNECTED: {"resume"},
    Platform.Status.SUSPENDED: {"suspend"},
    Platform.Status.UNREGISTERED: {"rotate", "suspend", "resume", "end"},
}
# Partners rotate their tokens about monthly; later than this we remind (credentials, 3.3).
OLD_TOKEN = timedelta(days=31)


class PartyInline(ReadOnlyInline):
    """Roles that the partner announced; of a hub also the parties behind it."""

    model = Party
    verbose_name_plural = "parties"
    fields = (
        "role",
        "country_code",
        "party_id",
        "name",
        "is_active",
        "is_behind_hub",
        "connected",
        "presence_at",
    )
    readonly_fields = ("is_behind_hub", "connected", "presence_at")

    @display(description="Connected")
    def connected(self, party: Party) -> SafeString:
        """Whether it can be reached."""
        return presence_badge(party)


class EndpointInline(ReadOnlyInline):
    """What the partner serves, and what is switched off for now."""

    model = Endpoint
    fields = ("module", "role", "url", "off_until", "off_reason")


class TokenInline(ReadOnlyInline):
    """Facts about the tokens that this partner presents; the tokens themselves are known to the partner alone."""

    model = CredentialsToken
    verbose_name_plural = "tokens that this partner presents to us"
    fields = ("kind", "created_at", "last_used_at", "expires_at", "revoked_at")
    readonly_fields = ("created_at", "last_used_at", "revoked_at")
    ordering = ("-id",)


class UnregisterForm(PageForm):
    """How to end a connection when the other side does not answer."""

    is_one_sided = forms.BooleanField(
        required=False,
        label="Do not tell the partner",
        help_text="Only when the partner cannot be reached for good: it keeps believing that it is connected.",
    )


@admin.register(Platform)
class PlatformAdmin(OperatorAdmin):
    """Partner platforms: the state of the handshake, and what is special about each."""

    is_shared = True
    list_display = ("name", "state", "roles", "seen", "lanes_state", "token_age")
    list_filter = ("status",)
    search_fields = ("name", "parties__name", "parties__party_id")
    inlines: ClassVar = [PartyInline, EndpointInline, TokenInline]
    actions_list: ClassVar = ["invite", "register"]
    actions_detail: ClassVar = ["rotate", "suspend", "resume", "end"]
    FACTS = (
        "state",
        "version",
        "versions_url",
        "connected_at",
        "last_seen_at",
        "checked_at",
        "tokens_pulled_until",
        "clients_next_at",
        "clients_problem",
    )
    readonly_fields = FACTS
    fieldsets = (
        (None, {"fields": ("name", *FACTS)}),
        (
            "What is special about this partner",
            {
                "fields": QUIRKS,
                "description": "For partners that differ from the specification: leave all as they are unless a test "
                "with the partner shows that it needs one. A change is told to the partner at once.",
            },
        ),
        ("How fast", {"fields": ("requests_per_second", "max_requests_per_second")}),
        ("When this partner is a hub", {"fields": ("asks_openly",)}),
        ("What this partner may claim", {"fields": ("approved_hosts", "allowed_roles")}),
    )

    def save_model(self, request: HttpRequest, obj: Platform, form: Any, change: bool) -> None:
        """Quirks change what the partner is shown: one service changes them and tells it."""
        quirks = {name: form.cleaned_data[name] for name in form.changed_data if name in QUIRKS}
        rest = [name for name in form.changed_data if name not in QUIRKS]
        if rest:
            obj.save(update_fields=rest)
        change_quirks(platform=obj, changes=quirks, now=timezone.now())

    def get_queryset(self, request: HttpRequest) -> Any:
        """With what the list shows of each platform."""
        return super().get_queryset(request).prefetch_related("parties", "lanes", "inbound_tokens")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A platform begins with an invitation."""
        return False

    def has_invite_permission(self, request: HttpRequest) -> bool:
        """Who may bring in a partner."""
        return request.user.has_perm("roaming.add_platform") and self.may_change_shared(request)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Only what can be done with the connection as it stands."""
        row = self.get_object(request, str(object_id))
        wrong: set[str] | frozenset[str] = WRONG_VERBS.get(row.status, frozenset()) if row else frozenset()
        return without(wrong, super().get_actions_detail(request, object_id))

    @display(description="Handshake", ordering="status")
    def state(self, platform: Platform) -> SafeString:
        """Where the connection stands."""
        return badge(platform.get_status_display(), STATUS_COLOURS[Platform.Status(platform.status)])

    @display(description="Parties")
    def roles(self, platform: Platform) -> str:
        """Who is on the platform; before the handshake, who may be."""
        known = [f"{party.role} {party.ocpi_id}" for party in platform.parties.all() if party.is_active]
        claims = [f"{role} {country}-{party} (not yet)" for role, country, party in platform.allowed_roles]
        return ", ".join(known or claims) or "–"

    @display(description="Last heard", ordering="last_seen_at")
    def seen(self, platform: Platform) -> str:
        """How long ago it last called us."""
        return f"{duration(timezone.now() - platform.last_seen_at)} ago" if platform.last_seen_at else "never"

    @display(description="Deliveries")
    def lanes_state(self, platform: Platform) -> SafeString:
        """Whether what we owe flows."""
        stuck = [lane.get_name_display() for lane in platform.lanes.all() if lane.breaker != "CLOSED"]
        return badge(f"held up: {', '.join(stuck)}", "red") if stuck else badge("flowing", "green")

    @display(description="Token")
    def token_age(self, platform: Platform) -> SafeString | str:
        """How old the token is that it presents."""
        alive = [
            token for token in platform.inbound_tokens.all() if token.kind == "C" and token.revoked_at is None
        ]
        if not alive:
            return "–"
        age = timezone.now() - max(token.created_at for token in alive)
        return badge(f"{duration(age)}: rotate", "amber") if age > OLD_TOKEN else duration(age)

    @action(description="Invite a partner", permissions=["invite"], icon="person_add")
    def invite(self, request: HttpRequest) -> HttpResponse:
        """Make a token A and show it once."""
        return invitations.invite_page(self, request)

    @action(description="Connect to a partner", permissions=["invite"], icon="cable")
    def register(self, request: HttpRequest) -> HttpResponse:
        """Begin the handshake with a partner that gave us a token A."""
        form = invitations.RegisterForm(request.POST if request.method == "POST" else None, request=request)
        if request.method == "POST" and form.is_valid():
            try:
                platform = register_with(**form.arguments(), now=timezone.now())
            except ValueError as refusal:
                form.add_error(None, str(refusal))
            else:
                self.log_addition(request, platform, "Registered with the partner.")
                return invitations.registered(self, request, platform)
        return invitations.form_page(
            self, request, form, title="Connect to a partner", submit="Register",
            lines=["The partner has given you a token A and its versions URL: we begin the handshake. The token is used "
                   "once and kept nowhere."],
        )  # fmt: skip

    @action(description="Rotate credentials", permissions=["act"], icon="autorenew")
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Exchange both tokens."""
        platform = row_of(self, request, object_id)

        def verb(_: object) -> str:
            rotate_credentials(platform=platform, now=timezone.now())
            return f"{platform}: both tokens are new; the old ones are dead."

        return ask(
            self, request, row=platform, title=f"Rotate the credentials of {platform}?", verb=verb, submit="Rotate now",
            text="Both tokens are exchanged by a PUT to the partner, which also reads our versions again. If it does "
            "not answer, the old tokens stay in force.",
        )  # fmt: skip

    @action(description="Suspend", permissions=["act"], icon="pause_circle")
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Shut the partner out until it is resumed."""
        platform = row_of(self, request, object_id)

        def verb(_: object) -> str:
            suspend_platform(platform=platform, now=timezone.now())
            return f"{platform} is suspended: it is let in again by Resume."

        return ask(
            self, request, row=platform, title=f"Suspend {platform}?", verb=verb, submit="Suspend", is_harmful=True,
            text="Its calls are refused at once and nothing is sent to it. What it is owed waits. Guests of this "
            "partner cannot start by its app; sessions that run go on.",
        )  # fmt: skip

    @action(description="Resume", permissions=["act"], icon="play_circle")
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Let a suspended partner in again."""
        platform = row_of(self, request, object_id)

        def verb(_: object) -> str:
            count = resume_platform(platform=platform, now=timezone.now())
            return f"{platform} is connected again, with the tokens that it had; {count} objects are sent to it again."

        return ask(
            self, request, row=platform, title=f"Resume {platform}?", verb=verb, submit="Resume",
            text="It is let in again with the tokens that it had, and gets what it was owed meanwhile.",
        )  # fmt: skip

    @action(description="Unregister", permissions=["act"], icon="link_off")
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """End the connection."""
        platform = row_of(self, request, object_id)

        def verb(form: Any) -> str:
            now = timezone.now()
            if form.cleaned_data["is_one_sided"]:
                revoke_credentials(platform=platform, now=now)
                return f"{platform} is unregistered on our side; it was not told."
            unregister(platform=platform, now=now)
            return f"{platform} is unregistered."

        return ask(
            self, request, row=platform, title=f"Unregister {platform}?", verb=verb, submit="Unregister", is_harmful=True,
            form_class=UnregisterForm,
            text="The partner is told, then all its tokens die and nothing more is sent to it. Coming back needs a new "
            "invitation. Its sessions, CDRs and open deliveries stay to be looked at.",
        )  # fmt: skip


@admin.register(Party)
class PartyAdmin(OperatorAdmin):
    """Parties: ours, and those of partners as they announced them; whom an SCSP acts for is entered here."""

    is_shared = True
    list_display = ("ids", "role", "name", "whose", "connected", "is_active")
    list_filter = ("role", "presence", "is_active", "is_behind_hub", "platform")
    list_select_related = ("platform",)
    search_fields = ("name", "party_id")
    fields = (
        "platform",
        "role",
        "country_code",
        "party_id",
        "name",
        "website",
        "is_active",
        "connected",
        "presence_at",
        "is_behind_hub",
        "announced_at",
        "acts_for",
    )
    readonly_fields = fields[:-1]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Partners announce their parties, `add_party` makes ours."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Only who steers charging for others can be contracted."""
        is_scsp = obj is not None and obj.role == v221.Role.SCSP.value
        return self.readonly_fields if is_scsp else (*self.readonly_fields, "acts_for")

    def save_model(self, request: HttpRequest, obj: Party, form: Any, change: bool) -> None:
        """The row itself is the partner's word; its contracts are stored after it."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Contracts are with partners' eMSPs."""
        kwargs["queryset"] = Party.objects.filter(role=v221.Role.EMSP.value, platform__isnull=False)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    @display(description="Party", ordering="country_code")
    def ids(self, party: Party) -> str:
        """Country code and party id."""
        return str(party.ocpi_id)

    @display(description="Platform", ordering="platform")
    def whose(self, party: Party) -> str:
        """The partner's platform, or ours."""
        return str(party.platform) if party.platform else f"ours ({own.versions_url()})"

    @display(description="Connected", ordering="presence")
    def connected(self, party: Party) -> SafeString:
        """Whether it can be reached; of one behind a hub as that hub says."""
        return presence_badge(party)
