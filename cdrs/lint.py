"""Whether a CDR may be sealed: every rule that stands between a session and a partner's money. [pure]

Nothing here decides what is true; a finding says in plain words what looks wrong and what a person can do.
Some findings may be accepted by a person after a look (a session of 50 hours may be real); others never
(parts that do not add up to their total).
"""

from dataclasses import dataclass
from datetime import datetime

from cdrs.build import Priced
from cdrs.facts import Limits, SessionFacts
from cdrs.rules import CaseT, CdrCase, Rule, SessionCase, energy, money, parties, periods, tariffs, times
from ocpi import v221

SESSION_RULES: tuple[Rule[SessionCase], ...] = (
    *times.RULES,
    *energy.RULES,
    *parties.RULES,
    *tariffs.RULES,
)
CDR_RULES: tuple[Rule[CdrCase], ...] = (*periods.RULES, *money.RULES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One reason not to seal: a stable code, what is wrong, and what to do about it."""

    code: str
    text: str
    remedy: str


CANNOT_PRICE = "CANNOT_PRICE"


def lint_session(*, facts: SessionFacts, limits: Limits, now: datetime) -> tuple[Finding, ...]:
    """Return what is wrong with a session before it is priced."""
    return _findings(SESSION_RULES, SessionCase(facts=facts, limits=limits, now=now), facts)


def lint_cdr(*, cdr: v221.CDR, priced: Priced, facts: SessionFacts, limits: Limits) -> tuple[Finding, ...]:
    """Return what is wrong with a CDR as it would be sealed."""
    case = CdrCase(cdr=cdr, bill=priced.bill, facts=facts, limits=limits)
    return _findings(CDR_RULES, case, facts)


def cannot_price(reason: str) -> Finding:
    """The finding for a session that pricing refuses."""
    return Finding(code=CANNOT_PRICE, text=reason, remedy="Correct the session as the text says, then seal.")


def acceptable_codes() -> frozenset[str]:
    """Codes of findings that a person may accept."""
    session_codes = {rule.code for rule in SESSION_RULES if rule.is_acceptable}
    return frozenset(session_codes | {rule.code for rule in CDR_RULES if rule.is_acceptable})


def _findings(rules: tuple[Rule[CaseT], ...], case: CaseT, facts: SessionFacts) -> tuple[Finding, ...]:
    return tuple(
        Finding(code=rule.code, text=text, remedy=rule.remedy)
        for rule in rules
        if not (rule.is_acceptable and rule.code in facts.accepted)
        for text in rule.check(case)
    )
