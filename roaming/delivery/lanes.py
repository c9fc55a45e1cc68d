"""Who sends on which lane: claims, leases and what a lane remembers. All times are the database's.

A lane is claimed in one statement and then belongs to one sender until it gives it back or its lease has run
out, so of any number of processes exactly one sends to one lane of one partner. Advisory locks are not used:
they break behind a transaction pooler and leave no trace.

A lane is due when something in it is: the claim looks at the obligations themselves. Whoever owes something
therefore never touches the lane's row, which would make all writers of one partner wait for each other.
"""

import time
import uuid
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from roaming.delivery.models import Lane
from roaming.delivery.schedule import Breaker, Health, Step

HELD = "o.party_id IN (SELECT y.id FROM roaming_party y WHERE y.presence <> 'CONNECTED')"
"""Of an obligation ``o``: its party is not connected (to the hub that it is behind, or to us), so nothing is sent to
it (HCI-14); what must not be lost waits."""

# NO KEY UPDATE: an INSERT of an obligation holds a key-share lock on its lane until it commits, and a lane
# with busy writers would be skipped for ever under FOR UPDATE.
# Of the lanes of a partner that are not closed, the one that is due first probes for all of them.
_CLAIM = f"""
UPDATE roaming_lane AS lane
SET lease_token = gen_random_uuid(), lease_until = now() + %(lease)s * interval '1 second',
    due_at = least(due_at, now())
FROM (
    SELECT l.id FROM roaming_lane l JOIN roaming_platform p ON p.id = l.platform_id
    WHERE p.status = 'CONNECTED' AND l.lease_until <= now()
      AND (l.due_at <= now() OR (l.breaker = 'AUTH_BLOCKED' AND l.refused_token IS DISTINCT FROM p.outbound_token))
      AND (l.name <> 'cdr' OR p.cdr_mode <> 'pull_only')
      AND CASE WHEN l.breaker = 'CLOSED' THEN EXISTS (
            SELECT 1 FROM roaming_obligation o
            WHERE o.lane_id = l.id AND o.state = 'PENDING' AND o.next_at <= now() AND NOT {HELD})
          ELSE l.id = (
            SELECT s.id FROM roaming_lane s WHERE s.platform_id = l.platform_id AND s.breaker <> 'CLOSED'
              AND EXISTS (SELECT 1 FROM roaming_obligation o
                WHERE o.lane_id = s.id AND o.state = 'PENDING' AND o.next_at <= now() AND NOT {HELD})
            ORDER BY s.due_at, s.id LIMIT 1) END
      AND (%(with_failing)s OR (l.failures = 0 AND l.breaker = 'CLOSED'))
    ORDER BY l.failures > 0, l.due_at, l.id LIMIT %(limit)s
    FOR NO KEY UPDATE OF l SKIP LOCKED
) AS chosen
WHERE lane.id = chosen.id
RETURNING lane.id, lane.lease_token, lane.platform_id, lane.name, lane.breaker, lane.failures, lane.setbacks,
          lane.rate, lane.last_failed_id
"""
_RENEW = """
UPDATE roaming_lane SET lease_until = now() + %s * interval '1 second' WHERE id = %s AND lease_token = %s
"""
_GIVE_BACK = """
UPDATE roaming_lane
SET lease_token = NULL, lease_until = now(),
    due_at = CASE WHEN %(is_stopped)s THEN now() ELSE greatest(due_at, now()) END + %(rest)s * interval '1 second',
    breaker = %(breaker)s, failures = %(failures)s, setbacks = %(setbacks)s, rate = %(rate)s,
    last_failed_id = %(last_failed)s, blocked_reason = %(reason)s, refused_token = %(refused_token)s
WHERE id = %(id)s AND lease_token = %(token)s
"""
# Each lane of a partner adds its part, so that together they keep the partner's rate; in one order, so that
# two lanes that end at the same time do not wait for each other. A command's result never waits for others.
_SHARE_PACE = """
UPDATE roaming_lane SET due_at = greatest(due_at, now()) + %s * interval '1 second'
WHERE id IN (
    SELECT id FROM roaming_lane WHERE platform_id = %s AND id <> %s AND name <> 'result'
    ORDER BY id FOR NO KEY UPDATE
)
"""
_PACED = f"""
SELECT extract(epoch FROM min(l.due_at) - now()) FROM roaming_lane l JOIN roaming_platform p ON p.id = l.platform_id
WHERE l.breaker = 'CLOSED' AND l.failures = 0 AND l.setbacks = 0 AND l.due_at > now() AND l.lease_until <= now()
  AND p.status = 'CONNECTED' AND (l.name <> 'cdr' OR p.cdr_mode <> 'pull_only')
  AND EXISTS (SELECT 1 FROM roaming_obligation o
              WHERE o.lane_id = l.id AND o.state = 'PENDING' AND o.next_at <= now() AND NOT {HELD})
"""
_RELEASE_SIBLINGS = """
UPDATE roaming_lane SET due_at = now()
WHERE platform_id = %s AND id <> %s AND breaker <> 'CLOSED'
"""
_POSTPONE_SIBLINGS = """
UPDATE roaming_lane SET due_at = greatest(due_at, now() + %s * interval '1 second'), setbacks = greatest(setbacks, %s)
WHERE platform_id = %s AND id <> %s AND breaker <> 'CLOSED'
"""
_OLDEST = f"""
SELECT extract(epoch FROM max(now() - greatest(o.next_at, l.due_at)))
FROM roaming_lane l JOIN roaming_platform p ON p.id = l.platform_id
CROSS JOIN LATERAL (
    SELECT o.next_at FROM roaming_obligation o
    WHERE o.lane_id = l.id AND o.state = 'PENDING' AND o.next_at <= now() AND NOT {HELD}
    ORDER BY o.next_at LIMIT 1
) o
WHERE l.due_at <= now() AND l.breaker = 'CLOSED' AND p.status = 'CONNECTED'
  AND (l.name <> 'cdr' OR p.cdr_mode <> 'pull_only')
"""


