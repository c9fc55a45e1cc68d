"""The order in which partners may see changes: stamps that rise with every commit (delivery.md 4.3).

A partner that pulls everything after the newest ``last_updated`` it has seen must never miss a row that was
stamped before and committed after. PostgreSQL gives an advisory transaction lock back only when the commit is
visible, so whoever stamps under the lock stamps in commit order.
"""

from datetime import UTC, datetime, timedelta
from enum import IntEnum

from django.db import connection

_STEP = timedelta(milliseconds=1)


class Feed(IntEnum):
    """The lists that are pulled by ``last_updated``; the numbers are lock names and never change."""

    SESSIONS = 4_101
    CDRS = 4_102


def lock(*, feed: Feed, own_party_id: int, party_id: int = 0) -> None:
    """Wait for the right to stamp in this feed, and hold it until the commit.

    Without ``party_id`` it is one order for all partners of this party of ours, else one for that partner
    alone: nobody sees more than its own rows, so that is enough for a list. Take the lock last: whoever
    holds it and waits for rows of somebody who waits for it waits for ever.
    """
    key = (int(feed) << 48) | ((own_party_id & 0xFFFFFF) << 24) | (party_id & 0xFFFFFF)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [key])


def later_than(newest: datetime | None, *, now: datetime) -> datetime:
    """Return the stamp after ``newest``, at least ``now``: whole milliseconds, as the wire shows them
    (TYP-04)."""
    stamp = now.astimezone(UTC)
    stamp = stamp.replace(microsecond=stamp.microsecond // 1000 * 1000)
    return stamp if newest is None or stamp > newest else newest + _STEP
