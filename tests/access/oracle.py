"""A second opinion on opening hours: walks the local clock minute by minute, without intervals."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from access.windows import Calendar, DatedException

MINUTE = timedelta(minutes=1)
SLOT = timedelta(minutes=30)  # no zone of today changes its offset within half an hour of UTC
DAY = timedelta(days=1)
DAY_MINUTES = 24 * 60


def open_minutes(calendar: Calendar, start: datetime, end: datetime) -> list[bool]:
    """Tell for each UTC minute of [start, end) whether it is open; both are whole half hours."""
    painted: dict[date, list[bool]] = {}

    def wall_open(wall: datetime) -> bool:
        if wall.date() not in painted:
            painted[wall.date()] = _paint(calendar, wall.date())
        return painted[wall.date()][wall.hour * 60 + wall.minute]

    says_open: list[bool] = []
    state = False
    for wall, is_doubled, is_second in _local_minutes(ZoneInfo(calendar.time_zone), start, end):
        if not is_doubled:
            state = wall_open(wall)
        elif is_second:  # what closed in the first pass stays closed, what opens, opens now
            state = wall_open(wall) and (state or not wall_open(wall - MINUTE))
        else:  # first pass: what is closed stays closed
            state = state and wall_open(wall)
        says_open.append(state)
    return says_open


def masks(calendar: Calendar, start: datetime, end: datetime, *, cutoff_minutes: int) -> list[str]:
    """Name the mask of each minute of [start, end): a start needs more than the cut-off."""
    beyond = end + (cutoff_minutes // 30 + 1) * SLOT
    left = 0
    named: list[str] = []
    for is_open in reversed(open_minutes(calendar, start, beyond)):
        left = left + 1 if is_open else 0
        named.append("CLOSED" if not left else "OPEN" if left > cutoff_minutes else "LAST_START_PASSED")
    return named[::-1][: int((end - start) / MINUTE)]


def flips(values: list[str], start: datetime) -> list[tuple[datetime, str]]:
    """List when a minute differs from the one before, and what it is then."""
    return [
        (start + (index + 1) * MINUTE, after)
        for index, (before, after) in enumerate(pairwise(values))
        if before != after
    ]


def instants(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    return [start + index * step for index in range(int((end - start) / step))]


def year(number: int) -> tuple[datetime, datetime]:
    return datetime(number, 1, 1, tzinfo=UTC), datetime(number + 1, 1, 1, tzinfo=UTC)


def _local_minutes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, bool, bool]]:
    for slot in instants(start, end, SLOT):
        local = slot.astimezone(zone)
        is_doubled = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
        wall = local.replace(tzinfo=None, fold=0)
        for minute in range(30):
            yield wall + minute * MINUTE, is_doubled, bool(local.fold)


def _paint(calendar: Calendar, today: date) -> list[bool]:
    """Colour the minutes of one wall-clock day, weakest rule first."""
    open_today = [False] * DAY_MINUTES
    yesterday = today - DAY
    holidays = {h.date: h.treat_as for h in calendar.holidays}
    dropped = {e.date for e in calendar.exceptions if e.kind == "CLOSED" and _is_all_day(e)}
    starts = [day for day in (yesterday, today) if day not in dropped]
    for day in starts:
        for opens, closes in _hours_of(calendar, day, holidays.get(day)):
            _fill(open_today, today, day, opens, closes, True)
    cuts_night = not calendar.night_counts_to_start_day
    if holidays.get(today) in ("CLOSED", ()) and cuts_night:
        open_today = [False] * DAY_MINUTES
    for e in calendar.exceptions:
        if e.kind == "OPEN" and e.date in starts:
            _fill(open_today, today, e.date, e.opens, e.closes, True)
    if today in dropped and cuts_night:
        open_today = [False] * DAY_MINUTES
    for e in calendar.exceptions:
        if e.kind == "CLOSED" and not _is_all_day(e) and e.date in (yesterday, today):
            _fill(open_today, today, e.date, e.opens, e.closes, False)
    return open_today


def _hours_of(calendar: Calendar, day: date, treat_as: object) -> list[tuple[time, time]]:
    if treat_as == "CLOSED":
        return []
    if isinstance(treat_as, tuple):
        return [(own.opens, own.closes) for own in treat_as]
    weekday = treat_as or day.isoweekday()
    return [(w.opens, w.closes) for w in calendar.weekly if weekday in w.weekdays]


def _is_all_day(exception: DatedException) -> bool:
    return (exception.opens or time()) == (exception.closes or time()) == time()


def _fill(
    minutes: list[bool], today: date, day: date, opens: time | None, closes: time | None, value: bool
) -> None:
    begin, end = (wall.hour * 60 + wall.minute if wall else 0 for wall in (opens, closes))
    if end <= begin:
        end += DAY_MINUTES
    offset = (today - day).days * DAY_MINUTES
    begin, end = max(begin - offset, 0), min(end - offset, DAY_MINUTES)
    if begin < end:
        minutes[begin:end] = [value] * (end - begin)