@dataclass
class Lease:
    """The right to send on one lane; ``held_since`` is on the monotonic clock of this process."""

    lane_id: int
    token: uuid.UUID
    platform_id: int
    name: str
    health: Health
    held_since: float

    @property
    def is_failing(self) -> bool:
        """Whether the last thing that happened on this lane was a failure."""
        return self.health.failures > 0 or self.health.breaker is not Breaker.CLOSED

    def is_old(self) -> bool:
        """Whether so much of the lease is gone that it must be renewed before another request.

        The monotonic clock goes on while a process is stopped: a sender that was frozen finds out here.
        """
        return time.monotonic() - self.held_since > lease_seconds() / 4


def lease_seconds() -> float:
    """The length of a lease: long enough for a request with its whole deadline after three quarters of it."""
    return float(settings.DELIVERY_LEASE_SECONDS)


def claim(*, limit: int, with_failing: bool) -> list[Lease]:
    """Take up to ``limit`` due lanes, those without failures first; others only ``with_failing``."""
    held_since = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, {"lease": lease_seconds(), "limit": limit, "with_failing": with_failing})
        rows = cursor.fetchall()
    return [
        Lease(lane_id, token, platform_id, name, Health(Breaker(breaker), *remembered), held_since)
        for lane_id, token, platform_id, name, breaker, *remembered in rows
    ]


def renew(lease: Lease) -> bool:
    """Extend a lease; False when somebody else has taken the lane meanwhile."""
    held_since = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(_RENEW, [lease_seconds(), lease.lane_id, lease.token])
        if cursor.rowcount == 0:
            return False
    lease.held_since = held_since
    return True


def give_back(lease: Lease, *, step: Step, reason: str = "", refused_token: bytes | None = None) -> bool:
    """End a lease and store what the lane remembers; it rests ``step.rest_seconds``.

    False when the lease was lost: then nothing is stored.
    """
    health = step.health
    with connection.cursor() as cursor:
        cursor.execute(
            _GIVE_BACK,
            {
                "rest": step.rest_seconds,
                "is_stopped": step.is_over,
                "breaker": health.breaker.value,
                "failures": health.failures,
                "setbacks": health.setbacks,
                "rate": health.rate,
                "last_failed": health.last_failed,
                "reason": reason[:255],
                "refused_token": refused_token,
                "id": lease.lane_id,
                "token": lease.token,
            },
        )
        return bool(cursor.rowcount)


def share_pace(lease: Lease, *, seconds: float) -> None:
    """Let the partner's other lanes wait as long as this one for what it has just sent."""
    with connection.cursor() as cursor:
        cursor.execute(_SHARE_PACE, [seconds, lease.platform_id, lease.lane_id])


def paced_seconds() -> float | None:
    """Return in how many seconds the first lane goes on that rests only to keep its pace; None without any."""
    with connection.cursor() as cursor:
        cursor.execute(_PACED)
        (seconds,) = cursor.fetchone()
    return None if seconds is None else float(seconds)


def tell_siblings(lease: Lease, *, is_alive: bool, step: Step) -> None:
    """Share the result of a probe with the partner's other lanes that wait for one.

    So a partner that is away gets one probe per interval and not one per lane.
    """
    with connection.cursor() as cursor:
        if is_alive:
            cursor.execute(_RELEASE_SIBLINGS, [lease.platform_id, lease.lane_id])
        else:
            cursor.execute(
                _POSTPONE_SIBLINGS,
                [step.rest_seconds, step.health.setbacks, lease.platform_id, lease.lane_id],
            )


def unblock(*, platform_id: int) -> int:
    """Let all lanes of a platform try again at once, as if nothing had failed; returns how many."""
    return Lane.objects.filter(platform_id=platform_id).update(
        breaker=Lane.Breaker.CLOSED, failures=0, setbacks=0, rate=None, last_failed_id=None,
        due_at=Now(), blocked_reason="", refused_token=None,
    )  # fmt: skip


def release(*, platform_id: int) -> None:
    """Let the lanes of a platform that wait for a probe make it at once: the platform has given a sign of life."""
    Lane.objects.filter(platform_id=platform_id, breaker=Lane.Breaker.OPEN).update(due_at=Now())


def oldest_due_seconds() -> float:
    """How long the oldest delivery that could go has been waiting; more than 120 s means: nobody sends."""
    with connection.cursor() as cursor:
        cursor.execute(_OLDEST)
        (seconds,) = cursor.fetchone()
    return float(seconds or 0.0)
