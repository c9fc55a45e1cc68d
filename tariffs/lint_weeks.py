"""What a tariff costs through whole weeks: moments without a price, components that never come up. [pure]

Not a sample: the offers of a week are found from threshold to threshold, so that a gap of one minute before
midnight is seen as well as one of a weekend. A week in which the clock is changed is a week of its own.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ocpi import v221
from tariffs.findings import Finding, Severity
from tariffs.lint_elements import hidden_by
from tariffs.offers import Candidate, Compiled, Offer, offers

_Type = v221.TariffDimensionType
_DAY = timedelta(days=1)
_WEEK = timedelta(weeks=1)
_WEEKS_AHEAD = 60
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class _Stretch(NamedTuple):
    """Part of one local day under one offer; ``window`` in local time, as 22:00-24:00."""

    day: date
    window: str
    offer: Offer


def about_weeks(
    compiled: Compiled, *, zone: ZoneInfo, reference: date, hidden: Sequence[Finding]
) -> Iterator[Finding]:
    """Gaps, components without fallback, and components that no moment of the weeks reaches.

    ``hidden`` are the findings on shadowed components made before; they are not repeated.
    """
    begins = compiled.tariff.start_date_time
    if begins:
        reference = max(reference, begins.astimezone(zone).date())
    normal, changed = _weeks(zone, reference)
    usual = _stretches(compiled, zone, normal)
    unusual = [stretch for monday in changed for stretch in _stretches(compiled, zone, monday)]
    yield from _gaps(usual, unusual)
    yield from _without_fallback(compiled, [*usual, *unusual])
    yield from _unreached(compiled, [*usual, *unusual], hidden)


def _weeks(zone: ZoneInfo, reference: date) -> tuple[date, list[date]]:
    """Mondays of a week without a change of the clock, and of the next two with one."""
    monday = reference - reference.weekday() * _DAY
    normal: list[date] = []
    changed: list[date] = []
    for week in range(_WEEKS_AHEAD):
        begin = monday + week * _WEEK
        is_changed = _midnight(begin, zone).utcoffset() != _midnight(begin + _WEEK, zone).utcoffset()
        (changed if is_changed else normal).append(begin)
    return normal[0], changed[:2]


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _stretches(compiled: Compiled, zone: ZoneInfo, monday: date) -> list[_Stretch]:
    found = []
    begins, ends = compiled.tariff.start_date_time, compiled.tariff.end_date_time
    for shift in range(7):
        day = monday + shift * _DAY
        start = max(_midnight(day, zone).astimezone(UTC), begins or datetime.min.replace(tzinfo=UTC))
        end = min(_midnight(day + _DAY, zone).astimezone(UTC), ends or datetime.max.replace(tzinfo=UTC))
        if start >= end:
            continue
        changes = offers(compiled, zone=zone, start=start, end=end)
        for (at, offer), until in zip(changes, [*(at for at, _ in changes[1:]), end], strict=True):
            found.append(_Stretch(day, f"{_label(at, day, zone)}-{_label(until, day, zone)}", offer))
    return found


def _label(at: datetime, day: date, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    return f"{local:%H:%M}" if local.date() == day else "24:00"


def _gaps(usual: Sequence[_Stretch], unusual: Sequence[_Stretch]) -> Iterator[Finding]:
    windows: dict[str, list[int]] = {}
    for stretch in usual:
        if not _is_priced(stretch.offer):
            windows.setdefault(stretch.window, []).append(stretch.day.weekday())
    for window, days in windows.items():
        yield _gap(f"{_named(days)} {window}")
    for stretch in unusual:
        weekday = stretch.day.weekday()
        if not _is_priced(stretch.offer) and weekday not in windows.get(stretch.window, ()):
            yield _gap(f"{_DAY_NAMES[weekday]} {stretch.day.isoformat()} {stretch.window}")


def _is_priced(offer: Offer) -> bool:
    return bool(offer.energy or offer.time or offer.flat)


def _gap(when: str) -> Finding:
    return Finding(
        "gap",
        Severity.ERROR,
        f"{when} costs nothing: no element gives ENERGY, TIME or FLAT a price then; put an element without"
        " restrictions last, with price 0 if charging is meant to be free",
    )


def _named(days: Sequence[int]) -> str:
    if len(days) == len(_DAY_NAMES):
        return "every day"
    if len(days) > 2 and list(days) == list(range(days[0], days[-1] + 1)):
        return f"{_DAY_NAMES[days[0]]} to {_DAY_NAMES[days[-1]]}"
    return " and ".join(_DAY_NAMES[day] for day in days)


def _without_fallback(compiled: Compiled, stretches: Sequence[_Stretch]) -> Iterator[Finding]:
    charge = [candidate for candidate in compiled.candidates if candidate.reservation is None]
    for type_ in (_Type.ENERGY, _Type.TIME, _Type.PARKING_TIME):
        mine = [candidate for candidate in charge if candidate.type is type_]
        if not mine or any(c.clock is None and c.limits is None for c in mine):
            continue
        if any(_is_dated(c) for c in mine) or not all(
            _is_certain(stretch.offer, type_) for stretch in stretches
        ):
            yield Finding(
                "no_catch_all",
                Severity.WARNING,
                f"{type_} has no element without restrictions: where none of the others holds it costs"
                " nothing; put one last, with price 0 if that is meant",
            )


def _is_certain(offer: Offer, type_: v221.TariffDimensionType) -> bool:
    rows = {_Type.ENERGY: offer.energy, _Type.TIME: offer.time, _Type.PARKING_TIME: offer.parking_time}
    row = rows[type_]
    return bool(row) and row[-1].limits is None


def _unreached(
    compiled: Compiled, stretches: Sequence[_Stretch], hidden: Sequence[Finding]
) -> Iterator[Finding]:
    """Components that several others together hide at every moment of the weeks.

    Where dates play a part, other weeks may be different: such components are left alone.
    """
    reached: set[Candidate] = {c for stretch in stretches for row in stretch.offer for c in row}
    reported = {finding.element for finding in hidden}
    dated: set[tuple[v221.TariffDimensionType, v221.ReservationRestrictionType | None]] = set()
    for candidate in compiled.candidates if stretches else ():
        row = (candidate.type, candidate.reservation)
        if _is_dated(candidate):
            dated.add(row)
        elif candidate not in reached and row not in dated and candidate.element not in reported:
            yield hidden_by(candidate, "the elements before it hold at every moment")


def _is_dated(candidate: Candidate) -> bool:
    clock = candidate.clock
    return clock is not None and (clock.first_date is not None or clock.end_date is not None)
