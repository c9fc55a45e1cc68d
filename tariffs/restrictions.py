"""Restrictions of a tariff element, in the two kinds that are judged apart (TariffRestrictions). [pure]

``Clock``: what the clock and the calendar of the Location answer. ``Limits``: what only the charge itself
can answer (kWh, duration, current, power).
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from ocpi import v221
from tariffs.bill import CannotPrice

MINUTES_PER_DAY = 1440
_DAYS = tuple(v221.DayOfWeek)
_LIMITS = (
    "min_kwh",
    "max_kwh",
    "min_duration",
    "max_duration",
    "min_current",
    "max_current",
    "min_power",
    "max_power",
)


class Usage(NamedTuple):
    """The charge at one moment: kWh and seconds since its start; A over all phases and kW when known."""

    kwh: Decimal
    seconds: Decimal
    min_current: Decimal | None = None
    max_current: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on the charge: lower ones included, upper ones excluded (TAR-15); kWh, s, A, kW."""

    min_kwh: Decimal | None
    max_kwh: Decimal | None
    min_duration: int | None
    max_duration: int | None
    min_current: Decimal | None
    max_current: Decimal | None
    min_power: Decimal | None
    max_power: Decimal | None

    @property
    def asks_power(self) -> bool:
        """Whether one of them is in kW."""
        return self.min_power is not None or self.max_power is not None

    @property
    def asks_flow(self) -> bool:
        """Whether one of them is in A or kW."""
        return self.asks_power or self.min_current is not None or self.max_current is not None

    def hold(self, usage: Usage) -> bool:
        """Whether all hold. Current and power must hold throughout; what nobody measured does not hold."""
        return (
            (self.min_kwh is None or usage.kwh >= self.min_kwh)
            and (self.max_kwh is None or usage.kwh < self.max_kwh)
            and (self.min_duration is None or usage.seconds >= self.min_duration)
            and (self.max_duration is None or usage.seconds < self.max_duration)
            and _at_least(usage.min_current, self.min_current)
            and _below(usage.max_current, self.max_current)
            and _at_least(usage.min_power, self.min_power)
            and _below(usage.max_power, self.max_power)
        )


@dataclass(frozen=True, slots=True)
class Clock:
    """A daily window in minutes, end excluded, on some days (0 = Monday; none = all) of a span of dates."""

    start: int
    end: int
    first_date: date | None
    end_date: date | None
    days: frozenset[int]

    def holds(self, local: datetime) -> bool:
        """Whether a local time is inside; after midnight, weekday and date are those of the new day."""
        minute = local.hour * 60 + local.minute
        if self.start < self.end:  # noqa: SIM108  # two sentences are easier to read than one
            in_window = self.start <= minute < self.end
        else:
            in_window = minute >= self.start or minute < self.end
        if not in_window or (self.days and local.weekday() not in self.days):
            return False
        today = local.date()
        return (self.first_date is None or today >= self.first_date) and (
            self.end_date is None or today < self.end_date
        )


def clock_of(restrictions: v221.TariffRestrictions | None) -> Clock | None:
    """The clock part, or None when there is none.

    An absent start is 00:00, an absent end and 00:00 are the end of the day (TAR-13). Raises CannotPrice for
    a date that does not exist.
    """
    if restrictions is None:
        return None
    r = restrictions
    if not (r.start_time or r.end_time or r.start_date or r.end_date or r.day_of_week):
        return None
    return Clock(
        start=_minute(r.start_time),
        end=_minute(r.end_time) or MINUTES_PER_DAY,
        first_date=_date(r.start_date),
        end_date=_date(r.end_date),
        days=frozenset(_DAYS.index(day) for day in r.day_of_week),
    )


def limits_of(restrictions: v221.TariffRestrictions | None) -> Limits | None:
    """The part that the charge answers, or None when there is none."""
    if restrictions is None:
        return None
    bounds = {name: getattr(restrictions, name) for name in _LIMITS}
    return Limits(**bounds) if any(bound is not None for bound in bounds.values()) else None


def _minute(text: str | None) -> int:
    return int(text[:2]) * 60 + int(text[3:]) if text else 0


def _date(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise CannotPrice(f"{text!r} is not a date of the calendar: correct the restriction") from None


def _at_least(value: Decimal | None, bound: Decimal | None) -> bool:
    return bound is None or (value is not None and value >= bound)


def _below(value: Decimal | None, bound: Decimal | None) -> bool:
    return bound is None or (value is not None and value < bound)
