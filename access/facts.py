"""Loads rows into the frozen facts that the pure rules of access decide on."""

from collections.abc import Collection, Iterable
from typing import Any

from django.db.models import Prefetch, QuerySet

from access.decisions import AccessFacts, EvseFacts
from access.grants import GrantFacts, Terms
from access.models import Grant, Schedule, Window, WindowException
from access.models import Holiday as HolidayRow
from access.windows import Calendar, DatedException, Holiday, WeeklyWindow
from locations.models import EVSE, Connector, Location
from ocpi import v221
from roaming.models import Party
from sessions.models import Session

OUT_OF_USE = frozenset(
    {v221.Status.OUTOFORDER, v221.Status.INOPERATIVE, v221.Status.PLANNED, v221.Status.REMOVED}
)
TAKEN = frozenset({v221.Status.CHARGING, v221.Status.BLOCKED, v221.Status.RESERVED})
# What takes a bay and counts towards a grant's limit.
LIVE = (
    v221.SessionStatus.PENDING.value,
    v221.SessionStatus.ACTIVE.value,
    v221.SessionStatus.RESERVATION.value,
)


def _word(value: str) -> Any:
    """A word of a row where the rules know a few: the rules themselves refuse any other (CONFIG_ERROR)."""
    return value


def grants_of(location: Location) -> QuerySet[Grant]:
    """The grants of a Location with all that their facts need, in five queries whatever their number."""
    return (
        Grant.objects.filter(location=location)
        .select_related("party", "tariff", "location", "schedule__depot")
        .prefetch_related(
            # In the order of time, which is theirs among those of one schedule; by its name would cost joins.
            Prefetch("schedule__windows", Window.objects.order_by("opens")),
            Prefetch("schedule__exceptions", WindowException.objects.order_by("date")),
            Prefetch("schedule__depot__holidays", HolidayRow.objects.order_by("date")),
            "profile_tariffs",
        )
        .order_by("id")
    )


def calendar_of(schedule: Schedule) -> Calendar:
    """The windows, exceptions and holidays of a schedule in the depot's zone."""
    return Calendar(
        time_zone=schedule.depot.time_zone,
        weekly=tuple(
            WeeklyWindow(weekdays=frozenset(w.weekdays), opens=w.opens, closes=w.closes)
            for w in schedule.windows.all()
        ),
        exceptions=tuple(
            DatedException(date=e.date, kind=_word(e.kind), opens=e.opens, closes=e.closes, reason=e.reason)
            for e in schedule.exceptions.all()
        ),
        holidays=tuple(
            Holiday(date=h.date, treat_as=h.counts_as or "CLOSED") for h in schedule.depot.holidays.all()
        ),
        night_counts_to_start_day=schedule.night_counts_to_start_day,
    )


def grant_facts(grant: Grant) -> GrantFacts:
    """One grant as `decide` reads it."""
    return GrantFacts(
        id=str(grant.pk),
        version=grant.version,
        party=str(grant.party.ocpi_id),
        token_groups=frozenset(grant.token_groups),
        location_id=grant.location.ocpi_id,
        calendar=calendar_of(grant.schedule),
        status=_word(grant.status),
        valid_from=grant.valid_from,
        valid_to=grant.valid_to,
        terms=Terms(
            end_policy=_word(grant.end_policy),
            grace_minutes=grant.grace_minutes,
            max_overrun_minutes=grant.max_overrun_minutes,
            min_useful_minutes=grant.min_useful_minutes,
            last_start_offset_minutes=grant.last_start_offset_minutes,
            max_session_minutes=grant.max_session_minutes,
            max_concurrent=grant.max_concurrent,
            tariff_id=grant.tariff.ocpi_id,
            profile_tariff_ids=tuple(tariff.ocpi_id for tariff in grant.profile_tariffs.all()),
            priority_class=grant.priority_class,
            status_mask=_word(grant.status_mask),
        ),
    )


def evse_facts(
    evse: EVSE, *, has_session: bool, at_station: bool = False, is_kept_for_asker: bool = False
) -> EvseFacts:
    """One bay as `decide` reads it.

    `is_kept_for_asker`: it is RESERVED for who asks, so that this status stands in nobody's way.

    `at_station`: the station itself asks, for a transaction that it is about to run or runs already. Then the
    station is there and working, and only another session can stand in the way, not the status it reported.
    """
    status = v221.Status(evse.device_status)
    # A car that is plugged in and waits for its start blocks the bay for all others, not for itself.
    waits_for_start = evse.ocpp_status == "Preparing"
    is_own_status = is_kept_for_asker and status is v221.Status.RESERVED
    return EvseFacts(
        uid=evse.uid,
        online=evse.is_online or at_station,
        operative=status not in OUT_OF_USE or at_station,
        occupied=has_session
        or (status in TAKEN and not waits_for_start and not at_station and not is_own_status),
        removed=evse.is_removed,
        connector_ids=tuple(connector.ocpi_id for connector in evse.connectors.all()),
        reservable=v221.Capability.RESERVABLE.value in evse.capabilities,
    )


def evses_of(
    location: Location, *, at_station: bool = False, reservation: Session | None = None
) -> tuple[EvseFacts, ...]:
    """All bays of a Location, with their occupancy by live sessions other than the asker's `reservation`."""
    taken = {evse_id for evse_id, _ in _taken(location, reservation)}
    return _evses(location, taken, at_station=at_station, reservation=reservation)


def _evses(
    location: Location, taken: Collection[int], *, at_station: bool, reservation: Session | None
) -> tuple[EvseFacts, ...]:
    kept = reservation.evse_id if reservation is not None else None
    connectors = Prefetch("connectors", Connector.objects.order_by("ocpi_id"))
    evses = EVSE.objects.filter(location=location).prefetch_related(connectors).order_by("id")
    return tuple(
        evse_facts(
            evse,
            has_session=evse.pk in taken,
            at_station=at_station,
            is_kept_for_asker=evse.pk == kept,
        )
        for evse in evses
    )


def _taken(location: Location, reservation: Session | None) -> list[tuple[int, int]]:
    """The bays that have a live session, each with the party that it belongs to."""
    live = Session.objects.filter(location=location, status__in=LIVE)
    others = live if reservation is None else live.exclude(pk=reservation.pk)
    return list(others.order_by().values_list("evse_id", "party_id"))


def access_facts(
    *,
    location: Location | None,
    party: Party,
    grants: Iterable[Grant],
    at_station: bool = False,
    reservation: Session | None = None,
) -> AccessFacts:
    """Everything that decides whether this party may start at this Location now.

    `reservation` is the session with which the asker holds a place here already: it is in nobody's way.
    """
    if location is None:
        return AccessFacts(
            location_known=False, kill_switch=False, grants=(), evses=(), running_sessions_of_party=0
        )
    taken = _taken(location, reservation)
    return AccessFacts(
        location_known=True,
        kill_switch=location.depot.is_closed_to_guests,
        grants=tuple(grant_facts(grant) for grant in grants),
        evses=_evses(
            location, {evse_id for evse_id, _ in taken}, at_station=at_station, reservation=reservation
        ),
        running_sessions_of_party=sum(party_id == party.pk for _, party_id in taken),
    )
