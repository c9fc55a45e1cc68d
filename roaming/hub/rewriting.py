"""The URLs inside a message that a hub replaces by its own: each where it stands, all other bytes as they are. [pure]

Chapters "Commands module" and "ChargingProfiles module" (``response_url``), "Transport and format" (``Link``).
"""

import json
from urllib.parse import quote, unquote_plus

from ocpi import codec
from ocpi.status import invalid

MEMBER = "response_url"

_DECODER = json.JSONDecoder()
_SPACE = " \t\r\n"


def response_url_in_body(body: bytes) -> tuple[str, slice]:
    """Return the ``response_url`` of a JSON body, and where its value stands in the text of the body.

    Raises MalformedJson, or OcpiError 2001 when the body is no object with that member as a text.
    """
    value = codec.parse(body)
    url = value.get(MEMBER) if isinstance(value, dict) else None
    if not isinstance(url, str):
        raise invalid(f"{MEMBER}: is required, as a text")
    return url, _place_of(body.decode("utf-8"))


def in_body(body: bytes, place: slice, url: str) -> bytes:
    """Return a JSON body with another text at a place."""
    text = body.decode("utf-8")
    return (text[: place.start] + json.dumps(url) + text[place.stop :]).encode("utf-8")


def response_url_in_query(query: str) -> str:
    """Return the ``response_url`` of a query string. Raises OcpiError 2001 unless it is there exactly once."""
    found = [unquote_plus(value) for name, value in map(_pair, query.split("&")) if name == MEMBER]
    if len(found) != 1:
        raise invalid(f"{MEMBER}: is required in the query, once")
    return found[0]


def in_query(query: str, url: str) -> str:
    """Return a query string with another ``response_url``; all other parameters as they are."""
    return "&".join(
        f"{piece.partition('=')[0]}={quote(url, safe='')}" if _pair(piece)[0] == MEMBER else piece
        for piece in query.split("&")
    )


def query_below(url: str, endpoint: str) -> str | None:
    """Return the query of a URL that is an endpoint plus a query, None when it is anything else."""
    path, mark, query = url.partition("?")
    is_plain = path.rstrip("/") == endpoint.rstrip("/") and bool(mark)
    return query if is_plain else None


def _pair(piece: str) -> tuple[str, str]:
    name, _, value = piece.partition("=")
    return unquote_plus(name), value


def _place_of(text: str) -> slice:
    """Where the value of the member stands in an object that is known to be sound and to have it once."""
    position = _after_space(text, _after_space(text, 0) + 1)
    while True:
        name, position = _DECODER.raw_decode(text, position)
        # Over the colon.
        start = _after_space(text, _after_space(text, position) + 1)
        _, end = _DECODER.raw_decode(text, start)
        if name == MEMBER:
            return slice(start, end)
        # Over the comma.
        position = _after_space(text, _after_space(text, end) + 1)


def _after_space(text: str, position: int) -> int:
    while text[position] in _SPACE:
        position += 1
    return position
