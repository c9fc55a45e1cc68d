"""How one platform wants to be told what the specification says in two ways, or not at all. [pure]"""

from dataclasses import dataclass
from typing import Literal

LEAVE_OUT = "LEAVE_OUT"
NACS = "SAE_J3400"
"""What newer versions of OCPI call a NACS connector; 2.2.1 has no word for it (DIS-57)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """What a document depends on besides its content; the defaults are those of the specification.

    ``midnight_as``: the end of a day in opening hours and tariffs; "" means 23:59 in hours, where an end must lie
    after its begin, and 00:00 in tariffs (DIS-43, DIS-44). ``nacs_as``: whether a NACS connector is left out or
    called TESLA_S.
    """

    midnight_as: str = ""
    nacs_as: str = LEAVE_OUT


SPECIFIED = Dialect()

Midnight = Literal["23:59", "00:00"]
LAST_MINUTE: Midnight = "23:59"
NEXT_DAY: Midnight = "00:00"
