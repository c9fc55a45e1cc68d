"""Rules on what the session was priced by. [pure]"""

from collections import Counter
from collections.abc import Iterator

from cdrs.rules import Rule, SessionCase
from tariffs.currencies import MINOR_UNITS

_NAME_TARIFF = "Name the tariff that was in force at the start by a correction, then seal."


def _missing(case: SessionCase) -> Iterator[str]:
    if not case.facts.tariffs:
        yield "the session has no tariff, not even a free one (CDR-20)"


def _currency_unknown(case: SessionCase) -> Iterator[str]:
    if case.facts.currency not in MINOR_UNITS:
        yield f"currency {case.facts.currency!r} is not a currency of ISO 4217"


def _other_currency(case: SessionCase) -> Iterator[str]:
    for tariff in case.facts.tariffs:
        if tariff.currency != case.facts.currency:
            yield f"tariff {tariff.id} is in {tariff.currency}, the session in {case.facts.currency}"


def _of_another(case: SessionCase) -> Iterator[str]:
    ours = (case.facts.country_code.upper(), case.facts.party_id.upper())
    for tariff in case.facts.tariffs:
        owner = (tariff.country_code.upper(), tariff.party_id.upper())
        if owner != ours:
            yield f"tariff {tariff.id} is of {'-'.join(owner)}, the CDR of {'-'.join(ours)}"


def _not_valid(case: SessionCase) -> Iterator[str]:
    at = case.facts.started_at
    for tariff in case.facts.tariffs:
        begins, ends = tariff.start_date_time, tariff.end_date_time
        if begins is not None and at < begins:
            yield f"tariff {tariff.id} is valid from {begins:%Y-%m-%d %H:%M} UTC, after the start"
        if ends is not None and at >= ends:
            yield f"tariff {tariff.id} was valid until {ends:%Y-%m-%d %H:%M} UTC, before the start"


def _named_twice(case: SessionCase) -> Iterator[str]:
    for tariff_id, count in Counter(tariff.id for tariff in case.facts.tariffs).items():
        if count > 1:
            yield f"tariff {tariff_id} is in the snapshot {count} times"


RULES: tuple[Rule[SessionCase], ...] = (
    Rule("TARIFF_MISSING", _missing, _NAME_TARIFF),
    Rule("CURRENCY_UNKNOWN", _currency_unknown, _NAME_TARIFF),
    Rule("TARIFF_CURRENCY", _other_currency, _NAME_TARIFF),
    Rule("TARIFF_OF_ANOTHER", _of_another, _NAME_TARIFF),
    Rule("TARIFF_NOT_VALID", _not_valid, _NAME_TARIFF, True),
    Rule("TARIFF_TWICE", _named_twice, _NAME_TARIFF),
)
