"""The operator's face of delivery: what partners do not know yet, why, and what to do about it."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from roaming import pushes
from roaming.delivery import reasons, services
from roaming.delivery.models import Attempt, Lane, Obligation
from roaming.delivery.rendering import forget_changes
from roaming.operators import ReadOnlyAdmin, ReadOnlyInline, badge, duration, json_block, run_each, without
from roaming.pages import PageForm, SecondPerson, ask, row_of
from roaming.redaction import readable

State = Obligation.State
STATE_COLOURS = {
    State.PENDING: "blue",
    State.ACKED: "green",
    State.SERVED: "green",
    State.PARKED: "red",
    State.CONTESTED: "red",
    State.EXPIRED: "grey",
    State.CANCELLED: "grey",
    State.WITHHELD: "amber",
}
STATE_WORDS = {State.PARKED: "parked", State.CONTESTED: "contested", State.WITHHELD: "withheld"}
# What is still owed, and what of it needs a person.
OPEN = (State.PENDING, State.PARKED, State.CONTESTED)
HELD = (State.PARKED, State.CONTESTED)
# One person alone may send so many again at once (S3).
ALONE = 100
OLD = timedelta(hours=1)
VERY_OLD = timedelta(hours=24)


class Agreed(SecondPerson):
    """A second person who may act on deliveries."""

    permission = "roaming.change_obligation"


class Reason(PageForm):
    """Why something that is owed is given up."""

    reason = forms.CharField(max_length=200, help_text="Stays in the history, for whoever asks later.")


class AgreedReason(Reason, SecondPerson):
    """The same, when it is money: a second person, who answers for money (delivery.md 4.6)."""

    permission = "cdrs.change_review"


class AttemptInline(ReadOnlyInline):
    """Every request that was made for it."""

    model = Attempt
    verbose_name_plural = "attempts"
    fields = (
        "started_at",
        "method",
        "url",
        "outcome",
        "http_status",
        "ocpi_status",
        "milliseconds",
        "error",
        "request_id",
    )
    per_page = 20


@admin.register(Obligation)
class DeliveryAdmin(ReadOnlyAdmin):
    """Deliveries: each is one thing that one partner must learn."""

    operator_path = "own_party"
    list_display = ("what", "party", "shown_state", "reason", "age", "attempts", "next_try")
    list_filter = ("state", "kind", "lane__platform", "lane__name", "ambiguous")
    list_select_related = ("party", "lane__platform")
    search_fields = ("object_key", "last_error")
    search_help_text = "Object key or words of the last error."
    ordering = ("-id",)
    inlines: ClassVar = [AttemptInline]
    actions: ClassVar = ["replay"]
    actions_detail: ClassVar = ["replay_one", "replay_alike", "cancel"]
    fields = ("shown_state", "reason", "last_error", "kind", "object_key", "party", "own_party", "lane", "age", "attempts",
              "next_at", "acked_at", "expires_at", "answer", "location_url", "url", "correlation_id", "fingerprint",
              "body_text")  # fmt: skip
    readonly_fields = ("shown_state", "reason", "age", "answer", "fingerprint", "body_text")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """Nothing can be done about what is over; only what was not taken has others alike."""
        row = self.get_object(request, str(object_id))
        wrong = set() if row and row.state in OPEN else {"replay_one", "replay_alike", "cancel"}
        wrong |= set() if row and row.state in HELD and row.last_error else {"replay_alike"}
        wrong |= {"replay_one"} if row and row.shape == Obligation.Shape.SHORT_LIVED else set()
        return without(wrong, super().get_actions_detail(request, object_id))

    @display(description="What", ordering="kind")
    def what(self, obligation: Obligation) -> SafeString:
        """Kind and object."""
        return format_html(
            '<b>{}</b><br><small class="yg-quiet">{}</small>', obligation.kind, obligation.object_key
        )

    @display(description="State", ordering="state")
    def shown_state(self, obligation: Obligation) -> SafeString:
        """The state as a coloured word."""
        state = State(obligation.state)
        return badge(STATE_WORDS.get(state, obligation.get_state_display()), STATE_COLOURS[state])

    @display(description="Why")
    def reason(self, obligation: Obligation) -> str:
        """What happened and what to do, in words."""
        return reasons.explain(
            state=obligation.state,
            last_error=obligation.last_error,
            attempts=obligation.attempts,
            breaker=obligation.lane.breaker,
            platform_status=obligation.lane.platform.status,
            presence=obligation.party.presence,
        )

    @display(description="Owed for", ordering="owed_since")
    def age(self, obligation: Obligation) -> SafeString | str:
        """How long the partner has not known it."""
        if obligation.state not in OPEN:
            return "–"
        waiting = timezone.now() - obligation.owed_since
        colour = "red" if waiting > VERY_OLD else "amber"
        return badge(duration(waiting), colour) if waiting > OLD else duration(waiting)

    @display(description="Next try", ordering="next_at")
    def next_try(self, obligation: Obligation) -> str:
        """In how long it is tried again by itself."""
        if obligation.state != State.PENDING:
            return "–"
        wait = obligation.next_at - timezone.now()
        return f"in {duration(wait)}" if wait > timedelta(0) else "now"

    @display(description="Last answer")
    def answer(self, obligation: Obligation) -> str:
        """HTTP and OCPI status of the last answer."""
        if obligation.http_status is None:
            return "none yet"
        return f"HTTP {obligation.http_status}, OCPI {obligation.ocpi_status or 'no status code'}"

    @display(description="SHA-256 of the bytes sent")
    def fingerprint(self, obligation: Obligation) -> str:
        """Of a sealed thing: proof of what went out."""
        return bytes(obligation.sent_sha256).hex() if obligation.sent_sha256 else "–"

    @display(description="Body")
    def body_text(self, obligation: Obligation) -> SafeString | str:
        """What is sent, indented; uids of tokens are masked here, not in what goes out."""
        return _body(obligation)

    @action(description="Send again now", permissions=["act"])
    def replay(self, request: HttpRequest, rows: QuerySet[Obligation]) -> None:
        """Send the chosen deliveries again; more than a hundred need a second person (S3)."""
        count = rows.count()
        if count > ALONE:
            self.message_user(
                request,
                f"{count} deliveries at once need a second person: open one and use 'Send all alike again'.",
                messages.ERROR,
            )
            return
        run_each(self, request, rows, lambda row: _replayed(row, request))

    @action(description="Send again now", permissions=["act"], icon="replay")
    def replay_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send this delivery again."""
        row = row_of(self, request, object_id)
        return ask(
            self, request, row=row, title="Send it again now?", submit="Send again",
            verb=lambda _: _replayed(row, request),
            text=f"{row}: it is sent as soon as the lane allows. It stays the same delivery.",
        )  # fmt: skip

    @action(description="Send all alike again", permissions=["act"], icon="dynamic_feed")
    def replay_alike(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Send again all that this platform did not take from the same operator for the same reason."""
        row = row_of(self, request, object_id)
        count = _alike(row).count()

        def verb(_: object) -> str:
            if not row.last_error or row.state not in HELD:
                raise ValueError("Only what was not taken, and says why, has others alike.")
            sent = services.replay_all(
                row.last_error, platform=row.lane.platform, own_party=row.own_party, by=_name(request)
            )
            return f"{sent} deliveries are sent again."

        return ask(
            self, request, row=row, title=f"Send {count} deliveries again?", submit=f"Send {count} again", verb=verb,
            form_class=Agreed if count > ALONE else PageForm,
            text=[f"All of {row.own_party} that {row.lane.platform} did not take with: {row.last_error or 'no error text'}."]
            + ([f"More than {ALONE} at once need a second person."] if count > ALONE else []),
        )  # fmt: skip

    @action(description="Cancel", permissions=["act"], icon="cancel")
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Give this delivery up; a sealed one with a second person."""
        row = row_of(self, request, object_id)
        is_sealed = row.shape == Obligation.Shape.LEDGER

        def verb(form: Any) -> str:
            services.cancel(
                row,
                reason=form.cleaned_data["reason"],
                by=_name(request),
                confirmed_by=form.cleaned_data.get("second_user", ""),
            )
            return f"{row}: cancelled."

        return ask(
            self, request, row=row, title="Cancel this delivery?", submit="Cancel for good", verb=verb,
            form_class=AgreedReason if is_sealed else Reason, is_harmful=True,
            text=[f"{row}: the partner is never told."]
            + (["A CDR that is cancelled is not paid: somebody of finance must agree."] if is_sealed else []),
        )  # fmt: skip


def _name(request: HttpRequest) -> str:
    return str(request.user.get_username())


def _replayed(obligation: Obligation, request: HttpRequest) -> str:
    services.replay(obligation, by=_name(request))
    return f"{obligation}: it is sent again now."


def _alike(obligation: Obligation) -> QuerySet[Obligation]:
    """What `replay_all` will take."""
    rows = Obligation.objects.filter(
        lane__platform_id=obligation.lane.platform_id, own_party_id=obligation.own_party_id, state__in=HELD
    )
    return rows.filter(last_error__icontains=obligation.last_error) if obligation.last_error else rows.none()


def _body(obligation: Obligation) -> SafeString | str:
    """The sealed bytes, or for a state what would be sent now."""
    try:
        if obligation.lane.platform.patch_not_supported:
            forget_changes(obligation)
        message = pushes.get(obligation.kind).message(obligation, now=timezone.now())
    except KeyError:
        return f"There is no push of the kind '{obligation.kind}' any more."
    except Exception as error:  # a fault of ours in rendering: exactly what a person came to see
        return f"It cannot be rendered: {type(error).__name__}: {error}"
    if message is None:
        return "Nothing is left to tell."
    head = " / ".join((message.method, *message.segments))
    return json_block(f"{head}\n{readable(message.body)}" if message.body else head)


@admin.register(Lane)
class LaneAdmin(ReadOnlyAdmin):
    """Lanes: the queues towards each partner, and whether they flow."""

    is_shared = True
    list_display = ("platform", "name", "state", "waiting", "parked", "failures", "next_at", "blocked_reason")
    list_filter = ("breaker", "name", "platform")
    list_select_related = ("platform",)
    actions: ClassVar = ["try_again"]
    actions_detail: ClassVar = ["try_again_now"]
    fields = ("platform", "name", "state", "blocked_reason", "failures", "setbacks", "rate", "due_at")
    readonly_fields = ("state",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """With how much waits in each."""
        return super().get_queryset(request).annotate(
            waiting_count=Count("obligations", filter=Q(obligations__state=State.PENDING)),
            parked_count=Count("obligations", filter=Q(obligations__state__in=(State.PARKED, State.CONTESTED))),
        )  # fmt: skip

    @display(description="State", ordering="breaker")
    def state(self, lane: Lane) -> SafeString:
        """The breaker in words."""
        colours = {Lane.Breaker.CLOSED: "green", Lane.Breaker.OPEN: "amber", Lane.Breaker.AUTH_BLOCKED: "red"}
        return badge(lane.get_breaker_display(), colours[Lane.Breaker(lane.breaker)])

    @display(description="Waiting", ordering="waiting_count")
    def waiting(self, lane: Any) -> int:
        """Deliveries that are owed."""
        return int(lane.waiting_count)

    @display(description="Parked", ordering="parked_count")
    def parked(self, lane: Any) -> int:
        """Deliveries that need a person."""
        return int(lane.parked_count)

    @display(description="Sends next", ordering="due_at")
    def next_at(self, lane: Lane) -> str:
        """When the lane may send again."""
        wait = lane.due_at - timezone.now()
        return f"in {duration(wait)}" if wait > timedelta(0) else "now"

    @action(description="Try again now", permissions=["act"])
    def try_again(self, request: HttpRequest, rows: QuerySet[Lane]) -> None:
        """Free the lanes of the chosen platforms."""
        run_each(self, request, rows, lambda lane: _freed(lane, request))

    @action(description="Try again now", permissions=["act"], icon="replay")
    def try_again_now(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Free the lanes of this platform."""
        lane = row_of(self, request, object_id)
        return ask(
            self, request, row=lane, title=f"Try {lane.platform} again now?", submit="Try again now",
            verb=lambda _: _freed(lane, request),
            text="All lanes of this partner send again at once, as if nothing had failed. If it fails again, the "
            "breaker opens again.",
        )  # fmt: skip


def _freed(lane: Lane, request: HttpRequest) -> str:
    return (
        f"{lane.platform}: {services.unblock(platform=lane.platform, by=_name(request))} lanes try again now."
    )
