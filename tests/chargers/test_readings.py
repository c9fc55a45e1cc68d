"""MeterValue objects of OCPP 1.6, in the forms in which stations send them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chargers.readings import Sample, instant, samples_of

AT = datetime(2026, 11, 24, 19, 0, tzinfo=UTC)
POWER = "Power.Active.Import"


def read(*sampled: dict[str, Any], timestamp: str = "2026-11-24T19:00:00Z") -> tuple[Any, Any]:
    return samples_of([{"timestamp": timestamp, "sampledValue": list(sampled)}])


@pytest.mark.parametrize(
    ("sampled", "energy_wh"),
    [
        ({"value": "1500"}, 1500),
        ({"value": "1500", "unit": "Wh"}, 1500),
        ({"value": "1.5", "unit": "kWh"}, 1500),
        ({"value": "1500.6"}, 1501),
        ({"value": "15e2", "measurand": "Energy.Active.Import.Register"}, 1500),
    ],
)
def test_a_register_is_read_in_wh(sampled: dict[str, Any], energy_wh: int) -> None:
    assert read(sampled) == ((Sample(AT, energy_wh, None),), ())


def test_the_whole_outlet_counts_and_not_one_of_its_phases() -> None:
    samples, _ = read(
        {"value": "1", "phase": "L1"},
        {"value": "2", "location": "EV"},
        {"value": "3", "format": "SignedData"},
        {"value": "7000", "measurand": POWER, "unit": "W", "phase": "L1"},
        {"value": "21", "measurand": POWER, "unit": "kW"},
        {"value": "1500"},
    )
    assert samples == (Sample(AT, 1500, 21_000),)


def test_a_value_without_a_register_is_no_sample_and_no_fault() -> None:
    assert read({"value": "230", "measurand": "Voltage", "unit": "V"}) == ((), ())


@pytest.mark.parametrize("value", ["NaN", "sNaN", "Infinity", "-Infinity", "ten", "", "1e400", "9" * 40])
def test_what_is_no_register_value_is_told_in_a_sentence(value: str) -> None:
    samples, unreadable = read({"value": value})
    assert samples == ()
    assert unreadable == (f"'{value[:40]}' at 2026-11-24T19:00:00+00:00 is no register value",)


def test_a_time_that_is_none_is_told_in_a_sentence() -> None:
    assert read({"value": "1"}, timestamp="yesterday") == (
        (),
        ("timestamp 'yesterday' is not an ISO 8601 instant",),
    )


@pytest.mark.parametrize("value", ["NaN", "1e15", "strong"])
def test_a_power_that_is_none_leaves_the_register(value: str) -> None:
    samples, unreadable = read({"value": "1500"}, {"value": value, "measurand": POWER, "unit": "W"})
    assert (samples, unreadable) == ((Sample(AT, 1500, None),), ())


@given(value=st.text(max_size=60), unit=st.sampled_from(["Wh", "kWh", "A", ""]))
def test_no_value_breaks_us(value: str, unit: str) -> None:
    samples, unreadable = read({"value": value, "unit": unit})
    assert len(samples) + len(unreadable) == 1
    assert all(abs(sample.energy_wh) < 2**63 for sample in samples)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T19:00:00Z", AT),
        ("2026-11-24T20:00:00+01:00", AT),
        ("2026-11-24T19:00:00", AT),
        ("2026-11-24T19:00:00.000Z", AT),
    ],
)
def test_a_time_without_a_zone_is_utc(text: str, expected: datetime) -> None:
    assert instant(text) == expected


@pytest.mark.parametrize(
    "text", ["", "now", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "24/11/2026"]
)
def test_what_is_no_instant_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not an ISO 8601 instant"):
        instant(text)
