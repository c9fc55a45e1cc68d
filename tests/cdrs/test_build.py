"""A session's facts become its CDR."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdrs.build import build, price_session
from cdrs.facts import SessionFacts
from cdrs.lint import lint_cdr, lint_session
from ocpi import codec, v221
from sessions.periods import Reading
from tariffs.bill import CannotPrice
from tests.cdrs.material import CDR_ID, END, LIMITS, SEALED_AT, facts, made
from tests.sessions.material import (
    START,
    cdr_location,
    component,
    energy_of,
    evening_tariff,
    tariff,
    volume_of,
)


def test_the_whole_cdr_of_a_simple_charge() -> None:
    """CDR-08, CDR-14, CDR-16, CDR-18, CDR-20 to CDR-22: every member of it."""
    cdr, _ = made(facts())
    assert cdr == v221.CDR(
        country_code="BE",
        party_id="YRD",
        id=CDR_ID,
        start_date_time=START,
        end_date_time=END,
        session_id="0b0e7a52-5b6e-4a83-8f4e-8a3b5d7f2c11",
        cdr_token=facts().cdr_token,
        auth_method=v221.AuthMethod.COMMAND,
        authorization_reference="APP-77812",
        cdr_location=cdr_location(),
        currency="EUR",
        tariffs=(tariff(),),
        charging_periods=(
            v221.ChargingPeriod(
                start_date_time=START,
                dimensions=(
                    v221.CdrDimension(type=v221.CdrDimensionType.ENERGY, volume=Decimal(20)),
                    v221.CdrDimension(type=v221.CdrDimensionType.TIME, volume=Decimal(2)),
                ),
                tariff_id="gent-night",
            ),
        ),
        total_cost=v221.Price(excl_vat=Decimal("7.50"), incl_vat=Decimal("9.08")),
        total_fixed_cost=v221.Price(excl_vat=Decimal("0.50"), incl_vat=Decimal("0.61")),
        total_energy=Decimal(20),
        total_energy_cost=v221.Price(excl_vat=Decimal("7.00"), incl_vat=Decimal("8.47")),
        total_time=Decimal(2),
        last_updated=SEALED_AT,
    )


def test_a_period_starts_at_each_change_of_price() -> None:
    """CDR-13: the energy price changes at 21:00 local time; the energy so far stays before it."""
    cdr, _ = made(facts(tariffs=(evening_tariff(),)))
    assert [(each.start_date_time, energy_of((each,))) for each in cdr.charging_periods] == [
        (START, Decimal(10)),
        (START + timedelta(hours=1), Decimal(10)),
    ]
    assert cdr.total_cost.excl_vat == Decimal("7.50")


def test_parking_is_part_of_the_total_time_and_stated_on_its_own() -> None:
    """CDR-16, CDR-17: total_time − total_parking_time is the time of charging."""
    cdr, _ = made(facts(suspended_ev_from=START + timedelta(minutes=90)))
    assert (cdr.total_time, cdr.total_parking_time) == (Decimal(2), Decimal("0.5"))
    assert cdr.total_parking_cost == v221.Price(excl_vat=Decimal("1.50"), incl_vat=Decimal("1.82"))
    assert volume_of(cdr.charging_periods, "TIME") == Decimal("1.5")


def test_a_flat_tariff_still_has_periods_with_energy_and_no_flat_dimension() -> None:
    """CDR-15, DIS-37."""
    flat = tariff(v221.TariffElement(price_components=(component("FLAT", "5.00"),)))
    cdr, _ = made(facts(tariffs=(flat,)))
    assert {each.type for period in cdr.charging_periods for each in period.dimensions} == {
        v221.CdrDimensionType.ENERGY,
        v221.CdrDimensionType.TIME,
    }
    assert cdr.total_cost.excl_vat == cdr.total_fixed_cost.excl_vat == Decimal(5)


def test_vat_that_is_not_known_is_not_invented() -> None:
    """TYP-08."""
    without_vat = tariff(v221.TariffElement(price_components=(component("ENERGY", "0.35", vat=None),)))
    cdr, _ = made(facts(tariffs=(without_vat,)))
    assert cdr.total_cost == v221.Price(excl_vat=Decimal("7.00"))


def test_long_texts_of_a_place_are_cut_to_the_lengths_of_a_cdr() -> None:
    """DIS-58: CdrLocation has 45 and 20 where Location may have more."""
    place = cdr_location(
        address="A" * 60, state="S" * 30, city="C" * 50, postal_code="1" * 12, name="N" * 300
    )
    cdr, _ = made(facts(cdr_location=place))
    shown = cdr.cdr_location
    assert [len(text or "") for text in (shown.address, shown.state, shown.city, shown.postal_code)] == [
        45,
        20,
        45,
        10,
    ]
    assert len(shown.name or "") == 255
    assert codec.decode_bytes(v221.CDR, codec.encode(cdr)) == cdr


def test_a_missing_evse_id_is_stated_as_not_available() -> None:
    """CDR-24, SYN-07: the schema stays valid; lint holds such a CDR back."""
    cdr, _ = made(facts(cdr_location=cdr_location(evse_id="")))
    assert cdr.cdr_location.evse_id == "#NA"


@pytest.mark.parametrize(
    ("end_reason", "expected"),
    [
        ("Local", None),
        ("EVDisconnected", None),
        ("window end", "Stopped by operator: end of the charging window, end 22:00. Ref d-7f3a000001."),
        ("fleet priority", "Stopped by operator: fleet priority, end 22:00. Ref d-7f3a000001."),
        ("stopped by partner", "Stopped on request of the eMSP, end 22:00. Ref d-7f3a000001."),
        ("PowerLoss", "Stopped: power loss at the station, end 22:00. Ref d-7f3a000001."),
        ("something new", "Ended: something new, end 22:00. Ref d-7f3a000001."),
    ],
)
def test_the_remark_says_why_we_ended_it_and_by_which_decision(end_reason: str, expected: str | None) -> None:
    """access.md 5.6: the reason and the decision's reference, local time; nothing when the driver left."""
    cdr, _ = made(facts(end_reason=end_reason))
    assert cdr.remark == expected


