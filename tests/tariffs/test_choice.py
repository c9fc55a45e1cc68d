"""Which tariff bills when, and what is cut and billed where it changes."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi import v221
from tariffs.bill import CannotPrice
from tariffs.choice import TariffChange, check_offer, governed, tariff_for
from tariffs.cutting import cut
from tariffs.pricing import price
from tests.tariffs.building import at, component, element, tariff, volumes_of

Profile, Type = v221.ProfileType, v221.TariffType
BASE = tariff(element(component("ENERGY", "0.40"), component("FLAT", "1")), id="BASE")
GREEN = tariff(element(component("ENERGY", "0.30")), id="GREEN", type=Type.PROFILE_GREEN)
FAST = tariff(element(component("ENERGY", "0.60"), component("FLAT", "2")), id="FAST", type=Type.PROFILE_FAST)
ALL = (BASE, GREEN, FAST)


def named(found: v221.Tariff | None) -> str | None:
    return found.id if found is not None else None


@pytest.mark.parametrize(
    ("tariffs", "profile", "wanted"),
    [
        (ALL, Profile.REGULAR, "BASE"),
        (ALL, Profile.GREEN, "GREEN"),
        (ALL, Profile.FAST, "FAST"),
        (ALL, Profile.CHEAP, None),
        ((GREEN, BASE), Profile.REGULAR, "BASE"),
        ((GREEN,), Profile.REGULAR, "GREEN"),
        ((), Profile.REGULAR, None),
        ((), Profile.GREEN, None),
    ],
)
def test_a_preference_has_the_tariff_of_its_type(
    tariffs: tuple[v221.Tariff, ...], profile: v221.ProfileType, wanted: str | None
) -> None:
    """TAR-25, SES-22: no type and REGULAR are for whoever has no other preference."""
    assert named(tariff_for(tariffs, profile=profile, at=at(10))) == wanted


def test_of_two_tariffs_of_one_type_back_to_back_each_is_used_in_its_span() -> None:
    """TAR-25, TAR-26."""
    old = tariff(element(), id="OLD", type=Type.PROFILE_GREEN, end_date_time=at(12))
    new = tariff(element(), id="NEW", type=Type.PROFILE_GREEN, start_date_time=at(12))
    found = [named(tariff_for((BASE, new, old), profile=Profile.GREEN, at=at(hour))) for hour in (11, 12)]
    assert found == ["OLD", "NEW"]


def change(tariff_id: str, moment: datetime | None = None) -> TariffChange:
    return TariffChange(at=moment, tariff_id=tariff_id)


@pytest.mark.parametrize(
    ("changes", "spans"),
    [
        ((), [(at(10), "BASE")]),
        ((change("GREEN"),), [(at(10), "GREEN")]),
        ((change("GREEN", at(9)),), [(at(10), "GREEN")]),
        ((change("green", at(11)),), [(at(10), "BASE"), (at(11), "GREEN")]),
        ((change("GREEN", at(12)),), [(at(10), "BASE")]),
        ((change("GREEN", at(11)), change("FAST", at(11))), [(at(10), "BASE"), (at(11), "FAST")]),
        ((change("GREEN"), change("BASE", at(11))), [(at(10), "GREEN"), (at(11), "BASE")]),
        ((change("BASE", at(11)),), [(at(10), "BASE")]),
    ],
)
def test_a_tariff_bills_from_its_change_on(
    changes: tuple[TariffChange, ...], spans: list[tuple[datetime, str]]
) -> None:
    """TAR-25: clipped to the session; the same tariff again is no change."""
    found = governed(ALL, changes, start=at(10), stop=at(12))
    assert [(moment, tariff.id) for moment, tariff in found] == spans


def test_a_change_to_a_tariff_that_the_session_does_not_have_cannot_be_priced() -> None:
    with pytest.raises(CannotPrice, match="WIND"):
        governed(ALL, (change("WIND", at(11)),), start=at(10), stop=at(12))


def periods_of(*changes: TariffChange, tariffs: tuple[v221.Tariff, ...] = ALL, **session: Any) -> Any:
    given: dict[str, Any] = {
        "readings": [(at(10), 5_000), (at(12), 17_000)],
        "suspended_ev_from": None,
    }
    return cut(
        tariffs=tariffs, time_zone="UTC", start=at(10), stop=at(12), changes=changes, **(given | session)
    )


def shown(periods: Any) -> list[tuple[datetime, str | None, dict[str, str]]]:
    return [(each.start_date_time, each.tariff_id, volumes_of(each)) for each in periods]


def test_a_change_begins_a_period_of_its_own_tariff() -> None:
    """TAR-25: 20 minutes after the start; the energy there is read off the register."""
    assert shown(periods_of(change("GREEN", at(10, 20)))) == [
        (at(10), "BASE", {"ENERGY": "2", "TIME": "0.3333"}),
        (at(10, 20), "GREEN", {"ENERGY": "10", "TIME": "1.6667"}),
    ]


def test_both_sides_are_billed_by_their_own_prices_and_a_flat_fee_once() -> None:
    """TAR-25, and docs/pricing.md: FLAT under two tariffs of one session."""
    periods = periods_of(change("FAST", at(11)))
    bill = price(tariffs=ALL, charging_periods=periods, start=at(10), end=at(12), time_zone="UTC")
    # 6 kWh at 0.40, 6 kWh at 0.60, one flat fee of 1.
    assert bill.total_cost.excl_vat == Decimal("7.00")
    assert [(line.tariff_id, line.dimension.value) for line in bill.lines] == [
        ("BASE", "FLAT"),
        ("BASE", "ENERGY"),
        ("FAST", "ENERGY"),
    ]


def test_thresholds_count_from_the_start_of_the_session_also_after_a_change() -> None:
    """TAR-16, TAR-25: a fee after an hour is due an hour after the plug, not after the wish."""
    tiered = tariff(
        element(component("ENERGY", "0.30"), max_duration=3600),
        element(component("ENERGY", "0.90")),
        id="TIERED",
        type=Type.PROFILE_FAST,
    )
    periods = periods_of(change("TIERED", at(10, 30)), tariffs=(BASE, tiered))
    assert [(each.start_date_time, each.tariff_id) for each in periods] == [
        (at(10), "BASE"),
        (at(10, 30), "TIERED"),
        (at(11), "TIERED"),
    ]


def test_a_threshold_of_a_tariff_that_does_not_bill_yet_cuts_nothing() -> None:
    tiered = tariff(
        element(component("ENERGY", "0.30"), max_kwh=Decimal(3)),
        element(component("ENERGY", "0.90")),
        id="TIERED",
        type=Type.PROFILE_FAST,
    )
    periods = periods_of(change("TIERED", at(11)), tariffs=(BASE, tiered))
    assert [(each.start_date_time, each.tariff_id) for each in periods] == [
        (at(10), "BASE"),
        (at(11), "TIERED"),
    ]


def test_parking_goes_on_over_a_change() -> None:
    found = shown(periods_of(change("GREEN", at(11, 30)), suspended_ev_from=at(11)))
    assert [(moment, tariff_id, sorted(volumes)) for moment, tariff_id, volumes in found] == [
        (at(10), "BASE", ["ENERGY", "TIME"]),
        (at(11), "BASE", ["ENERGY", "PARKING_TIME"]),
        (at(11, 30), "GREEN", ["ENERGY", "PARKING_TIME"]),
    ]


moments = st.integers(-600, 8_400).map(lambda seconds: at(10) + timedelta(seconds=seconds))
changes = st.lists(
    st.builds(TariffChange, at=st.none() | moments, tariff_id=st.sampled_from(["BASE", "GREEN", "FAST"])),
    max_size=5,
)


@given(changes, st.lists(st.tuples(st.integers(1, 7_199), st.integers(0, 900)), max_size=6))
def test_no_wh_and_no_second_is_lost_and_each_moment_has_its_tariff(
    some: list[TariffChange], steps: list[tuple[int, int]]
) -> None:
    """TAR-25, CDR-14: whatever was chosen when."""
    register, readings = 5_000, [(at(10), 5_000)]
    for second, wh in sorted(steps):
        register += wh
        readings.append((at(10) + timedelta(seconds=second), register))
    periods = periods_of(*some, readings=readings)
    volumes = [volumes_of(each) for each in periods]
    assert sum(Decimal(each["ENERGY"]) for each in volumes) * 1000 == register - 5_000
    assert sum(Decimal(each["TIME"]) for each in volumes) == 2
    assert periods[0].start_date_time == at(10)
    spans = governed(ALL, some, start=at(10), stop=at(12))
    assert [(each.start_date_time, each.tariff_id) for each in periods] == [
        (moment, tariff.id) for moment, tariff in spans
    ]
    bill = price(tariffs=ALL, charging_periods=periods, start=at(10), end=at(12), time_zone="UTC")
    rates = {"BASE": Decimal("0.40"), "GREEN": Decimal("0.30"), "FAST": Decimal("0.60")}
    by_hand = sum(
        (
            rates[each.tariff_id] * Decimal(volume["ENERGY"])
            for each, volume in zip(periods, volumes, strict=True)
        ),
        Decimal(0),
    )
    energy = bill.unrounded.total_energy_cost
    assert (energy.excl_vat if energy else Decimal(0)) == by_hand


@pytest.mark.parametrize(
    ("regular", "profiles", "said"),
    [
        (BASE, (BASE,), "BASE: its type"),
        (BASE, (GREEN, tariff(element(), id="WIND", type=Type.PROFILE_GREEN)), "GREEN and WIND"),
        (BASE, (tariff(element(), id="SEK", type=Type.PROFILE_FAST, currency="SEK"),), "SEK is in SEK"),
        (BASE, (v221.Tariff(country_code="NL", party_id="CPO", id="X", currency="EUR", type=Type.PROFILE_FAST,
                            elements=(element(),), last_updated=at(0)),), "another party"),
        (FAST, (GREEN,), "FAST is for PROFILE_FAST only"),
    ],
)  # fmt: skip
def test_tariffs_that_cannot_stand_side_by_side_are_refused(
    regular: v221.Tariff, profiles: tuple[v221.Tariff, ...], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        check_offer(regular, profiles)


def test_one_tariff_per_type_and_a_regular_one_can() -> None:
    check_offer(BASE, (GREEN, FAST))
    check_offer(FAST, ())
