"""When a calendar is open: wall-time rules of one time zone, resolved to UTC intervals. [pure]

The rules are combined on the wall clock first, and only the edges that remain are turned into instants. So
two windows that touch stay one opening, even in the doubled hour of an autumn night, and one rule serves
every edge:

* an edge in the hour that spring skips is the first valid instant after it;
* in the hour that autumn doubles an opening waits for the second occurrence and a closing takes the first,
  unless that is not after the opening (then the second). So a doubtful hour is the fleet's, not the
  guests'.

Precedence for each local date: CLOSED exception > OPEN exception > holiday > weekly window. A window
belongs to the date of its start. A day that is closed as a whole drops the windows that start on it and,
unless a night counts to its start day, cuts at midnight those that started the day before.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from access.intervals import Interval, clip, covers, merge, overlapping, subtract

SEARCH_DAYS = 400  # one year and its holidays: who is not open within that is not going to open

_BLOCK_DAYS = 28
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DAY = timedelta(days=1)


class ConfigError(ValueError):
    """A rule that cannot be followed: whoever meets it must refuse."""


@dataclass(frozen=True, slots=True)
class WeeklyWindow:
    """Open on these weekdays (1 = Monday … 7 = Sunday, of the start); `closes` <= `opens` is the next day."""

    weekdays: frozenset[int]
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class DayWindow:
    """Opening hours of one date; `closes` <= `opens` is the next day."""

    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class DatedException:
    """One date that differs; no `opens`: from midnight, no `closes`: to midnight, neither: the whole day."""

    date: date
    kind: Literal["OPEN", "CLOSED"]
    opens: time | None = None
    closes: time | None = None
    reason: str = ""

    @property
    def is_whole_day(self) -> bool:
        """Tell whether it covers its local date from midnight to midnight."""
        return (self.opens or time()) == (self.closes or time()) == time()


@dataclass(frozen=True, slots=True)
class Holiday:
    """A date that counts as closed, as another weekday (7 = Sunday), or has own windows (none: closed)."""

    date: date
    treat_as: Literal["CLOSED"] | int | tuple[DayWindow, ...]

    @property
    def is_closed(self) -> bool:
        """Tell whether the whole date is closed."""
        return self.treat_as in ("CLOSED", ())


@dataclass(frozen=True, slots=True)
class Calendar:
    """All rules of one grant on one clock. Nothing listed = never open."""

    time_zone: str
    weekly: tuple[WeeklyWindow, ...] = ()
    exceptions: tuple[DatedException, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    night_counts_to_start_day: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """The instant at which a calendar opens (`opens`) or closes."""

    at: datetime
    opens: bool


def intervals(calendar: Calendar, start: datetime, end: datetime) -> tuple[Interval, ...]:
    """Return when `calendar` is open within [start, end): UTC, half-open, sorted, merged.

    Raises ConfigError for an unknown time zone or a rule that cannot be followed.
    """
    numbers = range(_block_number(start), _block_number(end) + 1)
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    spans = [span for number in numbers for span in overlapping(_block(calendar, number), start, end)]
    return merge(clip(spans, start, end))


def is_open(calendar: Calendar, at: datetime) -> bool:
    """Tell whether `calendar` is open at the instant `at`."""
    return covers(_block(calendar, _block_number(at)), at)


def closes_at(calendar: Calendar, at: datetime) -> datetime | None:
    """Return when the opening that holds at `at` ends; None: closed, or open for more than SEARCH_DAYS."""
    for until in widening(at):
        spans = intervals(calendar, at, until)
        if not spans or spans[0].starts_at > at:
            return None
        if spans[0].ends_at < until:
            return spans[0].ends_at
    return None


def next_opening(calendar: Calendar, at: datetime) -> datetime | None:
    """Return the first instant after `at` at which it changes from closed to open, within SEARCH_DAYS."""
    for until in widening(at):
        for span in intervals(calendar, at, until):
            if span.starts_at > at:
                return span.starts_at
    return None


def edges(calendar: Calendar, start: datetime, end: datetime) -> tuple[Edge, ...]:
    """Return every change between open and closed within [start, end), in order."""
    flips = [
        edge
        for span in intervals(calendar, start - _DAY, end + _DAY)
        for edge in (Edge(span.starts_at, opens=True), Edge(span.ends_at, opens=False))
    ]
    return tuple(edge for edge in flips if start <= edge.at < end)


def widening(at: datetime) -> Iterator[datetime]:
    """Yield ends of ever longer searches from `at`, up to SEARCH_DAYS: the first answers most questions."""
    return (at + timedelta(days=days) for days in (2, 31, SEARCH_DAYS))


def zone_of(name: str) -> ZoneInfo:
    """Return the IANA zone `name`; ConfigError when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: "Europe" is a directory of the database
        raise ConfigError(f"time_zone: no IANA time zone has this name (given {name!r})") from error


def day_start(time_zone: str, day: date) -> datetime:
    """Return the first instant of the local date `day`, in UTC."""
    return _earliest(datetime.combine(day, time()), zone_of(time_zone))


def check(calendar: Calendar) -> None:
    """Raise ConfigError, naming the field, for the first rule that cannot be followed."""
    zone_of(calendar.time_zone)
    for window in calendar.weekly:
        _check_times(window.opens, window.closes)
        if not window.weekdays <= _WEEKDAYS:
            raise ConfigError(f"weekdays: each is 1 (Monday) to 7 (Sunday) (given {sorted(window.weekdays)})")
    for exception in calendar.exceptions:
        _check_times(exception.opens or time(), exception.closes or time())
        if exception.kind not in ("OPEN", "CLOSED"):
            raise ConfigError(f"kind: OPEN or CLOSED (given {exception.kind!r})")
    for holiday in calendar.holidays:
        if isinstance(holiday.treat_as, tuple):
            for own in holiday.treat_as:
                _check_times(own.opens, own.closes)
        elif holiday.treat_as != "CLOSED" and holiday.treat_as not in _WEEKDAYS:
            raise ConfigError(f"treat_as: CLOSED, 1 to 7 or windows (given {holiday.treat_as!r})")


