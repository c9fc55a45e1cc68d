"""Rules on what a CDR costs, and on its form. [pure]"""

from collections.abc import Iterator
from decimal import Decimal

from cdrs.rules import CdrCase, Rule
from ocpi import codec, v221
from tariffs.currencies import MINOR_UNITS
from tariffs.rounding import round_money

_REPORT = "The bill contradicts itself: do not seal; report it with the explain report."
_PARTS = (
    "total_fixed_cost",
    "total_energy_cost",
    "total_time_cost",
    "total_parking_cost",
    "total_reservation_cost",
)
_MAX_ID = 36


def _costs(cdr: v221.CDR) -> Iterator[tuple[str, v221.Price]]:
    for name in ("total_cost", *_PARTS):
        cost = getattr(cdr, name)
        if cost is not None:
            yield name, cost


def _negative(case: CdrCase) -> Iterator[str]:
    for name, cost in _costs(case.cdr):
        if cost.excl_vat < 0 or (cost.incl_vat is not None and cost.incl_vat < 0):
            yield f"{name} is negative; only a credit CDR has a negative total"


def _vat_below_zero(case: CdrCase) -> Iterator[str]:
    for name, cost in _costs(case.cdr):
        if cost.incl_vat is not None and cost.incl_vat < cost.excl_vat:
            yield f"{name} is {cost.incl_vat:f} with VAT and {cost.excl_vat:f} without"


def _decimals(case: CdrCase) -> Iterator[str]:
    units = MINOR_UNITS[case.cdr.currency]
    for name, cost in _costs(case.cdr):
        for amount in (cost.excl_vat, cost.incl_vat):
            if amount is not None and amount != round(amount, units):
                yield f"{name} {amount:f} has more decimals than {case.cdr.currency} has ({units})"


def _total_differs(case: CdrCase) -> Iterator[str]:
    total = case.cdr.total_cost
    expected = round_money(case.bill.unrounded.total_cost, currency=case.bill.currency)
    if total != expected:
        yield f"total_cost is {total.excl_vat:f}, the bill rounded once is {expected.excl_vat:f} (I15)"


def _parts_differ(case: CdrCase) -> Iterator[str]:
    """Each part is rounded on its own: together they may be off by half a minor unit each (CDR-19)."""
    if case.bill.limited_by is not None:
        return
    tolerance = Decimal(len(_PARTS)).scaleb(-MINOR_UNITS[case.cdr.currency]) / 2
    parts = [cost for name, cost in _costs(case.cdr) if name != "total_cost"]
    total = sum((cost.excl_vat for cost in parts), Decimal(0))
    if abs(total - case.cdr.total_cost.excl_vat) > tolerance:
        yield f"the part totals add up to {total:f}, total_cost is {case.cdr.total_cost.excl_vat:f} (CDR-19)"


def _lines_differ(case: CdrCase) -> Iterator[str]:
    if case.bill.limited_by is not None:
        return
    lines = sum((line.excl_vat for line in case.bill.lines), Decimal(0))
    total = case.bill.unrounded.total_cost.excl_vat
    if abs(lines - total) > Decimal("0.000001"):
        yield f"the lines of the bill add up to {lines:f}, its total is {total:f}"


def _outside_limits(case: CdrCase) -> Iterator[str]:
    total = case.cdr.total_cost.excl_vat
    for tariff in case.cdr.tariffs:
        most = tariff.max_price
        if most is not None and total > most.excl_vat:
            yield f"total_cost {total:f} is above the max_price {most.excl_vat:f} of tariff {tariff.id}"


def _ceiling(case: CdrCase) -> Iterator[str]:
    total, ceiling = case.cdr.total_cost.excl_vat, case.limits.max_total.get(case.cdr.currency)
    if ceiling is not None and total > ceiling:
        yield f"total_cost {total:f} is above the ceiling of {ceiling:f} {case.cdr.currency}"


def _vat_missing(case: CdrCase) -> Iterator[str]:
    country = case.cdr.cdr_location.country.upper()
    if country not in case.limits.vat_countries:
        return
    for name in sorted({line.dimension for line in case.bill.lines if line.vat is None and line.excl_vat}):
        yield f"{name} is priced without VAT, which {country} asks for"


def _other_currency(case: CdrCase) -> Iterator[str]:
    if case.cdr.currency != case.facts.currency:
        yield f"the bill is in {case.cdr.currency}, the session in {case.facts.currency}"


def _is_credit(case: CdrCase) -> Iterator[str]:
    if case.cdr.credit is not None or case.cdr.credit_reference_id is not None:
        yield "the CDR of a session carries members of a credit CDR (CDR-11)"


def _id_too_long(case: CdrCase) -> Iterator[str]:
    if len(case.cdr.id) > _MAX_ID:
        yield f"the id has {len(case.cdr.id)} characters, {_MAX_ID} are allowed (CDR-08)"


def _remark_missing(case: CdrCase) -> Iterator[str]:
    is_ours = case.facts.end_reason in ("window end", "stopped by operator", "fleet priority")
    if is_ours and not case.cdr.remark:
        yield f"we ended the session ({case.facts.end_reason}), but the remark does not say so"


def _form(case: CdrCase) -> Iterator[str]:
    """Whatever the type allows us to hold, the bytes must pass the schema that partners check (CDR-26)."""
    try:
        read = codec.decode_bytes(v221.CDR, codec.encode(case.cdr))
    except codec.Invalid as error:
        yield f"{error}"
        return
    if read != case.cdr:
        yield "the CDR reads back differently from what was written"


RULES: tuple[Rule[CdrCase], ...] = (
    Rule("NEGATIVE_COST", _negative, _REPORT),
    Rule("VAT_NEGATIVE", _vat_below_zero, _REPORT),
    Rule("MONEY_DECIMALS", _decimals, _REPORT),
    Rule("TOTAL_COST", _total_differs, _REPORT),
    Rule("PARTS_SUM", _parts_differ, _REPORT),
    Rule("LINES_SUM", _lines_differ, _REPORT),
    Rule("ABOVE_MAX_PRICE", _outside_limits, _REPORT),
    Rule(
        "PRICE_CEILING", _ceiling, "Check tariff and energy; correct the session, or accept the price.", True
    ),
    Rule("VAT_MISSING", _vat_missing, "Add the VAT to the tariff; enter the tariff as it should have been."),
    Rule("BILL_CURRENCY", _other_currency, "Name the tariff that was in force at the start by a correction."),
    Rule("CREDIT_MEMBERS", _is_credit, _REPORT),
    Rule("ID_TOO_LONG", _id_too_long, _REPORT),
    Rule("REMARK_MISSING", _remark_missing, _REPORT),
    Rule("FORM", _form, "Shorten or complete the member that the text names by a correction, then seal."),
)
