"""What stations answer to the orders of charging, in words of its own. [pure]"""

from dataclasses import dataclass

from charging.profiles import Schedule


@dataclass(frozen=True)
class Outcome:
    """What became of an order: the station's word, or why there is none."""

    status: str = ""
    error: str = ""
    is_timeout: bool = False
    error_code: str = ""
    """That of a CALLERROR."""
    is_unable: bool = False
    """The station was not built for this order at all."""
    limits: Schedule | None = None
    """The limits that it follows, where it was asked for them."""
