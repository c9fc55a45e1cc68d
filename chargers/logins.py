"""Who may open a connection: Basic credentials, wrong ones slowed down, right ones always let in (W1, W2)."""

import asyncio
import base64
import binascii
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from chargers.limits import Clock, Occurrences
from chargers.passwords import PasswordVerifier, canonical_password

WATCHED_KEYS = 20_000


@dataclass(frozen=True, slots=True)
class StationLogin:
    """What the station's row says: the argon2 hash of its password, and whether it must come over TLS."""

    password_hash: str
    requires_tls: bool = False


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to connect: the identity in the URL, the credentials in the header, where it came from."""

    identity: str
    user: str
    password: str | None
    address: str
    is_tls: bool


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """When attempts are slowed, and by how much."""

    failures_per_minute: int = 10
    slow_seconds: float = 1.0  # what an attempt waits once its address or identity has failed too often
    waiting_per_lane: int = 3  # further attempts of the same address at the same identity are turned away


class Verdict(StrEnum):
    """What becomes of an attempt: connected, 401, or 429 without a look at the password."""

    ACCEPTED = "ACCEPTED"
    REFUSED = "REFUSED"
    TOO_MANY = "TOO_MANY"


@dataclass(frozen=True, slots=True)
class Admission:
    """A verdict, and when it is ACCEPTED the stored hash that the password matched."""

    verdict: Verdict
    password_hash: str = ""


FindLogin = Callable[[str], Awaitable[StationLogin | None]]


def read_basic(values: Sequence[str]) -> tuple[str, str | None]:
    """User and canonical password of the one Authorization header; ("", None) without a sound one."""
    if len(values) != 1:
        return "", None
    scheme, _, encoded = values[0].partition(" ")
    if scheme.lower() != "basic":
        return "", None
    try:
        raw = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return "", None
    user, colon, password = raw.partition(b":")
    if not colon or not password:
        return "", None
    return user.decode("utf-8", "replace"), canonical_password(password)


class LoginGuard:
    """Decides on attempts. Every refusal costs one lookup and one argon2 run, whatever was wrong.

    After ten failures in a minute at one identity or from one address, attempts are verified one at a time
    per (address, identity) and a second apart: guessing is slow, and a station with the right password gets
    in, at once when its password matched in the last ten minutes, else through the lane of its own address.
    """

    def __init__(
        self, find_login: FindLogin, *, limits: LoginLimits | None = None, clock: Clock = time.monotonic
    ) -> None:
        self.verifier = PasswordVerifier(clock=clock)
        self._find_login = find_login
        self._limits = limits or LoginLimits()
        self._clock = clock
        self._failures: OrderedDict[str, Occurrences] = OrderedDict()
        self._lanes: dict[tuple[str, str], _Lane] = {}

    async def admit(self, attempt: Attempt) -> Admission:
        """Decide on one attempt. Raises what `find_login` raises."""
        login = await self._find_login(attempt.identity)
        verdict = await self._judge(attempt, login)
        if verdict is not Verdict.ACCEPTED or login is None:
            return Admission(verdict)
        return Admission(verdict, login.password_hash)

    async def _judge(self, attempt: Attempt, login: StationLogin | None) -> Verdict:
        stored_hash = login.password_hash if login else None
        password = attempt.password if attempt.user == attempt.identity else None
        may_pass = login is not None and (attempt.is_tls or not login.requires_tls)
        if may_pass and self.verifier.remembers(stored_hash, password):
            return Verdict.ACCEPTED
        if not self._is_suspect(attempt):
            return await self._verify(attempt, stored_hash, password, may_pass=may_pass)
        lane = self._lanes.setdefault((attempt.address, attempt.identity), _Lane())
        if lane.waiting >= self._limits.waiting_per_lane:
            return Verdict.TOO_MANY
        lane.waiting += 1
        try:
            async with lane.lock:
                await asyncio.sleep(self._limits.slow_seconds)
                return await self._verify(attempt, stored_hash, password, may_pass=may_pass)
        finally:
            lane.waiting -= 1
            if not lane.waiting:
                self._lanes.pop((attempt.address, attempt.identity), None)

    async def _verify(
        self, attempt: Attempt, stored_hash: str | None, password: str | None, *, may_pass: bool
    ) -> Verdict:
        # Counted before the slow part: a thousand attempts at one moment must not all find the count at zero.
        by_identity = self._failures_of(f"identity {attempt.identity}")
        by_identity.add()
        matches = await self.verifier.verify(stored_hash, password)
        if matches and may_pass:
            by_identity.undo()
            return Verdict.ACCEPTED
        self._failures_of(f"address {attempt.address}").add()
        return Verdict.REFUSED

    def _is_suspect(self, attempt: Attempt) -> bool:
        limit = self._limits.failures_per_minute
        return (
            self._failures_of(f"identity {attempt.identity}").count() >= limit
            or self._failures_of(f"address {attempt.address}").count() >= limit
        )

    def _failures_of(self, key: str) -> Occurrences:
        failures = self._failures.pop(key, None) or Occurrences(seconds=60, clock=self._clock)
        self._failures[key] = failures
        if len(self._failures) > WATCHED_KEYS:
            self._failures.popitem(last=False)
        return failures


class _Lane:
    __slots__ = ("lock", "waiting")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.waiting = 0
