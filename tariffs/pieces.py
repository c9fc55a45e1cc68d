"""Charging periods cut into pieces in which one set of prices can hold. [pure]

A period that crosses a threshold (clock, date, duration, kWh) is split there; its volumes are spread evenly
over its duration. The volumes of the pieces add up to those of the period to the last digit.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from ocpi import v221
from tariffs.bill import CannotPrice
from tariffs.offers import Compiled, Offer, offers
from tariffs.restrictions import Usage
from tariffs.rounding import SECONDS_PER_HOUR, carry, seconds_of

_Type = v221.CdrDimensionType
_ZERO = Decimal(0)
_ONE = Decimal(1)
_WATT = Decimal("0.001")
_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS = Decimal(1_000_000)
_UNASKED = Usage(_ZERO, _ZERO)


class Volumes(NamedTuple):
    """What was used: kWh, and seconds of charging, parking and reservation; None where nothing is said."""

    energy: Decimal | None
    time: Decimal | None
    parking_time: Decimal | None
    reservation_time: Decimal | None


class Span(NamedTuple):
    """A charging period with its end, its tariff and its volumes, read once."""

    start: datetime
    end: datetime
    compiled: Compiled
    volumes: Volumes
    dimensions: Mapping[v221.CdrDimensionType, Decimal]

    @property
    def is_charge(self) -> bool:
        """Whether it belongs to the charge and not to a reservation before it."""
        volumes = self.volumes
        return volumes.reservation_time is None or volumes[:3] != (None, None, None)


class Piece(NamedTuple):
    """Part of a period: the offer in force, the charge at its middle, and its share of the volumes."""

    span: Span
    start: datetime
    offer: Offer
    usage: Usage
    volumes: Volumes


class _Cut(NamedTuple):
    share: Decimal
    at: datetime | None
    offer: Offer | None


def read_spans(
    periods: Sequence[v221.ChargingPeriod], *, end: datetime, tariffs: Mapping[str | None, Compiled]
) -> list[Span]:
    """Periods in the order of time; each ends where the next one starts, the last one at ``end``.

    ``tariffs`` by id in lower case, and under None the one for periods that name none. Raises CannotPrice
    for a tariff that was not given and for a negative volume.
    """
    if not periods:
        raise CannotPrice("charging_periods is empty: a session has at least one period")
    ordered = sorted(periods, key=_start)
    ends = [period.start_date_time for period in ordered[1:]]
    ends.append(max(end, ordered[-1].start_date_time))
    return [_span(period, until, tariffs) for period, until in zip(ordered, ends, strict=True)]


def cut_spans(spans: Sequence[Span], *, zone: ZoneInfo, start: datetime) -> Iterator[Piece]:
    """The pieces of all periods of a session that began at ``start``.

    Durations count from the start of the charge, not from that of a reservation before it (TAR-16).
    """
    charge_start = start
    if spans and not spans[0].is_charge:
        charge_start = next((span.start for span in spans if span.is_charge), start)
    kwh = _ZERO
    for span in spans:
        origin = charge_start if span.is_charge else start
        yield from _pieces(span, zone=zone, origin=origin, kwh=kwh)
        kwh += span.volumes.energy or _ZERO


def _start(period: v221.ChargingPeriod) -> datetime:
    return period.start_date_time


def _span(period: v221.ChargingPeriod, end: datetime, tariffs: Mapping[str | None, Compiled]) -> Span:
    compiled = tariffs.get(period.tariff_id.lower() if period.tariff_id else None)
    if compiled is None:
        raise CannotPrice(
            f"period {period.start_date_time.isoformat()} names tariff {period.tariff_id!r},"
            " which is not among the tariffs given"
        )
    known = {dimension.type: dimension.volume for dimension in period.dimensions}
    if len(known) != len(period.dimensions):
        raise CannotPrice(f"period {period.start_date_time.isoformat()} gives a dimension twice: add them up")
    volumes = Volumes(
        known.get(_Type.ENERGY),
        _seconds(known.get(_Type.TIME)),
        _seconds(known.get(_Type.PARKING_TIME)),
        _seconds(known.get(_Type.RESERVATION_TIME)),
    )
    for volume in volumes:
        if volume is not None and volume < _ZERO:
            raise CannotPrice(
                f"period {period.start_date_time.isoformat()} has a negative volume: correct the period"
            )
    return Span(period.start_date_time, end, compiled, volumes, known)


def _seconds(hours: Decimal | None) -> Decimal | None:
    return None if hours is None else seconds_of(hours)


def _pieces(span: Span, *, zone: ZoneInfo, origin: datetime, kwh: Decimal) -> Iterator[Piece]:
    changes = offers(span.compiled, zone=zone, start=span.start, end=span.end)
    offer = changes[0][1]
    cuts = sorted(_cuts(span, changes, origin=origin, kwh=kwh), key=_share_of)
    if not cuts:
        yield Piece(span, span.start, offer, _usage(span, origin, kwh, _ZERO, _ONE), span.volumes)
        return
    taken = _share(span.volumes, _ZERO)
    for here, there in pairwise([_Cut(_ZERO, span.start, None), *cuts, _Cut(_ONE, None, None)]):
        offer = here.offer or offer
        if here.share == there.share and there.share != _ONE:
            continue
        reached = span.volumes if there.share == _ONE else _share(span.volumes, there.share)
        at = here.at or span.start + _part(span.end - span.start, here.share)
        yield Piece(
            span, at, offer, _usage(span, origin, kwh, here.share, there.share), _difference(reached, taken)
        )
        taken = reached


def _share_of(cut: _Cut) -> Decimal:
    return cut.share


def _cuts(
    span: Span, changes: list[tuple[datetime, Offer]], *, origin: datetime, kwh: Decimal
) -> Iterator[_Cut]:
    """Where the period crosses a threshold, as a share of its duration between 0 and 1, both excluded."""
    length = span.end - span.start
    for at, offer in changes[1:]:
        yield _Cut(_ratio(at - span.start, length), at, offer)
    for seconds in span.compiled.seconds:
        at = origin + timedelta(seconds=seconds)
        if span.start < at < span.end:
            yield _Cut(_ratio(at - span.start, length), at, None)
    energy = span.volumes.energy
    for bound in span.compiled.kwh:
        if energy and kwh < bound < kwh + energy:
            yield _Cut((bound - kwh) / energy, None, None)


def _usage(span: Span, origin: datetime, kwh: Decimal, begin: Decimal, end: Decimal) -> Usage:
    """The charge in the middle of a piece: off every threshold, so that no last digit can tip a bound."""
    compiled = span.compiled
    if not compiled.asks_charge:
        return _UNASKED
    middle = (begin + end) / 2
    seconds = used = _ZERO
    if compiled.seconds:
        seconds = _in_seconds(span.start - origin) + _in_seconds(span.end - span.start) * middle
    if compiled.kwh:
        used = kwh + (span.volumes.energy or _ZERO) * middle
    if not compiled.asks_flow:
        return Usage(used, seconds)
    current = _throughout(span, _Type.MIN_CURRENT, _Type.MAX_CURRENT, _Type.CURRENT)
    power = _throughout(span, _Type.MIN_POWER, _Type.MAX_POWER, _Type.POWER)
    if power[0] is None:
        power = (_average_power(span),) * 2
    return Usage(used, seconds, *current, *power)


def _throughout(
    span: Span, low: v221.CdrDimensionType, high: v221.CdrDimensionType, single: v221.CdrDimensionType
) -> tuple[Decimal | None, Decimal | None]:
    known = span.dimensions
    lowest = known.get(low, known.get(single, known.get(high)))
    highest = known.get(high, known.get(single, known.get(low)))
    return lowest, highest


def _average_power(span: Span) -> Decimal | None:
    """kW from kWh and duration, to the watt, for a period that states no power."""
    seconds = span.volumes.time or _in_seconds(span.end - span.start)
    if span.volumes.energy is None or not seconds:
        return None
    return (span.volumes.energy * SECONDS_PER_HOUR / seconds).quantize(_WATT)


def _share(volumes: Volumes, share: Decimal) -> Volumes:
    return Volumes(*(None if volume is None else carry(volume * share) for volume in volumes))


def _difference(reached: Volumes, taken: Volumes) -> Volumes:
    return Volumes(*(None if a is None or b is None else a - b for a, b in zip(reached, taken, strict=True)))


def _part(duration: timedelta, share: Decimal) -> timedelta:
    return int(Decimal(duration // _MICROSECOND) * share) * _MICROSECOND


def _ratio(part: timedelta, whole: timedelta) -> Decimal:
    return Decimal(part // _MICROSECOND) / Decimal(whole // _MICROSECOND)


def _in_seconds(duration: timedelta) -> Decimal:
    return Decimal(duration // _MICROSECOND) / _MICROSECONDS
