"""The SQL of a piece of our work, recorded once and replayed through libpq: what the database alone makes of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import psycopg
from django.db import connection
from django.db.backends.postgresql.base import ServerBindingCursor
from psycopg._queries import PostgresQuery
from psycopg.abc import AdaptContext
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus

_FINE = (ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK)


@dataclass(frozen=True)
class Statement:
    """One statement as it went to the server; `parameters` None: they stand in the text."""

    text: bytes
    parameters: tuple[Any, ...] | None = None
    types: tuple[int, ...] = ()
    formats: tuple[int, ...] = ()


@dataclass
class Recording:
    """All statements of one run, in order, with its transactions."""

    statements: list[Statement] = field(default_factory=list)
    _is_open: bool = False

    @classmethod
    def of(cls, work: Callable[[], object]) -> "Recording":
        """Record what `work` asks of the default connection."""
        made = cls()
        with connection.execute_wrapper(made._note):
            work()
        made._turn(is_open=False)
        return made

    def _note(self, execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        self._turn(is_open=connection.in_atomic_block)
        cursor = context["cursor"].cursor
        if isinstance(cursor, ServerBindingCursor):
            # What the cursor is to psycopg itself, and its types leave out.
            query = PostgresQuery(Transformer.from_context(cast(AdaptContext, cursor)))
            query.convert(sql, params)
            made = Statement(
                query.query, tuple(query.params or ()), tuple(query.types), tuple(query.formats or ())
            )
        else:
            made = Statement(cursor.mogrify(sql, params).encode())
        self.statements.append(made)
        return execute(sql, params, many, context)

    def _turn(self, *, is_open: bool) -> None:
        if is_open != self._is_open:
            self.statements.append(Statement(b"BEGIN" if is_open else b"COMMIT"))
            self._is_open = is_open

    def replay(self, bare: psycopg.Connection[Any], *, instead: tuple[bytes, bytes] = (b"", b"")) -> None:
        """Run it all again; `instead` replaces a text that must be another one each time."""
        pgconn = bare.pgconn
        old, new = instead
        for each in self.statements:
            if each.parameters is None:
                result = pgconn.exec_(each.text.replace(old, new) if old else each.text)
            else:
                result = pgconn.exec_params(each.text, each.parameters, each.types, each.formats, 1)
            if result.status not in _FINE:
                raise RuntimeError(result.error_message.decode())
