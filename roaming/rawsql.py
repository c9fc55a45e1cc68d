"""The few statements on which throughput hangs: prepared once per connection, run by libpq in one call, results in the
driver's binary form.

Django's own cursors write parameters into the text of the statement and read text, so each byte of a document travels
as two characters; and a driver's cursor waits in steps, each of which lets other threads in between. Use this where it
was measured to matter, and the ORM elsewhere.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor

# The driver's own reading of placeholders and values; it has no other door for who does without its cursors.
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format, TransactionStatus

Params = Sequence[Any] | Mapping[str, Any]

MAX_PREPARED = 100


@dataclass
class _Prepared:
    """The statements that one connection has prepared: name by text and types of the values."""

    names: dict[tuple[bytes, tuple[int, ...]], bytes] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)


_prepared: WeakKeyDictionary[Any, _Prepared] = WeakKeyDictionary()


def fetch(sql: str, params: Params) -> list[tuple[Any, ...]]:
    """Run one query on the default connection and return its rows as the driver reads them."""
    backend = _backend()
    if _is_watched(backend):
        with _cursor(backend) as cursor:
            cursor.execute(sql, params)
            rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows
    backend.validate_no_broken_transaction()
    with backend.wrap_database_errors, backend.connection.lock:
        transformer, result = _run(backend, sql, params)
        transformer.set_pgresult(result)
        loaded: list[tuple[Any, ...]] = transformer.load_rows(0, result.ntuples, tuple)
        return loaded


def fetch_one(sql: str, params: Params) -> tuple[Any, ...] | None:
    """As ``fetch``, for the first row or None."""
    rows = fetch(sql, params)
    return rows[0] if rows else None


def execute(sql: str, params: Params) -> int:
    """Run one statement and return the number of rows that it wrote; ``%b`` takes a value in binary form."""
    backend = _backend()
    if _is_watched(backend):
        with _cursor(backend) as cursor:
            cursor.execute(sql, params)
            return int(cursor.rowcount)
    backend.validate_no_broken_transaction()
    with backend.wrap_database_errors, backend.connection.lock:
        _, result = _run(backend, sql, params)
        return int(result.command_tuples or 0)


def _backend() -> Any:
    """Django's connection, in order; its type stubs do not know what belongs to PostgreSQL."""
    backend: Any = connections[DEFAULT_DB_ALIAS]
    backend.close_if_health_check_failed()
    backend.ensure_connection()
    return backend


def _is_watched(backend: Any) -> bool:
    return bool(backend.execute_wrappers) or backend.queries_logged


def _cursor(backend: Any) -> Any:
    """A cursor of Django's that does the same in its own way, for those who count and log statements."""
    server_bound: Any = ServerBindingCursor
    cursor = server_bound(backend.connection)
    cursor.format = Format.BINARY
    return backend._prepare_cursor(cursor)


def _run(backend: Any, sql: str, params: Params) -> tuple[Any, Any]:
    connection: psycopg.Connection[Any] = backend.connection
    server: Any = connection.pgconn
    transformer = Transformer(connection)
    query = PostgresQuery(transformer)
    query.convert(sql, params)
    if not connection.autocommit and server.transaction_status == TransactionStatus.IDLE:
        _checked(server.exec_(b"BEGIN"))
    name = _name(connection, query)
    if name is None:
        result = server.exec_params(query.query, query.params, query.types, query.formats, Format.BINARY)
    else:
        result = server.exec_prepared(name, query.params, query.formats, Format.BINARY)
    return transformer, _checked(result)


def _name(connection: psycopg.Connection[Any], query: PostgresQuery) -> bytes | None:
    """Under which name the statement is prepared; None when it is not to be."""
    if connection.prepare_threshold is None:
        return None
    known = _prepared.get(connection)
    if known is None:
        known = _prepared[connection] = _Prepared()
    key = (query.query, query.types)
    if key not in known.names:
        if len(known.names) >= MAX_PREPARED:
            return None
        name = b"yardgate_%d" % next(known.numbers)
        _checked(connection.pgconn.prepare(name, query.query, query.types))
        known.names[key] = name
    return known.names[key]


def _checked(result: Any) -> Any:
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise error_from_result(result)
    return result
