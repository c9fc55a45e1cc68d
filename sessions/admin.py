"""The face of sessions for operators and finance: what was charged, minute by minute, and why it was allowed."""

from typing import Any
from zoneinfo import ZoneInfo

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.decorators import display

from ocpi import codec, v221
from roaming.operators import ReadOnlyAdmin, badge, clock, duration, masked, table
from sessions import periods
from sessions.chart import meter_chart
from sessions.models import Session
from sessions.periods import Reading
from sessions.services import readings_of
from tariffs.explained import money
from tariffs.readable import amount

STATUS_COLOURS = {
    v221.SessionStatus.ACTIVE: "blue",
    v221.SessionStatus.PENDING: "amber",
    v221.SessionStatus.COMPLETED: "green",
    v221.SessionStatus.INVALID: "grey",
    v221.SessionStatus.RESERVATION: "blue",
}


@admin.register(Session)
class SessionAdmin(ReadOnlyAdmin):
    """Charging sessions of guests."""

    operator_path = "own_party"
    list_display = ("started", "evse", "location", "party", "state", "energy", "cost", "ends", "remark")
    list_filter = ("status", "party", "location__depot", "is_estimated", "end_reason")
    list_select_related = ("evse", "location__depot", "party")
    search_fields = ("id", "decision_ref", "authorization_reference")
    search_help_text = "Session id, decision or authorization reference."
    date_hierarchy = "started_at"
    ordering = ("-started_at",)
    fieldsets = (
        (None, {"fields": ("state", "party", "customer", "location", "evse", "connector_id", "started", "ended",
                           "end_reason", "is_estimated")}),
        ("Energy and price", {"fields": ("energy", "cost", "meter", "picture", "period_table")}),
        ("Why it was allowed", {"fields": ("decision", "grant_ref", "auth_method", "authorization_reference", "must_end")}),
        ("What became of it", {"fields": ("billing", "oddities", "last_updated")}),
    )  # fmt: skip
    readonly_fields = ("state", "customer", "started", "ended", "energy", "cost", "meter", "picture", "period_table",
                       "decision", "must_end", "billing", "oddities")  # fmt: skip

    def get_queryset(self, request: HttpRequest) -> QuerySet[Session]:
        """Without the long documents that no list shows."""
        return super().get_queryset(request).defer("tariffs", "cdr_location", "charging_preferences")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The receipt of the start is linked only for those who may read it; finance sees its reference."""
        shown = super().get_fieldsets(request, obj)
        if request.user.has_perm("access.view_decision"):
            return shown
        return [
            (
                name,
                {
                    **each,
                    "fields": ["decision_ref" if field == "decision" else field for field in each["fields"]],
                },
            )
            for name, each in shown
        ]

    @display(description="Started", ordering="started_at")
    def started(self, session: Session) -> str:
        """On the depot's clock."""
        return clock(session.started_at, ZoneInfo(session.time_zone))

    @display(description="Ended", ordering="ended_at")
    def ended(self, session: Session) -> str:
        """When and after how long."""
        if session.ended_at is None:
            return "still running"
        return f"{clock(session.ended_at, ZoneInfo(session.time_zone))}, after {duration(session.ended_at - session.started_at)}"

    @display(description="Ends by", ordering="must_end_by")
    def ends(self, session: Session) -> str:
        """Until when a running session may go on."""
        if session.ended_at is not None or session.must_end_by is None:
            return "–"
        return clock(session.must_end_by, ZoneInfo(session.time_zone))

    @display(description="")
    def remark(self, session: Session) -> SafeString | str:
        """What makes it unlike the others."""
        return badge("estimated", "amber") if session.is_estimated else ""

    @display(description="Had to end by")
    def must_end(self, session: Session) -> str:
        """By the grant's end policy."""
        return clock(session.must_end_by, ZoneInfo(session.time_zone))

    @display(description="Status", ordering="status")
    def state(self, session: Session) -> SafeString:
        """The status as a coloured word."""
        return badge(session.status, STATUS_COLOURS[v221.SessionStatus(session.status)])

    @display(description="Customer")
    def customer(self, session: Session) -> str:
        """Contract of the partner's customer; the uid is masked."""
        token = codec.decode_bytes(v221.CdrToken, bytes(session.cdr_token))
        group = f", group {session.token_group}" if session.token_group else ""
        return f"contract {token.contract_id}, {token.type.value} ending in {masked(token.uid)}{group}"

    @display(description="Energy", ordering="kwh")
    def energy(self, session: Session) -> str:
        """As the partner was told."""
        return f"{amount(session.kwh)} kWh"

    @display(description="Cost so far")
    def cost(self, session: Session) -> str:
        """As the partner was told, without and with VAT."""
        if session.total_cost is None:
            return "–"
        with_vat = session.total_cost_incl_vat
        told = money(session.total_cost, session.currency)
        return told if with_vat is None else f"{told} ({money(with_vat, session.currency)} with VAT)"

    @display(description="Register")
    def meter(self, session: Session) -> str:
        """First and newest value of the meter."""
        if session.meter_start_wh is None:
            return "no value yet"
        return f"{session.meter_start_wh} Wh at the start, {session.meter_last_wh} Wh now"

    @display(description="Meter")
    def picture(self, session: Session) -> SafeString:
        """All readings as a picture."""
        return meter_chart(_curve(session), ZoneInfo(session.time_zone))

    @display(description="Charging periods")
    def period_table(self, session: Session) -> SafeString:
        """Periods as the partner was told."""
        zone = ZoneInfo(session.time_zone)
        told = codec.decode_bytes(list[v221.ChargingPeriod], bytes(session.charging_periods))
        return table(
            ("From", "Measured", "Tariff"),
            [
                (
                    clock(each.start_date_time, zone),
                    ", ".join(f"{one.type.value} {amount(one.volume)}" for one in each.dimensions),
                    each.tariff_id or "–",
                )
                for each in told
            ],
        )

    @display(description="Decision")
    def decision(self, session: Session) -> SafeString | str:
        """The receipt of the start."""
        if not session.decision_ref:
            return "–"
        page = reverse("admin:access_decision_changelist")
        return format_html(
            '<a class="yg-link" href="{}?ref={}">{}</a>', page, session.decision_ref, session.decision_ref
        )

    @display(description="Billing")
    def billing(self, session: Session) -> SafeString | str:
        """Its CDRs, or its review."""
        cdrs = session.cdrs.order_by("feed_seq")  # type: ignore[attr-defined]  # reverse of cdrs.CDR.session
        links = [(reverse("admin:cdrs_cdr_change", args=[cdr.pk]), f"CDR {cdr.ocpi_id}") for cdr in cdrs]
        review = getattr(session, "review", None)
        if review is not None:
            links.append((reverse("admin:cdrs_review_change", args=[review.pk]), "review"))
        return format_html_join(", ", '<a class="yg-link" href="{}">{}</a>', links) or "not billed yet"

    @display(description="Oddities")
    def oddities(self, session: Session) -> SafeString | str:
        """What the station said that cannot be."""
        if not session.anomalies:
            return "none"
        return table(("Code", "What"), [(each["code"], each["text"]) for each in session.anomalies])


def _curve(session: Session) -> tuple[Reading, ...]:
    if session.meter_start_wh is None:
        return ()
    start = Reading(session.started_at, session.meter_start_wh)
    stop = Reading(
        session.ended_at or session.meter_last_at or session.started_at,
        session.meter_last_wh or session.meter_start_wh,
    )
    return periods.curve(start=start, stop=stop, readings=readings_of(session))
