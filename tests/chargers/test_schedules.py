"""Limits in the words of OCPP 1.6, checked against the standard's schemas."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from chargers.schedules import composite, tx_profile
from chargers.schemas import check_call
from charging.profiles import Schedule, Step
from ocpi import v221

A, W = v221.ChargingRateUnit.A, v221.ChargingRateUnit.W
START = datetime(2026, 11, 24, 19, 0, tzinfo=UTC)


def schedule(**members: Any) -> Schedule:
    given: dict[str, Any] = {
        "unit": A,
        "starts_at": START,
        "steps": (Step(0, Decimal(16)), Step(600, Decimal("8.1"))),
    }
    return Schedule(**(given | members))


def sent(some: Schedule) -> dict[str, Any]:
    payload = {"connectorId": 1, "csChargingProfiles": tx_profile(some, transaction_id=7)}
    check_call("SetChargingProfile", payload)
    return payload["csChargingProfiles"]


def test_a_profile_is_of_one_transaction_absolute_and_open_at_its_end() -> None:
    """CHP-10: from an instant, to the end of the transaction."""
    assert sent(schedule()) == {
        "chargingProfileId": 7,
        "transactionId": 7,
        "stackLevel": 1,
        "chargingProfilePurpose": "TxProfile",
        "chargingProfileKind": "Absolute",
        "chargingSchedule": {
            "startSchedule": "2026-11-24T19:00:00Z",
            "chargingRateUnit": "A",
            "chargingSchedulePeriod": [
                {"startPeriod": 0, "limit": Decimal(16)},
                {"startPeriod": 600, "limit": Decimal("8.1")},
            ],
        },
    }


def test_duration_and_least_rate_are_said_where_they_were_given() -> None:
    found = sent(schedule(duration_seconds=900, min_rate=Decimal("6.5")))["chargingSchedule"]
    assert (found["duration"], found["minChargingRate"]) == (900, Decimal("6.5"))


@pytest.mark.parametrize(("unit", "phases", "said"), [(A, 1, 1), (A, 2, 2), (A, 3, None), (W, 1, None)])
def test_amperes_say_the_phases_that_a_station_would_guess_wrong(
    unit: v221.ChargingRateUnit, phases: int, said: int | None
) -> None:
    """CHP-11: A is per phase."""
    periods = sent(schedule(unit=unit, phases=phases))["chargingSchedule"]["chargingSchedulePeriod"]
    assert [period.get("numberPhases") for period in periods] == [said, said]


def test_a_composite_counts_from_our_question_whatever_the_stations_clock() -> None:
    payload = {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": "2020-01-01T00:00:00Z",
        "chargingSchedule": {
            "duration": 900,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [
                {"startPeriod": 600, "limit": Decimal("4140.0")},
                {"startPeriod": 0, "limit": Decimal("11040.0")},
            ],
        },
    }
    assert composite(payload, asked_at=START) == Schedule(
        unit=W,
        starts_at=START,
        steps=(Step(0, Decimal("11040.0")), Step(600, Decimal("4140.0"))),
        duration_seconds=900,
    )


def test_a_limit_of_minus_one_is_none() -> None:
    """MicroOCPP (charging.md 5.4)."""
    period = {"startPeriod": 0, "limit": Decimal("-1.0")}
    given = {"chargingRateUnit": "W", "chargingSchedulePeriod": [period]}
    found = composite({"status": "Accepted", "chargingSchedule": given}, asked_at=START)
    assert found is not None
    assert found.steps == (Step(0, None),)


def test_an_answer_without_a_schedule_has_none() -> None:
    """VCP 1.6 (charging.md 5.4)."""
    assert composite({"status": "Accepted"}, asked_at=START) is None
    assert composite({"status": "Rejected"}, asked_at=START) is None
