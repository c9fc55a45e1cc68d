"""The database wrapper that the setting ``ENGINE`` of this package names."""

import select
from typing import Any

from django.db.backends.postgresql import base
from django.db.backends.postgresql.operations import DatabaseOperations as PostgresOperations


class DatabaseOperations(PostgresOperations):
    """As Django's own, and prepared statements have a text in the log of queries too."""

    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        """The statement with its values, or as it was prepared."""
        return super().last_executed_query(cursor, sql, params) or str(sql)


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's own, but a kept connection is checked without asking the server something.

    Django sends ``SELECT 1`` before the first statement of every request, which is a quarter of the cost of a
    small one. A server that has hung up can be seen from here: its socket has something to read.
    """

    ops_class = DatabaseOperations

    def is_usable(self) -> bool:
        """Whether the connection is still there; asks the server only when it has said something unasked."""
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return super().is_usable() if poll.poll(0) else True
