"""The rules of lint, one file per subject; each rule yields a text per fault. [pure]"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from cdrs.facts import Limits, SessionFacts
from ocpi import v221
from tariffs.bill import Bill

CaseT = TypeVar("CaseT")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCase:
    """A session before it is priced."""

    facts: SessionFacts
    limits: Limits
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CdrCase:
    """A CDR as it would be sealed, with what it was made of."""

    cdr: v221.CDR
    bill: Bill
    facts: SessionFacts
    limits: Limits


@dataclass(frozen=True, slots=True)
class Rule(Generic[CaseT]):
    """One rule: its code, what it looks at, what a person can do, and whether a person may accept it."""

    code: str
    check: Callable[[CaseT], Iterable[str]]
    remedy: str
    is_acceptable: bool = False
