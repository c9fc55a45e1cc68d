"""A bill for people: one line for everything that is charged, and the totals."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from ocpi import v221
from roaming.operators import clock
from tariffs.bill import Bill, Dimension, Line, Totals
from tariffs.readable import amount

_WORDS = {
    Dimension.ENERGY: ("Energy", "kWh"),
    Dimension.TIME: ("Charging time", "h"),
    Dimension.PARKING_TIME: ("Parking", "h"),
    Dimension.FLAT: ("Fee", ""),
    Dimension.RESERVATION_TIME: ("Reservation", "h"),
    Dimension.RESERVATION_FLAT: ("Reservation fee", ""),
}
_TOTALS = (
    ("Energy", "total_energy_cost"),
    ("Time", "total_time_cost"),
    ("Parking", "total_parking_cost"),
    ("Fees", "total_fixed_cost"),
    ("Reservation", "total_reservation_cost"),
    ("Total", "total_cost"),
)
_HEADINGS = ("From", "For", "Measured", "Billed", "Price", "VAT", "Without VAT", "With VAT", "Tariff element")
_FIRST_NUMBER, _LAST_NUMBER = 2, 7


def bill_table(bill: Bill, zone: ZoneInfo) -> SafeString:
    """The lines of a bill, unrounded, and its rounded totals."""
    lines = [_row(line, bill.currency, zone) for line in bill.lines]
    limit = (
        f" The sum was replaced by the tariff's {bill.limited_by.replace('_', ' ')}."
        if bill.limited_by
        else ""
    )
    return format_html(
        '<div class="yg-scroll"><table class="yg-table"><thead><tr>{}</tr></thead><tbody>{}</tbody><tfoot>{}</tfoot>'
        '</table></div><p class="yg-help">Amounts of the lines are unrounded; totals are rounded once.{}</p>',
        format_html_join(
            "", '<th class="{}">{}</th>', ((_kind(n), heading) for n, heading in enumerate(_HEADINGS))
        ),
        format_html_join("", "<tr>{}</tr>", ((_cells(line),) for line in lines)),
        format_html_join("", "<tr>{}</tr>", ((_cells(line),) for line in _totals(bill, bill.currency))),
        limit,
    )


def money(value: Decimal | None, currency: str) -> str:
    """An amount with its currency; `not known` when there is none."""
    return "not known" if value is None else f"{amount(value)} {currency}"


def _row(line: Line, currency: str, zone: ZoneInfo) -> tuple[object, ...]:
    word, unit = _WORDS[line.dimension]
    return (
        _moment(line.start, zone),
        word,
        f"{amount(line.volume)} {unit}".strip(),
        f"{amount(line.billed_volume)} {unit}".strip(),
        amount(line.price),
        "not said" if line.vat is None else f"{amount(line.vat)} %",
        money(line.excl_vat, currency),
        money(line.incl_vat, currency),
        f"{line.tariff_id}, element {line.element + 1}, component {line.component + 1}",
    )


def _totals(totals: Totals, currency: str) -> Iterator[tuple[object, ...]]:
    for word, name in _TOTALS:
        cost: v221.Price | None = getattr(totals, name)
        if cost is not None:
            is_sum = name == "total_cost"
            cells = (
                "",
                word,
                "",
                "",
                "",
                "",
                money(cost.excl_vat, currency),
                money(cost.incl_vat, currency),
                "",
            )
            yield tuple(format_html("<b>{}</b>", cell) if is_sum and cell else cell for cell in cells)


def _moment(at: datetime, zone: ZoneInfo) -> str:
    return clock(at, zone)


def _cells(cells: tuple[object, ...]) -> SafeString:
    return format_html_join("", '<td class="{}">{}</td>', ((_kind(n), cell) for n, cell in enumerate(cells)))


def _kind(column: int) -> str:
    return "yg-number" if _FIRST_NUMBER <= column <= _LAST_NUMBER else ""
