"""What a partner has to be told when its document of a Location changed. [pure]"""

from dataclasses import dataclass

from msgspec.structs import replace

from ocpi import v221

# From so many changed EVSEs on, one PUT of the Location is less than a PATCH for each of them.
WHOLE_LOCATION_FROM = 3

STATUS_MEMBERS = ("status", "status_schedule")
"""What a PATCH of an EVSE can carry."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One object that a partner must learn anew: an EVSE, or the Location when `evse_uid` is None.

    `changed` names the members that a PATCH has to carry; empty: the whole object.
    """

    evse_uid: str | None = None
    changed: tuple[str, ...] = ()


WHOLE_LOCATION = Notice()


def notices(previous: v221.Location | None, current: v221.Location) -> tuple[Notice, ...]:
    """Return what to tell: nothing, one or two EVSEs, or the Location as a whole (LOC-10, LOC-12)."""
    if previous is None:
        return (WHOLE_LOCATION,)
    if current == previous:
        return ()
    frame = replace(current, evses=previous.evses, last_updated=previous.last_updated)
    uids = [evse.uid for evse in current.evses]
    if frame != previous or uids != [evse.uid for evse in previous.evses]:
        return (WHOLE_LOCATION,)
    pairs = [pair for pair in zip(previous.evses, current.evses, strict=True) if pair[0] != pair[1]]
    if len(pairs) >= WHOLE_LOCATION_FROM:
        return (WHOLE_LOCATION,)
    return tuple(Notice(after.uid, _changed(before, after)) for before, after in pairs)


def _changed(before: v221.EVSE, after: v221.EVSE) -> tuple[str, ...]:
    """The members of a status PATCH, or nothing when more has changed than a PATCH can say.

    A schedule that goes away needs a PUT: to many readers an empty list in a PATCH is no change (LOC-13).
    """
    rest = replace(
        after,
        status=before.status,
        status_schedule=before.status_schedule,
        last_updated=before.last_updated,
    )
    if rest != before or (before.status_schedule and not after.status_schedule):
        return ()
    return tuple(name for name in STATUS_MEMBERS if getattr(before, name) != getattr(after, name))
