"""Transactions that their station has forgotten: marked when it says so, closed when no stop comes.

A station that lost power may have kept the stop and deliver it in a moment, so an orphan waits a little; and a
station that only said hello again is still charging, so a sign of life takes the mark away.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet

from charging.endings import Ending, finish
from charging.locks import lock_transaction
from charging.models import Transaction
from charging.moments import TOLERANCE
from sessions.models import MeterReading

log = logging.getLogger(__name__)

# A station that came back without its transaction gets this long to deliver a stop that it has kept.
ORPHAN_PATIENCE = timedelta(minutes=2)


def mark_orphans(*, station_identity: str, ocpp_connector: int | None, at: datetime, now: datetime) -> int:
    """The station (or one bay of it) says at its time `at` that nothing runs there: what began before is an
    orphan."""
    running = _open_before(at, now).filter(station_identity=station_identity, orphaned_at__isnull=True)
    if ocpp_connector is not None:
        running = running.filter(ocpp_connector=ocpp_connector)
    return running.update(orphaned_at=now)


def keep_alive(row: Transaction, *, at: datetime) -> None:
    """A word about a running transaction that is newer than the mark: it is no orphan."""
    Transaction.objects.filter(pk=row.pk, stopped_at__isnull=True, orphaned_at__lt=at).update(
        orphaned_at=None
    )


def close_orphans(*, now: datetime) -> int:
    """Close orphans from their last reading, flagged as estimated, and seal their CDRs (charging.md 4.4)."""
    lost = Transaction.objects.filter(stopped_at__isnull=True, orphaned_at__lt=now - ORPHAN_PATIENCE)
    return sum(_close(key, now) for key in lost.values_list("pk", flat=True))


def close_superseded(
    *, station_identity: str, ocpp_connector: int, said: datetime, at: datetime, now: datetime
) -> int:
    """A transaction begins at `at` where another one runs: a connector has one at a time, so that one is over.

    `said` is the station's own time of it, by which the same start is known that came on another line as well.

    Its stop would have come before, as stations keep the order; one that comes later is kept for a person. Each is
    closed in a transaction of its own, as only one session may be sealed in one (sessions/feed.py).
    """
    here = {"station_identity": station_identity, "ocpp_connector": ocpp_connector}
    older = _open_before(at, now).filter(**here).exclude(started_at=said)
    older.filter(orphaned_at__isnull=True).update(orphaned_at=now)
    return sum(_close(key, now) for key in older.values_list("pk", flat=True))


def _open_before(at: datetime, now: datetime) -> QuerySet[Transaction]:
    # A start in the future comes from a wrong clock; compared with a right one it would never be over.
    began = Q(started_at__lte=at) | Q(started_at__gt=now + TOLERANCE)
    return Transaction.objects.filter(began, stopped_at__isnull=True)


def _close(key: int, now: datetime) -> bool:
    with transaction.atomic():
        row = lock_transaction(transaction_id=key)
        if row is None or row.stopped_at is not None or row.orphaned_at is None:
            return False
        last = (
            MeterReading.objects.filter(session=row.session).order_by("-at").first() if row.session else None
        )
        row.stopped_at = last.at if last else row.started_at
        row.meter_stop_wh = last.energy_wh if last else row.meter_start_wh
        row.stop_reason = "PowerLoss"
        row.save(update_fields=["stopped_at", "meter_stop_wh", "stop_reason"])
        ending = Ending(row.stopped_at, row.meter_stop_wh, is_estimated=True)
        finish(row=row, ending=ending, now=now)
        log.warning("charging.orphan_closed transaction=%s station=%s", row.pk, row.station_identity)
        return True
