"""What is wrong with a tariff before partners see it. [pure]

An ERROR keeps a tariff from being published, a WARNING is shown. Each text says what to do.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from itertools import combinations

from ocpi import v221
from ocpi.plaintext import display_text_fault
from tariffs.bill import CannotPrice
from tariffs.currencies import MINOR_UNITS
from tariffs.findings import Finding, Severity
from tariffs.lint_elements import about_element, shadowed
from tariffs.lint_weeks import about_weeks
from tariffs.offers import compile_tariff, zone_of

_MONEY_WORDS = {
    "EUR": "€|euros?|cents?",
    "GBP": "£|pounds?|pence",
    "USD": r"\$|dollars?|cents?",
    "CHF": "francs?|rappen",
}
_BEGINNING = datetime.min.replace(tzinfo=UTC)
_END = datetime.max.replace(tzinfo=UTC)


def lint(tariff: v221.Tariff, *, time_zone: str, reference: date) -> tuple[Finding, ...]:
    """All findings on a tariff at a Location in ``time_zone`` (IANA name), errors first.

    Every moment of a normal week is priced, and of the two weeks after ``reference`` in which the clock is
    changed. Raises CannotPrice for a time zone that does not exist.
    """
    zone = zone_of(time_zone)
    found = [*_about_money(tariff), *_about_validity(tariff), *_about_texts(tariff)]
    for element in range(len(tariff.elements)):
        found += about_element(tariff, element, reference=reference)
    try:
        compiled = compile_tariff(tariff)
    except CannotPrice as error:
        found.append(Finding("no_such_date", Severity.ERROR, str(error)))
    else:
        hidden = shadowed(compiled)
        found += hidden
        found += about_weeks(compiled, zone=zone, reference=reference, hidden=hidden)
    return tuple(sorted(found, key=lambda finding: finding.severity is not Severity.ERROR))


def lint_together(tariffs: Sequence[v221.Tariff]) -> tuple[Finding, ...]:
    """Errors about tariffs on one connector: two of the same type must not be valid at the same moment."""
    return tuple(
        Finding(
            "tariffs_overlap",
            Severity.ERROR,
            f"tariffs {one.id} and {other.id} are both {one.type or 'without type'} and valid at the same"
            " time: end one before the other starts, or give them different types",
        )
        for one, other in combinations(tariffs, 2)
        if one.type == other.type and _overlap(one, other)
    )


def _overlap(one: v221.Tariff, other: v221.Tariff) -> bool:
    return (one.start_date_time or _BEGINNING) < (other.end_date_time or _END) and (
        other.start_date_time or _BEGINNING
    ) < (one.end_date_time or _END)


def _about_money(tariff: v221.Tariff) -> Iterator[Finding]:
    if tariff.currency not in MINOR_UNITS:
        yield _error(
            "unknown_currency",
            f"currency {tariff.currency!r} is not in ISO 4217: give a code in use, such as EUR",
        )
    for name, limit in (("min_price", tariff.min_price), ("max_price", tariff.max_price)):
        if limit and limit.incl_vat is not None and limit.incl_vat < limit.excl_vat:
            yield _error(
                "limit_vat",
                f"{name} is {limit.incl_vat} with VAT, below {limit.excl_vat} without: correct it",
            )
    low, high = tariff.min_price, tariff.max_price
    if low and high and low.excl_vat > high.excl_vat:
        yield _error(
            "limits_crossed",
            f"min_price {low.excl_vat} is above max_price {high.excl_vat}: every session would cost the"
            " maximum, correct one of them",
        )
    rates = [c.vat is None for e in tariff.elements for c in e.price_components if c.price]
    if True in rates and False in rates:
        yield _warning(
            "vat_missing",
            "some components have a VAT rate and some have none: a session that uses both has no total with"
            " VAT; give each a rate, 0 where the rate is zero",
        )


def _about_validity(tariff: v221.Tariff) -> Iterator[Finding]:
    begins, ends = tariff.start_date_time, tariff.end_date_time
    if begins and ends and ends <= begins:
        yield _error(
            "never_valid",
            f"the tariff ends at {ends.isoformat()}, not after {begins.isoformat()}: correct the dates",
        )


def _about_texts(tariff: v221.Tariff) -> Iterator[Finding]:
    words = f"{tariff.currency}|{_MONEY_WORDS.get(tariff.currency, tariff.currency)}"
    amount = re.compile(rf"\d[\d.,]*\s*(?:{words})(?!\w)|(?<!\w)(?:{words})\s*\d[\d.,]*", re.IGNORECASE)
    for text in tariff.tariff_alt_text:
        fault = display_text_fault(text.text)
        if fault is not None:
            yield _error("alt_text_markup", f"the {text.language} text: {fault}")
        match = amount.search(text.text)
        if match:
            yield _warning(
                "alt_text_price",
                f"the {text.language} text names a price ({match.group().strip()!r}): the elements say it"
                " already, and partners show both; leave prices out of the text",
            )


def _error(code: str, text: str) -> Finding:
    return Finding(code, Severity.ERROR, text)


def _warning(code: str, text: str) -> Finding:
    return Finding(code, Severity.WARNING, text)
