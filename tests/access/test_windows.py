"""Openings against figures worked out by hand, and against a minute-by-minute walk of the local clock."""

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from access.intervals import Interval
from access.windows import (
    Calendar,
    ConfigError,
    DatedException,
    DayWindow,
    Edge,
    Holiday,
    WeeklyWindow,
    closes_at,
    day_start,
    edges,
    intervals,
    is_open,
    next_opening,
)
from tests.access import oracle, strategies
from tests.access.cases import BERLIN, calendar, clock, local, nightly, utc, window

LOS_ANGELES = "America/Los_Angeles"
SYDNEY = "Australia/Sydney"
DAY = timedelta(days=1)


def night_of(rules: Calendar, day: str) -> Interval:
    """Return the only opening that starts on the local afternoon or evening of `day`."""
    noon = local(f"{day} 12:00", rules.time_zone)
    (night,) = intervals(rules, noon, noon + DAY)
    return night


@pytest.mark.parametrize(
    ("zone", "closes", "day", "hours"),
    [
        (BERLIN, "05:00", "2026-03-28", 8),
        (BERLIN, "05:00", "2026-06-20", 9),
        (BERLIN, "05:00", "2026-10-24", 10),
        (BERLIN, "06:00", "2026-03-28", 9),
        (BERLIN, "06:00", "2026-06-20", 10),
        (BERLIN, "06:00", "2026-10-24", 11),
        (LOS_ANGELES, "05:00", "2026-03-07", 8),
        (LOS_ANGELES, "05:00", "2026-06-20", 9),
        (LOS_ANGELES, "05:00", "2026-10-31", 10),
        (SYDNEY, "05:00", "2026-10-03", 8),
        (SYDNEY, "05:00", "2026-06-20", 9),
        (SYDNEY, "05:00", "2026-04-04", 10),
    ],
)
def test_a_night_is_one_hour_shorter_in_spring_and_longer_in_autumn(
    zone: str, closes: str, day: str, hours: int
) -> None:
    night = night_of(nightly("20:00", closes, zone), day)
    assert night.ends_at - night.starts_at == timedelta(hours=hours)


def test_the_berlin_nights_have_the_edges_of_the_specification() -> None:
    rules = nightly("20:00", "06:00")
    assert night_of(rules, "2026-03-28") == Interval(utc("2026-03-28 19:00"), utc("2026-03-29 04:00"))
    assert night_of(rules, "2026-10-24") == Interval(utc("2026-10-24 18:00"), utc("2026-10-25 05:00"))


@pytest.mark.parametrize(
    ("opens", "closes", "expected"),
    [
        ("02:30", "05:00", ("01:00", "03:00")),  # opens at the first valid instant
        ("00:30", "02:30", ("2026-03-28 23:30", "01:00")),  # closes there
        ("02:10", "02:50", None),  # the whole window is skipped
        ("02:00", "03:00", None),
        ("01:30", "03:00", ("00:30", "01:00")),
    ],
)
def test_an_edge_in_the_skipped_hour_is_the_first_valid_instant(
    opens: str, closes: str, expected: tuple[str, str] | None
) -> None:
    found = intervals(nightly(opens, closes), utc("2026-03-28 12:00"), utc("2026-03-29 12:00"))
    assert found == ((_span("2026-03-29", expected),) if expected else ())


@pytest.mark.parametrize(
    ("opens", "closes", "expected"),
    [
        ("02:30", "05:00", ("01:30", "04:00")),  # opens at the second 02:30
        ("00:30", "02:30", ("2026-10-24 22:30", "00:30")),  # closes at the first 02:30
        ("02:15", "02:45", ("01:15", "01:45")),  # the first 02:45 is not after the opening
        ("01:00", "03:00", ("2026-10-24 23:00", "02:00")),  # neither edge is doubled: four hours less one
        ("02:00", "03:00", ("01:00", "02:00")),
        ("01:30", "02:00", ("2026-10-24 23:30", "00:00")),
    ],
)
def test_in_the_doubled_hour_guests_open_at_the_second_and_close_at_the_first(
    opens: str, closes: str, expected: tuple[str, str]
) -> None:
    found = intervals(nightly(opens, closes), utc("2026-10-24 12:00"), utc("2026-10-25 12:00"))
    assert found == (_span("2026-10-25", expected),)


def _span(day: str, edges_of_span: tuple[str, str]) -> Interval:
    begin, end = (text if " " in text else f"{day} {text}" for text in edges_of_span)
    return Interval(utc(begin), utc(end))


