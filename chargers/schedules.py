"""Limits over time in the words of OCPP 1.6 (SetChargingProfile, GetCompositeSchedule). [pure]"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chargers.frames import Payload
from charging.profiles import Schedule, Step
from ocpi import v221

TX_PURPOSE = "TxProfile"
# Above the station's own default; a second profile of the same transaction replaces the first one.
STACK_LEVEL = 1
_ALL_PHASES = 3
_UNLIMITED = -1


def tx_profile(schedule: Schedule, *, transaction_id: int) -> Payload:
    """The ChargingProfile of one transaction (OCPP 1.6, 7.8).

    Absolute, from an instant that we state: what a station takes for the start of "Relative" differs. One profile per
    transaction, so the transaction's number is the profile's too.
    """
    return {
        "chargingProfileId": transaction_id,
        "transactionId": transaction_id,
        "stackLevel": STACK_LEVEL,
        "chargingProfilePurpose": TX_PURPOSE,
        "chargingProfileKind": "Absolute",
        "chargingSchedule": _schedule(schedule),
    }


def _schedule(schedule: Schedule) -> Payload:
    written: Payload = {
        "startSchedule": schedule.starts_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "chargingRateUnit": schedule.unit.value,
        "chargingSchedulePeriod": [_period(step, schedule) for step in schedule.steps],
    }
    if schedule.duration_seconds is not None:
        written["duration"] = schedule.duration_seconds
    if schedule.min_rate is not None:
        written["minChargingRate"] = schedule.min_rate
    return written


def _period(step: Step, schedule: Schedule) -> Payload:
    period: Payload = {"startPeriod": step.start_seconds, "limit": step.limit}
    # Where nothing is said, a station takes A for three phases.
    if schedule.unit is v221.ChargingRateUnit.A and schedule.phases != _ALL_PHASES:
        period["numberPhases"] = schedule.phases
    return period


def composite(payload: Mapping[str, Any], *, asked_at: datetime) -> Schedule | None:
    """The limits in an answer to GetCompositeSchedule, counted from the moment of the question; None: it has none.

    That moment is ours: a station with a wrong clock still answers "from now on". A limit of -1 is no limit.
    """
    given = payload.get("chargingSchedule")
    if given is None:
        return None
    periods = sorted(given["chargingSchedulePeriod"], key=lambda period: int(period["startPeriod"]))
    return Schedule(
        unit=v221.ChargingRateUnit(given["chargingRateUnit"]),
        starts_at=asked_at.replace(microsecond=0),
        steps=tuple(
            Step(int(period["startPeriod"]), _limit(Decimal(str(period["limit"])))) for period in periods
        ),
        duration_seconds=given.get("duration"),
    )


def _limit(limit: Decimal) -> Decimal | None:
    return None if limit <= _UNLIMITED else max(limit, Decimal(0))
