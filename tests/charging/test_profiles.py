"""Charging profiles as pure values: bounded, converted, and shown for a while."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.profiles import MAX_PERIODS, Schedule, Step, active, check, in_unit, limit_at, plan, schedule_of
from locations.electrical import Supply
from ocpi import v221

A, W = v221.ChargingRateUnit.A, v221.ChargingRateUnit.W
START = datetime(2026, 11, 24, 19, 0, tzinfo=UTC)
# A socket of three phases and 32 A: 22,080 W.
SOCKET = Supply.of(power_type="AC_3_PHASE", volts=230, amperes=32, watts=None)
WALLBOX = Supply.of(power_type="AC_1_PHASE", volts=230, amperes=16, watts=None)
RAPID = Supply.of(power_type="DC", volts=920, amperes=200, watts=150_000)
SUPPLIES = (SOCKET, WALLBOX, RAPID)


def profile(
    *periods: tuple[int, str], unit: v221.ChargingRateUnit = A, **members: Any
) -> v221.ChargingProfile:
    return v221.ChargingProfile(
        charging_rate_unit=unit,
        charging_profile_period=tuple(
            v221.ChargingProfilePeriod(start_period=start, limit=Decimal(limit)) for start, limit in periods
        ),
        **members,
    )


def steps(schedule: Schedule) -> list[tuple[int, str]]:
    return [(step.start_seconds, str(step.limit)) for step in schedule.steps]


def shown(found: v221.ActiveChargingProfile) -> list[tuple[int, str]]:
    periods = found.charging_profile.charging_profile_period
    return [(period.start_period, str(period.limit)) for period in periods]


def test_without_a_start_the_limits_count_from_the_start_of_charging() -> None:
    """CHP-10."""
    found = schedule_of(profile((0, "16"), (600, "8.5")), supply=SOCKET, charging_since=START)
    assert (found.starts_at, found.duration_seconds, steps(found)) == (START, None, [(0, "16"), (600, "8.5")])


def test_without_a_duration_the_last_limit_holds_for_ever() -> None:
    """CHP-10."""
    found = schedule_of(profile((0, "16"), (600, "8.5")), supply=SOCKET, charging_since=START)
    late = START + timedelta(days=3)
    assert limit_at(found, late, supply=SOCKET, unit=A) == Decimal("8.5")


def test_with_a_duration_the_connectors_maximum_holds_after_it() -> None:
    found = schedule_of(profile((0, "16"), duration=900), supply=SOCKET, charging_since=START)
    before, after = START + timedelta(seconds=899), START + timedelta(seconds=900)
    assert limit_at(found, before, supply=SOCKET, unit=A) == 16
    assert limit_at(found, after, supply=SOCKET, unit=A) == 32


def test_before_its_own_start_a_profile_says_nothing() -> None:
    given_start = START + timedelta(minutes=10)
    found = schedule_of(profile((0, "16"), start_date_time=given_start), supply=SOCKET, charging_since=START)
    assert limit_at(found, given_start - timedelta(seconds=1), supply=SOCKET, unit=A) == 32
    assert limit_at(found, given_start, supply=SOCKET, unit=A) == 16


def test_until_the_first_period_begins_the_maximum_is_the_limit() -> None:
    found = schedule_of(profile((60, "10")), supply=SOCKET, charging_since=START)
    assert steps(found) == [(0, "32"), (60, "10")]
    assert steps(schedule_of(profile(), supply=SOCKET, charging_since=START)) == [(0, "32")]


def test_a_period_after_the_end_is_left_out() -> None:
    found = schedule_of(profile((0, "10"), (900, "20"), duration=900), supply=SOCKET, charging_since=START)
    assert steps(found) == [(0, "10")]


@pytest.mark.parametrize(
    ("supply", "unit", "asked", "kept"),
    [
        (SOCKET, A, "63", "32"),
        (SOCKET, W, "50000", "22080"),
        (RAPID, W, "350000", "150000"),
        (RAPID, A, "200", "163.0"),
        (WALLBOX, A, "16.0", "16.0"),
    ],
)
def test_a_profile_never_raises_a_limit(
    supply: Supply, unit: v221.ChargingRateUnit, asked: str, kept: str
) -> None:
    """CHP-09: an upper limit, cut to what the connector gives."""
    found = schedule_of(profile((0, asked), unit=unit), supply=supply, charging_since=START)
    assert steps(found) == [(0, kept)]


@pytest.mark.parametrize(
    ("supply", "limit", "unit", "other"),
    [
        (SOCKET, "10", A, "6900.0"),
        (SOCKET, "11040", W, "16.0"),
        (SOCKET, "7000", W, "10.1"),
        (WALLBOX, "10", A, "2300.0"),
        (RAPID, "100", A, "92000.0"),
        (RAPID, "0", W, "0.0"),
    ],
)
def test_amperes_are_per_phase_and_watts_in_total(
    supply: Supply, limit: str, unit: v221.ChargingRateUnit, other: str
) -> None:
    """CHP-11: with the voltage and the phases of the connector, rounded down."""
    found = schedule_of(profile((0, limit), unit=unit), supply=supply, charging_since=START)
    assert steps(in_unit(found, W if unit is A else A, supply=supply)) == [(0, other)]


@pytest.mark.parametrize(
    ("periods", "members", "named"),
    [
        (((0, "16"), (0, "8")), {}, "charging_profile_period[1].start_period"),
        (((600, "16"), (0, "8")), {}, "charging_profile_period[1].start_period"),
        (((0, "-1"),), {}, "charging_profile_period[0].limit"),
        (((0, "16"),), {"duration": 0}, "duration"),
        (((0, "16"),), {"min_charging_rate": Decimal(-6)}, "min_charging_rate"),
        (tuple((number, "6") for number in range(MAX_PERIODS + 1)), {}, "charging_profile_period"),
    ],
)
def test_a_profile_that_cannot_be_followed_is_refused_by_name(
    periods: tuple[tuple[int, str], ...], members: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match="^" + named.replace("[", r"\[") + ":"):
        check(profile(*periods, **members))


def test_a_second_decimal_is_no_profile() -> None:
    """CHP-11."""
    with pytest.raises(ValueError, match="at most one decimal"):
        profile((0, "8.15"))


def test_what_is_shown_begins_now_and_covers_the_asked_time() -> None:
    """CHP-12, CHP-16."""
    found = schedule_of(
        profile((0, "16"), (600, "8"), (1200, "8"), (1800, "4"), duration=3600),
        supply=SOCKET,
        charging_since=START,
    )
    now = START + timedelta(seconds=300, milliseconds=640)
    limits = active(found, supply=SOCKET, unit=A, start=now, seconds=900)
    begin = START + timedelta(seconds=300)
    assert (limits.start_date_time, limits.charging_profile.start_date_time) == (begin, begin)
    assert limits.charging_profile.duration == 900
    assert shown(limits) == [(0, "16.0"), (300, "8.0")]


def test_the_end_of_a_profile_inside_the_asked_time_shows_the_maximum() -> None:
    found = schedule_of(profile((0, "16"), duration=600), supply=SOCKET, charging_since=START)
    limits = active(found, supply=SOCKET, unit=A, start=START, seconds=900)
    assert shown(limits) == [(0, "16.0"), (600, "32.0")]


def test_without_a_profile_the_maximum_is_shown() -> None:
    """CHP-17."""
    assert shown(active(None, supply=SOCKET, unit=W, start=START, seconds=900)) == [(0, "22080.0")]


def test_a_limit_that_the_station_does_not_know_is_the_maximum() -> None:
    told = Schedule(unit=W, starts_at=START, steps=(Step(0, Decimal(4000)), Step(60, None)))
    assert shown(active(told, supply=SOCKET, unit=W, start=START, seconds=900)) == [
        (0, "4000.0"),
        (60, "22080.0"),
    ]


def test_a_plan_changes_with_the_profile_its_end_and_the_connector_and_not_with_time() -> None:
    """CHP-14."""
    found = schedule_of(profile((0, "32"), duration=600), supply=SOCKET, charging_since=START)
    smaller = Supply.of(power_type="AC_3_PHASE", volts=230, amperes=16, watts=None)
    before = plan(found, supply=SOCKET, unit=A, now=START)
    assert plan(found, supply=SOCKET, unit=A, now=START + timedelta(seconds=599)) == before
    assert plan(found, supply=SOCKET, unit=A, now=START + timedelta(seconds=600)) != before
    assert plan(found, supply=smaller, unit=A, now=START) != before
    assert plan(None, supply=SOCKET, unit=A, now=START) == plan(
        found, supply=SOCKET, unit=A, now=START + timedelta(hours=1)
    )


tenths = st.integers(0, 5_000_000).map(lambda tenth: Decimal(tenth).scaleb(-1))


@st.composite
def profiles(draw: st.DrawFn) -> v221.ChargingProfile:
    starts = sorted(draw(st.sets(st.integers(0, 5_000), max_size=6)))
    return v221.ChargingProfile(
        start_date_time=draw(
            st.none() | st.integers(-4_000, 4_000).map(lambda seconds: START + timedelta(seconds=seconds))
        ),
        duration=draw(st.none() | st.integers(1, 6_000)),
        charging_rate_unit=draw(st.sampled_from([A, W])),
        min_charging_rate=draw(st.none() | tenths),
        charging_profile_period=tuple(
            v221.ChargingProfilePeriod(start_period=start, limit=draw(tenths)) for start in starts
        ),
    )


def wanted(asked: v221.ChargingProfile, at: datetime) -> Decimal | None:
    """What the partner's own words say about a moment, read slowly."""
    elapsed = (at - (asked.start_date_time or START)).total_seconds()
    if elapsed < 0 or (asked.duration is not None and elapsed >= asked.duration):
        return None
    begun = [period for period in asked.charging_profile_period if period.start_period <= elapsed]
    return begun[-1].limit if begun else None