def test_windows_that_touch_in_the_doubled_hour_are_one_opening() -> None:
    rules = calendar(window("20:00", "02:30"), window("02:30", "05:00"))
    assert night_of(rules, "2026-10-24") == Interval(utc("2026-10-24 18:00"), utc("2026-10-25 04:00"))


def test_a_closing_inside_the_doubled_hour_takes_the_longer_time() -> None:
    rules = nightly(
        exceptions=(DatedException(date(2026, 10, 25), "CLOSED", clock("02:15"), clock("02:45")),)
    )
    assert intervals(rules, utc("2026-10-24 12:00"), utc("2026-10-25 12:00")) == (
        Interval(utc("2026-10-24 18:00"), utc("2026-10-25 00:15")),
        Interval(utc("2026-10-25 01:45"), utc("2026-10-25 04:00")),
    )


def test_a_half_hour_change_of_the_clocks_moves_the_edge_by_half_an_hour() -> None:
    # Lord Howe: 02:00 becomes 02:30 (+10:30 to +11) on 4 October 2026.
    night = night_of(nightly("20:00", "02:15", "Australia/Lord_Howe"), "2026-10-03")
    assert night.ends_at == utc("2026-10-03 15:30")


def test_a_day_without_midnight_starts_at_its_first_valid_instant() -> None:
    # Cairo: 00:00 becomes 01:00 on 24 April 2026.
    assert day_start("Africa/Cairo", date(2026, 4, 24)) == utc("2026-04-23 22:00")
    always = nightly("00:00", "00:00", "Africa/Cairo")
    assert intervals(always, utc("2026-04-20"), utc("2026-04-27")) == (
        Interval(utc("2026-04-20"), utc("2026-04-27")),
    )


def test_a_day_with_two_midnights_does_not_interrupt_a_calendar_that_never_closes() -> None:
    # Havana: 01:00 becomes 00:00 on 1 November 2026.
    always = nightly("00:00", "00:00", "America/Havana")
    assert intervals(always, utc("2026-10-30"), utc("2026-11-03")) == (
        Interval(utc("2026-10-30"), utc("2026-11-03")),
    )
    assert day_start("America/Havana", date(2026, 11, 1)) == utc("2026-11-01 04:00")


def test_an_opening_is_half_open_to_the_millisecond() -> None:
    rules = nightly()
    assert not is_open(rules, utc("2026-11-23 18:59:59.999"))
    assert is_open(rules, utc("2026-11-23 19:00:00.000"))
    assert is_open(rules, utc("2026-11-24 03:59:59.999"))
    assert not is_open(rules, utc("2026-11-24 04:00:00.000"))


def test_a_weekday_is_that_of_the_start() -> None:
    friday = calendar(window("20:00", "05:00", frozenset({5})))
    assert intervals(friday, utc("2026-11-16"), utc("2026-11-30")) == (
        Interval(local("2026-11-20 20:00"), local("2026-11-21 05:00")),
        Interval(local("2026-11-27 20:00"), local("2026-11-28 05:00")),
    )


def test_sunday_night_runs_into_monday() -> None:
    sunday = calendar(window("22:00", "06:00", frozenset({7})))
    assert closes_at(sunday, local("2026-11-23 05:59")) == local("2026-11-23 06:00")


def test_equal_times_are_twenty_four_hours() -> None:
    monday = calendar(window("06:00", "06:00", frozenset({1})))
    assert night_of(monday, "2026-11-22") == Interval(local("2026-11-23 06:00"), local("2026-11-23 12:00"))
    assert closes_at(monday, local("2026-11-23 12:00")) == local("2026-11-24 06:00")


def test_several_windows_of_a_day_stay_apart() -> None:
    rules = calendar(window("09:00", "16:30"), window("01:00", "05:00"))
    assert intervals(rules, local("2026-11-23 00:00"), local("2026-11-24 00:00")) == (
        Interval(local("2026-11-23 01:00"), local("2026-11-23 05:00")),
        Interval(local("2026-11-23 09:00"), local("2026-11-23 16:30")),
    )


def test_nothing_listed_is_never_open() -> None:
    assert intervals(calendar(), utc("2026-01-01"), utc("2027-01-01")) == ()
    assert next_opening(calendar(), utc("2026-01-01")) is None
    assert next_opening(calendar(window("20:00", "05:00", frozenset())), utc("2026-01-01")) is None


def test_what_never_closes_has_no_closing() -> None:
    always = nightly("00:00", "00:00")
    assert closes_at(always, utc("2026-01-01")) is None
    assert next_opening(always, utc("2026-01-01")) is None
    assert edges(always, utc("2026-01-01"), utc("2027-01-01")) == ()


