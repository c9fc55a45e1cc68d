"""What a check of a tariff finds. [pure]"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """ERROR keeps a tariff from being published, WARNING is shown to the operator."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: what is wrong, where, and what to do; ``element`` counts from 0, None is the tariff."""

    code: str
    severity: Severity
    text: str
    element: int | None = None
