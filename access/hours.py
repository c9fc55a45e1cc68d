"""Opening times as OCPI can say them. [pure]

Regular hours are the weekly windows alone; whatever else differs within the horizon (holidays, exceptions,
the validity of a grant) goes out as exceptional periods in UTC: openings that the regular hours do not
have, closings that cut them. The two are differences of the same two sets, so they cannot overlap. On the
nights when the clocks change there is no difference, because both sides follow the same rules.

Regular hours must end later than they begin and know no 24:00: a night is split at midnight and its first
half ends "23:59"; the missing minute exists on paper only. A calendar without any weekly window has no
regular hours, which OCPI does not allow next to `twentyfourseven: false`. It is given one minute a week
(Monday 00:00–00:01), closed again by an exceptional closing: who ignores exceptions then sees a Location
that is nearly always closed, never one that is always open.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, time, timedelta
from itertools import groupby

from access.intervals import Interval, clip, merge, subtract
from access.windows import Calendar, WeeklyWindow, day_start, intervals, zone_of
from ocpi import v221

_DAY_MINUTES = 24 * 60
_WHOLE_WEEK = {weekday: [(0, _DAY_MINUTES)] for weekday in range(1, 8)}
_PLACEHOLDER = (WeeklyWindow(frozenset({1}), time(0, 0), time(0, 1)),)


def opening_times(calendars: Sequence[Calendar], *, now: datetime, horizon_days: int = 90) -> v221.Hours:
    """Return when at least one of the calendars of a Location is open.

    Exceptions cover `horizon_days` from the start of the local day of `now`. Raises ConfigError for a
    calendar that cannot be followed. No calendar at all is a Location that is closed.
    """
    start, end = horizon(calendars, now=now, horizon_days=horizon_days)
    spans = [span for calendar in calendars for span in intervals(calendar, start, end)]
    return hours(calendars, spans, start=start, end=end)


def horizon(calendars: Sequence[Calendar], *, now: datetime, horizon_days: int) -> tuple[datetime, datetime]:
    """Return the start of the local day of `now` and that of the local day `horizon_days` later, in UTC."""
    time_zone = _time_zone(calendars)
    today = now.astimezone(zone_of(time_zone)).date()
    return day_start(time_zone, today), day_start(time_zone, today + timedelta(days=horizon_days))


def hours(
    calendars: Sequence[Calendar], spans: Iterable[Interval], *, start: datetime, end: datetime
) -> v221.Hours:
    """Return the weekly windows of `calendars`, and how the truth (`spans`) differs in [start, end)."""
    time_zone = _time_zone(calendars)
    weekly = tuple(w for calendar in calendars if calendar.time_zone == time_zone for w in calendar.weekly)
    week = _week(weekly)
    regular = _regular_hours(week)
    if week != _WHOLE_WEEK and not regular:
        weekly, regular = _PLACEHOLDER, _regular_hours(_week(_PLACEHOLDER))
    truth = clip(merge(spans), start, end)
    pattern = intervals(Calendar(time_zone, weekly), start, end)
    return v221.Hours(
        twentyfourseven=week == _WHOLE_WEEK,
        regular_hours=regular,
        exceptional_openings=_periods(subtract(truth, pattern)),
        exceptional_closings=_periods(_closings(pattern, truth, start, end)),
    )


def _time_zone(calendars: Sequence[Calendar]) -> str:
    # One Location has one clock. Should a calendar have another, its hours go out as exceptional openings.
    return min((calendar.time_zone for calendar in calendars), default="UTC")


def _week(weekly: Iterable[WeeklyWindow]) -> dict[int, list[tuple[int, int]]]:
    """Return the open minutes of each weekday, split at midnight, touching parts merged."""
    parts: dict[int, list[tuple[int, int]]] = {weekday: [] for weekday in range(1, 8)}
    for window in weekly:
        opens, closes = _minute(window.opens), _minute(window.closes)
        for weekday in window.weekdays:
            if closes > opens:
                parts[weekday].append((opens, closes))
            else:
                parts[weekday].append((opens, _DAY_MINUTES))
                parts[weekday % 7 + 1].append((0, closes))
    return {weekday: _merge_minutes(minutes) for weekday, minutes in parts.items()}


def _merge_minutes(parts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(part for part in parts if part[0] < part[1]):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _regular_hours(week: dict[int, list[tuple[int, int]]]) -> tuple[v221.RegularHours, ...]:
    if week == _WHOLE_WEEK:
        return ()
    return tuple(
        v221.RegularHours(weekday=weekday, period_begin=_clock(begin), period_end=_clock(end))
        for weekday, parts in sorted(week.items())
        for begin, end in parts
        if begin < _DAY_MINUTES - 1  # the last minute of a day alone would end as it begins
    )


def _minute(wall: time) -> int:
    return wall.hour * 60 + wall.minute


def _clock(minute: int) -> str:
    hour, rest = divmod(min(minute, _DAY_MINUTES - 1), 60)
    return f"{hour:02}:{rest:02}"


def _closings(
    pattern: Sequence[Interval], truth: Sequence[Interval], start: datetime, end: datetime
) -> tuple[Interval, ...]:
    """Return what the pattern opens and the truth does not: one period per stretch that is closed."""
    if not truth:
        return (Interval(start, end),)
    closed = subtract([Interval(start, end)], truth)
    begins = [stretch.starts_at for stretch in closed]
    by_stretch = groupby(subtract(pattern, truth), key=lambda cut: bisect_right(begins, cut.starts_at))
    runs = [list(cuts) for _, cuts in by_stretch]
    return tuple(Interval(cuts[0].starts_at, cuts[-1].ends_at) for cuts in runs)


def _periods(spans: Iterable[Interval]) -> tuple[v221.ExceptionalPeriod, ...]:
    return tuple(
        v221.ExceptionalPeriod(period_begin=span.starts_at, period_end=span.ends_at) for span in spans
    )
