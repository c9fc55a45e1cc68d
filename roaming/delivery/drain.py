"""The sender: claims lanes that are due and gives each to a thread, so that no partner waits for another.

Any number of these may run, in any number of processes; killing one at any point loses nothing, its lanes are
free again when their leases run out. Every lane that is claimed has a thread from the start: a lane never waits
in a queue while its lease runs.
"""

import logging
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Self

from django.db import DatabaseError, InterfaceError, connection

from roaming.delivery import lanes, outbox
from roaming.delivery.schedule import Step
from roaming.delivery.sending import Tools, take_turn

log = logging.getLogger(__name__)

CONCURRENCY = 32
IDLE_SECONDS = 1.0
# After a fault of our own a lane rests a little.
FAULT_SECONDS = 5.0


class Drainer:
    """Sends what is due, with up to ``concurrency`` requests at the same time; use it as a context manager.

    ``clock`` gives the present, ``jitter`` chance from -1 to 1.
    """

    def __init__(
        self, *, clock: Callable[[], datetime], jitter: Callable[[], float], concurrency: int = CONCURRENCY
    ) -> None:
        self._clock = clock
        self._jitter = jitter
        self._concurrency = concurrency
        self._claimed: queue.SimpleQueue[lanes.Lease | None] = queue.SimpleQueue()
        # One entry for each turn that has ended: whether its lane had failures before.
        self._finished: queue.SimpleQueue[bool] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._running = 0
        self._running_failing = 0
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for _thread in self._threads:
            self._claimed.put(None)
        for thread in self._threads:
            thread.join()

    def stop(self) -> None:
        """Claim nothing more; what is on its way is finished. Safe to call from a signal handler."""
        self._stopping.set()

    def drain(self, *, for_seconds: float | None = None) -> int:
        """Send until nothing is due; with ``for_seconds`` claim nothing after that time.

        Returns the number of turns that lanes had. Raises DatabaseError when the database is away.
        """
        until = None if for_seconds is None else time.monotonic() + for_seconds
        turns = 0
        outbox.expire_results()
        while True:
            is_late = self._stopping.is_set() or (until is not None and time.monotonic() > until)
            claimed = 0 if is_late else self._claim()
            turns += claimed
            wait = 0.0 if claimed else self._wait_seconds()
            if claimed == 0 and self._running == 0 and (is_late or wait is None):
                return turns
            self._collect(timeout=IDLE_SECONDS if wait is None else wait)

    def drain_forever(self) -> None:
        """Send until ``stop``; a database that is away is waited for."""
        while not self._stopping.is_set():
            try:
                connection.close_if_unusable_or_obsolete()
                self.drain()
            except (DatabaseError, InterfaceError) as error:
                log.warning("delivery.database_unreachable reason=%s", error)
            self._stopping.wait(IDLE_SECONDS)

    def _claim(self) -> int:
        free = self._concurrency - self._running
        if free <= 0:
            return 0
        # Partners that hang hold a thread for a whole deadline each: they may not take all of them.
        leases = lanes.claim(limit=free, with_failing=self._running_failing < self._concurrency // 2)
        for lease in leases:
            self._running += 1
            self._running_failing += lease.is_failing
            if len(self._threads) < self._running:
                self._start_thread()
            self._claimed.put(lease)
        return len(leases)

    def _wait_seconds(self) -> float | None:
        """Until a lane goes on that only keeps its pace; None when that is not soon: the next look finds it."""
        seconds = lanes.paced_seconds()
        return None if seconds is None or seconds > IDLE_SECONDS else max(seconds, 0.001)

    def _collect(self, *, timeout: float) -> None:
        """Take in the turns that have ended, waiting for the first."""
        while True:
            try:
                was_failing = self._finished.get(timeout=timeout) if timeout else self._finished.get_nowait()
            except queue.Empty:
                return
            timeout = 0.0
            self._running -= 1
            self._running_failing -= was_failing

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"lane-{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _work(self) -> None:
        worker = f"{socket.gethostname()[:40]}:{os.getpid()}:{threading.current_thread().name}"
        tools = Tools(self._clock, self._jitter, worker)
        try:
            while (lease := self._claimed.get()) is not None:
                _turn(lease, tools)
                self._finished.put(lease.is_failing)
        finally:
            connection.close()


def _turn(lease: lanes.Lease, tools: Tools) -> None:
    """Take one turn; whatever goes wrong in it stays in it, so that the other lanes go on."""
    try:
        connection.close_if_unusable_or_obsolete()
        take_turn(lease, tools)
        return
    except Exception as error:
        log.exception("delivery.turn_failed platform=%s lane=%s", lease.platform_id, lease.name)
        reason = f"a fault of ours: {type(error).__name__}: {error}"
    try:
        connection.close_if_unusable_or_obsolete()
        lanes.give_back(lease, step=Step(lease.health, FAULT_SECONDS, is_over=True), reason=reason)
    except (DatabaseError, InterfaceError):
        # The lease runs out by itself.
        log.warning("delivery.lane_not_given_back platform=%s lane=%s", lease.platform_id, lease.name)
