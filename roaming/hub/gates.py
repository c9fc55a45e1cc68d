"""How many requests may wait for one target, and for all: a target that hangs never takes every thread.

A target that let two requests in a row go unanswered is asked by one request at a time, and everybody else is told
at once, until it answers again. Each web worker counts for itself.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from django.conf import settings

SILENT_AFTER = 2
"""So many requests in a row without an answer make a target silent."""
PATIENCE_SECONDS = 1.0
"""As long a request waits for a free place at a target that is answering."""


class Crowded(Exception):
    """There is no free place at this target, or at all."""


class Silent(Exception):
    """The target has not answered lately, and somebody is asking it already."""


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

    def enter(self, key: Hashable) -> None:
        """Take a place at a target; ``leave`` must follow. Raises Crowded or Silent."""
        with self._changed:
            target = self._targets[key]
            if self._taken >= self.total():
                raise Crowded
            self._taken += 1
            try:
                self._find_place(target)
            except BaseException:
                self._taken -= 1
                raise
            if not target.running:
                target.lively_at = self.clock()
            target.running += 1

    def leave(self, key: Hashable, *, was_answered: bool | None) -> None:
        """Give the place back; ``was_answered`` is None when the request says nothing about the target."""
        with self._changed:
            target = self._targets[key]
            target.running -= 1
            self._taken -= 1
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
