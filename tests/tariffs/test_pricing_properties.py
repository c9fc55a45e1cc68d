"""What holds for every tariff and every session."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi import v221
from tariffs.bill import Bill, Reservation, Total
from tariffs.pricing import price
from tests.tariffs.building import component, element, period, tariff

ZONE = "Europe/Brussels"
NIGHTS = {
    "normal": datetime(2026, 5, 4, 20, tzinfo=UTC),
    "of 23 hours": datetime(2026, 3, 28, 20, tzinfo=UTC),
    "of 25 hours": datetime(2026, 10, 24, 20, tzinfo=UTC),
}

prices = st.decimals(0, 5, places=2)
rates = st.sampled_from([None, "0", "6", "21"])
clocks = st.builds(
    lambda hour, quarter: f"{hour:02}:{quarter * 15:02}", st.integers(0, 23), st.integers(0, 3)
)
days = st.lists(st.sampled_from(list(v221.DayOfWeek)), unique=True).map(tuple)


@st.composite
def components(draw: st.DrawFn, *, step_size: st.SearchStrategy[int]) -> tuple[v221.PriceComponent, ...]:
    types = draw(
        st.lists(st.sampled_from(list(v221.TariffDimensionType)), min_size=1, max_size=4, unique=True)
    )
    return tuple(
        component(type_, str(draw(prices)), vat=draw(rates), step_size=draw(step_size)) for type_ in types
    )


@st.composite
def restrictions(draw: st.DrawFn) -> dict[str, Any]:
    choices = {
        "start_time": clocks,
        "end_time": clocks,
        "day_of_week": days,
        "min_kwh": st.decimals(0, 30, places=1),
        "max_kwh": st.decimals(0, 30, places=1),
        "min_duration": st.integers(0, 20_000),
        "max_duration": st.integers(0, 20_000),
        "min_power": st.decimals(0, 30, places=1),
        "max_power": st.decimals(0, 30, places=1),
    }
    names = draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=3))
    return {name: draw(choices[name]) for name in names}


@st.composite
def tariffs(draw: st.DrawFn, *, step_size: st.SearchStrategy[int] = st.just(1)) -> v221.Tariff:
    elements = [
        element(*draw(components(step_size=step_size)), **draw(restrictions()))
        for _ in range(draw(st.integers(1, 5)))
    ]
    return tariff(*elements)


@st.composite
def sessions(draw: st.DrawFn) -> tuple[datetime, list[tuple[int, int, str]]]:
    """A start, and periods of minutes, Wh and a dimension of time."""
    start = draw(st.sampled_from(sorted(NIGHTS.values()))) + timedelta(minutes=draw(st.integers(0, 600)))
    time = st.sampled_from(["TIME", "PARKING_TIME"])
    parts = st.tuples(st.integers(1, 240), st.integers(0, 20_000), time)
    return start, draw(st.lists(parts, min_size=1, max_size=6))


def _hours(seconds: Decimal | int) -> str:
    return f"{Decimal(seconds) / 3600:.12f}"


def _bill(priced: v221.Tariff, start: datetime, parts: list[tuple[Decimal, Decimal, str]]) -> Bill:
    """Price periods of seconds and kWh."""
    at, periods = start, []
    for seconds, kwh, type_ in parts:
        periods.append(period(at, ENERGY=str(kwh), **{type_: _hours(seconds)}))
        at += timedelta(seconds=int(seconds))
    return price(tariffs=[priced], charging_periods=periods, start=start, end=at, time_zone=ZONE)


def _parts(session: list[tuple[int, int, str]]) -> list[tuple[Decimal, Decimal, str]]:
    return [(Decimal(minutes * 60), Decimal(wh) / 1000, type_) for minutes, wh, type_ in session]


def _costs(bill: Bill) -> list[v221.Price | None]:
    return [
        bill.unrounded.total_cost,
        bill.unrounded.total_fixed_cost,
        bill.unrounded.total_energy_cost,
        bill.unrounded.total_time_cost,
        bill.unrounded.total_parking_cost,
        bill.unrounded.total_reservation_cost,
    ]


@given(tariffs(), sessions(), st.integers(0, 5), st.integers(1, 11))
def test_splitting_a_period_in_two_changes_no_total(priced, session, which, twelfths) -> None:
    start, parts = session[0], _parts(session[1])
    which %= len(parts)
    seconds, kwh, type_ = parts[which]
    cut = Decimal(int(seconds) * twelfths // 12)
    # Power is an average of the period: it must not depend on where the period is split.
    energy = kwh * cut / seconds
    split = [*parts[:which], (cut, energy, type_), (seconds - cut, kwh - energy, type_), *parts[which + 1 :]]

    assert _costs(_bill(priced, start, split)) == _costs(_bill(priced, start, parts))


@given(tariffs(step_size=st.sampled_from([0, 1, 60, 300, 500, 900])), sessions())
def test_totals_are_the_sums_of_their_lines(priced, session) -> None:
    bill = _bill(priced, session[0], _parts(session[1]))

    half_a_unit = Decimal("5e-13")
    by_total = {
        Total.FIXED: bill.unrounded.total_fixed_cost,
        Total.ENERGY: bill.unrounded.total_energy_cost,
        Total.TIME: bill.unrounded.total_time_cost,
        Total.PARKING: bill.unrounded.total_parking_cost,
        Total.RESERVATION: bill.unrounded.total_reservation_cost,
    }
    for total, cost in by_total.items():
        lines = [line for line in bill.lines if line.total is total]
        assert (cost is None) == (not lines)
        if cost is not None:
            assert abs(sum(line.excl_vat for line in lines) - cost.excl_vat) <= half_a_unit
            assert (cost.incl_vat is None) == any(line.incl_vat is None for line in lines)
    assert abs(sum(line.excl_vat for line in bill.lines) - bill.unrounded.total_cost.excl_vat) <= half_a_unit


@given(tariffs(step_size=st.sampled_from([1, 60, 300, 900])), sessions())
def test_measured_volumes_add_up_and_steps_only_add(priced, session) -> None:
    parts = _parts(session[1])

    bill = _bill(priced, session[0], parts)

    assert bill.total_energy == sum(kwh for _, kwh, _ in parts)
    assert abs(bill.total_time - sum(seconds for seconds, _, _ in parts) / 3600) <= Decimal("0.0001")
    for line in bill.lines:
        assert line.volume <= line.billed_volume


@given(tariffs(step_size=st.sampled_from([0, 1, 300])), sessions())
def test_no_amount_is_negative_or_falls_with_vat(priced, session) -> None:
    bill = _bill(priced, session[0], _parts(session[1]))

    for cost in _costs(bill):
        if cost is not None:
            assert cost.excl_vat >= 0
            assert cost.incl_vat is None or cost.incl_vat >= cost.excl_vat


@given(tariffs(), sessions(), tariffs())
def test_elements_behind_a_catch_all_do_not_matter(priced, session, others) -> None:
    start, parts = session[0], _parts(session[1])
    everything = [component(type_, "1") for type_ in v221.TariffDimensionType]
    alone = tariff(*priced.elements, element(*everything))
    followed = tariff(*alone.elements, *others.elements)
    followed_otherwise = tariff(*alone.elements, *reversed(others.elements))

    expected = _costs(_bill(alone, start, parts))
    assert _costs(_bill(followed, start, parts)) == expected
    assert _costs(_bill(followed_otherwise, start, parts)) == expected


@given(tariffs(step_size=st.sampled_from([1, 300])), sessions())
def test_same_session_has_the_same_bill(priced, session) -> None:
    start, parts = session[0], _parts(session[1])
    again = v221.Tariff(**{name: getattr(priced, name) for name in priced.__struct_fields__})

    assert _bill(again, start, parts) == _bill(priced, start, parts)


@given(clocks, clocks, sessions())
def test_time_of_day_is_what_the_local_clock_shows_minute_by_minute(begin, end, session) -> None:
    start, parts = session[0], _parts([(minutes, 0, "TIME") for minutes, _, _ in session[1]])
    window = tariff(
        element(component("TIME", "60"), start_time=begin, end_time=end), element(component("TIME", "0"))
    )

    bill = _bill(window, start, parts)

    minutes = int(sum(seconds for seconds, _, _ in parts)) // 60
    shown = [
        (start + timedelta(minutes=i)).astimezone(ZoneInfo(ZONE)).strftime("%H:%M") for i in range(minutes)
    ]
    until = "24:00" if end == "00:00" else end
    inside = (begin <= clock < until if begin < until else clock >= begin or clock < until for clock in shown)
    assert bill.unrounded.total_cost.excl_vat == sum(inside)


@given(
    st.integers(60, 20_000),
    st.integers(1, 3_600),
    st.booleans(),
    st.sampled_from([None, "21"]),
    prices,
    prices,
)
def test_reservation_costs_time_in_whole_steps(seconds, step, expired, vat, rate, fee) -> None:
    reserved = tariff(
        element(
            component("TIME", str(rate), vat=vat, step_size=step),
            component("FLAT", str(fee), vat=vat),
            reservation=v221.ReservationRestrictionType.RESERVATION,
        ),
        element(component("ENERGY", "1")),
    )
    start = NIGHTS["normal"]

    bill = price(
        tariffs=[reserved],
        charging_periods=[period(start, RESERVATION_TIME=_hours(seconds))],
        start=start,
        end=start + timedelta(seconds=seconds),
        time_zone=ZONE,
        reservation=Reservation(expired=expired),
    )

    steps = -(-seconds // step)
    expected = rate * steps * step / 3600 + fee
    assert abs(bill.unrounded.total_cost.excl_vat - expected) <= Decimal("1e-12")
    assert bill.unrounded.total_cost == bill.unrounded.total_reservation_cost


@settings(max_examples=30)
@given(sessions(), st.decimals(0, 30, places=2), st.decimals(0, 30, places=2))
def test_limits_hold(session, low, high) -> None:
    low, high = sorted((low, high))
    limited = tariff(
        element(component("ENERGY", "0.40"), component("TIME", "1", vat="6")),
        min_price=v221.Price(excl_vat=low),
        max_price=v221.Price(excl_vat=high),
    )

    total = _bill(limited, session[0], _parts(session[1])).unrounded.total_cost

    assert low <= total.excl_vat <= high
    assert total.incl_vat is None or total.incl_vat >= total.excl_vat
