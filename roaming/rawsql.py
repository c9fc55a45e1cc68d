"""The few statements on which throughput hangs: parameters bound by the server, results in the driver's binary form.

Django's own cursors write parameters into the text of the statement and read text: each byte of a document then
travels as two characters. Use this where it was measured to matter, and the ORM elsewhere.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.pq import Format

Params = Sequence[Any] | Mapping[str, Any]


def fetch(sql: str, params: Params) -> list[tuple[Any, ...]]:
    """Run one query on the default connection and return its rows as the driver reads them."""
    with _cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def fetch_one(sql: str, params: Params) -> tuple[Any, ...] | None:
    """As ``fetch``, for the first row or None."""
    rows = fetch(sql, params)
    return rows[0] if rows else None


def execute(sql: str, params: Params) -> int:
    """Run one statement and return the number of rows that it wrote; ``%b`` takes a value in binary form."""
    with _cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def _cursor() -> Any:
    # Parts of Django's PostgreSQL backend that its type stubs do not know.
    backend: Any = connection
    backend.close_if_health_check_failed()
    backend.ensure_connection()
    server_bound: Any = ServerBindingCursor
    cursor = server_bound(backend.connection)
    cursor.format = Format.BINARY
    # As Django's own: errors are Django's, and the statement is counted where statements are.
    return backend._prepare_cursor(cursor)
