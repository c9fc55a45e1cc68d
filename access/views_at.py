"""What a partner sees of a Location, and when that changes, from its grants alone. [pure]

Every mask comes from the spans of `access.grants`, which `decide` asks too: an EVSE is shown as open
exactly while a start would be allowed. The device's own state is laid over it later, by
`locations.publication.masked_status`.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeVar

from access.decisions import EvseFacts
from access.grants import GrantFacts, Presentation, fault, open_spans, start_spans
from access.hours import horizon, hours
from access.intervals import Interval, covers, merge
from access.windows import SEARCH_DAYS
from locations.publication import BEGINNING, Mask, Phase, Publication
from ocpi import v221

HOURS_HORIZON_DAYS = 90

# A schedule names the current and the next opening: for every instant up to the horizon both must have ended
# within the phases, and the current one must have begun.
_CLOSINGS_BEYOND = 2
_AROUND_DAYS = 8

Shown = TypeVar("Shown", v221.Capability, v221.ParkingRestriction, v221.DisplayText)


def publication(
    *,
    party: str,
    grants: Sequence[GrantFacts],
    evses: Sequence[EvseFacts],
    now: datetime,
    kill_switch: bool,
    horizon_days: int = 14,
) -> Publication | None:
    """Return what `party` is shown of the Location with these `grants` and `evses`; None: it does not exist.

    Grants of other parties are ignored. The phases reach `horizon_days` ahead and to the end of the second
    opening after that; the exceptional hours reach 90 days. A grant whose rules cannot be followed opens
    nothing, and a Location without any EVSE has nothing to open.
    """
    mine = sorted((grant for grant in grants if grant.party == party), key=lambda grant: grant.id)
    if not mine:
        return None
    live = [grant for grant in mine if grant.status != "ENDED"]
    active = [grant for grant in live if grant.status == "ACTIVE"]
    suspended = bool(live) and (kill_switch or not active)
    has_evse = any(not evse.removed for evse in evses)
    opening = active if has_evse and not kill_switch else []
    shown = live or mine
    audience = _audience(shown)
    return Publication(
        publish=not audience,
        publish_allowed_to=audience,
        opening_times=_opening_times(shown, opening, now),
        charging_when_closed=any(grant.terms.end_policy == "FINISH" for grant in live),
        tariff_ids=tuple(sorted({tariff_id for grant in live for tariff_id in grant.terms.tariff_ids})),
        status_mask=_status_mask(live),
        phases=_phases(opening, now, horizon_days),
        ended=not live,
        suspended=suspended,
        capabilities=_presented(shown, lambda presentation: presentation.capabilities),
        parking_restrictions=_presented(shown, lambda presentation: presentation.parking_restrictions),
        directions=_presented(shown, lambda presentation: presentation.directions),
    )


def _audience(grants: Sequence[GrantFacts]) -> tuple[v221.PublishTokenType, ...]:
    """Return the token groups to whom alone the Location may be shown; empty when a grant is for everyone."""
    if any(not grant.token_groups for grant in grants):
        return ()
    groups = {group for grant in grants for group in grant.token_groups}
    return tuple(v221.PublishTokenType(group_id=group) for group in sorted(groups))


def _status_mask(live: Sequence[GrantFacts]) -> Literal["INOPERATIVE", "TRUTHFUL"]:
    """Return TRUTHFUL when every grant says so: one that hides the fleet outweighs."""
    truthful = bool(live) and all(grant.terms.status_mask == "TRUTHFUL" for grant in live)
    return "TRUTHFUL" if truthful else "INOPERATIVE"


def _presented(
    grants: Iterable[GrantFacts], member: Callable[[Presentation], tuple[Shown, ...] | None]
) -> tuple[Shown, ...] | None:
    """Return what the grants present together, each value once, or None when none of them says anything."""
    given = [values for grant in grants if (values := member(grant.presentation)) is not None]
    return tuple(dict.fromkeys(value for values in given for value in values)) if given else None


def _opening_times(shown: Sequence[GrantFacts], opening: Sequence[GrantFacts], now: datetime) -> v221.Hours:
    """Return the weekly hours of the grants that open something; when none does, of all of them, closed."""
    current = [grant for grant in opening if grant.valid_to is None or grant.valid_to > now]
    sound = [grant for grant in current or shown if fault(grant) is None]
    calendars = [grant.calendar for grant in sound]
    start, end = horizon(calendars, now=now, horizon_days=HOURS_HORIZON_DAYS)
    spans = [span for grant in current for span in open_spans(grant, start, end)]
    return hours(calendars, spans, start=start, end=end)


def _phases(grants: Sequence[GrantFacts], now: datetime, horizon_days: int) -> tuple[Phase, ...]:
    """Return the phases from the one that holds at `now`; every `starts_at` is a real edge or BEGINNING."""
    ends_at = now + timedelta(days=horizon_days)
    around = timedelta(days=_AROUND_DAYS)
    phases = _phases_between(grants, now - around, ends_at + around)
    if _closings_after(phases, ends_at) < _CLOSINGS_BEYOND or _begin(phases, now).starts_at == BEGINNING:
        # Rare: long closures, or openings that never end. Only real edges keep documents still between edges.
        around = timedelta(days=SEARCH_DAYS)
        phases = _phases_between(grants, now - around, ends_at + around)
    first = phases.index(_begin(phases, now))
    beyond = [phase for phase in phases if phase.starts_at >= ends_at and phase.mask == "CLOSED"]
    last = phases.index(beyond[:_CLOSINGS_BEYOND][-1]) if beyond else len(phases)
    return tuple(phases[first : last + 1])


def _closings_after(phases: Sequence[Phase], at: datetime) -> int:
    return sum(phase.starts_at >= at and phase.mask == "CLOSED" for phase in phases)


def _begin(phases: Sequence[Phase], now: datetime) -> Phase:
    """Return the phase that holds at `now`, or the one with which its opening began."""
    index = bisect_right(phases, now, key=lambda phase: phase.starts_at) - 1
    while index > 0 and phases[index].mask != "CLOSED" and phases[index - 1].mask != "CLOSED":
        index -= 1
    return phases[index]


def _phases_between(grants: Sequence[GrantFacts], start: datetime, end: datetime) -> list[Phase]:
    """Return the phases with edges in (start, end), after the one that holds at `start`."""
    opens = merge(span for grant in grants for span in open_spans(grant, start, end))
    starts = merge(span for grant in grants for span in start_spans(grant, start, end))
    edges = {at for span in (*opens, *starts) for at in (span.starts_at, span.ends_at) if start < at < end}
    phases = [Phase(starts_at=BEGINNING, mask=_mask(start, opens, starts))]
    for at in sorted(edges):
        mask = _mask(at, opens, starts)
        if mask != phases[-1].mask:
            phases.append(Phase(starts_at=at, mask=mask))
    return phases


def _mask(at: datetime, opens: Sequence[Interval], starts: Sequence[Interval]) -> Mask:
    if covers(starts, at):
        return "OPEN"
    return "LAST_START_PASSED" if covers(opens, at) else "CLOSED"
