"""From register readings to what a Session shows: energy, charging periods and cost so far. [pure]

The register is the truth: the energy of the periods adds up to the difference between the last and the first
reading to the last digit, and the periods partition the time between them (chapters "Sessions module" and
"CDRs module"; CDR-13, CDR-14, SES-19).
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import msgspec

from ocpi import v221
from tariffs.bill import CannotPrice
from tariffs.choice import TariffChange
from tariffs.cutting import cut, reserved
from tariffs.pricing import price
from tariffs.rounding import exactly, hours_of, plain

FEEDBACK = timedelta(minutes=15)
"""A driver sees a new period at least this often (SES-19); tariff edges come on top."""

FUTURE_TOLERANCE = timedelta(minutes=5)
MAX_SESSION_WH = 1_000_000_000

_TIMES = (v221.CdrDimensionType.TIME, v221.CdrDimensionType.PARKING_TIME)
_MICROSECOND = timedelta(microseconds=1)


class Reading(NamedTuple):
    """One value of the import register of a meter: Wh at the station's own time; power in W when it came
    along."""

    at: datetime
    energy_wh: int
    power_w: int | None = None


class Refusal(StrEnum):
    """Why a reading does not count."""

    BACKWARDS = "READING_BACKWARDS"
    BEFORE_START = "READING_BEFORE_START"
    IN_FUTURE = "READING_IN_FUTURE"
    IMPOSSIBLE = "READING_IMPOSSIBLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A session up to ``stop``: kWh, its periods, and the cost; None means that the cost is not known
    (SES-18)."""

    energy_kwh: Decimal
    periods: tuple[v221.ChargingPeriod, ...]
    total_cost: v221.Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a list of periods became: the ones that are new, and whether one that was told is different
    now."""

    appended: tuple[v221.ChargingPeriod, ...]
    is_corrected: bool


def refusal(reading: Reading, *, known: Sequence[Reading], now: datetime) -> Refusal | None:
    """Tell why a reading cannot count beside the ``known`` ones (sorted; the first is the start of the
    session).

    A late reading is fine as long as it fits between its neighbours; a register that falls is not.
    """
    start = known[0]
    if reading.at < start.at:
        return Refusal.BEFORE_START
    if reading.at > now + FUTURE_TOLERANCE:
        return Refusal.IN_FUTURE
    if not 0 <= reading.energy_wh <= start.energy_wh + MAX_SESSION_WH:
        return Refusal.IMPOSSIBLE
    position = bisect_right(known, reading.at, key=_at)
    if reading.energy_wh < known[position - 1].energy_wh:
        return Refusal.BACKWARDS
    if position < len(known) and reading.energy_wh > known[position].energy_wh:
        return Refusal.BACKWARDS
    return None


def in_time(readings: Iterable[Reading]) -> list[Reading]:
    """Readings in the order of their instants."""
    return sorted(readings, key=lambda each: (each.at, each.energy_wh))


def curve(*, start: Reading, stop: Reading, readings: Iterable[Reading]) -> tuple[Reading, ...]:
    """Return the register over a session: its start, the readings strictly inside that fit, its stop.

    Readings outside [start, stop] in time or in value are left out: the start and the stop stand.
    """
    inside = in_time(
        each
        for each in readings
        if start.at < each.at < stop.at and start.energy_wh <= each.energy_wh <= stop.energy_wh
    )
    return (start, *inside, stop)


def progress(
    *,
    tariffs: Sequence[v221.Tariff],
    time_zone: str,
    readings: Sequence[Reading],
    suspended_ev_from: datetime | None,
    changes: Sequence[TariffChange] = (),
    reserved_from: datetime | None = None,
) -> Progress:
    """Return energy, periods and cost over ``readings``, the whole ``curve`` of a session so far.

    From ``reserved_from`` until the first reading the bay was reserved for it. The periods are those of the
    tariff, further divided every quarter of an hour. Without a tariff, or with one that cannot be applied, the
    cost is unknown and the periods say only what was measured.
    """
    start, stop = readings[0], readings[-1]
    energy_kwh = kwh(stop.energy_wh - start.energy_wh)
    if stop.at <= start.at:
        return Progress(energy_kwh=energy_kwh, periods=(), total_cost=None)
    total_cost = None
    try:
        periods = priced_periods(
            tariffs=tariffs,
            time_zone=time_zone,
            readings=readings,
            suspended_ev_from=suspended_ev_from,
            changes=changes,
            reserved_from=reserved_from,
        )
        if tariffs:
            total_cost = price(
                tariffs=tariffs,
                charging_periods=periods,
                start=periods[0].start_date_time,
                end=stop.at,
                time_zone=time_zone,
            ).total_cost
    except CannotPrice:
        periods = (_measured(start, stop),)
    return Progress(energy_kwh=energy_kwh, periods=divide(periods, readings=readings), total_cost=total_cost)


def priced_periods(
    *,
    tariffs: Sequence[v221.Tariff],
    time_zone: str,
    readings: Sequence[Reading],
    suspended_ev_from: datetime | None,
    changes: Sequence[TariffChange] = (),
    reserved_from: datetime | None = None,
) -> tuple[v221.ChargingPeriod, ...]:
    """Return the periods that a bill is made of: cut wherever the price can change, and nowhere else.

    Each of ``changes`` names the one of ``tariffs`` that bills from its moment on (TAR-25).

    ``readings`` is the whole ``curve`` of a session; a reservation before it is a period of its own (TAR-17).
    Raises CannotPrice when the tariff cannot be applied.
    """
    start = readings[0].at
    charge = cut(
        tariffs=tariffs,
        time_zone=time_zone,
        start=start,
        stop=readings[-1].at,
        readings=[(each.at, each.energy_wh) for each in readings],
        suspended_ev_from=suspended_ev_from,
        changes=changes,
    )
    if reserved_from is None or reserved_from >= start or not tariffs:
        return charge
    return (reserved(tariffs=tariffs, start=reserved_from, end=start, changes=changes), *charge)


def change(*, before: Sequence[v221.ChargingPeriod], after: Sequence[v221.ChargingPeriod]) -> Change:
    """Compare what was told with what is true now (SES-07, SES-08).

    Only when ``is_corrected`` is False would a PATCH of ``appended`` rebuild the list at the receiver.
    """
    kept = len(before) <= len(after) and all(old == new for old, new in zip(before, after, strict=False))
    return Change(appended=tuple(after[len(before) :]) if kept else (), is_corrected=not kept)


def kwh(energy_wh: int) -> Decimal:
    """Wh of the register as kWh, exact."""
    return Decimal(energy_wh).scaleb(-3)


def divide(
    periods: Sequence[v221.ChargingPeriod], *, readings: Sequence[Reading]
) -> tuple[v221.ChargingPeriod, ...]:
    """Divide periods at every quarter of an hour of the session; the volumes of the parts add up to the
    whole.

    The energy of a part is read off the curve, in whole Wh, as the cut at tariff edges does.
    """
    ends = [period.start_date_time for period in periods[1:]] + [readings[-1].at]
    parts: list[v221.ChargingPeriod] = []
    for period, end in zip(periods, ends, strict=True):
        parts.extend(_divided(period, end=end, readings=readings))
    return tuple(parts)


def _divided(
    period: v221.ChargingPeriod, *, end: datetime, readings: Sequence[Reading]
) -> list[v221.ChargingPeriod]:
    start = period.start_date_time
    marks = _marks(start, end, origin=readings[0].at)
    if not marks or not _is_divisible(period):
        return [period]
    edges = [start, *marks, end]
    shares = [_shares(dimension, edges, readings) for dimension in period.dimensions]
    return [
        msgspec.structs.replace(
            period,
            start_date_time=edge,
            dimensions=tuple(
                v221.CdrDimension(type=dimension.type, volume=volumes[position])
                for dimension, volumes in zip(period.dimensions, shares, strict=True)
            ),
        )
        for position, edge in enumerate(edges[:-1])
    ]


def _marks(start: datetime, end: datetime, *, origin: datetime) -> list[datetime]:
    """The quarters of an hour since ``origin`` that lie strictly between ``start`` and ``end``."""
    mark = origin + FEEDBACK * ((start - origin) // FEEDBACK + 1)
    marks = []
    while mark < end:
        marks.append(mark)
        mark += FEEDBACK
    return marks


def _is_divisible(period: v221.ChargingPeriod) -> bool:
    # A greatest or smallest power holds for its whole period only, and of two kinds of time nobody knows
    # which one came first: such a period stays in one piece.
    types = [dimension.type for dimension in period.dimensions]
    others = [each for each in types if each not in (*_TIMES, v221.CdrDimensionType.ENERGY)]
    return not others and sum(each in _TIMES for each in types) <= 1


def _shares(
    dimension: v221.CdrDimension, edges: Sequence[datetime], readings: Sequence[Reading]
) -> list[Decimal]:
    """The volume so far at each edge, as differences: whatever the rounding, they add up to the volume."""
    if dimension.type in _TIMES:
        so_far = [_hours(edge - edges[0]) for edge in edges[1:-1]]
    else:
        base = energy_at(edges[0], readings=readings)
        so_far = [kwh(max(0, energy_at(edge, readings=readings) - base)) for edge in edges[1:-1]]
    capped = [min(value, dimension.volume) for value in so_far]
    totals = [Decimal(0), *capped, dimension.volume]
    return [plain(after - before) for before, after in pairwise(totals)]


def energy_at(instant: datetime, *, readings: Sequence[Reading]) -> int:
    """Register value at ``instant`` in whole Wh, half a Wh up, on the line between the readings around it."""
    position = bisect_right(readings, instant, key=_at)
    if position == 0:
        return readings[0].energy_wh
    before = readings[position - 1]
    if position == len(readings):
        return before.energy_wh
    after = readings[position]
    length = (after.at - before.at) // _MICROSECOND
    passed = (instant - before.at) // _MICROSECOND
    return before.energy_wh + (2 * (after.energy_wh - before.energy_wh) * passed + length) // (2 * length)


def _at(reading: Reading) -> datetime:
    return reading.at


def _hours(span: timedelta) -> Decimal:
    with exactly():
        return hours_of(Decimal(span // _MICROSECOND).scaleb(-6))


def _measured(start: Reading, stop: Reading) -> v221.ChargingPeriod:
    return v221.ChargingPeriod(
        start_date_time=start.at,
        dimensions=(
            v221.CdrDimension(
                type=v221.CdrDimensionType.ENERGY, volume=kwh(stop.energy_wh - start.energy_wh)
            ),
            v221.CdrDimension(type=v221.CdrDimensionType.TIME, volume=_hours(stop.at - start.at)),
        ),
    )
