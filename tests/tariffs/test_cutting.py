"""From readings to periods: where they are cut, and that no Wh and no second is lost."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from ocpi import v221
from tariffs.bill import Bill, CannotPrice
from tariffs.cutting import cut, reserved
from tariffs.pricing import price
from tests.tariffs.building import at, component, element, period, tariff, volumes_of
from tests.tariffs.test_pricing_properties import tariffs

PLAIN = tariff(element(component("ENERGY", "0.25")))


def _cut(*tariffs: v221.Tariff, **session: Any) -> list[tuple[datetime, dict[str, str]]]:
    given = {
        "time_zone": "UTC",
        "start": at(10),
        "stop": at(12),
        "readings": [(at(10), 5_000), (at(12), 17_000)],
        "suspended_ev_from": None,
    }
    periods = cut(tariffs=tariffs, **{**given, **session})
    return [(period.start_date_time, volumes_of(period)) for period in periods]


def test_one_price_gives_one_period() -> None:
    assert _cut(PLAIN) == [(at(10), {"ENERGY": "12", "TIME": "2"})]


def test_period_names_the_tariff_valid_at_the_start() -> None:
    later = tariff(element(component("ENERGY", "1")), id="LATER", start_date_time=at(11))

    periods = cut(
        tariffs=[later, PLAIN],
        time_zone="UTC",
        start=at(10),
        stop=at(12),
        readings=[],
        suspended_ev_from=None,
    )

    assert [period.tariff_id for period in periods] == ["GENT-NIGHT"]


def test_session_without_tariff_still_has_periods() -> None:
    assert _cut(suspended_ev_from=at(11)) == [
        (at(10), {"ENERGY": "6", "TIME": "1"}),
        (at(11), {"ENERGY": "6", "PARKING_TIME": "1"}),
    ]


def test_period_starts_where_the_price_changes_on_the_local_clock() -> None:
    by_day = tariff(
        element(component("ENERGY", "0.40"), start_time="13:00", end_time="13:30"),
        element(component("ENERGY", "0.25")),
    )

    assert _cut(by_day, time_zone="Europe/Brussels") == [
        (at(10), {"ENERGY": "6", "TIME": "1"}),
        (at(11), {"ENERGY": "3", "TIME": "0.5"}),
        (at(11, 30), {"ENERGY": "3", "TIME": "0.5"}),
    ]


def test_price_of_another_dimension_makes_no_period() -> None:
    parking = tariff(
        element(component("ENERGY", "0.40")),
        element(component("PARKING_TIME", "2"), start_time="11:00", end_time="11:30"),
    )

    assert _cut(parking) == [(at(10), {"ENERGY": "12", "TIME": "2"})]


def test_parking_begins_when_the_vehicle_asks_for_no_power() -> None:
    parking = tariff(
        element(component("ENERGY", "0.40")),
        element(component("PARKING_TIME", "2"), start_time="11:30", end_time="00:00"),
    )
    readings = [(at(10), 5_000), (at(11), 17_000), (at(12), 17_000)]

    assert _cut(parking, readings=readings, suspended_ev_from=at(11)) == [
        (at(10), {"ENERGY": "12", "TIME": "1"}),
        (at(11), {"ENERGY": "0", "PARKING_TIME": "0.5"}),
        (at(11, 30), {"ENERGY": "0", "PARKING_TIME": "0.5"}),
    ]


@pytest.mark.parametrize("moment", [at(9), at(10)])
def test_vehicle_that_never_asks_for_power_only_parks(moment: datetime) -> None:
    assert _cut(PLAIN, suspended_ev_from=moment) == [(at(10), {"ENERGY": "12", "PARKING_TIME": "2"})]


@pytest.mark.parametrize("moment", [at(12), at(13)])
def test_suspension_after_the_stop_does_not_matter(moment: datetime) -> None:
    assert _cut(PLAIN, suspended_ev_from=moment) == [(at(10), {"ENERGY": "12", "TIME": "2"})]


def test_period_starts_at_the_second_that_reaches_a_kwh_threshold() -> None:
    tiers = tariff(
        element(component("ENERGY", "0.50"), max_kwh=Decimal("7.5")), element(component("ENERGY", "0.30"))
    )

    assert _cut(tiers) == [
        (at(10), {"ENERGY": "7.5", "TIME": "1.25"}),
        (at(11, 15), {"ENERGY": "4.5", "TIME": "0.75"}),
    ]


def test_period_starts_at_a_duration_threshold() -> None:
    free_start = tariff(element(component("TIME", "0"), max_duration=900), element(component("TIME", "2")))

    assert _cut(free_start) == [
        (at(10), {"ENERGY": "1.5", "TIME": "0.25"}),
        (at(10, 15), {"ENERGY": "10.5", "TIME": "1.75"}),
    ]


def test_period_starts_where_the_average_power_changes_the_price_and_states_it() -> None:
    by_power = tariff(
        element(component("ENERGY", "0.20"), max_power=Decimal(11)), element(component("ENERGY", "0.40"))
    )
    readings = [(at(10), 0), (at(10, 30), 4_000), (at(11), 9_000), (at(11, 30), 20_000), (at(12), 20_000)]

    assert _cut(by_power, readings=readings) == [
        (at(10), {"ENERGY": "9", "TIME": "1", "MIN_POWER": "8", "MAX_POWER": "10"}),
        (at(11), {"ENERGY": "11", "TIME": "0.5", "MIN_POWER": "22", "MAX_POWER": "22"}),
        (at(11, 30), {"ENERGY": "0", "TIME": "0.5", "MIN_POWER": "0", "MAX_POWER": "0"}),
    ]


def test_energy_between_readings_is_read_off_in_whole_wh() -> None:
    thirds = tariff(
        element(component("ENERGY", "1"), start_time="10:40", end_time="11:20"),
        element(component("ENERGY", "2")),
    )

    assert [volumes["ENERGY"] for _, volumes in _cut(thirds, readings=[(at(10), 0), (at(12), 1_000)])] == [
        "0.333",
        "0.334",
        "0.333",
    ]


def test_readings_outside_the_session_count_at_its_ends() -> None:
    readings = [(at(9, 59, 58), 5_000), (at(11), 9_000), (at(12, 0, 3), 17_000)]

    assert _cut(PLAIN, readings=readings) == [(at(10), {"ENERGY": "12", "TIME": "2"})]


def test_readings_in_any_order_give_the_same_periods() -> None:
    readings = [(at(12), 17_000), (at(10), 5_000)]

    assert _cut(PLAIN, readings=readings) == _cut(PLAIN)


@pytest.mark.parametrize("readings", [[], [(at(11), 5_000)]])
def test_session_without_two_readings_has_no_energy(readings: list[tuple[datetime, int]]) -> None:
    assert _cut(PLAIN, readings=readings) == [(at(10), {"ENERGY": "0", "TIME": "2"})]


def test_session_of_no_time_keeps_its_energy() -> None:
    readings = [(at(10), 5_000), (at(10), 5_007)]

    assert _cut(PLAIN, stop=at(10), readings=readings) == [(at(10), {"ENERGY": "0.007", "TIME": "0"})]


def test_register_that_runs_backwards_is_refused() -> None:
    with pytest.raises(CannotPrice) as refusal:
        _cut(PLAIN, readings=[(at(10), 5_000), (at(11), 4_999)])

    assert str(refusal.value) == (
        "the reading of 2026-05-04T11:00:00+00:00 is 4999 Wh, after 5000 Wh before it:"
        " a register does not run backwards, correct the readings"
    )


def test_stop_before_the_start_is_refused() -> None:
    with pytest.raises(CannotPrice, match=r"stops at 2026-05-04T09:00:00\+00:00, before its start"):
        _cut(PLAIN, stop=at(9))


def test_reservation_is_a_period_of_its_own() -> None:
    booked = reserved(tariffs=[PLAIN], start=at(9, 40), end=at(10))

    assert (booked.start_date_time, volumes_of(booked)) == (at(9, 40), {"RESERVATION_TIME": "0.3333"})
    with pytest.raises(CannotPrice, match=r"reservation ends at"):
        reserved(tariffs=[PLAIN], start=at(10), end=at(9))


@pytest.mark.parametrize(
    ("start", "hours"),
    [(datetime(2026, 3, 28, 23, tzinfo=UTC), "5"), (datetime(2026, 10, 24, 22, tzinfo=UTC), "7")],
    ids=["night of 23 hours", "night of 25 hours"],
)
def test_night_window_has_the_hours_of_its_night(start: datetime, hours: str) -> None:
    night = tariff(
        element(component("TIME", "1"), start_time="00:00", end_time="06:00"), element(component("TIME", "3"))
    )

    periods = _cut(
        night, time_zone="Europe/Brussels", start=start, stop=start + timedelta(hours=9), readings=[]
    )

    assert [volumes["TIME"] for _, volumes in periods] == [hours, str(9 - int(hours))]


@st.composite
def measured(draw: st.DrawFn) -> dict[str, Any]:
    """A session of whole seconds with a register that never runs backwards."""
    start = draw(st.sampled_from([at(20), datetime(2026, 3, 28, 23, tzinfo=UTC)])) + timedelta(
        seconds=draw(st.integers(0, 20_000))
    )
    seconds = draw(st.integers(0, 40_000))
    moments = sorted(draw(st.lists(st.integers(-60, seconds + 60), max_size=8)))
    shown = sorted(draw(st.lists(st.integers(0, 90_000), min_size=len(moments), max_size=len(moments))))
    suspended = draw(st.none() | st.integers(-60, seconds + 60))
    return {
        "time_zone": "Europe/Brussels",
        "start": start,
        "stop": start + timedelta(seconds=seconds),
        "readings": [(start + timedelta(seconds=s), wh) for s, wh in zip(moments, shown, strict=True)],
        "suspended_ev_from": None if suspended is None else start + timedelta(seconds=suspended),
    }


def _sum(periods: tuple[v221.ChargingPeriod, ...], *names: str) -> Decimal:
    return sum((d.volume for p in periods for d in p.dimensions if d.type in names), Decimal(0))


@given(tariffs(), measured())
def test_periods_add_up_to_the_register_and_the_clock(priced: v221.Tariff, session: dict[str, Any]) -> None:
    periods = cut(tariffs=[priced], **session)

    readings = session["readings"]
    used = readings[-1][1] - readings[0][1] if readings else 0
    seconds = (session["stop"] - session["start"]).total_seconds()
    assert _sum(periods, "ENERGY") * 1000 == used
    assert abs(_sum(periods, "TIME", "PARKING_TIME") - Decimal(int(seconds)) / 3600) <= Decimal("0.0001")
    starts = [period.start_date_time for period in periods]
    assert starts == sorted(set(starts))
    assert starts[0] == session["start"]
    assert all(dimension.volume >= 0 for period in periods for dimension in period.dimensions)


def _without(priced: v221.Tariff, *names: str) -> v221.Tariff:
    """The same elements without some of their restrictions."""
    elements = []
    for entry in priced.elements:
        members = {**structs.asdict(entry.restrictions), **dict.fromkeys(names)} if entry.restrictions else {}
        elements.append(element(*entry.price_components, **members))
    return tariff(*elements)


@given(tariffs(), measured())
def test_each_period_is_billed_under_one_component_per_dimension(
    priced: v221.Tariff, session: dict[str, Any]
) -> None:
    # Two kWh thresholds may be passed within one second: such a period is split by the bill alone.
    priced = _without(priced, "min_kwh", "max_kwh")

    periods = cut(tariffs=[priced], **session)

    bill = _price(priced, periods, session)
    billed = [(line.period_start, line.dimension) for line in bill.lines]
    assert len(billed) == len(set(billed))
    assert bill.total_energy == _sum(periods, "ENERGY")
    assert bill.total_time == _sum(periods, "TIME", "PARKING_TIME")
    assert bill.total_parking_time == _sum(periods, "PARKING_TIME")


@given(tariffs(), st.integers(60, 40_000), st.integers(0, 90_000))
def test_session_costs_the_same_cut_or_whole(priced: v221.Tariff, seconds: int, wh: int) -> None:
    priced = _without(priced, "min_power", "max_power")
    session = {
        "time_zone": "Europe/Brussels",
        "start": datetime(2026, 3, 28, 20, tzinfo=UTC),
        "stop": datetime(2026, 3, 28, 20, tzinfo=UTC) + timedelta(seconds=seconds),
    }
    readings = [(session["start"], 1_000), (session["stop"], 1_000 + wh)]

    periods = cut(tariffs=[priced], readings=readings, suspended_ev_from=None, **session)

    whole = period(session["start"], ENERGY=str(Decimal(wh) / 1000), TIME=f"{Decimal(seconds) / 3600:.12f}")
    # Each cut moves at most a Wh and half a second (at the rate of the charge) to another price.
    a_cut = (Decimal("0.001") + Decimal(wh) / 1000 / seconds + Decimal(1) / 3600) * 5
    cost, expected = (_price(priced, some, session).unrounded.total_cost for some in (periods, [whole]))
    assert abs(cost.excl_vat - expected.excl_vat) <= a_cut * len(periods)


def _price(priced: v221.Tariff, periods: Sequence[v221.ChargingPeriod], session: dict[str, Any]) -> Bill:
    return price(
        tariffs=[priced],
        charging_periods=periods,
        start=session["start"],
        end=session["stop"],
        time_zone=session["time_zone"],
    )
