"""Paginated lists: query parameters and the link to the next page (chapter "Transport and format"). [pure]"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import urlencode

from ocpi.scalars import read_datetime
from ocpi.status import invalid

MAX_OFFSET = 2**31 - 1

_DIGITS = re.compile(r"[0-9]{1,32}", re.ASCII)
# An offset written with a bare "+" arrives with a space, as a query string decodes it.
_LOST_PLUS = re.compile(r" (?=[0-9]{2}:[0-9]{2}$)", re.ASCII)


class PageQuery(NamedTuple):
    """What a list call asks for: ``date_from`` included, ``date_to`` excluded, ``offset`` in objects."""

    date_from: datetime | None
    date_to: datetime | None
    offset: int
    limit: int


def parse_page(params: Mapping[str, str], *, cap: int, default: int | None = None) -> PageQuery:
    """Read the parameters of a list call; ``limit`` is at most ``cap``, when absent ``default`` or ``cap``.

    Other parameters are ignored. Raises OcpiError 2001 for a bad value (PAG-10).
    """
    return PageQuery(
        date_from=_instant(params, "date_from"),
        date_to=_instant(params, "date_to"),
        offset=_whole(params, "offset", default=0, least=0, most=MAX_OFFSET),
        limit=min(_whole(params, "limit", default=default or cap, least=1, most=None), cap),
    )


def next_link(
    url: str, query: PageQuery, *, total: int, extra: Mapping[str, str] | None = None
) -> str | None:
    """Return the URL of the page after this one, or None on the last page.

    ``url`` is the list's own absolute URL without query, ``total`` the number of matches over all pages,
    ``extra`` further filters of the caller to repeat (PAG-07, PAG-08). See ``link_header`` for the header.
    """
    following = query.offset + query.limit
    if following >= total:
        return None
    parameters = dict(extra or {}) | page_parameters(query._replace(offset=following))
    return f"{url}?{urlencode(parameters)}"


def page_parameters(query: PageQuery) -> dict[str, str]:
    """Return the parameters of a list call as text, instants to the last digit."""
    window = {"date_from": query.date_from, "date_to": query.date_to}
    dates = {name: _text(instant) for name, instant in window.items() if instant is not None}
    return dates | {"offset": str(query.offset), "limit": str(query.limit)}


def link_header(url: str) -> str:
    """Return the value of the ``Link`` header for the URL of the next page."""
    return f'<{url}>; rel="next"'


def _instant(params: Mapping[str, str], name: str) -> datetime | None:
    text = params.get(name)
    if text is None:
        return None
    try:
        return read_datetime(_LOST_PLUS.sub("+", text))
    except ValueError as error:
        raise invalid(f"{name}: {error}") from None


def _whole(params: Mapping[str, str], name: str, *, default: int, least: int, most: int | None) -> int:
    text = params.get(name)
    if text is None:
        return default
    if not _DIGITS.fullmatch(text):
        raise invalid(f"{name}: must be a whole number, {least} or more (given {text[:16]!a})")
    number = int(text)
    if number < least:
        raise invalid(f"{name}: must be {least} or more (given {number})")
    if most is not None and number > most:
        raise invalid(f"{name}: must be at most {most} (given {number})")
    return number


def _text(instant: datetime) -> str:
    # Not the shorter form of the codec: cutting decimals would move the edge of the caller's window.
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
