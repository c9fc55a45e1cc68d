"""Rules on when a session was. [pure]"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cdrs.rules import Rule, SessionCase

_EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)
_FUTURE = timedelta(minutes=5)
_ENTER_TIMES = (
    "Enter the true start and end by a correction, from the station's log or the driver, then seal."
)


def _stop_before_start(case: SessionCase) -> Iterator[str]:
    facts = case.facts
    if facts.ended_at < facts.started_at:
        yield f"the session ends at {facts.ended_at:%Y-%m-%d %H:%M:%S}, before its start"


def _zero_time(case: SessionCase) -> Iterator[str]:
    if case.facts.ended_at == case.facts.started_at:
        yield f"the session starts and ends at the same moment, {case.facts.started_at:%Y-%m-%d %H:%M:%S} UTC"


def _too_long(case: SessionCase) -> Iterator[str]:
    hours = (case.facts.ended_at - case.facts.started_at) / timedelta(hours=1)
    if hours > case.limits.max_hours:
        yield f"the session lasts {hours:.1f} h; more than {case.limits.max_hours} h needs a look"


def _end_in_future(case: SessionCase) -> Iterator[str]:
    if case.facts.ended_at > case.now + _FUTURE:
        yield f"the session ends at {case.facts.ended_at:%Y-%m-%d %H:%M:%S} UTC, which is not yet"


def _start_implausible(case: SessionCase) -> Iterator[str]:
    if case.facts.started_at < _EARLIEST:
        yield f"the session starts in {case.facts.started_at:%Y}: the station's clock was not set (CDR-25)"


def _clock_anomalies(case: SessionCase) -> Iterator[str]:
    for anomaly in case.facts.anomalies:
        if anomaly.code in ("STOP_BEFORE_START", "STOP_IN_FUTURE", "CLOCK_WRONG"):
            yield anomaly.text


def _time_zone_unknown(case: SessionCase) -> Iterator[str]:
    try:
        ZoneInfo(case.facts.time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield f"the depot's time zone {case.facts.time_zone!r} is unknown, so local prices cannot be found"


def _suspension_outside(case: SessionCase) -> Iterator[str]:
    at = case.facts.suspended_ev_from
    if at is not None and not case.facts.started_at <= at <= case.facts.ended_at:
        yield f"the vehicle is said to have parked from {at:%Y-%m-%d %H:%M:%S}, outside the session"


def _overlap(case: SessionCase) -> Iterator[str]:
    for other in case.facts.overlaps:
        yield f"session {other} was on the same EVSE at the same time; one bay serves one vehicle"


RULES: tuple[Rule[SessionCase], ...] = (
    Rule("STOP_BEFORE_START", _stop_before_start, _ENTER_TIMES),
    Rule("ZERO_TIME", _zero_time, "Enter the true times, or close the review without billing."),
    Rule("TOO_LONG", _too_long, "Check when the vehicle left; correct the end, or accept the length.", True),
    Rule("END_IN_FUTURE", _end_in_future, _ENTER_TIMES),
    Rule("START_IMPLAUSIBLE", _start_implausible, _ENTER_TIMES),
    Rule("CLOCK_ANOMALY", _clock_anomalies, _ENTER_TIMES, True),
    Rule(
        "TIME_ZONE_UNKNOWN", _time_zone_unknown, "Set the IANA zone of the depot by a correction, then seal."
    ),
    Rule("SUSPENSION_OUTSIDE", _suspension_outside, "Correct the moment from which the vehicle parked."),
    Rule(
        "OVERLAP",
        _overlap,
        "Find out which session is real; correct the times of the other, or accept.",
        True,
    ),
)
