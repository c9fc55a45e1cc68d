"""What lint finds in a tariff, and that a sound tariff has no findings."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given

from ocpi import v221
from tariffs.bill import CannotPrice
from tariffs.findings import Finding, Severity
from tariffs.lint import lint, lint_together
from tests.tariffs.building import at, component, element, tariff
from tests.tariffs.test_pricing_properties import tariffs

TODAY = date(2026, 1, 14)
WORKDAYS = tuple(v221.DayOfWeek)[:5]
WEEKEND = tuple(v221.DayOfWeek)[5:]
ALWAYS = element(component("ENERGY", "0.30"))
PUT_LAST = (
    "no element gives ENERGY, TIME or FLAT a price then; put an element without restrictions last,"
    " with price 0 if charging is meant to be free"
)


def _findings(*elements: v221.TariffElement, **members: Any) -> list[tuple[str, str, int | None]]:
    found = lint(tariff(*elements, **members), time_zone="Europe/Brussels", reference=TODAY)
    return [(finding.code, finding.severity.value, finding.element) for finding in found]


def _texts(*elements: v221.TariffElement, code: str, **members: Any) -> list[str]:
    found = lint(tariff(*elements, **members), time_zone="Europe/Brussels", reference=TODAY)
    return [finding.text for finding in found if finding.code == code]


def test_sound_tariff_has_no_findings() -> None:
    assert (
        _findings(
            element(component("FLAT", "0.50", step_size=0)),
            element(component("ENERGY", "0.20"), start_time="22:00", end_time="00:00"),
            element(component("ENERGY", "0.20"), start_time="00:00", end_time="06:00"),
            element(component("ENERGY", "0.30"), component("PARKING_TIME", "4")),
        )
        == []
    )


def test_free_tariff_has_no_findings() -> None:
    assert _findings(element(component("FLAT", "0", step_size=0))) == []


def test_hours_without_a_price_are_named() -> None:
    texts = _texts(
        element(component("ENERGY", "0.30"), day_of_week=WORKDAYS),
        element(component("ENERGY", "0.30"), start_time="05:00", end_time="00:00", day_of_week=WEEKEND[:1]),
        element(component("ENERGY", "0.30"), day_of_week=WEEKEND[1:]),
        code="gap",
    )

    assert texts == [f"Saturday 00:00-05:00 costs nothing: {PUT_LAST}"]


@pytest.mark.parametrize(
    ("days", "named"),
    [
        (tuple(v221.DayOfWeek)[:0], "every day"),
        (WEEKEND, "Saturday and Sunday"),
        (WORKDAYS, "Monday to Friday"),
    ],
)
def test_gap_of_several_days_is_one_finding(days: tuple[v221.DayOfWeek, ...], named: str) -> None:
    others = tuple(day for day in v221.DayOfWeek if day not in days)
    elements = [element(component("TIME", "2"), start_time="08:00", end_time="23:59", day_of_week=days)]
    if days:
        elements.append(element(component("TIME", "2"), day_of_week=others))

    assert _texts(*elements, code="gap") == [
        f"{named} 00:00-08:00 costs nothing: {PUT_LAST}",
        f"{named} 23:59-24:00 costs nothing: {PUT_LAST}",
    ]


def test_gap_that_only_a_week_with_a_change_of_the_clock_shows_is_dated() -> None:
    texts = _texts(
        element(component("ENERGY", "0.30"), end_date="2026-10-25"),
        element(component("ENERGY", "0.30"), start_date="2026-10-25", start_time="03:00", end_time="00:00"),
        code="gap",
    )

    assert texts == [f"Sunday 2026-10-25 00:00-03:00 costs nothing: {PUT_LAST}"]


def test_parking_alone_is_no_price_for_charging() -> None:
    assert _findings(element(component("PARKING_TIME", "2"))) == [("gap", "error", None)]


def test_weeks_outside_the_validity_are_not_looked_at() -> None:
    next_summer = {
        "start_date_time": datetime(2026, 6, 1, tzinfo=UTC),
        "end_date_time": datetime(2026, 9, 1, tzinfo=UTC),
    }

    assert _findings(element(component("ENERGY", "0.30"), start_date="2026-05-31"), **next_summer) == [
        ("no_catch_all", "warning", None)
    ]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Santiago"])
def test_weeks_are_found_in_every_zone(zone: str) -> None:
    midday = tariff(element(component("ENERGY", "0.30"), start_time="12:00", end_time="13:00"))

    gaps = [f.text for f in lint(midday, time_zone=zone, reference=TODAY) if f.code == "gap"]

    assert [text.split(" costs")[0] for text in gaps[:2]] == [
        "every day 00:00-12:00",
        "every day 13:00-24:00",
    ]


def test_element_behind_one_that_always_holds_is_shadowed() -> None:
    night = element(component("ENERGY", "0.20"), start_time="00:00", end_time="06:00")

    assert _findings(ALWAYS, night) == [("shadowed", "error", 1)]


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"start_time": "06:00", "end_time": "20:00"}, {"start_time": "08:00", "end_time": "20:00"}),
        (
            {"day_of_week": WORKDAYS},
            {"day_of_week": WORKDAYS[1:2], "start_time": "08:00", "end_time": "09:00"},
        ),
        ({"max_kwh": Decimal(20)}, {"max_kwh": Decimal(10)}),
        ({"min_duration": 60}, {"min_duration": 60, "max_duration": 120}),
        (
            {"start_date": "2026-01-01"},
            {"start_date": "2026-02-01", "end_date": "2026-03-01", "min_power": Decimal(11)},
        ),
    ],
)
def test_narrower_element_behind_a_wider_one_is_shadowed(
    wide: dict[str, Any], narrow: dict[str, Any]
) -> None:
    first, second = element(component("ENERGY", "1"), **wide), element(component("ENERGY", "2"), **narrow)

    assert ("shadowed", "error", 1) in _findings(first, second, ALWAYS)
    assert "shadowed" not in {code for code, _, _ in _findings(second, first, ALWAYS)}


def test_element_hidden_by_several_together_is_shadowed() -> None:
    elements = [
        element(component("ENERGY", "0.20"), start_time="00:00", end_time="12:00"),
        element(component("ENERGY", "0.30"), start_time="12:00", end_time="00:00"),
        element(component("ENERGY", "0.40"), start_time="11:00", end_time="13:00"),
    ]

    assert _texts(*elements, code="shadowed") == [
        "element 2: ENERGY at 0.40 is never billed, the elements before it hold at every moment:"
        " put the narrower element first, or remove this one"
    ]


def test_reservation_and_charge_do_not_shadow_each_other() -> None:
    reservation = element(component("TIME", "5"), reservation=v221.ReservationRestrictionType.RESERVATION)

    assert _findings(element(component("TIME", "1")), reservation) == []


@pytest.mark.parametrize("type_", ["ENERGY", "PARKING_TIME"])
def test_dimension_that_a_reservation_does_not_have_is_refused(type_: str) -> None:
    reservation = element(
        component(type_, "5"), reservation=v221.ReservationRestrictionType.RESERVATION_EXPIRES
    )

    assert ("reservation_dimension", "error", 0) in _findings(reservation, ALWAYS)


def test_window_past_midnight_is_refused_with_its_two_halves() -> None:
    night = element(component("ENERGY", "0.20"), start_time="22:00", end_time="06:00")

    assert _findings(night, ALWAYS) == [("wrapping_window", "error", 0)]
    assert _texts(night, ALWAYS, code="wrapping_window") == [
        "element 0: 22:00-06:00 runs past midnight, which partners read differently: split it at midnight"
        " into two elements, 22:00-00:00 and 00:00-06:00, each with its weekdays"
    ]


def test_window_of_no_length_is_refused() -> None:
    whole_day = element(component("ENERGY", "0.20"), start_time="08:00", end_time="08:00")

    assert _findings(whole_day) == [("wrapping_window", "error", 0)]


def test_half_a_window_is_a_warning() -> None:
    assert _findings(element(component("ENERGY", "0.20"), start_time="22:00"), ALWAYS) == [
        ("half_window", "warning", 0)
    ]


@pytest.mark.parametrize(
    ("restrictions", "code"),
    [
        ({"min_kwh": Decimal(20), "max_kwh": Decimal(20)}, "never_holds"),
        ({"min_power": Decimal(22), "max_power": Decimal(11)}, "never_holds"),
        ({"start_date": "2026-05-02", "end_date": "2026-05-01"}, "never_holds"),
        ({"start_date": "2026-02-30"}, "no_such_date"),
    ],
)
def test_restriction_that_never_holds_is_refused(restrictions: dict[str, Any], code: str) -> None:
    found = _findings(element(component("ENERGY", "0.20"), **restrictions), ALWAYS)

    assert (code, "error") in {(found_code, severity) for found_code, severity, _ in found}


def test_element_that_has_ended_is_a_warning() -> None:
    ended = element(component("ENERGY", "0.20"), end_date="2026-01-14")

    assert _findings(ended, ALWAYS) == [("ended", "warning", 0)]


def test_unknown_currency_is_refused() -> None:
    assert _texts(ALWAYS, currency="XYZ", code="unknown_currency") == [
        "currency 'XYZ' is not in ISO 4217: give a code in use, such as EUR"
    ]


@pytest.mark.parametrize(
    ("priced", "code"),
    [
        (component("ENERGY", "0.30", step_size=0), "step_size"),
        (component("ENERGY", "-0.30"), "negative_price"),
        (component("ENERGY", "0.30", vat="-1"), "vat_rate"),
        (component("ENERGY", "0.30", vat="101"), "vat_rate"),
    ],
)
def test_impossible_component_is_refused(priced: v221.PriceComponent, code: str) -> None:
    assert _findings(element(priced)) == [(code, "error", 0)]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ({"min_price": ("5", None), "max_price": ("4", None)}, "limits_crossed"),
        ({"min_price": ("5", "4.99")}, "limit_vat"),
        ({"max_price": ("5", "4.99")}, "limit_vat"),
    ],
)
def test_impossible_limit_is_refused(limits: dict[str, tuple[str, str | None]], code: str) -> None:
    prices = {
        name: v221.Price(excl_vat=Decimal(excl), incl_vat=Decimal(incl) if incl else None)
        for name, (excl, incl) in limits.items()
    }

    assert _findings(ALWAYS, **prices) == [(code, "error", None)]


def test_tariff_that_ends_before_it_starts_is_refused() -> None:
    assert _findings(ALWAYS, start_date_time=at(11), end_date_time=at(10)) == [("never_valid", "error", None)]


def test_vat_on_some_components_only_is_a_warning() -> None:
    assert _findings(element(component("ENERGY", "0.30"), component("TIME", "1", vat=None))) == [
        ("vat_missing", "warning", None)
    ]


def test_dimension_without_catch_all_is_a_warning() -> None:
    """TAR-09."""
    tiers = element(component("TIME", "1"), min_duration=3600)

    assert _findings(tiers, ALWAYS) == [("no_catch_all", "warning", None)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0,30 € per kWh", 1),
        ("Only EUR 0.30 a kWh", 1),
        ("30 cent per kWh", 1),
        ("Green power from our own roof, 24 hours a day", 0),
        ("Bays 3 and 4, 150 kW", 0),
    ],
)
def test_text_that_repeats_a_price_is_a_warning(text: str, count: int) -> None:
    """TAR-28."""
    texts = (v221.DisplayText(language="en", text=text),)

    assert _findings(ALWAYS, tariff_alt_text=texts) == [("alt_text_price", "warning", None)] * count


def test_errors_come_before_warnings() -> None:
    half = element(component("ENERGY", "0.30"), start_time="22:00")

    severities = [severity for _, severity, _ in _findings(half, currency="XYZ")]

    assert severities == sorted(severities)
    assert set(severities) == {"error", "warning"}


def test_unknown_time_zone_is_refused() -> None:
    with pytest.raises(CannotPrice, match=r"time zone 'Gent' is not an IANA name"):
        lint(tariff(ALWAYS), time_zone="Gent", reference=TODAY)


def test_tariffs_of_one_type_must_not_be_valid_at_once() -> None:
    regular = v221.TariffType.REGULAR
    old = tariff(ALWAYS, id="OLD", type=regular, end_date_time=at(12))
    new = tariff(ALWAYS, id="NEW", type=regular, start_date_time=at(11))
    successor = tariff(ALWAYS, id="NEXT", type=regular, start_date_time=at(12))
    ad_hoc = tariff(ALWAYS, id="AD-HOC", type=v221.TariffType.AD_HOC_PAYMENT)

    assert lint_together([old, successor, ad_hoc]) == ()
    assert lint_together([old, new, ad_hoc]) == (
        Finding(
            "tariffs_overlap",
            Severity.ERROR,
            "tariffs OLD and NEW are both REGULAR and valid at the same time: end one before the other"
            " starts, or give them different types",
        ),
    )


@given(tariffs())
def test_tariff_with_a_catch_all_has_no_gap(priced: v221.Tariff) -> None:
    complete = tariff(*priced.elements, ALWAYS)

    found = lint(complete, time_zone="Europe/Brussels", reference=TODAY)

    assert "gap" not in {finding.code for finding in found}