def test_next_opening_is_after_the_instant_even_while_open() -> None:
    rules = nightly()
    assert next_opening(rules, local("2026-11-23 19:59")) == local("2026-11-23 20:00")
    assert next_opening(rules, local("2026-11-23 20:00")) == local("2026-11-24 20:00")
    assert closes_at(rules, local("2026-11-23 19:59")) is None
    assert closes_at(rules, local("2026-11-23 20:00")) == local("2026-11-24 05:00")


def test_edges_lie_in_a_half_open_range_and_name_their_direction() -> None:
    rules = nightly()
    opening, closing = local("2026-11-23 20:00"), local("2026-11-24 05:00")
    assert edges(rules, opening, closing) == (Edge(opening, opens=True),)
    assert edges(rules, local("2026-11-23 20:01"), local("2026-11-24 05:01")) == (Edge(closing, opens=False),)


def test_a_closed_holiday_drops_its_own_night_and_cuts_the_one_before() -> None:
    rules = nightly(holidays=(Holiday(date(2026, 12, 25), "CLOSED"),))
    assert intervals(rules, local("2026-12-24 12:00"), local("2026-12-27 12:00")) == (
        Interval(local("2026-12-24 20:00"), local("2026-12-25 00:00")),
        Interval(local("2026-12-26 20:00"), local("2026-12-27 05:00")),
    )


def test_a_night_that_counts_to_its_start_day_runs_into_the_holiday() -> None:
    rules = nightly(holidays=(Holiday(date(2026, 12, 25), "CLOSED"),), night_counts_to_start_day=True)
    assert intervals(rules, local("2026-12-24 12:00"), local("2026-12-27 12:00")) == (
        Interval(local("2026-12-24 20:00"), local("2026-12-25 05:00")),
        Interval(local("2026-12-26 20:00"), local("2026-12-27 05:00")),
    )


def test_a_holiday_counts_as_the_weekday_it_names() -> None:
    rules = calendar(
        window("20:00", "05:00", frozenset({1, 2, 3, 4, 5})),
        window("12:00", "15:00", frozenset({7})),
        holidays=(Holiday(date(2026, 12, 25), 7),),  # a Friday
    )
    assert intervals(rules, local("2026-12-25 06:00"), local("2026-12-26 12:00")) == (
        Interval(local("2026-12-25 12:00"), local("2026-12-25 15:00")),
    )


def test_a_holiday_with_its_own_windows_replaces_the_weekly_ones() -> None:
    own = (DayWindow(clock("10:00"), clock("12:00")), DayWindow(clock("23:00"), clock("01:00")))
    rules = nightly(holidays=(Holiday(date(2026, 12, 25), own),))
    assert intervals(rules, local("2026-12-25 06:00"), local("2026-12-26 12:00")) == (
        Interval(local("2026-12-25 10:00"), local("2026-12-25 12:00")),
        Interval(local("2026-12-25 23:00"), local("2026-12-26 01:00")),
    )


def test_a_holiday_without_windows_is_closed() -> None:
    rules = nightly(holidays=(Holiday(date(2026, 12, 25), ()),))
    assert intervals(rules, local("2026-12-25 00:00"), local("2026-12-26 12:00")) == ()


def test_an_open_exception_outranks_a_closed_holiday() -> None:
    rules = nightly(
        holidays=(Holiday(date(2026, 12, 25), "CLOSED"),),
        exceptions=(DatedException(date(2026, 12, 25), "OPEN", clock("08:00"), clock("20:00")),),
    )
    assert intervals(rules, local("2026-12-25 00:00"), local("2026-12-26 12:00")) == (
        Interval(local("2026-12-25 08:00"), local("2026-12-25 20:00")),
    )


def test_a_closed_exception_outranks_an_open_one() -> None:
    rules = calendar(
        exceptions=(
            DatedException(date(2026, 12, 25), "OPEN", clock("08:00"), clock("20:00")),
            DatedException(date(2026, 12, 25), "CLOSED", clock("12:00"), clock("13:00")),
        )
    )
    assert intervals(rules, local("2026-12-25 00:00"), local("2026-12-26 00:00")) == (
        Interval(local("2026-12-25 08:00"), local("2026-12-25 12:00")),
        Interval(local("2026-12-25 13:00"), local("2026-12-25 20:00")),
    )


def test_a_closing_of_the_new_years_night_cuts_exactly_that_night() -> None:
    exception = DatedException(date(2026, 12, 31), "CLOSED", clock("20:00"), clock("05:00"), "fireworks")
    assert intervals(
        nightly(exceptions=(exception,)), local("2026-12-30 12:00"), local("2027-01-02 12:00")
    ) == (
        Interval(local("2026-12-30 20:00"), local("2026-12-31 05:00")),
        Interval(local("2027-01-01 20:00"), local("2027-01-02 05:00")),
    )


