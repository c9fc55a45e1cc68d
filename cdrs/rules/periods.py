"""Rules on the charging periods of a CDR: they partition the session and add up (I14). [pure]"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from cdrs.rules import CdrCase, Rule
from ocpi import v221

_REPORT = "Correct the times and readings of the session; if they are right, report it."
_Type = v221.CdrDimensionType
_SESSION_ONLY = frozenset(
    {_Type.CURRENT, _Type.ENERGY_EXPORT, _Type.ENERGY_IMPORT, _Type.POWER, _Type.STATE_OF_CHARGE}
)
_TIMES = frozenset({_Type.TIME, _Type.PARKING_TIME, _Type.RESERVATION_TIME})
_VOLUMES = _TIMES | {_Type.ENERGY}
# Hours have four decimals: each end of a period may be off by half of the last one.
_HOUR_STEP = Decimal("0.0001")
_MICROSECONDS_PER_HOUR = Decimal(3_600_000_000)


def _sum(case: CdrCase, *types: v221.CdrDimensionType) -> Decimal:
    return sum(
        (
            each.volume
            for period in case.cdr.charging_periods
            for each in period.dimensions
            if each.type in types
        ),
        Decimal(0),
    )


def _first_not_at_start(case: CdrCase) -> Iterator[str]:
    start, first = case.cdr.start_date_time, case.cdr.charging_periods[0].start_date_time
    if first != start:
        yield f"the first period starts at {first:%H:%M:%S}, the session at {start:%H:%M:%S}"


def _not_in_order(case: CdrCase) -> Iterator[str]:
    for before, after in pairwise(case.cdr.charging_periods):
        if after.start_date_time <= before.start_date_time:
            yield f"a period starts at {after.start_date_time:%H:%M:%S}, not after the one before it"


def _after_end(case: CdrCase) -> Iterator[str]:
    last = case.cdr.charging_periods[-1].start_date_time
    if last >= case.cdr.end_date_time:
        yield f"the last period starts at {last:%H:%M:%S}, when the session is over"


def _gap(case: CdrCase) -> Iterator[str]:
    starts = [period.start_date_time for period in case.cdr.charging_periods]
    for period, end in zip(case.cdr.charging_periods, [*starts[1:], case.cdr.end_date_time], strict=True):
        span = Decimal((end - period.start_date_time) // timedelta(microseconds=1)) / _MICROSECONDS_PER_HOUR
        hours = sum((each.volume for each in period.dimensions if each.type in _TIMES), Decimal(0))
        if abs(hours - span) > _HOUR_STEP:
            at = period.start_date_time
            yield f"the period from {at:%H:%M:%S} accounts for {hours:f} h of {span:.4f} h"


def _energy_sum(case: CdrCase) -> Iterator[str]:
    energy = _sum(case, _Type.ENERGY)
    if energy != case.cdr.total_energy:
        yield f"the periods hold {energy:f} kWh, total_energy is {case.cdr.total_energy:f} kWh (CDR-14)"


def _time_sum(case: CdrCase) -> Iterator[str]:
    hours = _sum(case, _Type.TIME, _Type.PARKING_TIME)
    if abs(hours - case.cdr.total_time) > _HOUR_STEP:
        yield f"the periods hold {hours:f} h, total_time is {case.cdr.total_time:f} h (CDR-16)"


def _parking_sum(case: CdrCase) -> Iterator[str]:
    hours, total = _sum(case, _Type.PARKING_TIME), case.cdr.total_parking_time or Decimal(0)
    if abs(hours - total) > _HOUR_STEP:
        yield f"the periods hold {hours:f} h of parking, total_parking_time is {total:f} h (CDR-16)"


def _negative_volume(case: CdrCase) -> Iterator[str]:
    for period in case.cdr.charging_periods:
        for each in period.dimensions:
            if each.volume < 0:
                yield f"{each.type} is {each.volume:f} in the period from {period.start_date_time:%H:%M:%S}"


def _session_only(case: CdrCase) -> Iterator[str]:
    for name in sorted(
        {
            each.type
            for period in case.cdr.charging_periods
            for each in period.dimensions
            if each.type in _SESSION_ONLY
        }
    ):
        yield f"{name} belongs to Sessions and must not be in a CDR (CDR-15)"


def _dimension_twice(case: CdrCase) -> Iterator[str]:
    for period in case.cdr.charging_periods:
        for name, count in Counter(each.type for each in period.dimensions).items():
            if count > 1:
                yield f"{name} is {count} times in the period from {period.start_date_time:%H:%M:%S}"


def _nothing_measured(case: CdrCase) -> Iterator[str]:
    for period in case.cdr.charging_periods:
        if not any(each.type in _VOLUMES for each in period.dimensions):
            yield f"the period from {period.start_date_time:%H:%M:%S} has neither energy nor time"


def _tariff_not_there(case: CdrCase) -> Iterator[str]:
    known = {tariff.id for tariff in case.cdr.tariffs}
    for period in case.cdr.charging_periods:
        if period.tariff_id not in known:
            yield (
                f"the period from {period.start_date_time:%H:%M:%S} names tariff {period.tariff_id}, "
                "which is not in the CDR (CDR-20)"
            )


RULES: tuple[Rule[CdrCase], ...] = (
    Rule("FIRST_PERIOD", _first_not_at_start, _REPORT),
    Rule("PERIOD_ORDER", _not_in_order, _REPORT),
    Rule("PERIOD_AFTER_END", _after_end, _REPORT),
    Rule("PERIOD_GAP", _gap, _REPORT),
    Rule("ENERGY_SUM", _energy_sum, _REPORT),
    Rule("TIME_SUM", _time_sum, _REPORT),
    Rule("PARKING_SUM", _parking_sum, _REPORT),
    Rule("NEGATIVE_VOLUME", _negative_volume, _REPORT),
    Rule("SESSION_ONLY_DIMENSION", _session_only, _REPORT),
    Rule("DIMENSION_TWICE", _dimension_twice, _REPORT),
    Rule("NOTHING_MEASURED", _nothing_measured, _REPORT),
    Rule("PERIOD_TARIFF", _tariff_not_there, _REPORT),
)
