"""What happens at the depots at this moment, read in few queries whatever their number, for the operator's pages."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.urls import reverse

from locations.board import Bay, Guest, board
from locations.models import EVSE, Depot, Location, PartnerView
from locations.seen import Access, access_of_view
from ocpi import v221
from roaming.operators import clock, visible
from sessions.models import Session

Row = TypeVar("Row", EVSE, PartnerView)
LIVE = (v221.SessionStatus.PENDING.value, v221.SessionStatus.ACTIVE.value)


@dataclass(frozen=True, kw_only=True)
class PartnerAccess:
    """One partner at one pool: open or closed now, and what comes next on the depot's clock."""

    partner: str
    access: Access
    next: str
    url: str


@dataclass(frozen=True, kw_only=True)
class PoolLive:
    """One bay pool: its bays, and who may use them now."""

    name: str
    url: str
    bays: tuple[Bay, ...]
    partners: tuple[PartnerAccess, ...]


@dataclass(frozen=True, kw_only=True)
class DepotLive:
    """One depot, with its own clock."""

    name: str
    fleet_name: str
    url: str
    local_time: str
    zone: str
    is_closed_to_guests: bool
    pools: tuple[PoolLive, ...]

    @property
    def bays(self) -> int:
        """How many bays there are."""
        return sum(len(pool.bays) for pool in self.pools)

    @property
    def free(self) -> int:
        """How many of them are free."""
        return sum(bay.tone == "green" for pool in self.pools for bay in pool.bays)


def running_sessions(user: Any) -> list[Session]:
    """All live sessions of guests that this person may see, those that must end first at the top; one query."""
    live = visible(Session.objects.filter(status__in=LIVE), user)
    rows = live.select_related("party", "evse", "location__depot")
    return list(
        rows.defer("tariffs", "cdr_location", "charging_periods").order_by("must_end_by", "started_at")
    )


@dataclass(frozen=True)
class _Read:
    """What was read for all depots at once."""

    evses: Mapping[int, Sequence[EVSE]]
    views: Mapping[int, Sequence[PartnerView]]
    guests: Mapping[int, Guest]
    now: datetime


def depots_live(
    depots: Iterable[Depot], sessions: Sequence[Session], *, now: datetime
) -> tuple[DepotLive, ...]:
    """The depots with all that is shown of them: three queries, for bays, pools and views."""
    depots = list(depots)
    evses = EVSE.objects.filter(location__depot__in=depots, is_removed=False).select_related("serving_party")
    views = PartnerView.objects.filter(location__depot__in=depots).select_related("party").defer("document")
    read = _Read(
        evses=_by_location(evses.order_by("id")),
        views=_by_location(views.order_by("party__name", "pk")),
        guests={session.evse_id: _guest(session) for session in sessions},
        now=now,
    )
    pools: dict[int, list[Location]] = defaultdict(list)
    for location in Location.objects.filter(depot__in=depots).order_by("pk"):
        pools[location.depot_id].append(location)
    return tuple(
        _depot(depot, [_pool(each, depot, read) for each in pools[depot.pk]], now) for depot in depots
    )


def _by_location(rows: Iterable[Row]) -> Mapping[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.location_id].append(row)
    return found


def _guest(session: Session) -> Guest:
    return Guest(
        partner=str(session.party),
        is_pending=session.status == v221.SessionStatus.PENDING,
        started_at=session.started_at,
        must_end_by=session.must_end_by,
        url=reverse("admin:charging_sessions_session_change", args=[session.pk]),
    )


def _depot(depot: Depot, pools: Sequence[PoolLive], now: datetime) -> DepotLive:
    return DepotLive(
        name=depot.name,
        fleet_name=depot.fleet_name,
        url=reverse("admin:locations_depot_change", args=[depot.pk]),
        local_time=f"{now.astimezone(ZoneInfo(depot.time_zone)):%a %d %b %H:%M}",
        zone=depot.time_zone,
        is_closed_to_guests=depot.is_closed_to_guests,
        pools=tuple(pools),
    )


def _pool(location: Location, depot: Depot, read: _Read) -> PoolLive:
    zone = ZoneInfo(depot.time_zone)
    return PoolLive(
        name=location.name,
        url=reverse("admin:locations_location_change", args=[location.pk]),
        bays=board(read.evses.get(location.pk, ()), read.guests, zone=zone, now=read.now),
        partners=tuple(_partner(view, zone, read.now) for view in read.views.get(location.pk, ())),
    )


def _partner(view: PartnerView, zone: ZoneInfo, now: datetime) -> PartnerAccess:
    access = access_of_view(view, now)
    following = (
        f"{access.next_word} {clock(access.next_at, zone, today=now)}"
        if access.next_at
        else "no change ahead"
    )
    return PartnerAccess(
        partner=str(view.party),
        access=access,
        next=following,
        url=reverse("admin:locations_partnerview_change", args=[view.pk]),
    )
