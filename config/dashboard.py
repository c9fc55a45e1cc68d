"""The first page of the admin: what an operator must know at five in the morning, in a handful of queries.

Each part is read only for those who may see it, so the page of finance asks for less.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Min, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from access.models import Decision
from cdrs.models import Review
from chargers.models import Station
from config.live import depots_live, running_sessions
from locations.models import Depot
from ocpi import v221
from roaming.delivery.admin import HELD
from roaming.models import Finding, Lane, Obligation
from roaming.operators import clock, duration, visible
from sessions.models import Session

AGEING = timedelta(hours=1)
RECENT = timedelta(hours=24)
SHOWN = 8
REFRESH_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One number at the top, with the way to what is behind it."""

    value: int
    label: str
    tone: str
    url: str


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the dashboard to the context of the index page (UNFOLD["DASHBOARD_CALLBACK"])."""
    now = timezone.now()
    user = request.user
    board = _Board(now, user)
    if user.has_perm("locations.view_depot"):
        board.depots()
    if user.has_perm("chargers.view_station"):
        board.stations()
    if user.has_perm("roaming.view_obligation"):
        board.deliveries()
    if user.has_perm("roaming.view_finding"):
        board.findings()
    if user.has_perm("cdrs.view_review"):
        board.reviews()
    if user.has_perm("access.view_decision"):
        board.refusals()
    return {
        **context,
        **board.parts,
        "title": "What is happening",
        "refresh_seconds": REFRESH_SECONDS,
        "now": now,
    }


class _Board:
    """Collects the parts, each with its figures."""

    def __init__(self, now: datetime, user: Any) -> None:
        self.now = now
        self.user = user
        self.figures: list[Figure] = []
        self.parts: dict[str, Any] = {"figures": self.figures}

    def depots(self) -> None:
        """Bays, windows, running guests: five queries."""
        sessions = running_sessions(self.user)
        depots = depots_live(visible(Depot.objects.order_by("name"), self.user), sessions, now=self.now)
        self.parts["depots"] = depots
        self.parts["running"] = [_running(session, self.now) for session in sessions]
        late = sum(session.must_end_by is not None and session.must_end_by < self.now for session in sessions)
        self._add(sum(depot.free for depot in depots), "bays are free", "", "admin:locations_evse_changelist")
        page = "admin:charging_sessions_session_changelist"
        self._add(len(sessions), "guests are charging", "", page, "?status__exact=ACTIVE")
        if late:
            self._add(late, "should have ended", "red", page, "?status__exact=ACTIVE")

    def stations(self) -> None:
        """Stations that are away, the longest first."""
        away = list(
            visible(Station.objects.filter(is_online=False), self.user)
            .select_related("depot")
            .order_by("last_seen_at", "identity")
        )
        self.parts["away"] = [
            {
                "identity": station.identity,
                "depot": station.depot.name,
                "since": f"{duration(self.now - station.last_seen_at)}"
                if station.last_seen_at
                else "never seen",
                "url": reverse("admin:chargers_station_change", args=[station.pk]),
            }
            for station in away
        ]
        page = "admin:chargers_station_changelist"
        self._add(len(away), "stations are away", "red" if away else "", page, "?is_online__exact=0")

    def deliveries(self) -> None:
        """What partners do not know yet although they should, by partner; and lanes that do not flow."""
        held = Q(state__in=HELD)
        old = Q(state=Obligation.State.PENDING, owed_since__lt=self.now - AGEING)
        rows = list(
            visible(Obligation.objects.filter(held | old), self.user)
            .order_by()
            .values("lane__platform", "lane__platform__name")
            .annotate(
                parked=Count("pk", filter=held), ageing=Count("pk", filter=old), since=Min("owed_since")
            )
            .order_by("since")
        )
        self.parts["deliveries"] = [
            {
                "partner": row["lane__platform__name"],
                "parked": row["parked"],
                "ageing": row["ageing"],
                "age": duration(self.now - row["since"]),
                "url": f"{reverse('admin:roaming_obligation_changelist')}?lane__platform__id__exact={row['lane__platform']}",
            }
            for row in rows
        ]
        stuck = visible(Lane.objects.exclude(breaker=Lane.Breaker.CLOSED), self.user).select_related(
            "platform"
        )
        self.parts["lanes"] = [
            {
                "partner": str(lane.platform),
                "lane": lane.get_name_display(),
                "why": lane.blocked_reason or lane.get_breaker_display(),
                "url": f"{reverse('admin:roaming_obligation_changelist')}?lane__id__exact={lane.pk}",
            }
            for lane in stuck
        ]
        parked = sum(row["parked"] for row in rows)
        ageing = sum(row["ageing"] for row in rows)
        page = "admin:roaming_obligation_changelist"
        self._add(parked, "deliveries need a person", "red" if parked else "", page, "?state__exact=PARKED")
        self._add(
            ageing,
            f"wait longer than {duration(AGEING)}",
            "amber" if ageing else "",
            page,
            "?state__exact=PENDING",
        )

    def findings(self) -> None:
        """What our own checks have found, and since when."""
        found = Finding.objects.filter(closed_at__isnull=True).aggregate(
            count=Count("pk"),
            alerts=Count("pk", filter=Q(severity=Finding.Severity.ALERT)),
            since=Min("opened_at"),
        )
        count, page = found["count"], "admin:roaming_finding_changelist"
        label = f"findings, the oldest for {duration(self.now - found['since'])}" if count else "findings"
        tone = "red" if found["alerts"] else "amber" if count else ""
        self._add(count, label, tone, page, "?state=open")

    def reviews(self) -> None:
        """Sessions that are not billed yet because something is wrong with them."""
        found = visible(Review.objects.filter(resolved_at__isnull=True), self.user).aggregate(
            count=Count("pk"), since=Min("opened_at")
        )
        count = found["count"]
        label = (
            f"not billed, for {duration(self.now - found['since'])}" if count else "sessions are in review"
        )
        self._add(count, label, "amber" if count else "", "admin:cdrs_review_changelist", "?state=open")

    def refusals(self) -> None:
        """The last starts that were refused, and why."""
        denied = visible(Decision.objects.filter(outcome="DENY", at__gte=self.now - RECENT), self.user)
        last = denied.select_related("party", "location__depot").defer("trace", "inputs")[:SHOWN]
        self.parts["refusals"] = [
            {
                "at": clock(each.at, _zone(each), today=self.now),
                "party": str(each.party or "unknown"),
                "location": str(each.location or "unknown"),
                "reason": each.reason,
                "message": each.message,
                "url": reverse("admin:access_decision_change", args=[each.pk]),
                "ref": each.ref,
            }
            for each in last
        ]

    def _add(self, value: int, label: str, tone: str, page: str, query: str = "") -> None:
        self.figures.append(Figure(value=value, label=label, tone=tone, url=reverse(page) + query))


def _zone(decision: Decision) -> ZoneInfo:
    return ZoneInfo(decision.location.depot.time_zone if decision.location else "UTC")


def _running(session: Session, now: datetime) -> dict[str, Any]:
    zone = ZoneInfo(session.location.depot.time_zone)
    left = session.must_end_by - now if session.must_end_by else None
    return {
        "bay": str(session.evse),
        "location": str(session.location),
        "partner": str(session.party),
        "since": clock(session.started_at, zone, today=now),
        "kwh": "" if session.status == v221.SessionStatus.PENDING else f"{session.kwh:.1f} kWh",
        "ends": clock(session.must_end_by, zone, today=now) if session.must_end_by else "no end set",
        "left": _left(left),
        "tone": _tone(left),
        "url": reverse("admin:charging_sessions_session_change", args=[session.pk]),
    }


def _left(left: timedelta | None) -> str:
    if left is None:
        return ""
    return f"in {duration(left)}" if left > timedelta(0) else f"{duration(-left)} ago"


def _tone(left: timedelta | None) -> str:
    if left is None:
        return "grey"
    if left < timedelta(0):
        return "red"
    return "amber" if left < timedelta(minutes=30) else "green"
