"""Wake-ups: best effort, without data, few. Whoever sends finds its work by itself; a wake-up only saves the
second until the next look, so losing one costs nothing (delivery.md 4.7).

A thread of its own talks to Redis: a request never waits for it, and a burst of commits sends one message per
fifth of a second.
"""

import logging
import os
import threading
import time

from celery import current_app
from django.conf import settings
from django.db import transaction
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

log = logging.getLogger(__name__)

TASK = "roaming.tasks.drain_lanes"
SPACING_SECONDS = 0.2
# A wake-up that nobody has fetched after this time is worth nothing.
EXPIRES_SECONDS = 15


class _Waker:
    """One background thread that turns any number of calls of ``wake`` into few messages."""

    def __init__(self) -> None:
        self._wanted = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        self._wanted.set()
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="wake", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            _send()
            time.sleep(SPACING_SECONDS)


def _send() -> None:
    try:
        current_app.send_task(TASK, retry=False, ignore_result=True, expires=EXPIRES_SECONDS)
    except (KombuError, RedisError, OSError) as error:
        log.warning("delivery.wake_up_lost reason=%s", error)


_waker = _Waker()


def _start_anew() -> None:
    """Threads do not live on in a forked process, and a lock may have been held at that moment."""
    global _waker  # noqa: PLW0603  # one per process
    _waker = _Waker()


os.register_at_fork(after_in_child=_start_anew)


def wake_on_commit() -> None:
    """Wake a sender when the caller's transaction has been committed; nothing without a broker."""
    if settings.REDIS_URL:
        transaction.on_commit(_wake, robust=True)


def _wake() -> None:
    _waker.wake()
