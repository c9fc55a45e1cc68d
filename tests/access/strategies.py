"""Hypothesis strategies for calendars, grants and bays around the nights on which clocks change."""

from datetime import date, datetime, time, timedelta

from hypothesis import strategies as st

from access.decisions import AccessFacts, EvseFacts
from access.grants import GrantFacts
from access.windows import Calendar, DatedException, DayWindow, Holiday, WeeklyWindow
from tests.access.cases import LOCATION, PARTNER, evse, terms, utc

# Zone and the UTC midnight three days before one of its changes of 2026 (none for Kolkata).
NIGHTS = [
    ("Europe/Berlin", utc("2026-03-26")),
    ("Europe/Berlin", utc("2026-10-22")),
    ("America/Los_Angeles", utc("2026-03-05")),
    ("America/Los_Angeles", utc("2026-10-29")),
    ("Australia/Sydney", utc("2026-04-01")),
    ("Australia/Sydney", utc("2026-09-30")),
    ("Australia/Lord_Howe", utc("2026-04-01")),
    ("Africa/Cairo", utc("2026-04-20")),
    ("Asia/Kolkata", utc("2026-06-10")),
]
DAYS = 8

quarter_hours = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))
maybe_times = st.none() | quarter_hours
weekdays = st.frozensets(st.integers(1, 7), min_size=0, max_size=7)
weekly_windows = st.builds(WeeklyWindow, weekdays, quarter_hours, quarter_hours)
groups = st.frozensets(st.sampled_from(["TAXI-A", "TAXI-B"]), max_size=2)


@st.composite
def calendars(draw: st.DrawFn, zone: str, first: datetime) -> Calendar:
    days = st.integers(0, DAYS).map(lambda offset: first.date() + timedelta(days=offset))
    exceptions = st.builds(
        DatedException, days, st.sampled_from(["OPEN", "CLOSED"]), maybe_times, maybe_times
    )
    own = st.lists(st.builds(DayWindow, quarter_hours, quarter_hours), max_size=2).map(tuple)
    holidays = st.builds(Holiday, days, st.just("CLOSED") | st.integers(1, 7) | own)
    return Calendar(
        time_zone=zone,
        weekly=tuple(draw(st.lists(weekly_windows, max_size=3))),
        exceptions=tuple(draw(st.lists(exceptions, max_size=2))),
        holidays=tuple(draw(st.lists(holidays, max_size=2, unique_by=_date))),
        night_counts_to_start_day=draw(st.booleans()),
    )


def _date(rule: Holiday) -> date:
    return rule.date


@st.composite
def nights(draw: st.DrawFn) -> tuple[str, datetime]:
    return draw(st.sampled_from(NIGHTS))


@st.composite
def grants(draw: st.DrawFn, zone: str, first: datetime, grant_id: str = "1") -> GrantFacts:
    bounds = st.none() | st.integers(0, DAYS * 96).map(
        lambda quarter: first + timedelta(minutes=15 * quarter)
    )
    return GrantFacts(
        id=grant_id,
        version=1,
        party=PARTNER,
        location_id=LOCATION,
        calendar=draw(calendars(zone, first)),
        token_groups=draw(groups),
        status=draw(st.sampled_from(["ACTIVE", "ACTIVE", "ACTIVE", "SUSPENDED", "ENDED"])),
        valid_from=draw(bounds),
        valid_to=draw(bounds),
        terms=terms(
            end_policy=draw(st.sampled_from(["STOP", "GRACE", "FINISH"])),
            min_useful_minutes=draw(st.sampled_from([0, 20, 45])),
            last_start_offset_minutes=draw(st.sampled_from([0, 30])),
            max_session_minutes=draw(st.sampled_from([None, 60])),
            max_concurrent=draw(st.sampled_from([None, None, 0, 2])),
            priority_class=draw(st.integers(2, 4)),
            tariff_id=draw(st.sampled_from(["NIGHT", "DAY", None])),
        ),
    )


@st.composite
def bays(draw: st.DrawFn, uid: str) -> EvseFacts:
    return evse(
        uid,
        online=draw(st.booleans()),
        operative=draw(st.booleans()),
        occupied=draw(st.booleans()),
        removed=draw(st.sampled_from([False, False, True])),
        held=draw(st.booleans()),
        connector_ids=tuple("12"[: draw(st.integers(1, 2))]),
    )


@st.composite
def scenes(draw: st.DrawFn) -> tuple[AccessFacts, datetime]:
    """Draw facts with up to three grants and three bays, and an instant near a change of the clocks."""
    zone, first = draw(nights())
    drawn_grants = tuple(draw(grants(zone, first, f"g{number}")) for number in range(draw(st.integers(0, 3))))
    drawn_bays = tuple(draw(bays(f"bay-{number}")) for number in range(draw(st.integers(0, 3))))
    now = first + timedelta(minutes=draw(st.integers(0, DAYS * 24 * 60)))
    return (
        AccessFacts(
            location_known=draw(st.sampled_from([True, True, True, False])),
            kill_switch=draw(st.sampled_from([False, False, False, True])),
            grants=drawn_grants,
            evses=drawn_bays,
            running_sessions_of_party=draw(st.integers(0, 3)),
        ),
        now,
    )
