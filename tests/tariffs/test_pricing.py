"""Every worked example, and what a bill says beyond its totals."""

from dataclasses import astuple
from datetime import UTC, datetime
from decimal import Decimal, getcontext, localcontext
from pathlib import Path
from typing import Any

import pytest

from ocpi import codec, v221
from tariffs.bill import CannotPrice, Dimension, Line, Reservation, Total
from tariffs.price_lines import answer
from tariffs.pricing import price
from tests.tariffs.building import at, component, element, period, tariff

CASES = Path(__file__).parent / "cases"
TOTALS = (
    "total_cost",
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)

# Where another reading of the specification is in use: the total it gives. See docs/pricing.md.
OTHER_READINGS = {"period_over_a_price_change": Decimal("2.00")}

# No rate is stated: other engines repeat the amount without VAT as amount with VAT, we leave that out.
WITHOUT_RATE = {
    "chapter_cdrs_step_energy_4_3_and_1_1",
    "chapter_cdrs_step_time_21_parking_16",
    "chapter_cdrs_step_time_21_parking_7",
    "chapter_cdrs_step_time_6_and_22",
    "chapter_tariffs_price_component_step_1wh",
    "chapter_tariffs_price_component_step_25wh",
    "chapter_tariffs_price_component_step_500wh",
    "chapter_tariffs_step_size_300_6min_time",
    "chapter_tariffs_step_size_300_8min_parking",
    "chapter_tariffs_step_size_switch_1",
    "chapter_tariffs_step_size_switch_2",
    "chapter_tariffs_step_size_switch_to_free",
    "energy_and_connection_fee",
    "energy_rounded_by_the_last_step",
    "energy_rounded_to_half_a_kwh",
    "fifty_kwh",
    "flat_once_for_two_periods",
    "hours_with_four_decimals",
    "local_time_in_summer",
    "local_time_in_winter",
    "period_names_its_tariff",
    "period_over_a_price_change",
    "periods_that_meet_at_a_price_change",
    "reservation_and_charge_in_one_period",
    "weekend_price_on_a_monday",
    "weekend_price_on_a_saturday",
    "weekend_surcharge_friday",
    "weekend_surcharge_saturday",
    "workplace_paid_weekend",
}


def _case_names() -> list[str]:
    return sorted(folder.name for folder in CASES.iterdir())


def _answer(case: str) -> dict[str, Any]:
    return codec.parse(answer((CASES / case / "input.json").read_bytes(), explain=True))


def _expected(case: str) -> dict[str, Any]:
    return codec.parse((CASES / case / "expected.json").read_bytes())


@pytest.mark.parametrize("case", _case_names())
def test_case_costs_what_its_why_explains(case: str) -> None:
    given = _answer(case)

    expected = _expected(case)
    assert {name: given[name] for name in TOTALS if name in given} == expected["rounded"]
    assert given["unrounded"] == expected["unrounded"]


@pytest.mark.parametrize("case", _case_names())
def test_case_has_a_why(case: str) -> None:
    assert sorted(path.name for path in (CASES / case).iterdir()) == ["expected.json", "input.json", "why.md"]
    assert (CASES / case / "why.md").read_text().strip() != ""


@pytest.mark.parametrize("case", sorted(OTHER_READINGS))
def test_case_with_another_reading_differs_from_it_and_is_documented(case: str) -> None:
    assert _answer(case)["total_cost"]["excl_vat"] != OTHER_READINGS[case]
    assert case in (Path(__file__).parents[2] / "docs" / "pricing.md").read_text()


@pytest.mark.parametrize("case", sorted(WITHOUT_RATE))
def test_case_without_vat_rate_has_no_amount_with_vat(case: str) -> None:
    assert set(_answer(case)["total_cost"]) == {"excl_vat"}


def _price(
    *tariffs: v221.Tariff,
    periods: list[v221.ChargingPeriod],
    start: datetime = at(10),
    end: datetime = at(12),
    zone: str = "UTC",
    **options: Any,
) -> Any:
    return price(tariffs=tariffs, charging_periods=periods, start=start, end=end, time_zone=zone, **options)


