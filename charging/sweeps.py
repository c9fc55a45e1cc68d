"""What time alone makes due at the bay: silent commands, cars that never came, ends of windows, lost stops.

Every function may run any number of times and beside itself: rows are locked, and a second look finds nothing.
"""

import logging
import uuid
from datetime import datetime, timedelta

from django.db import transaction

from charging.commands import expire_commands
from charging.models import Transaction
from charging.ports import charger_gateway
from charging.transactions import finish
from locations.services import set_serving
from ocpi import v221
from sessions.models import MeterReading, Session
from sessions.services import invalidate_session

log = logging.getLogger(__name__)

# A station drops an accepted remote start after its own ConnectionTimeOut without a word (charging.md 5.4).
PLUG_IN_TIMEOUT = timedelta(seconds=135)
# A station that came back without its transaction gets this long to deliver a stop that it has kept.
ORPHAN_PATIENCE = timedelta(minutes=2)
STOP_RETRY = timedelta(seconds=30)


def sweep(*, now: datetime) -> None:
    """Do all that is due."""
    expire_commands(now=now)
    drop_starts_that_never_came(now=now)
    stop_sessions_that_must_end(now=now)
    close_orphans(now=now)


def drop_starts_that_never_came(*, now: datetime) -> int:
    """A PENDING session whose car was not plugged in becomes INVALID; the bay is free again."""
    dropped = 0
    pending = Session.objects.filter(
        status=v221.SessionStatus.PENDING.value, created_at__lt=now - PLUG_IN_TIMEOUT
    ).values_list("pk", flat=True)
    for key in pending:
        dropped += _drop(key, now)
    return dropped


def _drop(key: uuid.UUID, now: datetime) -> bool:
    with transaction.atomic():
        session = Session.objects.select_related("evse").get(pk=key)
        set_serving(evse=session.evse, party=None, now=now)
        if Session.objects.select_for_update().get(pk=key).status != v221.SessionStatus.PENDING.value:
            # It has started meanwhile: the bay stays with it.
            transaction.set_rollback(True)
            return False
        invalidate_session(session=session, reason="no vehicle was plugged in", now=now)
        return True


def stop_sessions_that_must_end(*, now: datetime) -> int:
    """Ask the stations to stop what runs past the end that its grant set; asked again until it has stopped."""
    asked = 0
    due = Transaction.objects.filter(
        stopped_at__isnull=True,
        session__status=v221.SessionStatus.ACTIVE.value,
        session__must_end_by__lte=now,
    ).values_list("pk", flat=True)
    for key in due:
        with transaction.atomic():
            row = Transaction.objects.select_for_update().get(pk=key)
            recently = row.stop_requested_at is not None and row.stop_requested_at > now - STOP_RETRY
            if row.stopped_at is not None or recently:
                continue
            row.stop_requested_at = now
            row.stop_cause = row.stop_cause or "WINDOW"
            row.save(update_fields=["stop_requested_at", "stop_cause"])
            charger_gateway().stop(
                station_identity=row.station_identity,
                transaction_id=row.pk,
                purpose=f"stop:{row.pk}",
                not_after=now + STOP_RETRY,
            )
            log.info("charging.window_end_stop transaction=%s", row.pk)
            asked += 1
    return asked


def mark_orphans(*, station_identity: str, ocpp_connector: int | None, now: datetime) -> int:
    """The station (or one bay of it) says that nothing runs there: what we think runs there is an orphan."""
    running = Transaction.objects.filter(
        station_identity=station_identity, stopped_at__isnull=True, orphaned_at__isnull=True
    )
    if ocpp_connector is not None:
        running = running.filter(ocpp_connector=ocpp_connector)
    return running.update(orphaned_at=now)


def close_orphans(*, now: datetime) -> int:
    """Close orphans from their last reading, flagged as estimated, and seal their CDRs (charging.md 4.4)."""
    closed = 0
    lost = Transaction.objects.filter(stopped_at__isnull=True, orphaned_at__lt=now - ORPHAN_PATIENCE)
    for key in lost.values_list("pk", flat=True):
        with transaction.atomic():
            row = Transaction.objects.select_for_update(of=("self",)).select_related("session").get(pk=key)
            if row.stopped_at is not None:
                continue
            _close_from_last_reading(row, now)
            closed += 1
    return closed


def _close_from_last_reading(row: Transaction, now: datetime) -> None:
    last = MeterReading.objects.filter(session=row.session).order_by("-at").first() if row.session else None
    row.stopped_at = last.at if last else row.started_at
    row.meter_stop_wh = last.energy_wh if last else row.meter_start_wh
    row.stop_reason = "PowerLoss"
    row.save(update_fields=["stopped_at", "meter_stop_wh", "stop_reason"])
    finish(
        row=row,
        ended_at=row.stopped_at,
        meter_stop_wh=row.meter_stop_wh,
        is_estimated=True,
        now=now,
    )
    log.warning("charging.orphan_closed transaction=%s station=%s", row.pk, row.station_identity)