def test_only_tariffs_that_were_used_are_in_the_cdr() -> None:
    """CDR-20: each period's tariff_id points into ``tariffs``, and nothing else is there."""
    later = tariff(id="gent-2027", start_date_time=START + timedelta(days=60))
    cdr, _ = made(facts(tariffs=(tariff(), later)))
    assert [each.id for each in cdr.tariffs] == ["gent-night"]
    assert {period.tariff_id for period in cdr.charging_periods} == {"gent-night"}


@pytest.mark.parametrize(
    ("missing", "text"),
    [
        ({"meter_start_wh": None}, "meter value"),
        ({"meter_stop_wh": None}, "meter value"),
        ({"tariffs": ()}, "no tariff"),
    ],
)
def test_a_session_without_meter_or_tariff_has_no_price(missing: dict[str, Any], text: str) -> None:
    with pytest.raises(CannotPrice, match=text):
        price_session(facts(**missing))


@settings(max_examples=120, deadline=None)
@given(
    seconds=st.integers(min_value=60, max_value=90_000),
    watts=st.integers(min_value=100, max_value=22_000),
    shares=st.lists(st.floats(min_value=0.01, max_value=0.99), max_size=5, unique=True),
    parked=st.none() | st.floats(min_value=0.05, max_value=0.95),
    has_edges=st.booleans(),
)
def test_every_sound_session_makes_a_cdr_that_lint_accepts(
    seconds: int, watts: int, shares: list[float], parked: float | None, has_edges: bool
) -> None:
    """I14, CDR-14, CDR-16, CDR-19: whatever the readings, the parts add up and partition [start, end)."""
    energy_wh = max(1, watts * seconds // 3600)
    some = random_facts(seconds, energy_wh, sorted(shares), parked, has_edges)
    cdr, priced = made(some)
    assert energy_of(cdr.charging_periods) == cdr.total_energy == Decimal(energy_wh) / 1000
    assert cdr.charging_periods[0].start_date_time == START
    assert cdr.charging_periods[-1].start_date_time < cdr.end_date_time
    assert lint_session(facts=some, limits=LIMITS, now=SEALED_AT + timedelta(days=3)) == ()
    assert lint_cdr(cdr=cdr, priced=priced, facts=some, limits=LIMITS) == ()


def random_facts(
    seconds: int, energy_wh: int, shares: list[float], parked: float | None, has_edges: bool
) -> SessionFacts:
    end = START + timedelta(seconds=seconds)
    readings = tuple(
        Reading(START + timedelta(seconds=int(share * seconds)), 1_000_000 + int(share * energy_wh))
        for share in shares
    )
    return facts(
        ended_at=end,
        meter_stop_wh=1_000_000 + energy_wh,
        readings=readings,
        suspended_ev_from=None if parked is None else START + timedelta(seconds=int(parked * seconds)),
        tariffs=(evening_tariff() if has_edges else tariff(),),
    )


def test_building_twice_gives_the_same_bytes() -> None:
    """money.md: equal on every recomputation."""
    some = facts()
    once = build(cdr_id=CDR_ID, facts=some, priced=price_session(some), last_updated=SEALED_AT)
    again = build(cdr_id=CDR_ID, facts=some, priced=price_session(some), last_updated=SEALED_AT)
    assert codec.encode(once) == codec.encode(again)
