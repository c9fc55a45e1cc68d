"""Readings become periods that partition the session and add up to the register."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi import v221
from sessions.periods import (
    FEEDBACK,
    Change,
    Reading,
    Refusal,
    change,
    curve,
    divide,
    energy_at,
    priced_periods,
    progress,
    refusal,
)
from tariffs.pricing import price
from tests.sessions.material import START, ZONE, energy_of, evening_tariff, tariff, volume_of

MINUTE = timedelta(minutes=1)


def at(minutes: float) -> datetime:
    return START + minutes * MINUTE


def period(minutes: int, kwh: str, hours: str, *, kind: str = "TIME") -> v221.ChargingPeriod:
    return v221.ChargingPeriod(
        start_date_time=at(minutes),
        dimensions=(
            v221.CdrDimension(type=v221.CdrDimensionType.ENERGY, volume=Decimal(kwh)),
            v221.CdrDimension(type=v221.CdrDimensionType(kind), volume=Decimal(hours)),
        ),
        tariff_id="gent-night",
    )


def test_an_hour_of_charging_is_four_periods_that_add_up_to_the_register() -> None:
    """SES-19, CDR-14: the driver sees a period every quarter of an hour; the energy is the register's."""
    readings = (Reading(at(0), 1_000), Reading(at(30), 6_000), Reading(at(60), 12_001))
    so_far = progress(tariffs=[tariff()], time_zone=ZONE, readings=readings, suspended_ev_from=None)
    assert so_far.energy_kwh == Decimal("11.001")
    assert so_far.periods == (
        period(0, "2.5", "0.25"),
        period(15, "2.5", "0.25"),
        period(30, "3.001", "0.25"),
        period(45, "3", "0.25"),
    )
    # 11.001 kWh x 0.35 + 0.50 = 4.35035, VAT 21 %: 5.2639235.
    assert so_far.total_cost == v221.Price(excl_vat=Decimal("4.35"), incl_vat=Decimal("5.26"))


def test_a_period_starts_where_the_tariff_changes() -> None:
    """CDR-13: at 21:00 local time (20:00 UTC) the price of energy changes."""
    readings = (Reading(at(0), 0), Reading(at(120), 24_000))
    periods = priced_periods(
        tariffs=[evening_tariff()], time_zone=ZONE, readings=readings, suspended_ev_from=None
    )
    assert [(each.start_date_time, energy_of((each,))) for each in periods] == [
        (at(0), Decimal(12)),
        (at(60), Decimal(12)),
    ]


def test_time_without_demand_of_the_vehicle_is_parking_time() -> None:
    """CDR-17, CDR-16: from SuspendedEV on the vehicle parks; before it charges."""
    readings = (Reading(at(0), 0), Reading(at(60), 9_000), Reading(at(90), 9_000))
    so_far = progress(tariffs=[tariff()], time_zone=ZONE, readings=readings, suspended_ev_from=at(60))
    assert volume_of(so_far.periods, "TIME") == Decimal(1)
    assert volume_of(so_far.periods, "PARKING_TIME") == Decimal("0.5")
    # 9 kWh x 0.35 + 0.5 h x 3.00 + 0.50.
    assert so_far.total_cost == v221.Price(excl_vat=Decimal("5.15"), incl_vat=Decimal("6.23"))


def test_cost_is_unknown_without_a_tariff_and_energy_is_not() -> None:
    """SES-18: an absent total_cost is unknown; 0 would mean free."""
    readings = (Reading(at(0), 0), Reading(at(10), 2_000))
    so_far = progress(tariffs=[], time_zone=ZONE, readings=readings, suspended_ev_from=None)
    assert so_far.total_cost is None
    assert energy_of(so_far.periods) == so_far.energy_kwh == Decimal(2)


def test_a_free_tariff_costs_zero() -> None:
    """SES-18: 0 means free."""
    free = tariff(
        v221.TariffElement(
            price_components=(
                v221.PriceComponent(type=v221.TariffDimensionType.FLAT, price=Decimal(0), step_size=0),
            )
        )
    )
    readings = (Reading(at(0), 0), Reading(at(10), 2_000))
    so_far = progress(tariffs=[free], time_zone=ZONE, readings=readings, suspended_ev_from=None)
    assert so_far.total_cost is not None
    assert so_far.total_cost.excl_vat == 0


def test_two_tariffs_in_different_currencies_leave_the_cost_unknown() -> None:
    """A session must not stop to be shown because its tariff is broken."""
    broken = [tariff(), tariff(id="other", currency="SEK")]
    readings = (Reading(at(0), 0), Reading(at(10), 2_000))
    so_far = progress(tariffs=broken, time_zone=ZONE, readings=readings, suspended_ev_from=None)
    assert so_far.total_cost is None
    assert so_far.periods == (
        v221.ChargingPeriod(
            start_date_time=at(0),
            dimensions=(
                v221.CdrDimension(type=v221.CdrDimensionType.ENERGY, volume=Decimal(2)),
                v221.CdrDimension(type=v221.CdrDimensionType.TIME, volume=Decimal("0.1667")),
            ),
        ),
    )


def test_at_the_start_there_is_no_period_yet() -> None:
    so_far = progress(
        tariffs=[tariff()],
        time_zone=ZONE,
        readings=(Reading(at(0), 7), Reading(at(0), 7)),
        suspended_ev_from=None,
    )
    assert (so_far.energy_kwh, so_far.periods, so_far.total_cost) == (Decimal(0), (), None)


