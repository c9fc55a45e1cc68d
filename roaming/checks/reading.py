"""What a partner's answer to the question for one object says about its copy. [pure]"""

from enum import StrEnum
from typing import Any

# The partner says that there is no such thing as reading one object here.
_NOT_OFFERED = frozenset({405, 501})
_TOKEN_REFUSED = frozenset({401, 403})


class Copy(StrEnum):
    """What is known of the copy after one question."""

    THERE = "THERE"  # it was shown: compare it
    MISSING = "MISSING"  # the partner says in OCPI's words that it does not know it
    NOT_OFFERED = "NOT_OFFERED"  # single objects are not shown: ask no more for some days
    BREAK_OFF = "BREAK_OFF"  # the partner is not well or wants us to wait: go on another time


def read_copy(*, http_status: int, status_code: int | None, data: Any) -> Copy:
    """Judge an answer. Only an OCPI envelope with 2xxx proves that an object is missing: a bare 404 may as well be
    a route that does not exist."""
    is_refusal = status_code is not None and 2000 <= status_code < 3000
    if http_status in _TOKEN_REFUSED:
        return Copy.BREAK_OFF
    if http_status in _NOT_OFFERED:
        return Copy.NOT_OFFERED
    if http_status in (404, 410):
        return Copy.MISSING if is_refusal else Copy.NOT_OFFERED
    if not 200 <= http_status < 300:
        return Copy.BREAK_OFF
    if is_refusal:
        return Copy.MISSING
    if status_code is None or status_code >= 3000:
        return Copy.BREAK_OFF
    return Copy.THERE if isinstance(data, dict) else Copy.MISSING