def test_line_names_component_and_volume_before_and_after_the_step() -> None:
    fast = tariff(element(component("FLAT", "0.50")), element(component("ENERGY", "0.25", step_size=500)))

    bill = _price(fast, periods=[period(at(10), ENERGY="4.3", TIME="2")])

    assert bill.lines == (
        Line(
            at(10), at(10), Dimension.FLAT, Total.FIXED, "GENT-NIGHT", 0, 0,
            Decimal(1), Decimal(1), 1, Decimal("0.50"), Decimal(21), Decimal("0.50"), Decimal("0.605"),
        ),
        Line(
            at(10), at(10), Dimension.ENERGY, Total.ENERGY, "GENT-NIGHT", 1, 0,
            Decimal("4.3"), Decimal("4.5"), 500,
            Decimal("0.25"), Decimal(21), Decimal("1.125"), Decimal("1.36125"),
        ),
    )  # fmt: skip
    assert (bill.total_energy, bill.total_time, bill.total_parking_time) == (Decimal("4.3"), 2, 0)


def test_volumes_are_those_measured_and_parking_is_part_of_time() -> None:
    hourly = tariff(element(component("TIME", "1", step_size=3600), component("PARKING_TIME", "1")))

    bill = _price(hourly, periods=[period(at(10), TIME="2.5"), period(at(12, 30), PARKING_TIME="0.7")])

    assert (bill.total_time, bill.total_parking_time) == (Decimal("3.2"), Decimal("0.7"))


def test_limit_that_was_hit_is_named() -> None:
    capped = tariff(element(component("ENERGY", "1")), max_price=v221.Price(excl_vat=Decimal(3)))

    bill = _price(capped, periods=[period(at(10), ENERGY="10")])

    assert bill.limited_by == "max_price"
    assert bill.total_cost == v221.Price(excl_vat=Decimal("3.00"), incl_vat=Decimal("3.63"))
    assert bill.total_energy_cost == v221.Price(excl_vat=Decimal("10.00"), incl_vat=Decimal("12.10"))


def test_split_period_has_a_line_for_each_part() -> None:
    tiers = tariff(
        element(component("ENERGY", "0.20"), max_kwh=Decimal(2)),
        element(component("ENERGY", "0.40"), start_time="11:00", end_time="12:00"),
        element(component("ENERGY", "0.30")),
    )

    bill = _price(tiers, periods=[period(at(10), ENERGY="8")])

    assert [(line.start, line.element, line.volume) for line in bill.lines] == [
        (at(10), 0, Decimal(2)),
        (at(10, 30), 2, Decimal(2)),
        (at(11), 1, Decimal(4)),
    ]
    assert {line.period_start for line in bill.lines} == {at(10)}


def test_split_where_nothing_changes_for_the_dimension_leaves_one_line() -> None:
    parking_by_day = tariff(
        element(component("ENERGY", "0.20")),
        element(component("PARKING_TIME", "2"), start_time="11:00", end_time="12:00"),
    )

    bill = _price(parking_by_day, periods=[period(at(10), ENERGY="8")])

    assert [(line.start, line.volume) for line in bill.lines] == [(at(10), Decimal(8))]


def test_periods_out_of_order_are_priced_in_the_order_of_time() -> None:
    hourly = tariff(element(component("ENERGY", "1"), max_kwh=Decimal(4)), element(component("ENERGY", "2")))

    bill = _price(hourly, periods=[period(at(11), ENERGY="4"), period(at(10), ENERGY="4")])

    assert bill.total_cost.excl_vat == Decimal("12.00")


def test_tariff_id_is_compared_without_case() -> None:
    bill = _price(
        tariff(element(component("ENERGY", "1"))),
        periods=[period(at(10), tariff_id="Gent-Night", ENERGY="4")],
    )

    assert bill.total_cost.excl_vat == Decimal("4.00")


def test_periods_without_tariff_id_use_the_tariff_valid_at_the_start() -> None:
    old = tariff(element(component("ENERGY", "1")), id="OLD", end_date_time=at(10))
    new = tariff(element(component("ENERGY", "2")), id="NEW", start_date_time=at(10))
    periods = [period(at(10), ENERGY="4")]

    assert _price(old, new, periods=periods).total_cost.excl_vat == Decimal("8.00")
    assert _price(old, new, periods=periods, start=at(9, 59)).total_cost.excl_vat == Decimal("4.00")


