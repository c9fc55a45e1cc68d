"""The v221.Location that one partner sees: state of the bays, laid under that partner's Publication. [pure]

Rendering is a function of facts, Publication and time. Stamps come last, from comparing with the document that
the partner already has: each `last_updated` moves only when its own object changed (LOC-04, LOC-05).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as replace_facts
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from msgspec.structs import replace

from locations.publication import Publication, masked_status, next_edge, status_schedule
from ocpi import v221
from roaming.dialect import LAST_MINUTE, LEAVE_OUT, NEXT_DAY, SPECIFIED, Dialect

UNSTAMPED = datetime(1970, 1, 1, tzinfo=UTC)
# A station that lost its line keeps its last status this long (access rules, 5.4).
OFFLINE_GRACE = timedelta(minutes=15)

_TICK = timedelta(milliseconds=1)
# What stays true of a bay whose station cannot be reached.
_LASTING = frozenset({v221.Status.REMOVED, v221.Status.OUTOFORDER, v221.Status.PLANNED})

Stamped = TypeVar("Stamped", v221.EVSE, v221.Connector)


@dataclass(frozen=True, slots=True, kw_only=True)
class BayState:
    """What the status of a bay follows from; `serving_party` is the key of the party whose session is live there.

    `is_reserved`: kept for a driver, also where the station itself does not know of it.
    """

    device_status: v221.Status
    is_removed: bool = False
    is_online: bool = True
    offline_since: datetime | None = None
    serving_party: int | None = None
    is_reserved: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseFacts:
    """One bay: `evse` is what does not depend on the viewer; its status and stamps are not read.

    `nacs`: ids of its NACS connectors, which in `evse` stand as TESLA_S.
    """

    evse: v221.EVSE
    state: BayState
    nacs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationFacts:
    """One bay pool: `location` is what does not depend on the viewer, without EVSEs."""

    location: v221.Location
    evses: tuple[EvseFacts, ...]


def device_status(state: BayState, at: datetime) -> v221.Status:
    """Return the state of the bay itself at `at`; UNKNOWN 15 minutes after its station was lost."""
    if state.is_removed:
        return v221.Status.REMOVED
    if state.is_online or state.device_status in _LASTING:
        return state.device_status
    if state.offline_since is None or at >= state.offline_since + OFFLINE_GRACE:
        return v221.Status.UNKNOWN
    return state.device_status


def shown_status(state: BayState, publication: Publication, *, viewer: int, at: datetime) -> v221.Status:
    """Return the status of the bay as the party `viewer` sees it at `at`."""
    return masked_status(
        publication,
        at,
        device_status=device_status(state, at),
        own_session=state.serving_party == viewer,
        held=state.is_reserved,
    )


def render(
    facts: LocationFacts,
    publication: Publication,
    *,
    viewer: int,
    at: datetime,
    dialect: Dialect = SPECIFIED,
) -> v221.Location:
    """Return the Location as the party `viewer` sees it at `at`, in the words of its platform, all stamps UNSTAMPED.

    An EVSE of which no connector can be shown is left out: a Connector list has at least one (LOC-01).
    """
    schedule = status_schedule(publication, at)
    shown = [each for each in (_spoken(each, dialect) for each in facts.evses) if each.evse.connectors]
    return replace(
        facts.location,
        publish=publication.publish,
        publish_allowed_to=publication.publish_allowed_to,
        opening_times=_spoken_hours(publication.opening_times, dialect),
        charging_when_closed=publication.charging_when_closed,
        directions=facts.location.directions if publication.directions is None else publication.directions,
        evses=tuple(_evse(each, publication, schedule, viewer, at) for each in shown),
        last_updated=UNSTAMPED,
    )


def _spoken(facts: EvseFacts, dialect: Dialect) -> EvseFacts:
    if not facts.nacs or dialect.nacs_as != LEAVE_OUT:
        return facts
    connectors = tuple(each for each in facts.evse.connectors if each.id not in facts.nacs)
    return replace_facts(facts, evse=replace(facts.evse, connectors=connectors))


def _spoken_hours(hours: v221.Hours, dialect: Dialect) -> v221.Hours:
    """An end at 23:59 means midnight (DIS-44); it is written so for a partner that knows no other midnight."""
    if dialect.midnight_as != NEXT_DAY:
        return hours
    regular = tuple(
        replace(each, period_end=NEXT_DAY) if each.period_end == LAST_MINUTE else each
        for each in hours.regular_hours
    )
    return replace(hours, regular_hours=regular)


def _evse(
    facts: EvseFacts,
    publication: Publication,
    schedule: tuple[v221.StatusSchedule, ...],
    viewer: int,
    at: datetime,
) -> v221.EVSE:
    evse = facts.evse
    restrictions = publication.parking_restrictions
    return replace(
        evse,
        status=shown_status(facts.state, publication, viewer=viewer, at=at),
        status_schedule=() if facts.state.is_removed else schedule,
        capabilities=evse.capabilities if publication.capabilities is None else publication.capabilities,
        parking_restrictions=evse.parking_restrictions if restrictions is None else restrictions,
        connectors=tuple(
            replace(connector, tariff_ids=publication.tariff_ids, last_updated=UNSTAMPED)
            for connector in evse.connectors
        ),
        last_updated=UNSTAMPED,
    )


def valid_until(facts: LocationFacts, publication: Publication, at: datetime) -> datetime | None:
    """Return until when a document rendered at `at` is exact by the clock alone; None: for ever."""
    edges = [next_edge(publication, at)]
    states = [each.state for each in facts.evses]
    edges += [
        state.offline_since + OFFLINE_GRACE
        for state in states
        if state.offline_since is not None and not state.is_online and not state.is_removed
    ]
    return min((edge for edge in edges if edge is not None and edge > at), default=None)


def next_stamp(previous: datetime | None, now: datetime) -> datetime:
    """Return `now` in whole milliseconds, but later than `previous` even when the clock was set back."""
    stamp = now.astimezone(UTC)
    stamp = stamp.replace(microsecond=stamp.microsecond // 1000 * 1000)
    return stamp if previous is None or stamp > previous else previous + _TICK


def stamped(fresh: v221.Location, previous: v221.Location | None, now: datetime) -> v221.Location:
    """Return `fresh` with stamps: those of `previous` where nothing changed, one new one where something did.

    Returns `previous` itself when nothing changed at all. A change of a Connector moves its EVSE and Location.
    """
    stamp = next_stamp(previous.last_updated if previous else None, now)
    evses = _restamped(_with_gone(fresh.evses, previous), previous.evses if previous else (), stamp)
    if previous is None:
        return replace(fresh, evses=evses, last_updated=stamp)
    candidate = replace(fresh, evses=evses, last_updated=previous.last_updated)
    return previous if candidate == previous else replace(candidate, last_updated=stamp)


def _with_gone(fresh: tuple[v221.EVSE, ...], previous: v221.Location | None) -> tuple[v221.EVSE, ...]:
    """What was shown does not vanish without a word: it stays as REMOVED (LOC-07)."""
    if previous is None:
        return fresh
    shown = {evse.uid for evse in fresh}
    gone = (
        replace(evse, status=v221.Status.REMOVED, status_schedule=())
        for evse in previous.evses
        if evse.uid not in shown
    )
    return (*fresh, *gone)


def _restamped(
    fresh: Sequence[v221.EVSE], previous: Sequence[v221.EVSE], stamp: datetime
) -> tuple[v221.EVSE, ...]:
    known = {evse.uid: evse for evse in previous}
    result = []
    for evse in fresh:
        before = known.get(evse.uid)
        old = {connector.id: connector for connector in before.connectors} if before else {}
        connectors = tuple(_kept(each, old.get(each.id), stamp) for each in evse.connectors)
        result.append(_kept(replace(evse, connectors=connectors), before, stamp))
    return tuple(result)


def _kept(fresh: Stamped, before: Stamped | None, stamp: datetime) -> Stamped:
    if before is not None and replace(fresh, last_updated=before.last_updated) == before:
        return before
    return replace(fresh, last_updated=stamp)
