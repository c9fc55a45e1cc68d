"""Which price components are on offer at which instant. [pure]

A tariff is compiled once; its offers are found once per day and kept. An offer holds, per dimension, the
components whose clock restrictions hold; which of them is billed then depends on the charge (``pick``).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ocpi import v221
from tariffs.bill import CannotPrice
from tariffs.restrictions import MINUTES_PER_DAY, Clock, Limits, Usage, clock_of, limits_of
from tariffs.rounding import exactly

MAX_SPAN = timedelta(days=366)
"""Longest session that is priced; beyond it a CDR is damaged, and working through it a burden."""

_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_RESERVED = v221.ReservationRestrictionType.RESERVATION
_EXPIRED = v221.ReservationRestrictionType.RESERVATION_EXPIRES
_Type = v221.TariffDimensionType
_Bound = TypeVar("_Bound", Decimal, int)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A price component, where it stands in its tariff, and what it asks of clock and charge."""

    tariff_id: str
    element: int
    component: int
    type: v221.TariffDimensionType
    price: Decimal
    vat: Decimal | None
    vat_factor: Decimal | None
    step_size: int
    reservation: v221.ReservationRestrictionType | None
    clock: Clock | None
    limits: Limits | None
    is_parking_fee: bool


class Offer(NamedTuple):
    """The candidates at one moment, per dimension, in the order of the tariff's elements."""

    energy: tuple[Candidate, ...]
    time: tuple[Candidate, ...]
    parking_time: tuple[Candidate, ...]
    flat: tuple[Candidate, ...]
    reservation_time: tuple[Candidate, ...]
    reservation_flat: tuple[Candidate, ...]
    expired_time: tuple[Candidate, ...]
    expired_flat: tuple[Candidate, ...]


_ROWS = (
    (_Type.ENERGY, None),
    (_Type.TIME, None),
    (_Type.PARKING_TIME, None),
    (_Type.FLAT, None),
    (_Type.TIME, _RESERVED),
    (_Type.FLAT, _RESERVED),
    (_Type.TIME, _EXPIRED),
    (_Type.FLAT, _EXPIRED),
)


@dataclass(frozen=True, slots=True, eq=False)
class Compiled:
    """A tariff made ready for pricing.

    ``minutes`` of the day, ``kwh`` and ``seconds`` of the charge are where a component can begin or end;
    ``asks_charge`` says that some component has limits, ``asks_flow`` that some limit is in A or kW,
    ``asks_power`` that some limit is in kW.
    """

    tariff: v221.Tariff
    candidates: tuple[Candidate, ...]
    clocks: tuple[Clock, ...]
    minutes: tuple[int, ...]
    kwh: tuple[Decimal, ...]
    seconds: tuple[int, ...]
    asks_charge: bool
    asks_flow: bool
    asks_power: bool
    always: Offer


@lru_cache(maxsize=1024)
def compile_tariff(tariff: v221.Tariff) -> Compiled:
    """Compile a tariff. Raises CannotPrice for a restriction with a date that does not exist."""
    with exactly():
        candidates = tuple(_candidates(tariff))
    clocks = tuple({c.clock for c in candidates if c.clock})
    limits = [c.limits for c in candidates if c.limits]
    return Compiled(
        tariff=tariff,
        candidates=candidates,
        clocks=clocks,
        minutes=tuple(
            {0} | {edge % MINUTES_PER_DAY for clock in clocks for edge in (clock.start, clock.end)}
        ),
        kwh=_bounds(bound for limit in limits for bound in (limit.min_kwh, limit.max_kwh)),
        seconds=_bounds(bound for limit in limits for bound in (limit.min_duration, limit.max_duration)),
        asks_charge=bool(limits),
        asks_flow=any(limit.asks_flow for limit in limits),
        asks_power=any(limit.asks_power for limit in limits),
        always=_offer(candidates),
    )


@lru_cache(maxsize=256)
def zone_of(time_zone: str) -> ZoneInfo:
    """The zone of an IANA name. Raises CannotPrice when there is none of that name."""
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CannotPrice(f"time zone {time_zone!r} is not an IANA name such as Europe/Brussels") from None


def governing(tariffs: Sequence[v221.Tariff], *, start: datetime) -> v221.Tariff:
    """The tariff of a session whose periods name none: the first one valid at its start, else the first."""
    for tariff in tariffs:
        begins, ends = tariff.start_date_time, tariff.end_date_time
        if (begins is None or begins <= start) and (ends is None or start < ends):
            return tariff
    if not tariffs:
        raise CannotPrice("tariffs is empty: give at least one, a free tariff included")
    return tariffs[0]


