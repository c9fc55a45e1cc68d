"""The price of a charging session (chapters "Tariffs module" and "CDRs module"). [pure]

One function, from charging periods to a ``Bill`` that explains itself. No clock, no float, one rounding.
The choices that the specification leaves open are in docs/pricing.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from ocpi import v221
from tariffs.bill import Bill, CannotPrice, Dimension, Line, Reservation, Total
from tariffs.currencies import MINOR_UNITS
from tariffs.offers import Compiled, compile_tariff, governing, zone_of
from tariffs.pieces import Span, cut_spans, read_spans
from tariffs.rounding import SECONDS_PER_HOUR, carry, exactly, hours_of, plain, round_money, state
from tariffs.steps import Draft, Drafts, apply_steps
from tariffs.totals import rounded, totals_of

_ZERO = Decimal(0)
_TOO_MUCH = Decimal(10) ** 13
_TIMES = frozenset({Dimension.TIME, Dimension.PARKING_TIME, Dimension.RESERVATION_TIME})
_TOTAL = {
    Dimension.ENERGY: Total.ENERGY,
    Dimension.TIME: Total.TIME,
    Dimension.PARKING_TIME: Total.PARKING,
    Dimension.FLAT: Total.FIXED,
    Dimension.RESERVATION_TIME: Total.RESERVATION,
    Dimension.RESERVATION_FLAT: Total.RESERVATION,
}


def price(
    *,
    tariffs: Sequence[v221.Tariff],
    charging_periods: Sequence[v221.ChargingPeriod],
    start: datetime,
    end: datetime,
    time_zone: str,
    reservation: Reservation | None = None,
) -> Bill:
    """Price a session from its charging periods (kWh and hours), per period under the tariff it names.

    ``start`` and ``end`` are those of the CDR, ``time_zone`` the IANA name of the Location's zone;
    ``reservation`` matters only for periods with RESERVATION_TIME. Raises CannotPrice when tariffs and
    periods contradict each other.
    """
    if end < start:
        raise CannotPrice(f"session ends at {end.isoformat()}, before its start {start.isoformat()}")
    by_id = _by_id(tariffs, start=start)
    currency = _currency(tariffs)
    with exactly():
        spans = read_spans(charging_periods, end=end, tariffs=by_id)
        drafts = Drafts(is_expired=reservation is not None and reservation.expired)
        for piece in cut_spans(spans, zone=zone_of(time_zone), start=start):
            drafts.add(piece)
        apply_steps(drafts.drafts)
        lines = tuple(_line(draft) for draft in drafts.drafts)
        for line in lines:
            _refuse_absurd(line)
        return _bill(lines, spans, currency=currency)


def _by_id(tariffs: Sequence[v221.Tariff], *, start: datetime) -> Mapping[str | None, Compiled]:
    compiled: dict[str | None, Compiled] = {None: compile_tariff(governing(tariffs, start=start))}
    for tariff in tariffs:
        if tariff.id.lower() in compiled:
            raise CannotPrice(f"tariffs has the id {tariff.id!r} twice")
        compiled[tariff.id.lower()] = compile_tariff(tariff)
    return compiled


def _currency(tariffs: Iterable[v221.Tariff]) -> str:
    currencies = sorted({tariff.currency for tariff in tariffs})
    if len(currencies) > 1:
        raise CannotPrice(f"tariffs are in {' and '.join(currencies)}: a session has one currency")
    if currencies[0] not in MINOR_UNITS:
        raise CannotPrice(f"currency {currencies[0]!r} is not a currency of ISO 4217")
    return currencies[0]


def _line(draft: Draft) -> Line:
    candidate, dimension = draft.candidate, draft.dimension
    volume = billed = draft.volume
    if draft.extra:
        billed += draft.extra
    excl_vat = billed * candidate.price
    if dimension in _TIMES:
        excl_vat = carry(excl_vat / SECONDS_PER_HOUR)
        volume = state(volume / SECONDS_PER_HOUR)
        billed = state(billed / SECONDS_PER_HOUR) if draft.extra else volume
    return Line(
        draft.period_start,
        draft.start,
        dimension,
        Total.PARKING if candidate.is_parking_fee and dimension is Dimension.FLAT else _TOTAL[dimension],
        candidate.tariff_id,
        candidate.element,
        candidate.component,
        volume,
        billed,
        candidate.step_size,
        candidate.price,
        candidate.vat,
        excl_vat,
        _with_vat(excl_vat, candidate.vat_factor),
    )


def _with_vat(excl_vat: Decimal, factor: Decimal | None) -> Decimal | None:
    """None when the rate is not known; but any rate of nothing is nothing."""
    if factor is None:
        return None if excl_vat else _ZERO
    return excl_vat * factor


def _refuse_absurd(line: Line) -> None:
    """Such a number would be refused by every reader of the bill (chapter "Types")."""
    if not (-_TOO_MUCH < line.excl_vat < _TOO_MUCH and -_TOO_MUCH < (line.incl_vat or _ZERO) < _TOO_MUCH):
        raise CannotPrice(
            f"{line.dimension} of element {line.element} in tariff {line.tariff_id} costs"
            f" {line.excl_vat:.2E}: correct its price, VAT or step_size, or the volume"
        )


def _bill(lines: tuple[Line, ...], spans: Sequence[Span], *, currency: str) -> Bill:
    used = {id(span.compiled): span.compiled.tariff for span in spans}
    unrounded, limited_by = totals_of(
        lines, tariffs=used.values(), has_charge=any(span.is_charge for span in spans)
    )
    time = hours_of(sum((span.volumes.time or _ZERO for span in spans), _ZERO))
    parking_time = hours_of(sum((span.volumes.parking_time or _ZERO for span in spans), _ZERO))
    return Bill(
        total_cost=round_money(unrounded.total_cost, currency=currency),
        total_fixed_cost=rounded(unrounded.total_fixed_cost, currency=currency),
        total_energy_cost=rounded(unrounded.total_energy_cost, currency=currency),
        total_time_cost=rounded(unrounded.total_time_cost, currency=currency),
        total_parking_cost=rounded(unrounded.total_parking_cost, currency=currency),
        total_reservation_cost=rounded(unrounded.total_reservation_cost, currency=currency),
        currency=currency,
        unrounded=unrounded,
        limited_by=limited_by,
        total_energy=plain(sum((span.volumes.energy or _ZERO for span in spans), _ZERO)),
        total_time=plain(time + parking_time),
        total_parking_time=plain(parking_time),
        lines=lines,
    )
