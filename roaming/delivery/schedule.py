"""When something is tried again, and how fast: items, lanes, breaker and ramp (delivery.md 4.6). [pure]

Chance comes in as ``jitter`` from -1 to 1, so that a test can say what it is.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from roaming.delivery.answers import Lane

ITEM_SECONDS = (0.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0, 21_600.0)
STATE_CAP_SECONDS = 900.0
JITTER = 0.2
# The breaker opens with the fifth failure; before that the lane waits 1, 2, 4, 8 seconds.
OPEN_AFTER = 5
PROBE_SECONDS = 30.0
PROBE_CAP_SECONDS = 600.0
CONFIG_SECONDS = 900.0
WAIT_SECONDS = 10.0
WAIT_CAP_SECONDS = 3600.0
FIRST_RATE = 1.0
SLOW_SECONDS = 5.0
BATCH = 50


class Breaker(StrEnum):
    """The states of a lane; the same words as the rows use."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    AUTH_BLOCKED = "AUTH_BLOCKED"


@dataclass(frozen=True)
class Health:
    """What a lane remembers of its partner.

    ``failures`` in a row; ``last_failed``: id of the item of the last one; ``setbacks``: probes and waits in
    a row; ``rate``: items per second for now, None when the partner's own limit is the only one.
    """

    breaker: Breaker = Breaker.CLOSED
    failures: int = 0
    setbacks: int = 0
    rate: float | None = None
    last_failed: int | None = None


@dataclass(frozen=True)
class Step:
    """The lane after something happened, how many seconds it rests, and whether that begins now."""

    health: Health
    rest_seconds: float = 0.0
    is_over: bool = False


def item_seconds(*, attempts: int, is_state: bool, jitter: float) -> float:
    """Return the seconds until an item is due again after this many tries; a state never waits long."""
    seconds = ITEM_SECONDS[min(attempts, len(ITEM_SECONDS) - 1)]
    return _shaken(min(seconds, STATE_CAP_SECONDS) if is_state else seconds, jitter)


def after_verdict(
    health: Health, lane: Lane, *, item: int, asked_seconds: float | None, full_rate: float, jitter: float
) -> Step:
    """Return the lane after one verdict; ``item`` is the id of what was sent, ``asked_seconds`` a Retry-After."""
    match lane:
        case Lane.COUNT:
            return replace(after_failure(health, item=None, jitter=jitter), is_over=True)
        case Lane.COUNT_ITEM:
            step = after_failure(health, item=item, jitter=jitter)
            return replace(step, is_over=step.health.breaker is not Breaker.CLOSED)
        case Lane.AUTH_BLOCKED:
            return replace(after_refused_token(health, jitter=jitter), is_over=True)
        case Lane.WAIT:
            step = after_wait(health, asked_seconds=asked_seconds, full_rate=full_rate, jitter=jitter)
            return replace(step, is_over=True)
        case Lane.CONFIG:
            return Step(health, CONFIG_SECONDS, is_over=True)
        case Lane.OK if health.breaker is Breaker.CLOSED:
            return Step(replace(health, failures=0, last_failed=None, setbacks=0))
        case _:
            # A module that is off says nothing about the lane, and an open lane closes when its turn ends.
            return Step(health)


def after_delivery(health: Health, *, full_rate: float, slowest_seconds: float) -> Step:
    """A batch went well: a lane that was open begins slowly, then doubles its rate up to the partner's.

    A lane whose answers take more than five seconds is halved: it is about to fail.
    """
    if health.breaker is not Breaker.CLOSED:
        return Step(Health(rate=_below(FIRST_RATE, full_rate)))
    if slowest_seconds > SLOW_SECONDS:
        return Step(Health(rate=_halved(health, full_rate)))
    return Step(Health(rate=_below(health.rate * 2, full_rate) if health.rate is not None else None))


def after_failure(health: Health, *, item: int | None, jitter: float) -> Step:
    """The lane failed, or (``item`` given) an item failed in a way that speaks against the lane.

    The same item failing again says nothing new. The fifth failure opens the breaker.
    """
    if health.breaker is not Breaker.CLOSED:
        return after_failed_probe(health, jitter=jitter)
    if item is not None and item == health.last_failed:
        return Step(health)
    failures = health.failures + 1
    if failures >= OPEN_AFTER:
        return _open(replace(health, failures=failures, last_failed=item), Breaker.OPEN, jitter)
    # One item's failure alone is no reason to keep the others waiting.
    rest = 0.0 if item is not None else float(2 ** (failures - 1))
    return Step(replace(health, failures=failures, last_failed=item), rest)


def after_refused_token(health: Health, *, jitter: float) -> Step:
    """Nothing more is sent with this token; now and then a probe asks whether it is accepted again."""
    return _open(health, Breaker.AUTH_BLOCKED, jitter)


def after_failed_probe(health: Health, *, jitter: float) -> Step:
    """The partner is still away: the next probe comes after twice the time, at most 10 minutes."""
    return _open(health, health.breaker, jitter)


def after_wait(health: Health, *, asked_seconds: float | None, full_rate: float, jitter: float) -> Step:
    """The partner asked to slow down: wait as long as it says (or longer each time), then at half the rate."""
    rest = asked_seconds
    if rest is None:
        rest = _shaken(min(WAIT_SECONDS * 2 ** min(health.setbacks, 12), WAIT_CAP_SECONDS), jitter)
    return Step(replace(health, setbacks=health.setbacks + 1, rate=_halved(health, full_rate)), rest)


def batch_size(health: Health, *, full_rate: float) -> int:
    """Return how many items may go at once: a second's worth, at most 50; one when the breaker is not closed."""
    if health.breaker is not Breaker.CLOSED:
        return 1
    return max(1, min(BATCH, int(_rate(health, full_rate))))


def pace_seconds(health: Health, *, full_rate: float, sent: int, took_seconds: float) -> float:
    """Return the rest after a batch that keeps the partner's rate."""
    return max(0.0, sent / _rate(health, full_rate) - took_seconds)


def _open(health: Health, breaker: Breaker, jitter: float) -> Step:
    rest = min(PROBE_SECONDS * 2 ** min(health.setbacks, 12), PROBE_CAP_SECONDS)
    return Step(replace(health, breaker=breaker, setbacks=health.setbacks + 1), _shaken(rest, jitter))


def _rate(health: Health, full_rate: float) -> float:
    full = max(full_rate, 1.0)
    return full if health.rate is None else min(health.rate, full)


def _halved(health: Health, full_rate: float) -> float:
    return max(FIRST_RATE, _rate(health, full_rate) / 2)


def _below(rate: float, full_rate: float) -> float | None:
    return rate if rate < full_rate else None


def _shaken(seconds: float, jitter: float) -> float:
    return seconds * (1 + JITTER * min(max(jitter, -1.0), 1.0))
