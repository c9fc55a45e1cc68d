"""Documents between the database and us in the driver's binary form.

As text each byte of a document travels as two characters and is parsed on both sides, which is most of the cost of a
page. Django's own cursors speak text only.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg.pq import Format


def fetch(sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Run one query on the default connection and return its rows as the driver reads them."""
    with _cursor() as cursor:
        cursor.execute(sql, params)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def execute(sql: str, params: Sequence[Any]) -> int:
    """Run one statement and return the number of rows that it wrote; `%b` takes a value in binary form."""
    with _cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def _cursor() -> Any:
    connection.close_if_health_check_failed()
    connection.ensure_connection()
    cursor = ServerBindingCursor(connection.connection)
    cursor.format = Format.BINARY
    # As Django's own: errors are Django's, and the statement is counted where statements are.
    return connection._prepare_cursor(cursor)
