"""How much one station may send before it is slowed down or cut off (security.md W6, W7)."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one connection; the defaults leave a healthy station room of an order of magnitude."""

    max_frame_bytes: int = 65_536
    messages_per_second: float = 20
    burst: int = 60
    max_unanswered: int = 60  # OCPP-J allows one; sixty is a flood
    bad_frames_per_minute: int = 20
    replay_seconds: float = 600
    replay_entries: int = 2_000
    handler_grace_seconds: float = 10  # how long a handler may finish storing after its connection ended


class TokenBucket:
    """At most `rate` passes a second in the long run, `burst` at once."""

    def __init__(self, *, rate: float, burst: int, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._tokens = float(burst)
        self._filled_at = clock()

    async def take(self) -> None:
        """Wait for one pass."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate) - 1
        self._filled_at = now
        if self._tokens < 0:
            await asyncio.sleep(-self._tokens / self._rate)


class Occurrences:
    """How often something happened in the last `seconds`."""

    def __init__(self, *, seconds: float, clock: Clock) -> None:
        self._seconds = seconds
        self._clock = clock
        self._times: deque[float] = deque()

    def add(self) -> int:
        """Count one more and return the number in the period."""
        self._times.append(self._clock())
        return self.count()

    def undo(self) -> None:
        """Take the newest one back."""
        if self._times:
            self._times.pop()

    def count(self) -> int:
        """Number in the period that ends now."""
        horizon = self._clock() - self._seconds
        while self._times and self._times[0] <= horizon:
            self._times.popleft()
        return len(self._times)
