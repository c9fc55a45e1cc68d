"""Cuts off request bodies that come too slowly: a thread that waits for one serves nobody else (S8).

A timeout per read does not help against a peer that drips, so one thread per process watches the deadlines of
all bodies that are being read, and shuts the reading side of those sockets that are over.
"""

import contextlib
import itertools
import os
import socket
import threading
import time
from collections.abc import Iterator

LOOK_SECONDS = 0.25


class BodyWatch:
    """Deadlines of the bodies being read in this process."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._reading: dict[int, tuple[float, socket.socket]] = {}
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def reading(self, client: socket.socket, *, seconds: float) -> Iterator[None]:
        """Let the body of this connection take so long; then its reader sees the end of the stream."""
        number = next(self._numbers)
        self._reading[number] = (time.monotonic() + seconds, client)
        self._start()
        try:
            yield
        finally:
            self._reading.pop(number, None)

    def _start(self) -> None:
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="slow-bodies", daemon=True)
                self._thread.start()

    def _watch(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for number, (deadline, client) in list(self._reading.items()):
                # Popped first: whoever has just finished reading keeps a connection that works.
                if deadline < now and self._reading.pop(number, None) is not None:
                    with contextlib.suppress(OSError):
                        client.shutdown(socket.SHUT_RD)


watch = BodyWatch()


def _start_anew() -> None:
    """Threads do not live on in a forked process."""
    global watch  # noqa: PLW0603  # one per process
    watch = BodyWatch()


os.register_at_fork(after_in_child=_start_anew)
