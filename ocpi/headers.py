"""Authorization and routing headers as text (chapter "Transport and format"). [pure]"""

import base64
import binascii
import re
from collections.abc import Mapping
from typing import NamedTuple, Self

from ocpi.status import invalid

TO_COUNTRY_CODE = "OCPI-to-country-code"
TO_PARTY_ID = "OCPI-to-party-id"
FROM_COUNTRY_CODE = "OCPI-from-country-code"
FROM_PARTY_ID = "OCPI-from-party-id"

# A token has 64 characters at most; Base64 of it with a line end stays below this.
_MAX_AUTHORIZATION_CHARS = 128
_SCHEME = re.compile(r"token ([!-~]+)", re.IGNORECASE | re.ASCII)
_TOKEN = re.compile(r"[!-~]{1,64}", re.ASCII)
_COUNTRY_CODE = re.compile(r"[A-Za-z]{2}", re.ASCII)
_PARTY_ID = re.compile(r"[A-Za-z0-9]{3}", re.ASCII)


class PartyId(NamedTuple):
    """A party by country code and party id, both in upper case when made with ``of``."""

    country_code: str
    party_id: str

    @classmethod
    def of(cls, country_code: str, party_id: str) -> Self:
        """Return the party in upper case; case does not tell parties apart (HUB-07).

        Other letters than ASCII stay as they are: Unicode upper case would turn a look-alike such as
        the long s into the S of somebody else.
        """
        return cls(_upper(country_code), _upper(party_id))

    def __str__(self) -> str:
        return f"{self.country_code}-{self.party_id}"


class Routing(NamedTuple):
    """Addressee and acting party of a message; None where the headers are absent."""

    to: PartyId | None
    from_: PartyId | None


def parse_routing(headers: Mapping[str, str]) -> Routing:
    """Read the four routing headers, names in any case.

    Raises OcpiError 2001 when one of a pair is missing or is no country code or party id (HUB-08).
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    return Routing(
        to=_party(lowered, TO_COUNTRY_CODE, TO_PARTY_ID),
        from_=_party(lowered, FROM_COUNTRY_CODE, FROM_PARTY_ID),
    )


def routing_headers(*, to: PartyId | None = None, from_: PartyId | None = None) -> dict[str, str]:
    """Return the routing headers for a message; the pair of an absent party is left out."""
    headers: dict[str, str] = {}
    if to is not None:
        headers |= {TO_COUNTRY_CODE: to.country_code, TO_PARTY_ID: to.party_id}
    if from_ is not None:
        headers |= {FROM_COUNTRY_CODE: from_.country_code, FROM_PARTY_ID: from_.party_id}
    return headers


def authorization(token: str, *, raw: bool = False) -> str:
    """Return the ``Authorization`` value for a credentials token.

    ``raw`` is for peers that never encode (AUT-04). Raises ValueError when the token is not 1 to 64
    characters from U+0021 to U+007E.
    """
    if not _TOKEN.fullmatch(token):
        raise ValueError("a credentials token is 1 to 64 characters from U+0021 to U+007E")
    if raw:
        return f"Token {token}"
    return f"Token {base64.b64encode(token.encode('ascii')).decode('ascii')}"


def read_authorization(value: str, *, raw: bool = False) -> str | None:
    """Return the credentials token in an ``Authorization`` value, or None when the value is damaged.

    The scheme is read in any case, then one space. Trailing white space of the decoded token is dropped, as
    the specification's own sample encodes a line feed (AUT-03). ``raw`` reads the token as it stands.
    """
    if len(value) > _MAX_AUTHORIZATION_CHARS:
        return None
    match = _SCHEME.fullmatch(value)
    if match is None:
        return None
    token = match.group(1) if raw else _decoded(match.group(1))
    if token is None or not _TOKEN.fullmatch(token):
        return None
    return token


def _decoded(text: str) -> str | None:
    try:
        content = base64.b64decode(text, validate=True)
        token = content.decode("ascii")
    except (binascii.Error, ValueError):
        return None
    # The decoder takes several texts for the same bytes; only the one that we would write counts.
    if base64.b64encode(content).decode("ascii") != text:
        return None
    return token.rstrip(" \t\r\n")


def _party(headers: Mapping[str, str], country_name: str, party_name: str) -> PartyId | None:
    country_code = headers.get(country_name.lower(), "")
    party_id = headers.get(party_name.lower(), "")
    if not country_code and not party_id:
        return None
    if not country_code or not party_id:
        raise invalid(f"{country_name} and {party_name}: send both or neither")
    _require(country_name, country_code, _COUNTRY_CODE, "two letters")
    _require(party_name, party_id, _PARTY_ID, "three letters or digits")
    return PartyId.of(country_code, party_id)


def _require(name: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    if not pattern.fullmatch(value):
        raise invalid(f"{name}: must be {rule} (given {value[:16]!a})")


def _upper(text: str) -> str:
    return text.upper() if text.isascii() else text


__all__ = [
    "FROM_COUNTRY_CODE",
    "FROM_PARTY_ID",
    "TO_COUNTRY_CODE",
    "TO_PARTY_ID",
    "PartyId",
    "Routing",
    "authorization",
    "parse_routing",
    "read_authorization",
    "routing_headers",
]
