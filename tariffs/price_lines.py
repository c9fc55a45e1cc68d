"""The lines that ``manage.py price`` reads and writes. [pure]

A line is a JSON object with charging periods, or one with meter readings that are cut into periods first.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from msgspec import Struct

from ocpi import codec, v221
from tariffs.bill import Bill, CannotPrice, Line, Reservation, Totals
from tariffs.cutting import cut, reserved
from tariffs.pricing import price
from tariffs.rounding import exactly, plain, state

_TOTALS = (
    "total_cost",
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)


class _Reservation(Struct, frozen=True, kw_only=True):
    start: v221.OcpiDateTime | None = None
    end: v221.OcpiDateTime | None = None
    expired: bool = False


class _Session(Struct, frozen=True, kw_only=True):
    start_date_time: v221.OcpiDateTime
    end_date_time: v221.OcpiDateTime
    reservation: _Reservation | None = None


class _PeriodsLine(Struct, frozen=True, kw_only=True):
    timezone: str
    currency: str | None = None
    tariffs: tuple[v221.Tariff, ...]
    session: _Session
    charging_periods: tuple[v221.ChargingPeriod, ...]


class _MeterLine(Struct, frozen=True, kw_only=True):
    timezone: str
    currency: str | None = None
    tariffs: tuple[v221.Tariff, ...]
    start: v221.OcpiDateTime
    stop: v221.OcpiDateTime
    meter_wh: tuple[tuple[v221.OcpiDateTime, v221.Number], ...]
    suspended_ev_from: v221.OcpiDateTime | None = None
    reservation: _Reservation | None = None


def answer(line: bytes, *, explain: bool = False) -> bytes:
    """Price one line of JSON and return the answer as one line of JSON, without line feed.

    The answer has the line's ``name`` and the rounded totals; ``explain`` adds the same totals
    unrounded, the volumes and the lines. A line that cannot be priced is answered with ``name`` and
    ``error``; nothing is raised.
    """
    name = None
    try:
        value = codec.parse(line)
        if not isinstance(value, dict):
            return codec.encode({"name": None, "error": "a line must be a JSON object"})
        name = value.get("name")
        bill = _price(value)
    except (codec.MalformedJson, codec.Invalid, CannotPrice) as error:
        return codec.encode({"name": name, "error": str(error)})
    return codec.encode({"name": name, **_totals(bill), **(_explanation(bill) if explain else {})})


def _price(value: Mapping[str, Any]) -> Bill:
    if "charging_periods" in value:
        return _price_periods(codec.decode(_PeriodsLine, value))
    if "meter_wh" in value:
        return _price_meter(codec.decode(_MeterLine, value))
    raise CannotPrice("a line needs charging_periods (with session) or meter_wh (with start and stop)")


def _price_periods(line: _PeriodsLine) -> Bill:
    _check_currency(line.currency, line.tariffs)
    session = line.session
    return price(
        tariffs=line.tariffs,
        charging_periods=line.charging_periods,
        start=session.start_date_time,
        end=session.end_date_time,
        time_zone=line.timezone,
        reservation=Reservation(expired=session.reservation.expired) if session.reservation else None,
    )


def _price_meter(line: _MeterLine) -> Bill:
    _check_currency(line.currency, line.tariffs)
    start, periods = line.start, []
    reservation = line.reservation
    if reservation:
        start = reservation.start or line.start
        until = reservation.end or (line.stop if reservation.expired else line.start)
        periods.append(reserved(tariffs=line.tariffs, start=start, end=until))
    if not (reservation and reservation.expired):
        periods += cut(
            tariffs=line.tariffs,
            time_zone=line.timezone,
            start=line.start,
            stop=line.stop,
            readings=[(at, _whole_wh(wh)) for at, wh in line.meter_wh],
            suspended_ev_from=line.suspended_ev_from,
        )
    return price(
        tariffs=line.tariffs,
        charging_periods=periods,
        start=start,
        end=line.stop,
        time_zone=line.timezone,
        reservation=Reservation(expired=reservation.expired) if reservation else None,
    )


def _check_currency(currency: str | None, tariffs: tuple[v221.Tariff, ...]) -> None:
    for tariff in tariffs:
        if currency is not None and tariff.currency != currency:
            raise CannotPrice(f"currency is {currency}, but tariff {tariff.id} is in {tariff.currency}")


def _whole_wh(wh: Decimal) -> int:
    return int(wh.to_integral_value(ROUND_HALF_UP))


def _totals(totals: Totals) -> dict[str, v221.Price]:
    found = {name: getattr(totals, name) for name in _TOTALS}
    return {name: cost for name, cost in found.items() if cost is not None}


def _explanation(bill: Bill) -> dict[str, Any]:
    with exactly():
        return {
            "currency": bill.currency,
            "total_energy": bill.total_energy,
            "total_time": bill.total_time,
            "total_parking_time": bill.total_parking_time,
            "limited_by": bill.limited_by,
            "unrounded": _totals(bill.unrounded),
            "lines": [_line(line) for line in bill.lines],
        }


def _line(line: Line) -> dict[str, Any]:
    return {
        "period": line.period_start,
        "start": line.start,
        "dimension": line.dimension,
        "tariff_id": line.tariff_id,
        "element": line.element,
        "component": line.component,
        "volume": state(line.volume),
        "billed_volume": state(line.billed_volume),
        "step_size": line.step_size,
        "price": plain(line.price),
        "vat": None if line.vat is None else plain(line.vat),
        "excl_vat": state(line.excl_vat),
        "incl_vat": None if line.incl_vat is None else state(line.incl_vat),
    }
