"""The rows of a lane while it is sent: what is due, and that a try begins.

A try is written down before the request leaves and closed afterwards (outcomes.py), so a sender that dies in
between leaves a trace: a try without an end.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now

from ocpi.client import new_message_id
from roaming import rawsql
from roaming.delivery.lanes import HELD, Lease, lease_seconds
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
_FIELDS = tuple(field.attname for field in Obligation._meta.concrete_fields)
# By hand: it runs twice in every turn of every lane.
_DUE = f"""
SELECT {", ".join(f'o."{field.column}"' for field in Obligation._meta.concrete_fields)},
       EXISTS (SELECT 1 FROM {Attempt._meta.db_table} a WHERE a.obligation_id = o.id AND a.ended_at IS NULL)
FROM {Obligation._meta.db_table} o
WHERE o.lane_id = %(lane)s AND o.state = 'PENDING' AND o.next_at <= now() AND o.kind = ANY(%(kinds)s)
  AND (o.shape <> 'SHORT_LIVED' OR o.expires_at IS NULL OR o.expires_at > now()) AND NOT {HELD}
ORDER BY {{first}} o.next_at, o.id LIMIT %(limit)s
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
    rows = rawsql.fetch(
        _DUE.format(first="o.kind = ANY(%(first)s) DESC," if first_kinds else ""),
        {"lane": lease.lane_id, "kinds": list(kinds), "first": list(first_kinds), "limit": limit},
    )
    found = [Obligation.from_db("default", _FIELDS, row[:-1]) for row in rows]
    return found, {each.pk for each, row in zip(found, rows, strict=True) if row[-1]}


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
