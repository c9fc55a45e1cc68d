"""What a refusal says outside the house: when to come back, and nothing about the fleet. [pure]"""

from contextlib import suppress
from datetime import UTC, datetime, timedelta, tzinfo

from access.decisions import Deny
from access.reasons import Reason
from access.windows import ConfigError, zone_of

# Not strftime: its names follow the locale of the process.
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_ABOUT = timedelta(minutes=10)

_PLAIN = {
    Reason.UNKNOWN_LOCATION: "Unknown Location.",
    Reason.NOT_GRANTED: "Unknown Location.",
    Reason.GROUP_NOT_GRANTED: "Not available to this customer group.",
    Reason.DEPOT_FLEET_ONLY: "Access is suspended.",
    Reason.SUSPENDED: "Access is suspended.",
    Reason.CONFIG_ERROR: "Not available.",
    Reason.OUTSIDE_WINDOW: "Closed.",
    Reason.CUTOFF: "Closes soon, too short to start.",
    Reason.QUOTA: "All sessions of the agreement are in use.",
    Reason.NOT_SUPPORTED: "The EVSE cannot be reserved.",
    Reason.STATION_OFFLINE: "The charging station is offline.",
    Reason.EVSE_INOPERATIVE: "The EVSE is out of service.",
    Reason.EVSE_OCCUPIED: "The EVSE is occupied.",
    Reason.HELD_FOR_FLEET: "The EVSE is reserved.",
}


def public_message(deny: Deny, time_zone: str) -> str:
    """Return the English sentence for the partner, e.g. "Opens 20:00 (Europe/Berlin)."

    Times are on the Location's clock, with weekday and date unless today; in UTC when the zone is unknown.
    A hidden Location and one that does not exist get the same words. The end of a fleet hold is rounded up
    to ten minutes.
    """
    clock = _Clock(time_zone, deny.at)
    retry_at, closes_at = deny.retry_at, deny.closes_at
    if deny.reason is Reason.OUTSIDE_WINDOW and retry_at is not None:
        return f"Opens {clock.read(retry_at)} ({clock.name})."
    if deny.reason is Reason.CUTOFF and closes_at is not None:
        closing = f"Closes {clock.read(closes_at)} ({clock.name}), too short to start."
        return closing if retry_at is None else f"{closing} Opens {clock.read(retry_at)}."
    if deny.reason is Reason.HELD_FOR_FLEET and retry_at is not None:
        return f"Reserved until about {clock.read(retry_at, step=_ABOUT)} ({clock.name})."
    return _PLAIN[deny.reason]


class _Clock:
    """Reads instants on the clock of a place, as seen on the local day of `now`."""

    def __init__(self, time_zone: str, now: datetime) -> None:
        self._zone: tzinfo = UTC
        self.name = "UTC"
        with suppress(ConfigError):  # the refusal stands; only its clock is another one
            self._zone, self.name = zone_of(time_zone), time_zone
        self._today = now.astimezone(self._zone).date()

    def read(self, at: datetime, *, step: timedelta = _MINUTE) -> str:
        """Return HH:MM, after weekday and date unless today; rounded up, so that nobody comes too early."""
        local = (at + (_EPOCH - at) % step).astimezone(self._zone)
        day = local.date()
        if day == self._today:
            return f"{local:%H:%M}"
        return f"{_WEEKDAYS[day.weekday()]} {day.day} {_MONTHS[day.month - 1]} {local:%H:%M}"
