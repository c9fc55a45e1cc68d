"""The face of CDRs for finance: what was billed and why, what waits for a person, and whether the books balance."""

from datetime import timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import msgspec
from django.contrib import admin, messages
from django.db.models import CharField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display

from cdrs import crediting, finance, reviewing
from cdrs.credits import credit_of
from cdrs.models import CDR, Correction, CreditRequest, Review
from cdrs.seals import faults_of
from roaming.delivery.admin import STATE_COLOURS, STATE_WORDS
from roaming.models import Obligation
from roaming.operators import ReadOnlyAdmin, badge, clock, duration, json_block, table, without
from roaming.pages import row_of
from roaming.redaction import readable
from roaming.scopes import acts_for_all
from tariffs.bill import Bill
from tariffs.explained import bill_table, money
from tariffs.readable import amount

# The permission that only finance has: money actions hang on it (config/groups.py).
MONEY = "cdrs.change_review"
OLD = timedelta(hours=24)
_BILL = msgspec.json.Decoder(Bill)


@admin.register(CDR)
class CdrAdmin(ReadOnlyAdmin):
    """Sealed CDRs. Nothing of them can be changed, here or in the database."""

    operator_path = "own_party"
    list_display = (
        "ocpi_id",
        "ended",
        "party",
        "location",
        "energy",
        "without_vat",
        "with_vat",
        "delivery",
        "kind",
    )
    list_filter = ("party", "session__location__depot", "currency", "is_credit", "ended_at")
    list_select_related = ("party", "session__location__depot")
    search_fields = ("ocpi_id", "session__id")
    search_help_text = "CDR or session id."
    ordering = ("-feed_seq",)
    actions: ClassVar = ["check_seals"]
    actions_list: ClassVar = ["export", "books"]
    actions_detail: ClassVar = ["take_back", "bill_again"]
    fieldsets = (
        (None, {"fields": ("ocpi_id", "party", "own_party", "charge", "location", "started", "ended", "energy", "without_vat",
                           "with_vat", "delivery_link", "taken_back")}),
        ("Why it costs that", {"fields": ("explanation",)}),
        ("Seal", {"fields": ("seal", "hashes", "revision", "is_credit", "credit_of", "last_updated", "body_text")}),
    )  # fmt: skip
    readonly_fields = ("charge", "location", "started", "ended", "energy", "without_vat", "with_vat", "delivery_link",
                       "taken_back", "explanation", "seal", "hashes", "body_text")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[CDR]:
        """With the state of the delivery; long documents only where they are shown."""
        owed = Obligation.objects.filter(kind="cdr", object_key=Cast(OuterRef("pk"), CharField()))
        return super().get_queryset(request).defer("body", "explain").annotate(
            delivery_id=Subquery(owed.values("pk")[:1]), delivery_state=Subquery(owed.values("state")[:1])
        )  # fmt: skip

    def has_money_permission(self, request: HttpRequest, object_id: object = None) -> bool:
        """Who may export, and ask to take a CDR back."""
        return bool(request.user.has_perm(MONEY))

    def has_books_permission(self, request: HttpRequest) -> bool:
        """Who may check the books, which are those of all operators together."""
        return request.user.has_perm("cdrs.view_cdr") and acts_for_all(request.user)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """A credit is not taken back, and what was taken back is not taken back again."""
        cdr = self.get_object(request, str(object_id))
        hidden = set()
        if cdr is not None and (cdr.is_credit or credit_of(cdr) is not None):
            hidden = {"take_back", "bill_again"} if cdr.is_credit else {"take_back"}
        return without(hidden, super().get_actions_detail(request, object_id))

    @display(description="Ended", ordering="ended_at")
    def ended(self, cdr: CDR) -> str:
        """On the depot's clock."""
        return clock(cdr.ended_at, ZoneInfo(cdr.time_zone))

    @display(description="Started")
    def started(self, cdr: CDR) -> str:
        """On the depot's clock."""
        return clock(cdr.started_at, ZoneInfo(cdr.time_zone))

    @display(description="Location")
    def location(self, cdr: CDR) -> str:
        """The bay pool."""
        return str(cdr.session.location)

    @display(description="Energy", ordering="energy_kwh")
    def energy(self, cdr: CDR) -> str:
        """kWh."""
        return f"{amount(cdr.energy_kwh)} kWh"

    @display(description="Without VAT", ordering="total_excl_vat")
    def without_vat(self, cdr: CDR) -> str:
        """The total."""
        return money(cdr.total_excl_vat, cdr.currency)

    @display(description="With VAT", ordering="total_incl_vat")
    def with_vat(self, cdr: CDR) -> str:
        """The total with VAT, when it is known."""
        return money(cdr.total_incl_vat, cdr.currency)

    @display(description="")
    def kind(self, cdr: CDR) -> SafeString | str:
        """What makes it unlike the others."""
        return badge("credit", "amber") if cdr.is_credit else ""

    @display(description="Partner")
    def delivery(self, cdr: Any) -> SafeString:
        """Whether the partner has it."""
        return _delivery_badge(cdr.delivery_state)

    @display(description="Partner has it?")
    def delivery_link(self, cdr: Any) -> SafeString:
        """The same, with the way to the delivery."""
        if cdr.delivery_id is None:
            return _delivery_badge(None)
        url = reverse("admin:roaming_obligation_change", args=[cdr.delivery_id])
        return format_html(
            '{} <a class="yg-link" href="{}">delivery</a>', _delivery_badge(cdr.delivery_state), url
        )

    @display(description="Taken back by")
    def taken_back(self, cdr: CDR) -> SafeString | str:
        """Its credit CDR, or who asked for one."""
        credit = credit_of(cdr)
        if credit is not None:
            url = reverse("admin:cdrs_cdr_change", args=[credit.pk])
            return format_html('<a class="yg-link" href="{}">{}</a>', url, credit.ocpi_id)
        asked = cdr.credit_requests.filter(state=CreditRequest.State.OPEN).first()
        return "–" if asked is None else f"{asked.asked_by} asked for it; it waits for a second person"

    @display(description="Session")
    def charge(self, cdr: CDR) -> SafeString:
        """The session behind it."""
        url = reverse("admin:charging_sessions_session_change", args=[cdr.session_id])
        return format_html('<a class="yg-link" href="{}">{}</a>', url, cdr.session_id)

    @display(description="Bill")
    def explanation(self, cdr: CDR) -> SafeString:
        """Every line of the bill, as it was when it was sealed."""
        return bill_table(_BILL.decode(bytes(cdr.explain)), ZoneInfo(cdr.time_zone))

    @display(description="Seal")
    def seal(self, cdr: CDR) -> SafeString:
        """Checked while this page is shown."""
        faults = faults_of(cdr)
        return badge("; ".join(faults), "red") if faults else badge("sound: bytes and chain match", "green")

    @display(description="Hashes")
    def hashes(self, cdr: CDR) -> SafeString:
        """Of the bytes, and of the chain up to here."""
        rows = (("bytes", bytes(cdr.sha256).hex()), ("chain", bytes(cdr.chain_sha256).hex()))
        return table(("Of", "SHA-256"), rows)

    @display(description="JSON, with the uid masked")
    def body_text(self, cdr: CDR) -> SafeString:
        """The sealed document; only what is shown here is masked."""
        return json_block(readable(bytes(cdr.body)))

    @action(description="Check the seals")
    def check_seals(self, request: HttpRequest, cdrs: QuerySet[CDR]) -> None:
        """Say of the chosen CDRs whether their bytes and links are sound."""
        sound = 0
        for cdr in cdrs.defer(None):
            faults = faults_of(cdr)
            sound += not faults
            if faults:
                self.message_user(request, f"CDR {cdr.ocpi_id}: {'; '.join(faults)}", messages.ERROR)
        self.message_user(request, f"{sound} of {cdrs.count()} seals are sound.", messages.SUCCESS)

    @action(description="Export a month", permissions=["money"], icon="download")
    def export(self, request: HttpRequest) -> HttpResponse:
        """CSV for the books."""
        return finance.export_page(self, request)  # type: ignore[return-value]  # streams when it downloads

    @action(description="Take back", permissions=["money"], icon="undo")
    def take_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a credit CDR."""
        return crediting.take_back_page(self, request, row_of(self, request, object_id))

    @action(description="Correct and bill again", permissions=["money"], icon="published_with_changes")
    def bill_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for a credit CDR and a corrected one."""
        return crediting.bill_again_page(self, request, row_of(self, request, object_id))

    @action(description="Do the books balance?", permissions=["books"], icon="balance")
    def books(self, request: HttpRequest) -> HttpResponse:
        """Both identities, and every hash."""
        return finance.books_page(self, request)