@pytest.mark.parametrize(
    ("minutes", "energy_wh", "expected"),
    [
        (20, 3_000, None),
        (40, 9_000, None),
        (20, 1_999, Refusal.BACKWARDS),
        (20, 5_001, Refusal.BACKWARDS),
        (40, 4_999, Refusal.BACKWARDS),
        (-1, 1_000, Refusal.BEFORE_START),
        (70, 9_000, Refusal.IN_FUTURE),
        (40, -1, Refusal.IMPOSSIBLE),
        (40, 1_000_001_001, Refusal.IMPOSSIBLE),
    ],
)
def test_a_reading_must_fit_between_its_neighbours(
    minutes: int, energy_wh: int, expected: Refusal | None
) -> None:
    """I14, W8: the register never falls; what cannot be does not count."""
    known = [Reading(at(0), 1_000), Reading(at(10), 2_000), Reading(at(30), 5_000)]
    assert refusal(Reading(at(minutes), energy_wh), known=known, now=at(60)) is expected


def test_readings_outside_start_and_stop_do_not_shape_the_curve() -> None:
    start, stop = Reading(at(0), 1_000), Reading(at(30), 5_000)
    seen = [Reading(at(40), 9_000), Reading(at(10), 2_000), Reading(at(20), 6_000), Reading(at(0), 1_000)]
    assert curve(start=start, stop=stop, readings=seen) == (start, Reading(at(10), 2_000), stop)


def test_energy_between_readings_lies_on_the_line_between_them() -> None:
    readings = (Reading(at(0), 0), Reading(at(60), 1_001))
    assert energy_at(at(30), readings=readings) == 501
    assert energy_at(at(-5), readings=readings) == 0
    assert energy_at(at(90), readings=readings) == 1_001


def test_periods_that_only_follow_are_new_and_a_grown_one_is_a_correction() -> None:
    """SES-07, SES-08: only new periods could be appended; a changed one needs the whole Session."""
    first, grown, second = period(0, "1", "0.25"), period(0, "2", "0.25"), period(15, "1", "0.25")
    assert change(before=(first,), after=(first, second)) == Change(appended=(second,), is_corrected=False)
    assert change(before=(first,), after=(first,)) == Change(appended=(), is_corrected=False)
    assert change(before=(first,), after=(grown, second)) == Change(appended=(), is_corrected=True)
    assert change(before=(first, second), after=(first,)) == Change(appended=(), is_corrected=True)


def test_a_period_with_a_power_bound_is_not_divided() -> None:
    """A greatest power holds for its whole period; nobody knows it for a part."""
    powered = v221.ChargingPeriod(
        start_date_time=at(0),
        dimensions=(v221.CdrDimension(type=v221.CdrDimensionType.MAX_POWER, volume=Decimal(11)),),
    )
    readings = (Reading(at(0), 0), Reading(at(60), 9_000))
    assert divide((powered,), readings=readings) == (powered,)


# A session of up to 20 hours: steps between readings in seconds and in Wh, and when the vehicle had enough.
steps = st.lists(
    st.tuples(st.integers(min_value=1, max_value=7_200), st.integers(min_value=0, max_value=50_000)),
    min_size=1,
    max_size=10,
)


def readings_from(steps: list[tuple[int, int]]) -> tuple[Reading, ...]:
    instant, register = START, 123_456
    readings = [Reading(instant, register)]
    for seconds, energy_wh in steps:
        instant, register = instant + timedelta(seconds=seconds), register + energy_wh
        readings.append(Reading(instant, register))
    return tuple(readings)


@settings(max_examples=150, deadline=None)
@given(
    steps=steps,
    parked=st.none() | st.integers(min_value=-100, max_value=80_000),
    has_edges=st.booleans(),
)
def test_parts_add_up_and_partition_the_session(
    steps: list[tuple[int, int]], parked: int | None, has_edges: bool
) -> None:
    """I14: sum of period energy = session energy exactly; periods partition [start, end); nothing
    negative."""
    readings = readings_from(steps)
    parked_from = None if parked is None else START + timedelta(seconds=parked)
    chosen = evening_tariff() if has_edges else tariff()
    so_far = progress(tariffs=[chosen], time_zone=ZONE, readings=readings, suspended_ev_from=parked_from)
    energy_wh = readings[-1].energy_wh - readings[0].energy_wh
    assert energy_of(so_far.periods) == so_far.energy_kwh == Decimal(energy_wh) / 1000
    starts = [each.start_date_time for each in so_far.periods]
    assert starts[0] == readings[0].at
    assert starts == sorted(set(starts))
    assert starts[-1] < readings[-1].at
    lengths = [end - start for start, end in zip(starts, [*starts[1:], readings[-1].at], strict=True)]
    assert max(lengths) <= FEEDBACK
    assert all(each.volume >= 0 for one in so_far.periods for each in one.dimensions)
    hours = volume_of(so_far.periods, "TIME", "PARKING_TIME")
    exact = Decimal((readings[-1].at - readings[0].at).total_seconds()) / 3600
    assert abs(hours - exact) <= Decimal("0.0001")


@settings(max_examples=60, deadline=None)
@given(steps=steps)
def test_the_cost_shown_is_the_price_of_the_periods_of_the_tariff(steps: list[tuple[int, int]]) -> None:
    """I15: the Session's cost comes from the function that bills the CDR; dividing periods costs nothing."""
    readings = readings_from(steps)
    so_far = progress(tariffs=[evening_tariff()], time_zone=ZONE, readings=readings, suspended_ev_from=None)
    bill = price(
        tariffs=[evening_tariff()],
        charging_periods=priced_periods(
            tariffs=[evening_tariff()], time_zone=ZONE, readings=readings, suspended_ev_from=None
        ),
        start=readings[0].at,
        end=readings[-1].at,
        time_zone=ZONE,
    )
    assert so_far.total_cost == bill.total_cost
