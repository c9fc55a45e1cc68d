"""From meter readings to charging periods (chapter "CDRs module", ChargingPeriod). [pure]

A new period starts whenever a different price component becomes active and when the vehicle stops asking
for power. Energy at such a moment is read off the line between the two readings around it, in whole Wh, as
a meter would show it: the periods add up to the register exactly.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import NamedTuple

from ocpi import v221
from tariffs.bill import CannotPrice
from tariffs.choice import TariffChange, governed
from tariffs.offers import Candidate, Compiled, Offer, compile_tariff, offers, pick, zone_of
from tariffs.restrictions import Usage
from tariffs.rounding import exactly, hours_of, plain

_Type = v221.CdrDimensionType
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)
_WH_PER_KWH = Decimal(1000)
_WATT = Decimal("0.001")

_Choice = tuple[Candidate | None, ...]


class _Register:
    """The meter between ``start`` and ``stop``: Wh at any instant, interpolated to whole Wh."""

    def __init__(self, readings: Sequence[tuple[datetime, int]], *, start: datetime, stop: datetime) -> None:
        ordered = sorted(readings, key=_instant)
        for (_, before), (at, after) in pairwise(ordered):
            if after < before:
                raise CannotPrice(
                    f"the reading of {at.isoformat()} is {after} Wh, after {before} Wh before it:"
                    " a register does not run backwards, correct the readings"
                )
        clipped = [(min(max(at, start), stop), wh) for at, wh in ordered] or [(start, 0)]
        self.readings = clipped
        self.first = clipped[0][1]
        self.last = clipped[-1][1]
        self._instants = [at for at, _ in clipped]

    def at(self, instant: datetime) -> int:
        """Wh that the meter shows at an instant, half a Wh up; outside the readings the nearest one."""
        position = bisect_right(self._instants, instant)
        if position == 0:
            return self.first
        if position == len(self.readings):
            return self.last
        (begin, low), (end, high) = self.readings[position - 1 : position + 1]
        length = (end - begin) // _MICROSECOND
        passed = (instant - begin) // _MICROSECOND
        return low + (2 * (high - low) * passed + length) // (2 * length)

    def reaches(self, wh: int) -> datetime | None:
        """The second at which the meter shows ``wh``, or None when it never passes it."""
        for (begin, low), (end, high) in pairwise(self.readings):
            if low < wh <= high:
                share = (end - begin) * (wh - low) // (high - low)
                return _whole_second(begin + share)
        return None


class _Rule(NamedTuple):
    """The tariff (if any) that bills a part of the session, and its offers from when on."""

    start: datetime
    end: datetime
    compiled: Compiled | None
    changes: list[tuple[datetime, Offer]]


class _Slice(NamedTuple):
    """A stretch without any threshold inside."""

    start: datetime
    end: datetime
    wh: int
    is_parking: bool
    power: Decimal | None
    rule: _Rule
    choice: _Choice


def cut(
    *,
    tariffs: Sequence[v221.Tariff],
    time_zone: str,
    start: datetime,
    stop: datetime,
    readings: Sequence[tuple[datetime, int]],
    suspended_ev_from: datetime | None,
    changes: Sequence[TariffChange] = (),
) -> tuple[v221.ChargingPeriod, ...]:
    """Charging periods of a session under the first of ``tariffs`` that is valid at its start, and from each of
    ``changes`` on under the one that it names.

    ``readings`` are instants with the meter's register in Wh; those outside the session count at its start
    or stop. From ``suspended_ev_from`` on the vehicle asks for no power: PARKING_TIME instead of TIME.
    Without tariffs there is one period of charging and one of parking. ENERGY in kWh adds up to last minus
    first reading; TIME and PARKING_TIME in hours. Raises CannotPrice for a stop before the start and for a
    register that runs backwards.
    """
    if stop < start:
        raise CannotPrice(f"session stops at {stop.isoformat()}, before its start {start.isoformat()}")
    register = _Register(readings, start=start, stop=stop)
    with exactly():
        rules = _rules(tariffs, changes, time_zone=time_zone, start=start, stop=stop)
        edges = _edges(rules, register, start=start, stop=stop, parked_from=suspended_ev_from)
        slices = _slices(edges, rules, register, parked_from=suspended_ev_from)
        return tuple(_periods(list(_joined(slices))))


def reserved(
    *,
    tariffs: Sequence[v221.Tariff],
    start: datetime,
    end: datetime,
    changes: Sequence[TariffChange] = (),
) -> v221.ChargingPeriod:
    """The period of a reservation from ``start`` to ``end``, before the charge or instead of it.

    It is under the tariff with which its session begins: that of the preference which the token brought, if any.
    """
    if end < start:
        raise CannotPrice(f"reservation ends at {end.isoformat()}, before its start {start.isoformat()}")
    hours = plain(hours_of(_seconds(end - start)))
    return v221.ChargingPeriod(
        start_date_time=start,
        dimensions=(v221.CdrDimension(type=_Type.RESERVATION_TIME, volume=hours),),
        tariff_id=governed(tariffs, changes, start=start, stop=end)[0][1].id,
    )


def _instant(reading: tuple[datetime, int]) -> datetime:
    return reading[0]


def _whole_second(at: datetime) -> datetime:
    return (at + _SECOND / 2).replace(microsecond=0)


def _seconds(duration: timedelta) -> Decimal:
    return Decimal(duration // _MICROSECOND) / 1_000_000


def _rules(
    tariffs: Sequence[v221.Tariff],
    changes: Sequence[TariffChange],
    *,
    time_zone: str,
    start: datetime,
    stop: datetime,
) -> list[_Rule]:
    if not tariffs:
        return [_Rule(start, stop, None, [])]
    zone = zone_of(time_zone)
    spans = governed(tariffs, changes, start=start, stop=stop)
    ends = [at for at, _ in spans[1:]] + [stop]
    rules = []
    for (begin, tariff), end in zip(spans, ends, strict=True):
        compiled = compile_tariff(tariff)
        rules.append(_Rule(begin, end, compiled, offers(compiled, zone=zone, start=begin, end=end)))
    return rules


def _edges(
    rules: Sequence[_Rule],
    register: _Register,
    *,
    start: datetime,
    stop: datetime,
    parked_from: datetime | None,
) -> list[tuple[datetime, int]]:
    """Instants at which something may change, in order, with the Wh at each."""
    instants = {rule.start for rule in rules}
    if parked_from:
        instants.add(parked_from)
    crossings: dict[datetime, int] = {}
    for rule in rules:
        own = {at for at, _ in rule.changes}
        if rule.compiled:
            own |= {start + seconds * _SECOND for seconds in rule.compiled.seconds}
            crossings |= {
                at: wh for at, wh in _crossings(rule.compiled, register) if rule.start <= at < rule.end
            }
            if rule.compiled.asks_power:
                own |= {at for at, _ in register.readings}
        instants |= {at for at in own if rule.start <= at < rule.end}
    inside = sorted(at for at in instants | crossings.keys() if start < at < stop)
    edges = [(start, register.first)]
    shown = register.first
    for at in inside:
        # A threshold is met at a whole second: keep the register from running backwards around it.
        shown = max(shown, crossings.get(at, register.at(at)))
        edges.append((at, shown))
    return [*edges, (stop, register.last)]


def _crossings(compiled: Compiled, register: _Register) -> Iterator[tuple[datetime, int]]:
    for bound in compiled.kwh:
        wh = register.first + int((bound * _WH_PER_KWH).to_integral_value(ROUND_CEILING))
        at = register.reaches(wh)
        if at is not None:
            yield at, wh


def _slices(
    edges: Sequence[tuple[datetime, int]],
    rules: Sequence[_Rule],
    register: _Register,
    *,
    parked_from: datetime | None,
) -> Iterator[_Slice]:
    begins = [rule.start for rule in rules]
    begin = edges[0][0]
    for (start, low), (end, high) in pairwise(edges):
        rule = rules[bisect_right(begins, start) - 1]
        is_parking = parked_from is not None and start >= parked_from
        power = _power(high - low, end - start)
        usage = Usage(
            kwh=(Decimal(low + high) / 2 - register.first) / _WH_PER_KWH,
            seconds=_seconds(start - begin + (end - start) / 2),
            min_power=power,
            max_power=power,
        )
        choice: _Choice = ()
        if rule.compiled:
            offer = rule.changes[bisect_right(rule.changes, start, key=_instant_of_offer) - 1][1]
            timed = offer.parking_time if is_parking else offer.time
            choice = (pick(offer.energy, usage), pick(timed, usage), pick(offer.flat, usage))
        yield _Slice(start, end, high - low, is_parking, power, rule, choice)


def _instant_of_offer(change: tuple[datetime, Offer]) -> datetime:
    return change[0]


def _power(wh: int, duration: timedelta) -> Decimal | None:
    """Average kW, to the watt."""
    if not duration:
        return None
    return (Decimal(wh) * 3600 / (_seconds(duration) * _WH_PER_KWH)).quantize(_WATT)


def _joined(slices: Iterator[_Slice]) -> Iterator[list[_Slice]]:
    """Neighbours under the same components of one tariff belong to one period."""
    group: list[_Slice] = []
    for part in slices:
        if group and (
            part.rule is not group[0].rule
            or (part.is_parking, part.choice) != (group[0].is_parking, group[0].choice)
        ):
            yield group
            group = []
        group.append(part)
    yield group


def _periods(groups: Sequence[Sequence[_Slice]]) -> Iterator[v221.ChargingPeriod]:
    """Hours are differences of rounded running totals, so that they add up to the rounded whole."""
    passed = {_Type.TIME: timedelta(), _Type.PARKING_TIME: timedelta()}
    for group in groups:
        type_ = _Type.PARKING_TIME if group[0].is_parking else _Type.TIME
        before = passed[type_]
        passed[type_] = before + group[-1].end - group[0].start
        wh = sum(part.wh for part in group)
        volumes = {
            _Type.ENERGY: Decimal(wh) / _WH_PER_KWH,
            type_: hours_of(_seconds(passed[type_])) - hours_of(_seconds(before)),
        }
        powers = [part.power for part in group if part.power is not None]
        compiled = group[0].rule.compiled
        if compiled and compiled.asks_power and powers:
            volumes |= {_Type.MIN_POWER: min(powers), _Type.MAX_POWER: max(powers)}
        yield v221.ChargingPeriod(
            start_date_time=group[0].start,
            dimensions=tuple(v221.CdrDimension(type=name, volume=plain(v)) for name, v in volumes.items()),
            tariff_id=compiled.tariff.id if compiled else None,
        )
