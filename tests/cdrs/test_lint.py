"""Each rule of lint refuses what it is there for, and only that; a sound CDR passes all of them."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from cdrs.facts import Anomaly
from cdrs.lint import (
    CDR_RULES,
    SESSION_RULES,
    acceptable_codes,
    cannot_price,
    lint_cdr,
    lint_session,
)
from ocpi import v221
from sessions.periods import Reading
from tests.cdrs.material import END, LIMITS, SEALED_AT, facts, made
from tests.sessions.material import START, cdr_location, cdr_token, component, evening_tariff, tariff

SESSION_CASES: list[tuple[str, dict[str, Any]]] = [
    ("STOP_BEFORE_START", {"ended_at": START - timedelta(seconds=1)}),
    ("ZERO_TIME", {"ended_at": START}),
    ("TOO_LONG", {"ended_at": START + timedelta(hours=49)}),
    ("END_IN_FUTURE", {"ended_at": SEALED_AT + timedelta(hours=1)}),
    ("START_IMPLAUSIBLE", {"started_at": START.replace(year=1970)}),
    ("CLOCK_ANOMALY", {"anomalies": (Anomaly(code="STOP_IN_FUTURE", text="ended at 2099"),)}),
    ("TIME_ZONE_UNKNOWN", {"time_zone": ""}),
    ("TIME_ZONE_UNKNOWN", {"time_zone": "Europe/Atlantis"}),
    ("SUSPENSION_OUTSIDE", {"suspended_ev_from": END + timedelta(seconds=1)}),
    ("OVERLAP", {"overlaps": ("0b0e7a52-5b6e-4a83-8f4e-8a3b5d7f2c12",)}),
    ("METER_MISSING", {"meter_start_wh": None}),
    ("METER_MISSING", {"meter_stop_wh": None}),
    ("METER_NEGATIVE", {"meter_start_wh": -1, "meter_stop_wh": 20_000}),
    ("NEGATIVE_ENERGY", {"meter_stop_wh": 999_999}),
    ("ZERO_ENERGY", {"meter_stop_wh": 1_000_000, "readings": ()}),
    ("METER_ANOMALY", {"anomalies": (Anomaly(code="READING_BACKWARDS", text="900 Wh"),)}),
    ("ESTIMATED_END", {"is_estimated": True}),
    ("POWER_EXCEEDED", {"meter_stop_wh": 1_048_700}),
    ("ENERGY_OVER_LIMIT", {"meter_stop_wh": 3_000_001, "max_power_w": None}),
    ("READING_OUTSIDE", {"readings": (Reading(START + timedelta(hours=1), 1_020_001),)}),
    ("CONTRACT_MISSING", {"cdr_token": cdr_token(contract_id="#NA")}),
    ("TOKEN_UID_MISSING", {"cdr_token": cdr_token(uid="#NA")}),
    ("TOKEN_OF_ANOTHER", {"cdr_token": cdr_token(party_id="TNM")}),
    ("SESSION_ID_MISSING", {"session_id": ""}),
    ("EVSE_ID_MISSING", {"cdr_location": cdr_location(evse_id="")}),
    ("EVSE_UID_MISSING", {"cdr_location": cdr_location(evse_uid="#NA")}),
    ("ADDRESS_MISSING", {"cdr_location": cdr_location(city=" ")}),
    (
        "COORDINATES_MISSING",
        {
            "cdr_location": cdr_location(
                coordinates=v221.GeoLocation(latitude="0.000000", longitude="0.000000")
            )
        },
    ),
    ("TARIFF_MISSING", {"tariffs": ()}),
    ("CURRENCY_UNKNOWN", {"currency": "XXQ", "tariffs": (tariff(currency="XXQ"),)}),
    ("TARIFF_CURRENCY", {"tariffs": (tariff(currency="SEK"),)}),
    ("TARIFF_OF_ANOTHER", {"tariffs": (tariff(party_id="ABC"),)}),
    ("TARIFF_NOT_VALID", {"tariffs": (tariff(start_date_time=START + timedelta(seconds=1)),)}),
    ("TARIFF_NOT_VALID", {"tariffs": (tariff(end_date_time=START),)}),
    ("TARIFF_TWICE", {"tariffs": (tariff(), tariff())}),
]


def session_codes(**members: Any) -> list[str]:
    findings = lint_session(facts=facts(**members), limits=LIMITS, now=SEALED_AT)
    return [finding.code for finding in findings]


def cdr_codes(change: Callable[[v221.CDR], v221.CDR], **members: Any) -> list[str]:
    some = facts(**members)
    cdr, priced = made(some)
    findings = lint_cdr(cdr=change(cdr), priced=priced, facts=some, limits=LIMITS)
    return [finding.code for finding in findings]


def with_(**members: Any) -> Callable[[v221.CDR], v221.CDR]:
    return lambda cdr: msgspec.structs.replace(cdr, **members)


def with_period(position: int, **members: Any) -> Callable[[v221.CDR], v221.CDR]:
    def change(cdr: v221.CDR) -> v221.CDR:
        periods = list(cdr.charging_periods)
        periods[position] = msgspec.structs.replace(periods[position], **members)
        return msgspec.structs.replace(cdr, charging_periods=tuple(periods))

    return change


def dimensions(**volumes: str) -> tuple[v221.CdrDimension, ...]:
    return tuple(
        v221.CdrDimension(type=v221.CdrDimensionType(name), volume=Decimal(volume))
        for name, volume in volumes.items()
    )


def test_a_sound_session_has_no_finding() -> None:
    assert session_codes() == []
    assert cdr_codes(lambda cdr: cdr) == []


@pytest.mark.parametrize(("code", "members"), SESSION_CASES)
def test_a_session_with_this_fault_is_not_sealed(code: str, members: dict[str, Any]) -> None:
    """F9, W8, CDR-03, CDR-20, CDR-24, CDR-25."""
    assert code in session_codes(**members)


EUR = v221.Price
FINE = Decimal("7.50")

CDR_CASES: list[tuple[str, Callable[[v221.CDR], v221.CDR], dict[str, Any]]] = [
    ("FIRST_PERIOD", with_period(0, start_date_time=START + timedelta(seconds=1)), {}),
    ("PERIOD_ORDER", with_period(1, start_date_time=START), {"tariffs": (evening_tariff(),)}),
    ("PERIOD_AFTER_END", with_period(0, start_date_time=END), {}),
    ("PERIOD_GAP", with_period(0, dimensions=dimensions(ENERGY="20", TIME="1.9")), {}),
    ("ENERGY_SUM", with_(total_energy=Decimal("20.001")), {}),
    ("TIME_SUM", with_(total_time=Decimal("2.1")), {}),
    ("PARKING_SUM", with_(total_parking_time=Decimal("0.5")), {}),
    ("NEGATIVE_VOLUME", with_period(0, dimensions=dimensions(ENERGY="-20", TIME="2")), {}),
    ("SESSION_ONLY_DIMENSION", with_period(0, dimensions=dimensions(ENERGY="20", TIME="2", POWER="10")), {}),
    (
        "DIMENSION_TWICE",
        with_period(0, dimensions=(*dimensions(ENERGY="10", TIME="2"), *dimensions(ENERGY="10"))),
        {},
    ),
    ("NOTHING_MEASURED", with_period(0, dimensions=dimensions(MAX_POWER="11")), {}),
    ("PERIOD_TARIFF", with_(tariffs=()), {}),
    ("PERIOD_TARIFF", with_period(0, tariff_id=None), {}),
    ("NEGATIVE_COST", with_(total_cost=EUR(excl_vat=-FINE, incl_vat=Decimal("9.08"))), {}),
    ("VAT_NEGATIVE", with_(total_cost=EUR(excl_vat=FINE, incl_vat=Decimal("7.49"))), {}),
    ("MONEY_DECIMALS", with_(total_cost=EUR(excl_vat=Decimal("7.501"), incl_vat=Decimal("9.08"))), {}),
    ("TOTAL_COST", with_(total_cost=EUR(excl_vat=Decimal("7.51"), incl_vat=Decimal("9.08"))), {}),
    ("PARTS_SUM", with_(total_energy_cost=EUR(excl_vat=Decimal("6.90"))), {}),
    (
        "ABOVE_MAX_PRICE",
        with_(total_cost=EUR(excl_vat=Decimal("8.00"))),
        {"tariffs": (tariff(max_price=EUR(excl_vat=Decimal(7))),)},
    ),
    (
        "PRICE_CEILING",
        lambda cdr: cdr,
        {"tariffs": (tariff(v221.TariffElement(price_components=(component("ENERGY", "26"),))),)},
    ),
    (
        "VAT_MISSING",
        lambda cdr: cdr,
        {"tariffs": (tariff(v221.TariffElement(price_components=(component("ENERGY", "0.35", vat=None),))),)},
    ),
    ("BILL_CURRENCY", with_(currency="SEK"), {}),
    ("CREDIT_MEMBERS", with_(credit=True, credit_reference_id="x"), {}),
    ("ID_TOO_LONG", with_(id="C" * 37), {}),
    ("REMARK_MISSING", with_(remark=None), {"end_reason": "window end"}),
    ("FORM", with_(remark="R" * 256), {}),
    ("FORM", with_(cdr_location=cdr_location(address="A" * 46)), {}),
]


@pytest.mark.parametrize(("code", "change", "members"), CDR_CASES)
def test_a_cdr_with_this_fault_is_not_sealed(
    code: str, change: Callable[[v221.CDR], v221.CDR], members: dict[str, Any]
) -> None:
    """F9, CDR-08, CDR-11, CDR-14 to CDR-16, CDR-19, CDR-20, CDR-26, I14, I15."""
    assert code in cdr_codes(change, **members)


def test_lines_that_do_not_make_the_total_are_found() -> None:
    some = facts()
    cdr, priced = made(some)
    torn = replace(priced, bill=replace(priced.bill, lines=priced.bill.lines[:1]))
    assert [each.code for each in lint_cdr(cdr=cdr, priced=torn, facts=some, limits=LIMITS)] == ["LINES_SUM"]


def test_every_rule_has_a_case_here() -> None:
    tested = {code for code, _ in SESSION_CASES} | {code for code, _, _ in CDR_CASES} | {"LINES_SUM"}
    assert {rule.code for rule in (*SESSION_RULES, *CDR_RULES)} == tested


def test_a_finding_says_in_words_what_is_wrong_and_what_to_do() -> None:
    (finding,) = lint_session(facts=facts(meter_stop_wh=1_048_700), limits=LIMITS, now=SEALED_AT)
    assert finding.text == "48.700 kWh in 7200 s is more than the connector's 22.08 kW can deliver"
    assert finding.remedy == "Enter the true meter values by a correction, then seal."
    assert cannot_price("no tariff").text == "no tariff"


def test_power_times_time_times_one_point_one_is_still_possible() -> None:
    """The boundary: 22.08 kW for 7,202 s, times 1.1, is 48,589.49 Wh."""
    assert session_codes(meter_stop_wh=1_048_589, readings=()) == []
    assert session_codes(meter_stop_wh=1_048_590, readings=()) == ["POWER_EXCEEDED"]


def test_a_person_can_accept_a_long_session_but_not_a_wrong_sum() -> None:
    """A look settles what may be true; nobody can accept what cannot be."""
    long = {"ended_at": START + timedelta(hours=49), "meter_stop_wh": 1_020_000}
    now = START + timedelta(days=3)
    accepted = facts(**long, accepted=frozenset({"TOO_LONG", "ENERGY_SUM"}))
    assert lint_session(facts=accepted, limits=LIMITS, now=now) == ()
    cdr, priced = made(accepted)
    wrong = msgspec.structs.replace(cdr, total_energy=Decimal(21))
    codes = [each.code for each in lint_cdr(cdr=wrong, priced=priced, facts=accepted, limits=LIMITS)]
    assert codes == ["ENERGY_SUM"]
    assert "ENERGY_SUM" not in acceptable_codes()


def test_a_currency_without_a_ceiling_has_none() -> None:
    dear = tariff(v221.TariffElement(price_components=(component("ENERGY", "900"),)), currency="HUF")
    assert cdr_codes(lambda cdr: cdr, tariffs=(dear,), currency="HUF") == []
