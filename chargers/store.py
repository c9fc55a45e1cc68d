"""Threads in which the gateway uses the database, and what becomes of it when the database is away or busy."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections, connection
from psycopg import Error as DriverError

from chargers.connection import StoreUnavailable

log = logging.getLogger(__name__)

THREADS = 16
ATTEMPTS = 3
PAUSE_SECONDS = 0.05
# Others were in the way for a moment: serialization failure, deadlock, lock timeout (delivery.md, fault 26).
BUSY = frozenset({"40001", "40P01", "55P03"})

P = ParamSpec("P")
R = TypeVar("R")


class Store:
    """Runs blocking work with the database in threads of its own."""

    def __init__(self, *, threads: int = THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store")
        self._count = threads

    async def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `work` in a thread, again when others were in its way: it must be one transaction, or safe to repeat.

        Errors: StoreUnavailable when nothing could be stored, and what `work` raises.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(persistently, work, *args, **kwargs))

    def close(self) -> None:
        """Wait for the work that runs, then close every thread's connection."""
        everybody = threading.Barrier(self._count)
        for _ in range(self._count):
            self._threads.submit(_close_mine, everybody)
        self._threads.shutdown()


def persistently(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Do `work`, up to three times while the database says that others were in the way.

    Errors: StoreUnavailable, with the database's reason, when it stays in the way or is away.
    """
    for attempt in range(1, ATTEMPTS + 1):
        close_old_connections()
        try:
            return work(*args, **kwargs)
        except (OperationalError, InterfaceError) as error:
            state = error.__cause__.sqlstate if isinstance(error.__cause__, DriverError) else None
            if state not in BUSY:
                connection.close()
                log.error("ocpp.store_unavailable error=%s", error)
                raise StoreUnavailable from error
            log.warning("ocpp.store_busy attempt=%s state=%s", attempt, state)
            if attempt == ATTEMPTS:
                raise StoreUnavailable from error
            time.sleep(PAUSE_SECONDS * attempt)
    raise AssertionError("unreachable")


def _close_mine(everybody: threading.Barrier) -> None:
    # Each thread waits here until all of them have come, so that every one closes its own connection.
    everybody.wait(timeout=30)
    connection.close()
