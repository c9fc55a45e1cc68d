"""Opening times as whole OCPI objects."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access.hours import opening_times
from access.intervals import Interval, clip, merge, subtract
from access.windows import ConfigError, DatedException, Holiday, intervals
from ocpi import v221
from tests.access import strategies
from tests.access.cases import calendar, clock, local, nightly, utc, window

MONDAY_NOON = utc("2026-11-23 11:00")  # 12:00 in Berlin


def regular(weekday: int, begin: str, end: str) -> v221.RegularHours:
    return v221.RegularHours(weekday=weekday, period_begin=begin, period_end=end)


def period(begin: datetime, end: datetime) -> v221.ExceptionalPeriod:
    return v221.ExceptionalPeriod(period_begin=begin, period_end=end)


def test_a_night_is_split_at_midnight_on_all_seven_days() -> None:
    assert opening_times([nightly()], now=MONDAY_NOON) == v221.Hours(
        twentyfourseven=False,
        regular_hours=tuple(
            entry
            for weekday in range(1, 8)
            for entry in (regular(weekday, "00:00", "05:00"), regular(weekday, "20:00", "23:59"))
        ),
    )


def test_friday_night_ends_on_saturday_and_sunday_night_on_monday() -> None:
    rules = calendar(window("20:00", "05:00", frozenset({5, 7})))
    assert opening_times([rules], now=MONDAY_NOON).regular_hours == (
        regular(1, "00:00", "05:00"),
        regular(5, "20:00", "23:59"),
        regular(6, "00:00", "05:00"),
        regular(7, "20:00", "23:59"),
    )


def test_a_window_until_midnight_has_no_empty_second_half() -> None:
    rules = calendar(window("20:00", "00:00", frozenset({1})))
    assert opening_times([rules], now=MONDAY_NOON).regular_hours == (regular(1, "20:00", "23:59"),)


def test_windows_of_several_calendars_are_merged_where_they_touch_or_overlap() -> None:
    monday = frozenset({1})
    calendars = [
        calendar(window("08:00", "12:00", monday)),
        calendar(window("12:00", "16:00", monday), window("15:00", "18:00", monday)),
        calendar(window("20:00", "21:00", monday)),
    ]
    expected = v221.Hours(
        twentyfourseven=False,
        regular_hours=(regular(1, "08:00", "18:00"), regular(1, "20:00", "21:00")),
    )
    assert opening_times(calendars, now=MONDAY_NOON) == expected
    assert opening_times(calendars[::-1], now=MONDAY_NOON) == expected


def test_seven_full_days_are_twentyfourseven() -> None:
    assert opening_times([nightly("06:00", "06:00")], now=MONDAY_NOON) == v221.Hours(twentyfourseven=True)
    two_halves = [nightly("20:00", "05:00"), nightly("05:00", "20:00")]
    assert opening_times(two_halves, now=MONDAY_NOON) == v221.Hours(twentyfourseven=True)


def test_six_full_days_are_not_twentyfourseven() -> None:
    rules = calendar(window("00:00", "00:00", frozenset(range(1, 7))))
    assert opening_times([rules], now=MONDAY_NOON).regular_hours == tuple(
        regular(weekday, "00:00", "23:59") for weekday in range(1, 7)
    )


def test_clock_changes_need_no_exception() -> None:
    year_start = utc("2026-01-01")
    for zone in ("Europe/Berlin", "America/Los_Angeles", "Australia/Sydney", "Australia/Lord_Howe"):
        hours = opening_times([nightly("20:00", "02:30", zone)], now=year_start, horizon_days=365)
        assert (hours.exceptional_openings, hours.exceptional_closings) == ((), ()), zone


def test_the_exceptions_of_the_specification_example() -> None:
    rules = nightly(
        exceptions=(
            DatedException(date(2026, 12, 25), "OPEN", clock("08:00"), clock("20:00")),
            DatedException(date(2026, 12, 31), "CLOSED", clock("20:00"), clock("05:00")),
        )
    )
    hours = opening_times([rules], now=MONDAY_NOON)
    assert hours.exceptional_openings == (period(utc("2026-12-25 07:00"), utc("2026-12-25 19:00")),)
    assert hours.exceptional_closings == (period(utc("2026-12-31 19:00"), utc("2027-01-01 04:00")),)


def test_a_closed_holiday_is_one_closing_over_both_nights_it_cuts() -> None:
    rules = nightly(holidays=(Holiday(date(2026, 12, 25), "CLOSED"),))
    assert opening_times([rules], now=MONDAY_NOON).exceptional_closings == (
        period(local("2026-12-25 00:00"), local("2026-12-26 05:00")),
    )


def test_a_closing_of_one_calendar_does_not_close_the_other() -> None:
    closed = nightly(holidays=(Holiday(date(2026, 12, 25), "CLOSED"),))
    hours = opening_times([closed, nightly("22:00", "04:00")], now=MONDAY_NOON)
    assert hours.exceptional_closings == (
        period(local("2026-12-25 04:00"), local("2026-12-25 22:00")),
        period(local("2026-12-26 04:00"), local("2026-12-26 05:00")),
    )


def test_exceptions_roll_from_the_start_of_the_local_day_for_ninety_days() -> None:
    def opening(day: date) -> DatedException:
        return DatedException(day, "OPEN", clock("12:00"), clock("13:00"))

    today, last, beyond = date(2026, 11, 23), date(2027, 2, 20), date(2027, 2, 21)
    rules = nightly(exceptions=(opening(date(2026, 11, 22)), opening(today), opening(last), opening(beyond)))
    expected = (
        period(local("2026-11-23 12:00"), local("2026-11-23 13:00")),
        period(local("2027-02-20 12:00"), local("2027-02-20 13:00")),
    )
    assert opening_times([rules], now=local("2026-11-23 00:00")).exceptional_openings == expected
    assert opening_times([rules], now=local("2026-11-23 23:59")).exceptional_openings == expected


def test_only_exceptions_still_give_a_legal_object_that_is_nearly_always_closed() -> None:
    rules = calendar(exceptions=(DatedException(date(2026, 11, 28), "OPEN", clock("08:00"), clock("20:00")),))
    assert opening_times([rules], now=MONDAY_NOON, horizon_days=14) == v221.Hours(
        twentyfourseven=False,
        regular_hours=(regular(1, "00:00", "00:01"),),
        exceptional_openings=(period(local("2026-11-28 08:00"), local("2026-11-28 20:00")),),
        exceptional_closings=(
            period(local("2026-11-23 00:00"), local("2026-11-23 00:01")),
            period(local("2026-11-30 00:00"), local("2026-11-30 00:01")),
        ),
    )


@pytest.mark.parametrize("calendars", [[], [calendar()]])
def test_nothing_at_all_is_closed_over_the_whole_horizon(calendars: list) -> None:
    hours = opening_times(calendars, now=MONDAY_NOON, horizon_days=14)
    zone = ZoneInfo("Europe/Berlin" if calendars else "UTC")
    start = datetime(2026, 11, 23, tzinfo=zone)
    assert hours == v221.Hours(
        twentyfourseven=False,
        regular_hours=(regular(1, "00:00", "00:01"),),
        exceptional_closings=(period(start, start + timedelta(days=14)),),
    )


def test_the_last_minute_of_a_day_alone_is_not_published_as_an_empty_period() -> None:
    rules = calendar(window("23:59", "00:00", frozenset({1})))
    assert opening_times([rules], now=MONDAY_NOON).regular_hours == (regular(1, "00:00", "00:01"),)
    overnight = calendar(window("23:59", "04:00", frozenset({1})))
    assert opening_times([overnight], now=MONDAY_NOON).regular_hours == (regular(2, "00:00", "04:00"),)


def test_an_unknown_zone_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="Europe/Atlantis"):
        opening_times([nightly(time_zone="Europe/Atlantis")], now=MONDAY_NOON)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_hours_read_back_give_the_calendar_again(data: st.DataObject) -> None:
    zone, first = data.draw(strategies.nights())
    rules = [data.draw(strategies.calendars(zone, first)) for _ in range(data.draw(st.integers(1, 2)))]
    hours = opening_times(rules, now=first, horizon_days=strategies.DAYS)
    assert msgspec.json.decode(msgspec.json.encode(hours), type=v221.Hours) == hours
    openings = [Interval(p.period_begin, p.period_end) for p in hours.exceptional_openings]
    closings = [Interval(p.period_begin, p.period_end) for p in hours.exceptional_closings]
    assert list(merge(openings)) == openings
    assert list(merge(closings)) == closings
    assert list(subtract(openings, closings)) == openings
    zone_info = ZoneInfo(zone)
    today = first.astimezone(zone_info).date()
    start, end = (
        datetime.combine(day, clock("12:00"), zone_info) for day in (today, today + timedelta(days=6))
    )
    truth = clip(merge(span for rule in rules for span in intervals(rule, start, end)), start, end)
    assert read(hours, zone, start, end, openings, closings) == truth


def read(
    hours: v221.Hours,
    zone: str,
    start: datetime,
    end: datetime,
    openings: list[Interval],
    closings: list[Interval],
) -> tuple[Interval, ...]:
    """Read Hours as a partner does: regular hours (23:59 meaning midnight), openings added, closings cut."""
    if hours.twentyfourseven:
        spans = [Interval(start, end)]
    else:
        weekly = [
            window(h.period_begin, h.period_end.replace("23:59", "00:00"), frozenset({h.weekday}))
            for h in hours.regular_hours
        ]
        spans = list(intervals(calendar(*weekly, time_zone=zone), start, end))
    return clip(subtract([*subtract(spans, closings), *openings], []), start, end)
