"""How many requests may wait for one target, and for all: a target that hangs never takes every thread.

A target that let two requests in a row go unanswered is asked by one request at a time, and everybody else is told
at once, until it answers again. Each web worker counts for itself.

A place of all stands for a thread of the web worker, a place at a target for a request that waits there: a list that is
read from several targets side by side takes one of the former (``together``) and one of the latter for each target.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.conf import settings

from ocpi.client import CallFailed

SILENT_AFTER = 2
"""So many requests in a row without an answer make a target silent."""
PATIENCE_SECONDS = 1.0
"""As long a request waits for a free place at a target that is answering."""
FAIR_SHARE = 0.9
"""Who had less than this part of the time that a request has did not let it go unanswered: it was asked too late."""


class Crowded(Exception):
    """There is no free place at this target, or at all."""


class Silent(Exception):
    """The target has not answered lately, and somebody is asking it already."""

    def __str__(self) -> str:
        return "silent"


class Budget:
    """Time for requests one after the other, from now on: ``seconds`` for all of them, ``each`` at most for one."""

    def __init__(
        self, seconds: float, *, each: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._full = seconds if each is None else min(seconds, each)
        self._clock = clock
        self._deadline = clock() + seconds

    def left(self) -> float:
        """Return the seconds that a request may take now; none left: 0."""
        return max(0.0, min(self._deadline - self._clock(), self._full))

    def is_fair(self, seconds: float) -> bool:
        """Tell whether a request that had so many seconds had the time that one has, and not a short rest of it."""
        return seconds >= FAIR_SHARE * self._full


@dataclass
class _Target:
    waiting: int = 0
    running: int = 0
    unanswered: int = 0
    # When it last answered, or was first asked after a rest.
    lively_at: float = 0.0


@dataclass
class Gates:
    """The places of one process; ``clock`` counts in seconds and never goes back."""

    total: Callable[[], int]
    per_target: Callable[[], int]
    clock: Callable[[], float] = time.monotonic
    _targets: dict[Hashable, _Target] = field(default_factory=lambda: defaultdict(_Target))
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _taken: int = 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Hold one place of all while several targets are asked side by side. Raises Crowded."""
        with self._changed:
            if self._taken >= self.total():
                raise Crowded
            self._taken += 1
        try:
            yield
        finally:
            with self._changed:
                self._taken -= 1

    @contextmanager
    def asking(self, key: Hashable, budget: Budget) -> Iterator[float]:
        """Hold a place at a target while it is asked within the seconds that are yielded; ``together`` is around it.

        Whether it was silent is seen from the CallFailed that passes. Raises Crowded or Silent.
        """
        self.enter(key)
        seconds, was_answered = budget.left(), None
        try:
            yield seconds
            was_answered = True
        except CallFailed as failure:
            was_answered = False if failure.kind == "timeout" and budget.is_fair(seconds) else None
            raise
        finally:
            self.leave(key, was_answered=was_answered)

    def enter(self, key: Hashable) -> None:
        """Take a place at a target; ``leave`` must follow. Raises Crowded or Silent."""
        with self._changed:
            target = self._targets[key]
            self._find_place(target)
            if not target.running:
                target.lively_at = self.clock()
            target.running += 1

    def leave(self, key: Hashable, *, was_answered: bool | None) -> None:
        """Give the place back; ``was_answered`` is None when the request says nothing about the target."""
        with self._changed:
            target = self._targets[key]
            target.running -= 1
            if was_answered:
                target.unanswered, target.lively_at = 0, self.clock()
            elif was_answered is not None:
                target.unanswered += 1
            self._changed.notify_all()

    def _find_place(self, target: _Target) -> None:
        if target.unanswered >= SILENT_AFTER:
            if target.running:
                raise Silent
            return
        deadline = self.clock() + PATIENCE_SECONDS
        while target.running >= self.per_target():
            # Waiting is of use only where places become free, and no more than as many again may wait.
            is_lively = self.clock() - target.lively_at < PATIENCE_SECONDS
            left = deadline - self.clock()
            if not is_lively or left <= 0 or target.waiting >= self.per_target():
                raise Crowded
            target.waiting += 1
            self._changed.wait(left)
            target.waiting -= 1


GATES = Gates(lambda: int(settings.HUB_FORWARDS), lambda: int(settings.HUB_FORWARDS_PER_TARGET))
