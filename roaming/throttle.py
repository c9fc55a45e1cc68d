"""Request limits as token buckets: per partner and module, and for failed authentication per address.

The buckets live in Redis, so that all web workers count together. While Redis does not answer, each worker
counts for itself: a limit is then higher by the number of workers, and nobody is locked out.
"""

import functools
import logging
import threading
import time
from dataclasses import dataclass, field

import redis
from django.conf import settings
from rest_framework.exceptions import Throttled

log = logging.getLogger(__name__)

REDIS_SECONDS = 0.2
REDIS_PAUSE_SECONDS = 5.0
MAX_LOCAL_BUCKETS = 10_000


@dataclass(frozen=True)
class Rate:
    """A lasting rate in requests per second, and how many may come at once."""

    per_second: float
    burst: int


FAILED_AUTHENTICATION = Rate(20 / 60, 20)
# Partners adjust the first number only (Platform.max_requests_per_second).
BURST_SECONDS = 5
MODULE_RATES = {
    "commands": Rate(5, 25),
    "credentials": Rate(10 / 60, 30),
    "versions": Rate(1, 60),
}

# One value per bucket: the moment at which it will be full again (the generic cell rate algorithm). Returns how
# many were taken, or less than zero: the seconds until there is one.
_TAKE = """
local rate, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local full_at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
local taken = math.min(wanted, math.floor(burst - (full_at - now) * rate + 0.000001))
if taken < 1 then return tostring((burst - 1) / rate - (full_at - now)) end
full_at = full_at + taken / rate
redis.call('SET', KEYS[1], string.format('%.6f', full_at), 'PX', math.ceil((full_at - now) * 1000) + 1)
return tostring(taken)
"""
# A worker takes this part of a burst at once, so that most requests cost no call to Redis.
HANDFULS_PER_BURST = 20


def admit_partner(platform_id: int, module: str, requests_per_second: int) -> None:
    """Count one request of a partner. Raises Throttled; ``requests_per_second`` of 0 means no limit."""
    if requests_per_second == 0:
        return
    rate = MODULE_RATES.get(module, Rate(requests_per_second, requests_per_second * BURST_SECONDS))
    # Modules with a limit of their own have a bucket of their own; all others share one.
    bucket = module if module in MODULE_RATES else "all"
    _admit(f"platform:{platform_id}:{bucket}", rate)


def admit_failure(address: str) -> None:
    """Count one wrong token from an address. Raises Throttled.

    Only wrong tokens count, so a partner with a valid token behind the same address is never held up.
    """
    _admit(f"failed:{address}", FAILED_AUTHENTICATION)


def _admit(key: str, rate: Rate) -> None:
    wait = seconds_to_wait(key, rate)
    if wait > 0:
        raise Throttled(wait=wait)


def seconds_to_wait(key: str, rate: Rate) -> float:
    """Take one from a bucket: 0.0 when there was one, else the seconds until there is one."""
    shared = _shared()
    if shared is not None and not shared.is_paused():
        try:
            return shared.take(key, rate)
        except redis.RedisError:
            log.warning("throttle.redis_unreachable each worker counts for itself")
            shared.pause()
    return LOCAL.take(key, rate)


@dataclass
class LocalBuckets:
    """Buckets of this process."""

    full_at: dict[str, float] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, key: str, rate: Rate) -> float:
        """As ``seconds_to_wait``."""
        now = time.monotonic()
        with self.lock:
            full_at = max(now, self.full_at.get(key, 0.0))
            wait = full_at - now - (rate.burst - 1) / rate.per_second
            if wait > 0:
                return wait
            if len(self.full_at) >= MAX_LOCAL_BUCKETS:
                self.full_at = {name: until for name, until in self.full_at.items() if until > now}
            self.full_at[key] = full_at + 1 / rate.per_second
            return 0.0


class SharedBuckets:
    """Buckets in Redis, counted on its clock; each worker takes a handful at a time."""

    def __init__(self, url: str) -> None:
        client = redis.Redis.from_url(url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS)
        self._take = client.register_script(_TAKE)
        self._paused_until = 0.0
        self._in_hand: dict[str, int] = {}
        self._lock = threading.Lock()

    def take(self, key: str, rate: Rate) -> float:
        """As ``seconds_to_wait``. Raises RedisError."""
        with self._lock:
            if in_hand := self._in_hand.pop(key, 0):
                self._put(key, in_hand - 1)
                return 0.0
        wanted = max(1, rate.burst // HANDFULS_PER_BURST)
        answer = self._take(keys=[f"yardgate:rate:{key}"], args=[rate.per_second, rate.burst, wanted])
        taken = float(answer)  # type: ignore[arg-type]  # the script returns text
        if taken < 0:
            return -taken
        with self._lock:
            self._put(key, self._in_hand.pop(key, 0) + int(taken) - 1)
        return 0.0

    def _put(self, key: str, count: int) -> None:
        # Empty hands are not remembered: there are as many addresses as attackers want.
        if count > 0:
            self._in_hand[key] = count

    def pause(self) -> None:
        """Leave Redis alone for a while, so that its absence costs one time-out and not one per request."""
        self._paused_until = time.monotonic() + REDIS_PAUSE_SECONDS

    def is_paused(self) -> bool:
        """Whether Redis is left alone at this moment."""
        return time.monotonic() < self._paused_until


LOCAL = LocalBuckets()


def _shared() -> SharedBuckets | None:
    return _shared_at(settings.REDIS_URL) if settings.REDIS_URL else None


@functools.cache
def _shared_at(url: str) -> SharedBuckets:
    return SharedBuckets(url)
