"""The rows of a lane while it is sent: what is due, and that a try begins.

A try is written down before the request leaves and closed afterwards (outcomes.py), so a sender that dies in
between leaves a trace: a try without an end.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any
from datetime import timedelta

from django.db import connection
from django.db.models import Case, Exists, OuterRef, QuerySet, Value, When
from django.db.models.functions import Now

from ocpi.client import new_message_id
from roaming.delivery.lanes import Lease, lease_seconds
from roaming.delivery.models import Attempt, Obligation

UNKNOWN = "UNKNOWN"
# What cannot be sent for now is looked at again after this time.
UNSENDABLE_SECONDS = 60.0

_BEGIN = """
WITH held AS (
    UPDATE roaming_lane l SET lease_until = now() + %(lease)s * interval '1 second'
    FROM roaming_platform p
    WHERE l.id = %(lane)s AND l.lease_token = %(token)s AND p.id = l.platform_id AND p.status = 'CONNECTED'
    RETURNING l.id
)
INSERT INTO roaming_attempt (obligation_id, started_at, worker, request_id, method, url, outcome, error)
SELECT t.obligation_id, clock_timestamp(), %(worker)s, t.request_id, t.method, t.url, '', ''
FROM unnest(%(ids)s::bigint[], %(requests)s::text[], %(methods)s::text[], %(urls)s::text[])
     AS t(obligation_id, request_id, method, url), held
RETURNING request_id, id
"""


@dataclass(frozen=True, kw_only=True)
class Try:
    """One request about to be made for one obligation."""

    obligation: Obligation
    method: str
    url: str
    body: bytes | None
    has_object_url: bool
    request_id: str = field(default_factory=new_message_id)


def due(
    lease: Lease, *, kinds: Sequence[str], first_kinds: Sequence[str], limit: int
) -> tuple[list[Obligation], set[int]]:
    """Return what is due on a lane, oldest first, ``first_kinds`` before all others (LOC-14).

    The second value holds the ids of those among them for which an earlier sender began a try and never told
    how it ended.
    """
    rows = Obligation.objects.filter(
        lane_id=lease.lane_id, state=Obligation.State.PENDING, next_at__lte=Now(), kind__in=kinds
    ).exclude(shape=Obligation.Shape.SHORT_LIVED, expires_at__lte=Now())
    order = ["next_at", "id"]
    if first_kinds:
        rows = rows.annotate(turn=Case(When(kind__in=first_kinds, then=Value(0)), default=Value(1)))
        order.insert(0, "turn")
    found: list[Any] = list(rows.annotate(is_open=Exists(_open_tries(OuterRef("pk")))).order_by(*order)[:limit])
    return found, {each.pk for each in found if each.is_open}


def begin(lease: Lease, tries: Sequence[Try], *, worker: str) -> dict[str, int] | None:
    """Write down that these requests are about to leave, and renew the lease, in one statement.

    Returns attempt ids by request id; None when the lane is somebody else's by now or the platform is no
    longer connected: then nothing may be sent.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _BEGIN,
            {
                "lease": lease_seconds(),
                "lane": lease.lane_id,
                "token": lease.token,
                "worker": worker,
                "ids": [each.obligation.pk for each in tries],
                "requests": [each.request_id for each in tries],
                "methods": [each.method for each in tries],
                "urls": [each.url[:600] for each in tries],
            },
        )
        begun = dict(cursor.fetchall())
    return begun or None


def forget(attempt_ids: Collection[int]) -> None:
    """Take back tries that were written down and never made."""
    if attempt_ids:
        Attempt.objects.filter(pk__in=attempt_ids).delete()


def close_open_tries(obligation_ids: Collection[int]) -> None:
    """Write down that nobody will ever tell how these tries ended."""
    open_tries = Attempt.objects.filter(obligation_id__in=obligation_ids, ended_at=None)
    open_tries.update(ended_at=Now(), outcome=UNKNOWN, error="the sender ended in the middle of this try")


def postpone_others(lease: Lease, *, kinds: Sequence[str]) -> int:
    """Put off what is due on a lane and of none of these kinds; returns how many.

    Only where other kinds share the lane (then these are states, few enough to be written). A lane on which
    nothing can be sent rests itself.
    """
    if not kinds:
        return 0
    rows = Obligation.objects.filter(
        lane_id=lease.lane_id, state=Obligation.State.PENDING, next_at__lte=Now()
    )
    return rows.exclude(kind__in=kinds).update(next_at=Now() + timedelta(seconds=UNSENDABLE_SECONDS))


def expire_results() -> int:
    """Mark command results whose time has passed; a late one is worth nothing (CMD-06). Returns how many."""
    return Obligation.objects.filter(
        shape=Obligation.Shape.SHORT_LIVED, state=Obligation.State.PENDING, expires_at__lte=Now()
    ).update(state=Obligation.State.EXPIRED, last_error="not sent within the time promised to the partner")


def _open_tries(obligation_id: OuterRef) -> QuerySet[Attempt]:
    return Attempt.objects.filter(obligation_id=obligation_id, ended_at=None)
