"""What one partner may be shown of one Location, and when it changes: values that rendering reads. [pure]

`access` decides on a Publication and `locations` renders it together with the state of the devices. It is a
function of time: whoever holds one knows the mask at every instant up to its horizon without asking access
again.
"""

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Literal

from msgspec import Struct

from ocpi import v221

Mask = Literal["OPEN", "LAST_START_PASSED", "CLOSED"]

# Start of a first phase that has held for longer than anybody looks back.
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)

_FINAL = frozenset({v221.Status.REMOVED, v221.Status.OUTOFORDER})
_NOT_IN_USE = frozenset({v221.Status.INOPERATIVE, v221.Status.PLANNED})
_IDLE = frozenset({v221.Status.AVAILABLE, v221.Status.RESERVED})


class Phase(Struct, frozen=True, kw_only=True):
    """From `starts_at` until the next phase this mask lies over the EVSEs."""

    starts_at: datetime
    mask: Mask


class Publication(Struct, frozen=True, kw_only=True):
    """One Location as one party may see it.

    `phases` are sorted and the first one holds when the Publication is made. `suspended`: closed until
    further notice. `ended`: the last grant is gone and every EVSE is REMOVED, for good. Of `capabilities`,
    `parking_restrictions` and `directions` None means: as the EVSE or Location has it.
    """

    publish: bool
    publish_allowed_to: tuple[v221.PublishTokenType, ...]
    opening_times: v221.Hours
    charging_when_closed: bool
    tariff_ids: tuple[str, ...]
    status_mask: Literal["INOPERATIVE", "TRUTHFUL"]
    phases: tuple[Phase, ...]
    ended: bool
    suspended: bool
    capabilities: tuple[v221.Capability, ...] | None = None
    parking_restrictions: tuple[v221.ParkingRestriction, ...] | None = None
    directions: tuple[v221.DisplayText, ...] | None = None


def phase_at(publication: Publication, at: datetime) -> Phase:
    """Return the phase that holds at `at`; CLOSED for instants before the first one."""
    index = bisect_right(publication.phases, at, key=lambda phase: phase.starts_at)
    return publication.phases[index - 1] if index else Phase(starts_at=BEGINNING, mask="CLOSED")


def next_edge(publication: Publication, at: datetime) -> datetime | None:
    """Return the first instant after `at` at which the mask or the schedule changes, or None."""
    index = bisect_right(publication.phases, at, key=lambda phase: phase.starts_at)
    return publication.phases[index].starts_at if index < len(publication.phases) else None


def status_schedule(publication: Publication, at: datetime) -> tuple[v221.StatusSchedule, ...]:
    """Return the current (if any) and the next opening as OCPI periods: the same between two edges.

    Empty for a Location that never closes, is suspended or has ended, and for a TRUTHFUL partner: there the
    status outside the hours is that of the device, which nobody can schedule.
    """
    if publication.ended or publication.suspended or publication.status_mask == "TRUTHFUL":
        return ()
    upcoming = [opening for opening in _openings(publication) if opening[1] is None or opening[1] > at]
    shown = upcoming[: 2 if upcoming and upcoming[0][0] <= at else 1]
    # Status changes in order; each period ends where the next one begins, and the last one stays open.
    changes: list[tuple[datetime, v221.Status]] = []
    for begins_at, ends_at in shown:
        if begins_at != BEGINNING:
            changes.append((begins_at, v221.Status.AVAILABLE))
        if ends_at is not None:
            changes.append((ends_at, v221.Status.INOPERATIVE))
    ends = [*(begins_at for begins_at, _ in changes[1:]), None]
    return tuple(
        v221.StatusSchedule(period_begin=begins_at, period_end=end, status=status)
        for (begins_at, status), end in zip(changes, ends)
    )


def masked_status(
    publication: Publication, at: datetime, *, device_status: v221.Status, own_session: bool, held: bool
) -> v221.Status:
    """Return the status that this partner sees at `at` (access rules, 5.4 and 5.5).

    REMOVED > OUTOFORDER > the partner's own session: CHARGING > closed mask > BLOCKED > RESERVED > CHARGING
    > AVAILABLE, UNKNOWN. After the last start only idle EVSEs are masked: one with a vehicle keeps its
    status until the close.
    """
    if publication.ended:
        return v221.Status.REMOVED
    if device_status in _FINAL:
        return device_status
    if own_session:
        return v221.Status.CHARGING
    if device_status in _NOT_IN_USE:
        return device_status
    if _is_masked(publication, at, device_status):
        return v221.Status.INOPERATIVE
    if device_status is v221.Status.BLOCKED:
        return device_status
    return v221.Status.RESERVED if held else device_status


def _is_masked(publication: Publication, at: datetime, device_status: v221.Status) -> bool:
    if publication.suspended:
        return True
    if publication.status_mask == "TRUTHFUL":
        return False
    mask = phase_at(publication, at).mask
    return mask == "CLOSED" or (mask == "LAST_START_PASSED" and device_status in _IDLE)


def _openings(publication: Publication) -> Iterator[tuple[datetime, datetime | None]]:
    """Yield begin and end of every run of phases that are not CLOSED; the end is None beyond the horizon."""
    begins_at: datetime | None = None
    for phase in publication.phases:
        if phase.mask == "CLOSED":
            if begins_at is not None:
                yield begins_at, phase.starts_at
            begins_at = None
        elif begins_at is None:
            begins_at = phase.starts_at
    if begins_at is not None:
        yield begins_at, None
