"""The smallest valid facts, with the names of a real depot: "Gent Noord" of the fleet "De Lijn"."""

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from access.decisions import AccessFacts, EvseFacts, StartRequest
from access.grants import GrantFacts, Terms
from access.windows import Calendar, WeeklyWindow

BERLIN = "Europe/Berlin"
PARTNER = "NL-EMS"
LOCATION = "GENT-NOORD"
EVERY_DAY = frozenset(range(1, 8))


def utc(text: str) -> datetime:
    """Read "2026-11-23 19:00" (or with seconds) as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str = BERLIN, *, fold: int = 0) -> datetime:
    """Read a wall time of a zone as an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def clock(text: str) -> time:
    return time.fromisoformat(text)


def window(opens: str, closes: str, weekdays: frozenset[int] = EVERY_DAY) -> WeeklyWindow:
    return WeeklyWindow(weekdays, clock(opens), clock(closes))


def calendar(*weekly: WeeklyWindow, time_zone: str = BERLIN, **rules: Any) -> Calendar:
    return Calendar(time_zone=time_zone, weekly=weekly, **rules)


def nightly(opens: str = "20:00", closes: str = "05:00", time_zone: str = BERLIN, **rules: Any) -> Calendar:
    return calendar(window(opens, closes), time_zone=time_zone, **rules)


def terms(**changes: Any) -> Terms:
    return Terms(**{"end_policy": "STOP", "tariff_id": "NIGHT", **changes})


def grant(**changes: Any) -> GrantFacts:
    values: dict[str, Any] = {
        "id": "1",
        "version": 1,
        "party": PARTNER,
        "location_id": LOCATION,
        "calendar": nightly(),
        "terms": terms(),
    }
    return GrantFacts(**{**values, **changes})


def evse(uid: str = "bay-7", **changes: Any) -> EvseFacts:
    values: dict[str, Any] = {
        "online": True,
        "operative": True,
        "occupied": False,
        "removed": False,
        "connector_ids": ("1",),
        "reservable": True,
    }
    return EvseFacts(uid=uid, **{**values, **changes})


def facts(*grants: GrantFacts, **changes: Any) -> AccessFacts:
    values: dict[str, Any] = {
        "location_known": True,
        "kill_switch": False,
        "evses": (evse(),),
        "running_sessions_of_party": 0,
    }
    return AccessFacts(grants=grants, **{**values, **changes})


def start(**changes: Any) -> StartRequest:
    values: dict[str, Any] = {"source": "START_SESSION", "party": PARTNER, "location_id": LOCATION}
    return StartRequest(**{**values, **changes})