class OpenFilter(admin.SimpleListFilter):
    """Open reviews first: the list is a queue."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """What to choose from."""
        return [("open", "waiting for a person"), ("done", "resolved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Review]) -> QuerySet[Review]:
        """Filter."""
        if self.value() in ("open", "done"):
            return queryset.filter(resolved_at__isnull=self.value() == "open")
        return queryset


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    """Sessions that could not be sealed: why, since when, and what was done."""

    operator_path = "session__own_party"
    list_display = ("session", "party", "state", "age", "why", "resolved_by")
    list_filter = (OpenFilter, "session__party", "session__location__depot")
    list_select_related = ("session__party", "session__evse", "session__location__depot")
    search_fields = ("session__id", "resolution")
    # Descending puts the open ones (NULL) first.
    ordering = ("-resolved_at", "opened_at")
    actions_detail: ClassVar = ["seal", "waive"]
    fields = (
        "state",
        "charge",
        "party",
        "age",
        "reason_table",
        "corrections",
        "resolved_at",
        "resolved_by",
        "resolution",
    )
    readonly_fields = ("state", "charge", "party", "age", "reason_table", "corrections")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """What is resolved stays so."""
        row = self.get_object(request, str(object_id))
        is_done = row is not None and row.resolved_at is not None
        return without({"seal", "waive"} if is_done else (), super().get_actions_detail(request, object_id))

    @display(description="State", ordering="resolved_at")
    def state(self, review: Review) -> SafeString:
        """Open or resolved."""
        return badge("resolved", "green") if review.resolved_at else badge("waiting for a person", "amber")

    @display(description="Partner")
    def party(self, review: Review) -> str:
        """Who would pay."""
        return str(review.session.party)

    @display(description="Waits for", ordering="opened_at")
    def age(self, review: Review) -> SafeString | str:
        """How long it has been held."""
        if review.resolved_at is not None:
            return "–"
        waiting = timezone.now() - review.opened_at
        return badge(duration(waiting), "red") if waiting > OLD else duration(waiting)

    @display(description="Why")
    def why(self, review: Review) -> str:
        """The reasons in short."""
        return "; ".join(each["text"] for each in review.reasons)

    @display(description="Session")
    def charge(self, review: Review) -> SafeString:
        """The session behind it."""
        url = reverse("admin:charging_sessions_session_change", args=[review.session_id])
        return format_html('<a class="yg-link" href="{}">{}</a>', url, review.session)

    @display(description="Reasons")
    def reason_table(self, review: Review) -> SafeString:
        """All findings, with what to do."""
        rows = ((each["code"], each["text"], each["remedy"]) for each in review.reasons)
        return table(("Code", "What is wrong", "What to do"), rows)

    @display(description="Corrections")
    def corrections(self, review: Review) -> SafeString:
        """What persons changed, each with its reason."""
        made = Correction.objects.filter(session_id=review.session_id).order_by("id")
        rows = ((f"{each.made_at:%Y-%m-%d %H:%M} UTC", each.made_by, each.reason, readable(msgspec.json.encode(each.changes)))
                for each in made)  # fmt: skip
        return table(("When", "Who", "Why", "What"), rows)

    @action(description="Correct and seal", permissions=["act"], icon="verified")
    def seal(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Lay a correction over the session and seal it."""
        return reviewing.seal_page(self, request, row_of(self, request, object_id))

    @action(description="Close without billing", permissions=["act"], icon="money_off")
    def waive(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Close the review; nobody pays."""
        return reviewing.waive_page(self, request, row_of(self, request, object_id))


_REQUEST_COLOURS = {
    CreditRequest.State.OPEN: "amber",
    CreditRequest.State.APPROVED: "green",
    CreditRequest.State.DECLINED: "grey",
}


@admin.register(CreditRequest)
class CreditRequestAdmin(ReadOnlyAdmin):
    """Who asked to take a CDR back, and what the second person decided."""

    operator_path = "cdr__own_party"
    list_display = ("cdr", "shown_state", "party", "total", "reason", "asked_by", "decided_by")
    list_filter = ("state", "cdr__party")
    list_select_related = ("cdr__party", "cdr__session")
    search_fields = ("cdr__ocpi_id", "reason")
    actions_detail: ClassVar = ["approve", "decline"]
    fields = ("shown_state", "bill", "party", "total", "reason", "asked_by", "asked_at", "changed", "decided_by",
              "decided_at", "decision_reason")  # fmt: skip
    readonly_fields = ("shown_state", "bill", "party", "total", "changed")

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> Any:
        """What is decided stays so."""
        row = self.get_object(request, str(object_id))
        is_done = row is not None and row.state != CreditRequest.State.OPEN
        hidden = {"approve", "decline"} if is_done else ()
        return without(hidden, super().get_actions_detail(request, object_id))

    @display(description="State", ordering="state")
    def shown_state(self, asked: CreditRequest) -> SafeString:
        """Open or decided."""
        return badge(asked.get_state_display(), _REQUEST_COLOURS[CreditRequest.State(asked.state)])

    @display(description="CDR")
    def bill(self, asked: CreditRequest) -> SafeString:
        """The CDR that is to be taken back."""
        url = reverse("admin:cdrs_cdr_change", args=[asked.cdr_id])
        return format_html('<a class="yg-link" href="{}">{}</a>', url, asked.cdr)

    @display(description="Partner")
    def party(self, asked: CreditRequest) -> str:
        """Who paid, or would."""
        return str(asked.cdr.party)

    @display(description="Without VAT")
    def total(self, asked: CreditRequest) -> str:
        """What was billed."""
        return money(asked.cdr.total_excl_vat, asked.cdr.currency)

    @display(description="Billed again with")
    def changed(self, asked: CreditRequest) -> SafeString | str:
        """The corrected facts."""
        if asked.changes is None:
            return "not billed again"
        return json_block(readable(msgspec.json.encode(asked.changes)))

    @action(description="Approve", permissions=["act"], icon="verified")
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Seal what was asked for."""
        return crediting.approve_page(self, request, row_of(self, request, object_id))

    @action(description="Decline", permissions=["act"], icon="block")
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Leave the CDR as it is."""
        return crediting.decline_page(self, request, row_of(self, request, object_id))


def _delivery_badge(state: str | None) -> SafeString:
    if state is None:
        return badge("owed to nobody", "red")
    word = Obligation.State(state)
    return badge(STATE_WORDS.get(word, word.label), STATE_COLOURS[word])
