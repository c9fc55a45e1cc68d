"""The bays of a site as an operator wants to see them: one card each, with its state in words and colour."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from locations.models import EVSE
from ocpi import v221
from roaming.operators import clock, duration

_Status = v221.Status
# The station's own state in an operator's words. Colour never stands alone.
_FREE = {_Status.AVAILABLE: ("Free", "green")}
_WORDS = {
    **_FREE,
    _Status.CHARGING: ("In use by the fleet", "violet"),
    _Status.BLOCKED: ("Blocked", "amber"),
    _Status.RESERVED: ("Reserved", "violet"),
    _Status.OUTOFORDER: ("Out of order", "red"),
    _Status.INOPERATIVE: ("Out of use", "grey"),
    _Status.PLANNED: ("Planned", "grey"),
    _Status.UNKNOWN: ("Not heard of yet", "grey"),
    _Status.REMOVED: ("Removed", "grey"),
}


@dataclass(frozen=True, kw_only=True)
class Guest:
    """The live session at a bay: whose customer, since when, until when, and where to read on."""

    partner: str
    is_pending: bool
    started_at: datetime
    must_end_by: datetime | None
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Bay:
    """One card of the board."""

    name: str
    evse_id: str
    headline: str
    tone: str
    is_online: bool
    presence: str
    lines: tuple[str, ...]
    url: str


def board(
    evses: Iterable[EVSE], guests: Mapping[int, Guest], *, zone: ZoneInfo, now: datetime
) -> tuple[Bay, ...]:
    """The bays in their order, with their guests by id of the EVSE; fetch EVSEs with `serving_party`."""
    return tuple(_bay(evse, guests.get(evse.pk), zone, now) for evse in evses)


def _bay(evse: EVSE, guest: Guest | None, zone: ZoneInfo, now: datetime) -> Bay:
    headline, tone = _state(evse, guest)
    return Bay(
        name=f"Bay {evse.bay_label}" if evse.bay_label else evse.evse_id,
        evse_id=evse.evse_id,
        headline=headline,
        tone=tone,
        is_online=evse.is_online,
        presence=_presence(evse, now),
        lines=tuple(_lines(evse, guest, zone, now)),
        url=guest.url if guest else "",
    )


def _state(evse: EVSE, guest: Guest | None) -> tuple[str, str]:
    status = _Status(evse.device_status)
    if evse.is_removed:
        return _WORDS[_Status.REMOVED]
    if status is _Status.OUTOFORDER:
        return _WORDS[status]
    if guest is not None:
        return ("Guest is starting" if guest.is_pending else "Guest is charging"), "blue"
    if evse.serving_party_id is not None:
        return "Serving a guest", "blue"
    if not evse.is_online:
        return "Unknown, station is away", "red"
    if evse.is_reserved:
        return "Reserved for a guest", "violet"
    return _WORDS[status]


def _presence(evse: EVSE, now: datetime) -> str:
    if evse.is_online:
        return "online"
    if evse.offline_since is None:
        return "never seen"
    return f"offline for {duration(now - evse.offline_since)}"


def _lines(evse: EVSE, guest: Guest | None, zone: ZoneInfo, now: datetime) -> Iterable[str]:
    if guest is not None:
        yield guest.partner
        yield f"since {clock(guest.started_at, zone, today=now)}"
        if guest.must_end_by is not None:
            yield f"ends by {clock(guest.must_end_by, zone, today=now)}"
    elif evse.serving_party is not None:
        yield str(evse.serving_party)
    yield f"{evse.station_identity} / {evse.ocpp_connector}" + (
        f" · {evse.ocpp_status}" if evse.ocpp_status else ""
    )
