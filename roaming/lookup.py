"""From a presented token to its platform and all parties, in one statement: it runs before every call."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import models
from django.http import HttpRequest

from ocpi.headers import read_authorization
from roaming import rawsql
from roaming.models import CredentialsToken, Party, Platform
from roaming.secrets import hash_token


@dataclass(frozen=True)
class Known:
    """A token that is valid at this moment, its platform, and the active parties of both sides."""

    token: str
    token_id: int
    token_kind: str
    last_used_at: datetime | None
    platform: Platform
    parties: tuple[Party, ...]
    own_parties: tuple[Party, ...]


def known_of(request: HttpRequest, now: datetime) -> Known | None:
    """Return whose token a request presents; looked up once per request, whoever asks first."""
    if _FOUND not in request.META:
        request.META[_FOUND] = find_known(str(request.META.get("HTTP_AUTHORIZATION", "")), now)
    found: Known | None = request.META[_FOUND]
    return found


def is_guess(authorization: str) -> bool:
    """Tell whether a header presents a token at all, right or wrong."""
    return read_authorization(authorization, raw=True) is not None


def find_known(authorization: str, now: datetime) -> Known | None:
    """Return whose token an ``Authorization`` header presents; None when it is nobody's at this moment.

    The token is read from Base64; as it stands only for platforms that never encode (AUT-04). What is damaged
    is looked up all the same: it must not be told apart by its speed from a wrong token (T5).
    """
    decoded = read_authorization(authorization) or ""
    raw = read_authorization(authorization, raw=True) or ""
    by_decoded, by_raw = hash_token(decoded), hash_token(raw)
    rows = rawsql.fetch(_QUERY, [by_decoded, by_raw, now])
    known = _known(decoded, [row for row in rows if bytes(row[_HASH]) == by_decoded])
    if known is None:
        known = _known(raw, [row for row in rows if bytes(row[_HASH]) == by_raw])
        if known is not None and not known.platform.accept_raw_token:
            return None
    return known


def _known(token: str, rows: Sequence[tuple[Any, ...]]) -> Known | None:
    if not rows:
        return None
    token_id, token_kind, _, last_used_at = rows[0][:_PLATFORM]
    party_rows = (row[_PARTY:] for row in rows if row[_PARTY] is not None)
    parties = [Party.from_db("default", _PARTY_FIELDS, row) for row in party_rows]
    return Known(
        token=token,
        token_id=token_id,
        token_kind=token_kind,
        last_used_at=last_used_at,
        platform=Platform.from_db("default", _PLATFORM_FIELDS, rows[0][_PLATFORM:_PARTY]),
        parties=tuple(party for party in parties if not party.is_own),
        own_parties=tuple(party for party in parties if party.is_own),
    )


def columns(model: type[models.Model], alias: str, names: Iterable[str]) -> str:
    """Return the columns of fields for a statement that is written by hand."""
    columns = {field.attname: field.column for field in model._meta.concrete_fields}
    return ", ".join(f'{alias}."{columns[name]}"' for name in names)


# No header can have such a name.
_FOUND = "roaming.known"
_TOKEN_FIELDS = ("id", "kind", "hash", "last_used_at")
# What views need of a platform; all else is loaded when somebody asks for it.
_PLATFORM_FIELDS = (
    "id",
    "name",
    "status",
    "version",
    "approved_hosts",
    "accept_raw_token",
    "max_requests_per_second",
    "cdr_mode",
)
_PARTY_FIELDS = tuple(field.attname for field in Party._meta.concrete_fields)
_HASH = _TOKEN_FIELDS.index("hash")
_PLATFORM = len(_TOKEN_FIELDS)
_PARTY = _PLATFORM + len(_PLATFORM_FIELDS)
# By hand, since the ORM would need three statements for token, platform and parties.
_QUERY = f"""
SELECT {columns(CredentialsToken, "t", _TOKEN_FIELDS)},
       {columns(Platform, "p", _PLATFORM_FIELDS)},
       {columns(Party, "y", _PARTY_FIELDS)}
FROM {CredentialsToken._meta.db_table} t
JOIN {Platform._meta.db_table} p ON p.id = t.platform_id
LEFT JOIN {Party._meta.db_table} y ON (y.platform_id = p.id OR y.platform_id IS NULL) AND y.is_active
WHERE t.hash IN (%s, %s) AND p.status <> '{Platform.Status.SUSPENDED}'
  AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > %s)
ORDER BY y.country_code, y.party_id, y.role
"""
