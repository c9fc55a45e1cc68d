"""What is wrong with one element of a tariff, or with its place among the others. [pure]"""

from collections.abc import Iterator
from datetime import date

from ocpi import v221
from tariffs.findings import Finding, Severity
from tariffs.offers import Candidate, Compiled
from tariffs.restrictions import MINUTES_PER_DAY, Clock, Limits

_Type = v221.TariffDimensionType
_BOUNDS = (
    ("min_kwh", "max_kwh"),
    ("min_current", "max_current"),
    ("min_power", "max_power"),
    ("min_duration", "max_duration"),
    ("start_date", "end_date"),
)
_ALL_DAYS = frozenset(range(7))
_ANY_TIME = Clock(start=0, end=MINUTES_PER_DAY, first_date=None, end_date=None, days=frozenset())
_NO_LIMITS = Limits(None, None, None, None, None, None, None, None)


def about_element(tariff: v221.Tariff, element: int, *, reference: date) -> Iterator[Finding]:
    """Findings on one element by itself."""
    entry = tariff.elements[element]
    for component in entry.price_components:
        yield from _about_component(component, element)
    restrictions = entry.restrictions
    if restrictions is None:
        return
    yield from _about_window(restrictions, element)
    for low, high in _BOUNDS:
        lowest, highest = getattr(restrictions, low), getattr(restrictions, high)
        if lowest is not None and highest is not None and lowest >= highest:
            yield _error(
                "never_holds",
                element,
                f"{low} {lowest} is not below {high} {highest}, so that it never holds: correct one of them",
            )
    if restrictions.end_date and restrictions.end_date <= reference.isoformat():
        yield Finding(
            "ended",
            Severity.WARNING,
            f"element {element} ended before {restrictions.end_date}: remove it or give it new dates",
            element,
        )
    if restrictions.reservation:
        for component in entry.price_components:
            if component.type in (_Type.ENERGY, _Type.PARKING_TIME):
                yield _error(
                    "reservation_dimension",
                    element,
                    f"prices {component.type} under {restrictions.reservation}, where only FLAT and TIME"
                    " count: move the component to an element without reservation",
                )


def shadowed(compiled: Compiled) -> list[Finding]:
    """Components that can never be billed because one before them always wins."""
    found = []
    for position, later in enumerate(compiled.candidates):
        for earlier in compiled.candidates[:position]:
            if _hides(earlier, later):
                found.append(hidden_by(later, f"element {earlier.element} always holds when it does"))
                break
    return found


def hidden_by(candidate: Candidate, why: str) -> Finding:
    """The finding that a component is never billed."""
    return _error(
        "shadowed",
        candidate.element,
        f"{candidate.type} at {candidate.price} is never billed, {why}: put the narrower element first, or"
        " remove this one",
    )


def _about_component(component: v221.PriceComponent, element: int) -> Iterator[Finding]:
    if component.step_size == 0 and component.type is not _Type.FLAT:
        yield _error(
            "step_size",
            element,
            f"step_size 0 in {component.type} has no meaning: give 1 to bill what was measured",
        )
    if component.price < 0:
        yield _error("negative_price", element, f"{component.type} costs {component.price}: give 0 or more")
    if component.vat is not None and not 0 <= component.vat <= 100:
        yield _error("vat_rate", element, f"VAT of {component.vat} %: give a percentage from 0 to 100")


def _about_window(restrictions: v221.TariffRestrictions, element: int) -> Iterator[Finding]:
    start, end = restrictions.start_time, restrictions.end_time
    if (start is None) != (end is None):
        missing = 'end_time "00:00" (end of the day)' if end is None else 'start_time "00:00"'
        yield Finding(
            "half_window",
            Severity.WARNING,
            f"element {element}: partners read a missing start_time or end_time differently; add {missing}",
            element,
        )
    if start is None or end in (None, "00:00") or start < str(end):
        return
    if start == end:
        advice = "leave both out if the whole day is meant"
    else:
        advice = (
            f"split it at midnight into two elements, {start}-00:00 and 00:00-{end}, each with its weekdays"
        )
    yield _error(
        "wrapping_window",
        element,
        f"{start}-{end} runs past midnight, which partners read differently: {advice}",
    )


def _hides(earlier: Candidate, later: Candidate) -> bool:
    return (
        (earlier.type, earlier.reservation) == (later.type, later.reservation)
        and _clock_covers(earlier.clock or _ANY_TIME, later.clock or _ANY_TIME)
        and _limits_cover(earlier.limits or _NO_LIMITS, later.limits or _NO_LIMITS)
    )


def _clock_covers(wide: Clock, narrow: Clock) -> bool:
    days = wide.days or _ALL_DAYS
    return (
        all(any(a <= c and d <= b for a, b in _spans(wide)) for c, d in _spans(narrow))
        and days >= (narrow.days or _ALL_DAYS)
        and (
            wide.first_date is None
            or (narrow.first_date is not None and narrow.first_date >= wide.first_date)
        )
        and (wide.end_date is None or (narrow.end_date is not None and narrow.end_date <= wide.end_date))
    )


def _spans(clock: Clock) -> list[tuple[int, int]]:
    if clock.start < clock.end:
        return [(clock.start, clock.end)]
    return [(0, clock.end), (clock.start, MINUTES_PER_DAY)]


def _limits_cover(wide: Limits, narrow: Limits) -> bool:
    for low, high in _BOUNDS[:-1]:
        widest, narrowest = getattr(wide, low), getattr(narrow, low)
        if widest is not None and (narrowest is None or narrowest < widest):
            return False
        widest, narrowest = getattr(wide, high), getattr(narrow, high)
        if widest is not None and (narrowest is None or narrowest > widest):
            return False
    return True


def _error(code: str, element: int, text: str) -> Finding:
    return Finding(code, Severity.ERROR, f"element {element}: {text}", element)