def test_a_closed_day_without_times_drops_all_that_starts_on_it() -> None:
    exceptions = (
        DatedException(date(2026, 12, 31), "CLOSED"),
        DatedException(date(2026, 12, 31), "OPEN", clock("18:00"), clock("03:00")),
    )
    assert intervals(
        nightly(exceptions=exceptions), local("2026-12-30 12:00"), local("2027-01-01 12:00")
    ) == (Interval(local("2026-12-30 20:00"), local("2026-12-31 00:00")),)


@pytest.mark.parametrize("times", [(None, None), (clock("00:00"), None), (None, clock("00:00"))])
def test_midnight_written_out_is_the_whole_day_too(times: tuple[time | None, time | None]) -> None:
    rules = nightly(exceptions=(DatedException(date(2026, 12, 31), "CLOSED", *times),))
    assert intervals(rules, local("2026-12-31 00:00"), local("2027-01-01 12:00")) == ()


def test_an_exception_with_one_time_reaches_from_or_to_midnight() -> None:
    rules = calendar(
        exceptions=(
            DatedException(date(2026, 12, 24), "OPEN", None, clock("06:00")),
            DatedException(date(2026, 12, 24), "OPEN", clock("22:00"), None),
        )
    )
    assert intervals(rules, local("2026-12-23 12:00"), local("2026-12-25 12:00")) == (
        Interval(local("2026-12-24 00:00"), local("2026-12-24 06:00")),
        Interval(local("2026-12-24 22:00"), local("2026-12-25 00:00")),
    )


@pytest.mark.parametrize("zone", ["CET+1", "Europe/Atlantis", "Europe", "", "../../etc/passwd"])
def test_an_unknown_time_zone_is_a_config_error_that_names_it(zone: str) -> None:
    with pytest.raises(ConfigError, match="time_zone: no IANA time zone has this name"):
        is_open(nightly(time_zone=zone), utc("2026-01-01"))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (calendar(window("20:00", "05:00", frozenset({0}))), "weekdays: .*given \\[0\\]"),
        (calendar(WeeklyWindow(frozenset({1}), time(20, 0, 30), time(5))), "opens: .*20:00:30"),
        (calendar(WeeklyWindow(frozenset({1}), time(20), None)), "closes: .*None"),  # type: ignore[arg-type]
        (nightly(exceptions=(DatedException(date(2026, 1, 1), "SHUT"),)), "kind: .*SHUT"),  # type: ignore[arg-type]
        (nightly(holidays=(Holiday(date(2026, 1, 1), 8),)), "treat_as: .*8"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_a_config_error(broken: Calendar, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        intervals(broken, utc("2026-01-01"), utc("2026-01-02"))


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_every_minute_agrees_with_a_walk_of_the_local_clock(data: st.DataObject) -> None:
    zone, first = data.draw(strategies.nights())
    rules = data.draw(strategies.calendars(zone, first))
    end = first + strategies.DAYS * DAY
    expected = oracle.open_minutes(rules, first, end)
    found = [False] * len(expected)
    for span in intervals(rules, first, end):
        begin, close = (int((at - first) / oracle.MINUTE) for at in (span.starts_at, span.ends_at))
        found[begin:close] = [True] * (close - begin)
    assert found == expected


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_any_split_of_a_range_adds_up_to_the_whole(data: st.DataObject) -> None:
    zone, first = data.draw(strategies.nights())
    rules = data.draw(strategies.calendars(zone, first))
    end = first + 40 * DAY
    middle = first + timedelta(seconds=data.draw(st.integers(0, 40 * 24 * 3600)))
    whole = sum(_seconds(intervals(rules, first, end)))
    assert sum(_seconds(intervals(rules, first, middle) + intervals(rules, middle, end))) == whole


def _seconds(spans: tuple[Interval, ...]) -> list[float]:
    return [(span.ends_at - span.starts_at).total_seconds() for span in spans]


def test_a_question_in_another_offset_gets_the_same_answer() -> None:
    at: datetime = utc("2026-11-23 19:00").astimezone(oracle.ZoneInfo("Asia/Tokyo"))
    assert is_open(nightly(), at)
    assert closes_at(nightly(), at) == utc("2026-11-24 04:00")


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(TypeError):
        is_open(nightly(), datetime(2026, 11, 23, 19))  # noqa: DTZ001
    with pytest.raises(TypeError):
        closes_at(nightly(), datetime(2026, 11, 23, 19))  # noqa: DTZ001
