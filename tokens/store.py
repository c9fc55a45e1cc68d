"""The one statement that writes tokens, whatever way they came."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import connection

from ocpi import codec, v221
from roaming import rawsql
from roaming.models import Party
from tokens.models import Token

# How many tokens one statement carries.
BATCH = 500

_COLUMNS = (
    "own_party_id",
    "party_id",
    "uid",
    "uid_key",
    "type",
    "contract_id",
    "group_id",
    "valid",
    "whitelist",
    "is_blocked_here",
    "document",
    "last_updated",
    "received_at",
)
_KEY = ("own_party_id", "party_id", "uid_key", "type")
# An operator's block is ours: no message of the owner touches it (B18).
_OWNERS = [name for name in _COLUMNS if name not in (*_KEY, "is_blocked_here")]
_TABLE = Token._meta.db_table
_ROW = f"({', '.join(['%s'] * len(_COLUMNS))})"
_HEAD = f"INSERT INTO {_TABLE} AS known ({', '.join(_COLUMNS)}) VALUES "
# Older news is acknowledged and ignored (DIS-28), and an equal repetition writes nothing (OBJ-13).
_TAIL = f"""
ON CONFLICT ({", ".join(_KEY)}) DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in _OWNERS)}
WHERE known.last_updated <= EXCLUDED.last_updated AND known.document <> EXCLUDED.document
RETURNING (xmax = 0)
"""
_ONE = _HEAD + _ROW + _TAIL


def key_of(uid: str) -> str | None:
    """Return the uid as CiStrings are compared, or None for a text that no uid can be (TYP-01)."""
    return uid.upper() if uid.isascii() and uid.isprintable() else None


def store_one(own_party: Party, party: Party, token: v221.Token, now: datetime) -> bool:
    """Insert or update one token of this partner party, as it told our `own_party`; True when it was new.

    One statement, so that two calls at once follow each other and the newer `last_updated` stays.
    """
    written = rawsql.fetch_one(_ONE, _row(own_party, party, token, now))
    return bool(written and written[0])


def store_many(own_party: Party, party: Party, tokens: Iterable[v221.Token], now: datetime) -> int:
    """Insert or update tokens of this partner party, as it told our `own_party`; returns how many were new or changed."""
    # One statement may touch a row once only: of two entries for one token the newer counts.
    newest: dict[tuple[str, str], v221.Token] = {}
    for token in sorted(tokens, key=lambda each: each.last_updated):
        newest[(token.uid.upper(), token.type.value)] = token
    rows = [_row(own_party, party, token, now) for _, token in sorted(newest.items())]
    return sum(_store(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))


def _store(rows: Sequence[Sequence[Any]]) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            _HEAD + ", ".join([_ROW] * len(rows)) + _TAIL, [value for row in rows for value in row]
        )
        return len(cursor.fetchall())


def _row(own_party: Party, party: Party, token: v221.Token, now: datetime) -> list[Any]:
    return [
        own_party.pk,
        party.pk,
        token.uid,
        token.uid.upper(),
        token.type.value,
        token.contract_id,
        token.group_id or "",
        token.valid,
        token.whitelist.value,
        False,
        codec.encode(token),
        token.last_updated,
        now,
    ]
