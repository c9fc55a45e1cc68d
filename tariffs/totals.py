"""From lines to the totals of the CDR: sums, minimum and maximum price. [pure]"""

from collections.abc import Collection, Iterable
from decimal import Decimal

from ocpi import v221
from tariffs.bill import Line, Total, Totals
from tariffs.rounding import round_money, state

_ZERO = Decimal(0)


def totals_of(
    lines: Collection[Line], *, tariffs: Iterable[v221.Tariff], has_charge: bool
) -> tuple[Totals, str | None]:
    """Unrounded totals, and the name of the limit that replaced the sum of the lines, if one did.

    ``has_charge`` is False for a reservation that nobody used: a minimum price is for charging sessions.
    """
    by_total: dict[Total, list[Line]] = {}
    for line in lines:
        by_total.setdefault(line.total, []).append(line)
    parts = {total: _sum(some) for total, some in by_total.items()}
    total_cost, limited_by = _limited(_sum(lines), lines, tariffs=list(tariffs), has_charge=has_charge)
    stated = {total: _stated(part) for total, part in parts.items()}
    return (
        Totals(
            total_cost=_stated(total_cost),
            total_fixed_cost=stated.get(Total.FIXED),
            total_energy_cost=stated.get(Total.ENERGY),
            total_time_cost=stated.get(Total.TIME),
            total_parking_cost=stated.get(Total.PARKING),
            total_reservation_cost=stated.get(Total.RESERVATION),
        ),
        limited_by,
    )


def rounded(price: v221.Price | None, *, currency: str) -> v221.Price | None:
    """A part total rounded to the minor unit, or None when there is none."""
    return None if price is None else round_money(price, currency=currency)


def _sum(lines: Iterable[Line]) -> v221.Price:
    """With VAT only when the VAT of every line is known: nothing is invented (TYP-08)."""
    excl_vat = _ZERO
    incl_vat: Decimal | None = _ZERO
    for line in lines:
        excl_vat += line.excl_vat
        if incl_vat is not None:
            incl_vat = None if line.incl_vat is None else incl_vat + line.incl_vat
    return v221.Price(excl_vat=excl_vat, incl_vat=incl_vat)


def _stated(price: v221.Price) -> v221.Price:
    incl_vat = price.incl_vat
    return v221.Price(excl_vat=state(price.excl_vat), incl_vat=None if incl_vat is None else state(incl_vat))


def _limited(
    total: v221.Price, lines: Collection[Line], *, tariffs: Collection[v221.Tariff], has_charge: bool
) -> tuple[v221.Price, str | None]:
    """Apply every minimum, then every maximum: where they contradict each other the driver pays less."""
    limited_by = None
    vat = _only_vat(lines)
    for name in ("min_price", "max_price") if has_charge else ("max_price",):
        for tariff in tariffs:
            limit = tariff.min_price if name == "min_price" else tariff.max_price
            if limit is None:
                continue
            bounded = _bounded(total, limit, vat=vat, is_minimum=name == "min_price")
            if bounded != total:
                total, limited_by = bounded, name
    return total, limited_by


def _bounded(total: v221.Price, limit: v221.Price, *, vat: Decimal | None, is_minimum: bool) -> v221.Price:
    """Both sides on their own (TAR-23); a limit without VAT takes the VAT of the session with it."""
    choose = max if is_minimum else min
    excl_vat = choose(total.excl_vat, limit.excl_vat)
    is_hit = excl_vat != total.excl_vat
    incl_vat = total.incl_vat
    if limit.incl_vat is not None:
        if incl_vat is not None:
            incl_vat = choose(incl_vat, limit.incl_vat)
        elif is_hit:
            incl_vat = limit.incl_vat
    elif is_hit and incl_vat is not None:
        incl_vat = _scaled(total, excl_vat, vat=vat)
    return v221.Price(excl_vat=excl_vat, incl_vat=incl_vat)


def _scaled(total: v221.Price, excl_vat: Decimal, *, vat: Decimal | None) -> Decimal | None:
    if total.excl_vat and total.incl_vat is not None:
        return total.incl_vat * excl_vat / total.excl_vat
    return None if vat is None else excl_vat * (1 + vat.scaleb(-2))


def _only_vat(lines: Iterable[Line]) -> Decimal | None:
    """The VAT rate that all lines share, if they do."""
    rates = {line.vat for line in lines}
    return rates.pop() if len(rates) == 1 else None