@given(profiles(), st.sampled_from(SUPPLIES), st.sampled_from([A, W]), st.integers(-5_000, 12_000))
def test_no_moment_is_above_the_partners_word_or_the_connector(
    asked: v221.ChargingProfile, supply: Supply, unit: v221.ChargingRateUnit, seconds: int
) -> None:
    """CHP-09, CHP-11: in both units, whatever was asked."""
    check(asked)
    at = START + timedelta(seconds=seconds)
    found = schedule_of(asked, supply=supply, charging_since=START)
    limit = limit_at(in_unit(found, unit, supply=supply), at, supply=supply, unit=unit)
    assert 0 <= limit <= supply.most(unit)
    assert limit == round(limit, 1)
    word = wanted(asked, at)
    if word is not None:
        bound = word if asked.charging_rate_unit is unit else supply.converted(word, to=unit)
        assert limit <= bound


@given(profiles(), st.sampled_from(SUPPLIES))
def test_there_and_back_a_limit_becomes_lower_never_higher(
    asked: v221.ChargingProfile, supply: Supply
) -> None:
    found = schedule_of(asked, supply=supply, charging_since=START)
    other = W if found.unit is A else A
    back = in_unit(in_unit(found, other, supply=supply), found.unit, supply=supply)
    assert all(ours.limit <= theirs.limit for ours, theirs in zip(back.steps, found.steps, strict=True))
    assert [step.start_seconds for step in back.steps] == [step.start_seconds for step in found.steps]


@given(profiles(), st.sampled_from(SUPPLIES), st.integers(-5_000, 9_000), st.integers(1, 4_000), st.data())
def test_what_is_shown_is_what_is_in_force_at_every_second(
    asked: v221.ChargingProfile, supply: Supply, begin: int, seconds: int, data: st.DataObject
) -> None:
    """CHP-12, CHP-16."""
    found = schedule_of(asked, supply=supply, charging_since=START)
    start = START + timedelta(seconds=begin)
    limits = active(found, supply=supply, unit=found.unit, start=start, seconds=seconds).charging_profile
    periods = limits.charging_profile_period
    assert (periods[0].start_period, limits.duration) == (0, seconds)
    assert all(one.start_period < two.start_period < seconds for one, two in pairwise(periods))
    second = data.draw(st.integers(0, seconds - 1))
    current = [period for period in periods if period.start_period <= second][-1]
    assert current.limit == limit_at(found, start + timedelta(seconds=second), supply=supply, unit=found.unit)
