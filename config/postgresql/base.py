"""The database wrapper that the setting ``ENGINE`` of this package names."""

import select

from django.db.backends.postgresql import base


class DatabaseWrapper(base.DatabaseWrapper):
    """As Django's own, but a kept connection is checked without asking the server something.

    Django sends ``SELECT 1`` before the first statement of every request, which is a quarter of the cost of a
    small one. A server that has hung up can be seen from here: its socket has something to read.
    """

    def is_usable(self) -> bool:
        """Whether the connection is still there; asks the server only when it has said something unasked."""
        if self.connection is None or self.connection.closed:
            return False
        poll = select.poll()
        poll.register(self.connection.fileno(), select.POLLIN)
        return super().is_usable() if poll.poll(0) else True