def test_price_does_not_depend_on_the_decimal_context_of_the_caller() -> None:
    precise = tariff(element(component("ENERGY", "0.123456"), component("TIME", "0.7", step_size=60)))
    periods = [period(at(10), ENERGY="12.345678", TIME="1.2345")]
    expected = astuple(_price(precise, periods=periods))

    with localcontext() as context:
        context.prec = 4
        assert astuple(_price(precise, periods=periods)) == expected
        assert getcontext().prec == 4


def test_reservation_that_expired_owes_no_start_fee() -> None:
    fees = tariff(
        element(component("TIME", "2"), reservation=v221.ReservationRestrictionType.RESERVATION),
        element(component("FLAT", "0.50")),
    )
    periods = [period(at(10), RESERVATION_TIME="1")]

    bill = _price(fees, periods=periods, end=at(11), reservation=Reservation(expired=True))

    assert bill.total_fixed_cost is None
    assert bill.total_cost == v221.Price(excl_vat=Decimal("2.00"), incl_vat=Decimal("2.42"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tariffs": ()}, "tariffs is empty: give at least one, a free tariff included"),
        ({"charging_periods": ()}, "charging_periods is empty: a session has at least one period"),
        ({"time_zone": "Europe/Gent"}, "time zone 'Europe/Gent' is not an IANA name such as Europe/Brussels"),
        (
            {"end": at(9)},
            "session ends at 2026-05-04T09:00:00+00:00, before its start 2026-05-04T10:00:00+00:00",
        ),
        (
            {"charging_periods": [period(at(10), tariff_id="OTHER", ENERGY="1")]},
            "period 2026-05-04T10:00:00+00:00 names tariff 'OTHER', which is not among the tariffs given",
        ),
        (
            {"charging_periods": [period(at(10), ENERGY="-1")]},
            "period 2026-05-04T10:00:00+00:00 has a negative volume: correct the period",
        ),
        (
            {"tariffs": [tariff(element(component("ENERGY", "1")), currency="XYZ")]},
            "currency 'XYZ' is not a currency of ISO 4217",
        ),
        (
            {
                "tariffs": [
                    tariff(element(component("ENERGY", "1"))),
                    tariff(element(component("ENERGY", "1")), id="CHF", currency="CHF"),
                ]
            },
            "tariffs are in CHF and EUR: a session has one currency",
        ),
        (
            {"tariffs": [tariff(element(component("ENERGY", "1")))] * 2},
            "tariffs has the id 'GENT-NIGHT' twice",
        ),
        (
            {"tariffs": [tariff(element(component("ENERGY", "1"), start_date="2026-02-30"))]},
            "'2026-02-30' is not a date of the calendar: correct the restriction",
        ),
        (
            {
                "tariffs": [tariff(element(component("ENERGY", "1"), start_time="08:00"))],
                "end": datetime(2036, 1, 1, tzinfo=UTC),
            },
            "2026-05-04T10:00:00+00:00 to 2036-01-01T00:00:00+00:00 is more than 366 days",
        ),
    ],
)
def test_contradiction_is_refused_with_what_to_correct(change: dict[str, Any], message: str) -> None:
    session = {
        "tariffs": [tariff(element(component("ENERGY", "1")))],
        "charging_periods": [period(at(10), ENERGY="1")],
        "start": at(10),
        "end": at(11),
        "time_zone": "Europe/Brussels",
    }

    with pytest.raises(CannotPrice) as refusal:
        price(**{**session, **change})

    assert str(refusal.value) == message


def test_dimension_given_twice_is_refused() -> None:
    twice = v221.ChargingPeriod(
        start_date_time=at(10),
        dimensions=(v221.CdrDimension(type=v221.CdrDimensionType.ENERGY, volume=Decimal(1)),) * 2,
    )

    with pytest.raises(CannotPrice, match=r"gives a dimension twice"):
        _price(tariff(element(component("ENERGY", "1"))), periods=[twice])
