"""The database wrapper that the setting ``ENGINE`` of this package names."""

import os
import select
from collections import deque
from typing import Any

import psycopg
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations
from psycopg.pq import TransactionStatus

# More connections of one process than this are of no use while they wait for work.
MAX_SPARE = 32

_spare: deque[Any] = deque(maxlen=MAX_SPARE)
# A connection belongs to the process that made it.
os.register_at_fork(after_in_child=_spare.clear)


class DatabaseOperations(PostgresOperations):
    """As Django's own, and prepared statements have a text in the log of queries too."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        """The statement with its values, or as it was prepared."""
        return super().last_executed_query(cursor, sql, params) or str(sql)


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's own, but a connection is checked without asking the server something, and kept when it is closed.

    Django sends ``SELECT 1`` before the first statement of every request, which is a quarter of the cost of a
    small one. A server that has hung up can be seen from here: its socket has something to read.

    A thread that will wait for somebody else closes its connection meanwhile (``roaming/hub/legs.py``); the next
    thread that needs one takes it up, with all its prepared statements. That costs a hundredth of a new one.
    """

    ops_class = DatabaseOperations

    def is_usable(self) -> bool:
        """Whether the connection is still there; asks the server only when it has said something unasked."""
        if self.connection is None or self.connection.closed:
            return False
        return super().is_usable() if _has_something_to_read(self.connection) else True

    def get_new_connection(self, conn_params: Any) -> Any:
        """Take up a connection that a thread of this process has closed, or open one."""
        while self.alias != NO_DB_ALIAS and _spare:
            try:
                connection = _spare.pop()
            except IndexError:
                break
            if _is_spare(connection) and connection.info.dbname == conn_params.get("dbname"):
                self.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
                return connection
            connection.close()
        return super().get_new_connection(conn_params)

    def _close(self) -> None:
        """Keep a sound connection for the next thread."""
        connection = self.connection
        if connection is None:
            return
        is_kept = self.alias != NO_DB_ALIAS and not self.in_atomic_block and len(_spare) < MAX_SPARE
        if is_kept and _is_spare(connection):
            _spare.append(connection)
        else:
            super()._close()  # type: ignore[misc]  # not in the stubs

    def close_pool(self) -> None:
        """Close what is kept."""
        while _spare:
            _spare.pop().close()
        super().close_pool()


def _is_spare(connection: Any) -> bool:
    """Whether a connection is sound, and in no transaction."""
    if connection.closed or connection.pgconn.transaction_status != TransactionStatus.IDLE:
        return False
    return not _has_something_to_read(connection)


def _has_something_to_read(connection: Any) -> bool:
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))
