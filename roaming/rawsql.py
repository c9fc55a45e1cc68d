"""The few statements on which throughput hangs: prepared once per connection, run by libpq in one call, results in the
driver's binary form.

Django's own cursors write parameters into the text of the statement and read text, so each byte of a document travels
as two characters; and a driver's cursor waits in steps, each of which lets other threads in between. Use this where it
was measured to matter, and the ORM elsewhere.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import psycopg
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.postgresql.base import ServerBindingCursor

# The driver's own reading of placeholders and values; it has no other door for who does without its cursors.
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg.errors import (
    FeatureNotSupported,
    InvalidSqlStatementName,
    error_from_result,
)
from psycopg.pq import ExecStatus, Format, TransactionStatus

Params = Sequence[Any] | Mapping[str, Any]

MAX_PREPARED = 100

_KNOWN = b"SELECT 1 FROM pg_prepared_statements WHERE name = $1"


# Per connection, the statements that it has prepared, by text and types of the values; None: run unprepared.
_Names = dict[tuple[bytes, tuple[int, ...]], bytes | None]
_prepared: WeakKeyDictionary[Any, _Names] = WeakKeyDictionary()

# A statement that was prepared is not there (a pooler handed us another server), or its table has changed since.
_STALE = (InvalidSqlStatementName, FeatureNotSupported)


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
        _checked(connection, server.exec_(b"BEGIN"))
    name = _name(connection, query)
    if name is None:
        return transformer, _checked(connection, _unprepared(server, query))
    result = server.exec_prepared(name, query.params, query.formats, Format.BINARY)
    try:
        return transformer, _checked(connection, result)
    except _STALE:
        _prepared[connection][_key(query)] = None
        if server.transaction_status == TransactionStatus.INERROR:
            # What this transaction did before is lost with it: whoever began it must begin it again.
            raise
        return transformer, _checked(connection, _unprepared(server, query))


def _unprepared(server: Any, query: PostgresQuery) -> Any:
    return server.exec_params(query.query, query.params, query.types, query.formats, Format.BINARY)


def _key(query: PostgresQuery) -> tuple[bytes, tuple[int, ...]]:
    return query.query, query.types


def _name(connection: psycopg.Connection[Any], query: PostgresQuery) -> bytes | None:
    """Under which name the statement is prepared; None when it is not to be.

    The name follows from the statement: behind a pooler it may have been prepared for another process, and must
    never be another statement.
    """
    if connection.prepare_threshold is None:
        return None
    names = _prepared.setdefault(connection, {})
    key = _key(query)
    if key not in names:
        if len(names) >= MAX_PREPARED:
            return None
        digest = hashlib.sha256(query.query + repr(query.types).encode()).hexdigest()
        name = f"yardgate_{digest[:32]}".encode()
        if not _is_prepared(connection, name):
            _checked(connection, connection.pgconn.prepare(name, query.query, query.types))
        names[key] = name
    return names[key]


def _is_prepared(connection: psycopg.Connection[Any], name: bytes) -> bool:
    """Whether this server knows the statement already; preparing it again would cost the transaction around it."""
    found = connection.pgconn.exec_params(_KNOWN, [name])
    return bool(_checked(connection, found).ntuples)


def _checked(connection: psycopg.Connection[Any], result: Any) -> Any:
    if result.status in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        return result
    if connection.broken:
        # Nobody is left who could name the error.
        raise psycopg.OperationalError(result.get_error_message())
    raise error_from_result(result)
