"""Several lists read as one: which slice of which list a page holds, and what a link must remember of them. [pure]

How many objects each list has is counted on the first page only, and carried in the link. So a crawl neither counts
again nor loses an object when a list before it grows meanwhile: what is new then comes with the next ``date_from``.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from ocpi.paging import MAX_OFFSET
from ocpi.status import invalid

PARAMETER = "totals"
MAX_LISTS = 500

_ENTRY = re.compile(r"([!-~]{1,16}?)\.([0-9]{1,10})", re.ASCII)
_SEPARATOR = "~"


class Slice(NamedTuple):
    """A stretch of one list."""

    name: str
    offset: int
    limit: int


def slices(totals: Mapping[str, int], *, offset: int, limit: int) -> list[Slice]:
    """Return which stretches make up a page of the lists joined in their order; none of them is empty."""
    found = []
    begin = 0
    for name, total in totals.items():
        first, last = max(offset - begin, 0), min(offset + limit - begin, total)
        if first < last:
            found.append(Slice(name, first, last - first))
        begin += total
    return found


def write_totals(totals: Mapping[str, int]) -> str:
    """Return the totals of the lists that hold anything, as a parameter of a link: ``BE-YRD.120~KEPT.500``."""
    return _SEPARATOR.join(f"{name}.{total}" for name, total in totals.items() if total)


def read_totals(text: str) -> dict[str, int]:
    """Return what ``write_totals`` wrote.

    Raises OcpiError 2001 for any other text: the links of a list are followed as they are.
    """
    totals: dict[str, int] = {}
    entries = text.split(_SEPARATOR)
    for entry in entries[: MAX_LISTS + 1]:
        match = _ENTRY.fullmatch(entry)
        if match is None or match.group(1) in totals or len(entries) > MAX_LISTS:
            raise invalid(f"{PARAMETER}: follow the links of a list as they are")
        totals[match.group(1)] = min(int(match.group(2)), MAX_OFFSET)
    return totals
