"""What a partner platform remembers: what it was told, what it was asked, and how it shall misbehave."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from demo.http import Fault, Misbehaviour, Request
from demo.receivers import Store


@dataclass(kw_only=True)
class Memory:
    """The records of a partner platform; safe to use from several threads."""

    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    store: Store = field(default_factory=Store)

    def __post_init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._random = random.Random(7)

    def record(self, received: Request) -> None:
        """Remember a request."""
        with self._changed:
            self.requests.append(received)
            self._changed.notify_all()

    @property
    def locations(self) -> dict[tuple[str, str, str], Any]:
        """Locations that it was told of, by owner and id."""
        return self.store.locations

    @property
    def sessions(self) -> dict[tuple[str, str, str], Any]:
        """Sessions that it was told of, by owner and id."""
        return self.store.sessions

    @property
    def tariffs(self) -> dict[tuple[str, str, str], Any]:
        """Tariffs that it was told of, by owner and id."""
        return self.store.tariffs

    @property
    def cdrs(self) -> dict[str, Any]:
        """CDRs that it accepted, by id."""
        return self.store.cdrs

    @property
    def command_results(self) -> dict[str, Any]:
        """Results of its commands, by the id that ``command`` returned."""
        return self.store.command_results

    def received(self, method: str = "", path: str = "") -> list[Request]:
        """Return the recorded requests of this method whose path contains this text."""
        with self._changed:
            return [each for each in self.requests if method in ("", each.method) and path in each.path]

    def forget(self) -> None:
        """Forget the recorded requests; what it was told stays."""
        with self._changed:
            self.requests.clear()

    def wait_until(self, condition: Callable[[], Any], seconds: float = 10) -> bool:
        """Wait until something is true, looking again after each request; return whether it is."""
        deadline = time.monotonic() + seconds
        # The condition may call the partner itself, so it is asked without the lock.
        while not condition():
            if time.monotonic() > deadline:
                return False
            with self._changed:
                self._changed.wait(0.05)
        return True

    def fail(self, kind: Misbehaviour, on: str = "", **how: Any) -> Fault:
        """Switch a misbehaviour on; ``how`` are further fields of Fault."""
        fault = Fault(kind, on, **how)
        self.faults.append(fault)
        return fault

    def heal(self) -> None:
        """Switch all misbehaviour off."""
        self.faults.clear()

    def fault_for(self, received: Request) -> Fault | None:
        """Return the misbehaviour that this request meets, and count it."""
        with self._changed:
            for fault in self.faults:
                wanted = fault.on in str(received) and (fault.times is None or fault.hits < fault.times)
                if wanted and self._random.random() < fault.rate:
                    fault.hits += 1
                    if fault.kind not in ("slow", "drop_after_storing", "code_after_storing"):
                        self.record(received)
                    return fault
        return None