def offers(
    compiled: Compiled, *, zone: ZoneInfo, start: datetime, end: datetime
) -> list[tuple[datetime, Offer]]:
    """The offer at ``start``, then each change of it before ``end`` with its instant.

    Raises CannotPrice when more than a year lies between them.
    """
    if not compiled.clocks:
        return [(start, compiled.always)]
    if end - start > MAX_SPAN:
        raise CannotPrice(f"{start.isoformat()} to {end.isoformat()} is more than {MAX_SPAN.days} days")
    day = start.astimezone(UTC).date()
    edges, found = _day_of_offers(compiled, zone, day)
    position = bisect_right(edges, start) - 1
    result = [(start, found[position])]
    while True:
        for edge, offer in zip(edges[position + 1 :], found[position + 1 :], strict=True):
            if edge >= end:
                return result
            if offer is not result[-1][1]:
                result.append((edge, offer))
        day += _DAY
        if datetime.combine(day, time(), UTC) >= end:
            return result
        edges, found = _day_of_offers(compiled, zone, day)
        position = -1


def pick(candidates: tuple[Candidate, ...], usage: Usage) -> Candidate | None:
    """The component that is billed: the first in list order whose limits hold (TAR-06)."""
    for candidate in candidates:
        if candidate.limits is None or candidate.limits.hold(usage):
            return candidate
    return None


def _candidates(tariff: v221.Tariff) -> Iterator[Candidate]:
    for element, entry in enumerate(tariff.elements):
        types = {component.type for component in entry.price_components}
        clock, limits = clock_of(entry.restrictions), limits_of(entry.restrictions)
        for position, component in enumerate(entry.price_components):
            vat = component.vat
            yield Candidate(
                tariff_id=tariff.id,
                element=element,
                component=position,
                type=component.type,
                price=component.price,
                vat=vat,
                vat_factor=None if vat is None else 1 + vat.scaleb(-2),
                step_size=component.step_size,
                reservation=entry.restrictions.reservation if entry.restrictions else None,
                clock=clock,
                limits=limits,
                is_parking_fee=types == {_Type.FLAT, _Type.PARKING_TIME},
            )


def _offer(holding: Sequence[Candidate]) -> Offer:
    return Offer(
        *(
            _until_certain(c for c in holding if c.type == type_ and c.reservation == reservation)
            for type_, reservation in _ROWS
        )
    )


def _until_certain(candidates: Iterator[Candidate]) -> tuple[Candidate, ...]:
    """Leave out what stands behind a component without limits: it can never be reached."""
    kept = []
    for candidate in candidates:
        kept.append(candidate)
        if candidate.limits is None:
            break
    return tuple(kept)


@lru_cache(maxsize=4096)
def _day_of_offers(
    compiled: Compiled, zone: ZoneInfo, day: date
) -> tuple[tuple[datetime, ...], tuple[Offer, ...]]:
    """The offers of one UTC day and the instants from which each holds, the first at 00:00 UTC."""
    edges = _edges(compiled.minutes, zone, datetime.combine(day, time(), UTC))
    found = []
    for edge in edges:
        local = edge.astimezone(zone)
        found.append(_offer_under(compiled, frozenset(c for c in compiled.clocks if c.holds(local))))
    return edges, tuple(found)


@lru_cache(maxsize=4096)
def _offer_under(compiled: Compiled, holding: frozenset[Clock]) -> Offer:
    """One object per set of clocks, so that equal offers are the same object."""
    return _offer([c for c in compiled.candidates if c.clock is None or c.clock in holding])


def _edges(minutes: tuple[int, ...], zone: ZoneInfo, begin: datetime) -> tuple[datetime, ...]:
    """Instants of one UTC day at which the local clock shows one of ``minutes``, or is put forward or back.

    An hour that the clock shows twice gives two instants, an hour that it skips the instant of the jump.
    """
    end = begin + _DAY
    edges = {begin}
    for shift in (-1, 0, 1):
        midnight = datetime.combine(begin.date() + shift * _DAY, time(), zone)
        for minute in minutes:
            local = midnight.replace(hour=minute // 60, minute=minute % 60)
            edges |= {local.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}
    inside = sorted(edge for edge in edges if begin <= edge < end)
    jumps = [_jump(zone, a, b) for a, b in zip(inside, [*inside[1:], end], strict=True)]
    return tuple(sorted({*inside, *(jump for jump in jumps if jump and jump < end)}))


def _jump(zone: ZoneInfo, before: datetime, after: datetime) -> datetime | None:
    """The instant between two others at which the zone's offset from UTC changes, to the second."""
    offset = before.astimezone(zone).utcoffset()
    if after.astimezone(zone).utcoffset() == offset:
        return None
    while after - before > _SECOND:
        middle = (before + (after - before) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after


def _bounds(bounds: Iterable[_Bound | None]) -> tuple[_Bound, ...]:
    return tuple(sorted({bound for bound in bounds if bound is not None}))