_WEEKDAYS = frozenset(range(1, 8))


def _check_times(opens: object, closes: object) -> None:
    for name, value in (("opens", opens), ("closes", closes)):
        # OCPI hours have no seconds: a rule with seconds could not be published as it is enforced.
        if not isinstance(value, time) or value.second or value.microsecond or value.tzinfo:
            raise ConfigError(f"{name}: a local time in whole minutes (given {value})")


def _block_number(at: datetime) -> int:
    return (at - _EPOCH).days // _BLOCK_DAYS


@lru_cache(maxsize=8192)
def _block(calendar: Calendar, number: int) -> tuple[Interval, ...]:
    """Return the openings within one block of 28 days from the epoch, the unit that is computed once."""
    check(calendar)
    zone = zone_of(calendar.time_zone)
    start = _EPOCH + number * _BLOCK_DAYS * _DAY
    end = start + _BLOCK_DAYS * _DAY
    # Two days more on either side: the offset from UTC, and a night that began the day before.
    walls = _walls(calendar, start.date() - 2 * _DAY, end.date() + 2 * _DAY)
    return clip(merge(_resolve(wall, zone) for wall in walls), start, end)


def _walls(calendar: Calendar, first: date, last: date) -> tuple[Interval, ...]:
    """Return the openings on the wall clock, exact from the day after `first` up to the end of `last`."""
    rules = _RulesByDate(calendar)
    base: list[Interval] = []
    extra: list[Interval] = []
    holiday_cuts: list[Interval] = []
    cuts: list[Interval] = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        cuts += [_wall(day, closing.opens, closing.closes) for closing in rules.partly_closed(day)]
        if rules.is_closed_exceptionally(day):
            cuts += rules.midnight_cut(day)
            continue
        extra += [_wall(day, opening.opens, opening.closes) for opening in rules.openings(day)]
        if rules.is_closed_holiday(day):
            holiday_cuts += rules.midnight_cut(day)
            continue
        base += rules.windows(day)
    return subtract([*subtract(base, holiday_cuts), *extra], cuts)


class _RulesByDate:
    """The rules of a calendar, looked up by the local date on which they start."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._exceptions: defaultdict[date, list[DatedException]] = defaultdict(list)
        self._holidays: defaultdict[date, list[Holiday]] = defaultdict(list)
        for exception in calendar.exceptions:
            self._exceptions[exception.date].append(exception)
        for holiday in calendar.holidays:
            self._holidays[holiday.date].append(holiday)

    def partly_closed(self, day: date) -> list[DatedException]:
        return [e for e in self._exceptions.get(day, ()) if e.kind == "CLOSED" and not e.is_whole_day]

    def is_closed_exceptionally(self, day: date) -> bool:
        return any(e.kind == "CLOSED" and e.is_whole_day for e in self._exceptions.get(day, ()))

    def openings(self, day: date) -> list[DatedException]:
        return [e for e in self._exceptions.get(day, ()) if e.kind == "OPEN"]

    def is_closed_holiday(self, day: date) -> bool:
        return any(holiday.is_closed for holiday in self._holidays.get(day, ()))

    def midnight_cut(self, day: date) -> list[Interval]:
        return [] if self._calendar.night_counts_to_start_day else [_wall(day, None, None)]

    def windows(self, day: date) -> Iterable[Interval]:
        """Yield the windows that start on `day`, which is not closed."""
        treatments = [holiday.treat_as for holiday in self._holidays.get(day, ())] or [day.isoweekday()]
        for treat_as in treatments:
            if isinstance(treat_as, tuple):
                yield from (_wall(day, own.opens, own.closes) for own in treat_as)
            else:
                weekly = (window for window in self._calendar.weekly if treat_as in window.weekdays)
                yield from (_wall(day, window.opens, window.closes) for window in weekly)


def _wall(day: date, opens: time | None, closes: time | None) -> Interval:
    begin = datetime.combine(day, opens or time())
    end = datetime.combine(day, closes or time())
    return Interval(begin, end if end > begin else end + _DAY)


def _resolve(wall: Interval, zone: ZoneInfo) -> Interval:
    """Turn an opening on the wall clock into instants; empty when it lies within the skipped hour."""
    opens = _latest(wall.starts_at, zone)
    closes = _earliest(wall.ends_at, zone)
    return Interval(opens, closes if closes > opens else _latest(wall.ends_at, zone))


def _earliest(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the first occurrence of `wall`, or the first valid instant after it when it is skipped."""
    first, second = _occurrences(wall, zone)
    return first if first <= second else _end_of_gap(second, first, zone)


def _latest(wall: datetime, zone: ZoneInfo) -> datetime:
    """Return the second occurrence of `wall`, or the first valid instant after it when it is skipped."""
    first, second = _occurrences(wall, zone)
    return second if first <= second else _end_of_gap(second, first, zone)


def _occurrences(wall: datetime, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Read `wall` with the offset before and after a change: equal on normal days, swapped in a gap."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    return first, wall.replace(tzinfo=zone, fold=1).astimezone(UTC)


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the instant of the change between the two readings of a skipped wall time, by bisection."""
    old_offset = before.astimezone(zone).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(zone).utcoffset() == old_offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
