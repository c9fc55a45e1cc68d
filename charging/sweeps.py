"""What time alone makes due at the bay: silent commands, cars that never came, ends of windows, lost stops,
reservations that are over.

Every function may run any number of times and beside itself: rows are locked, and a second look finds nothing.
"""

import logging
import uuid
from datetime import datetime, timedelta

from django.db import transaction

from charging import reservations
from charging.active_profiles import tell_changes
from charging.commands import drop_pending, expire_commands
from charging.locks import lock_transaction
from charging.models import Transaction
from charging.orders import PLUG_IN_TIMEOUT
from charging.orphans import close_orphans
from charging.ports import charger_gateway
from charging.profile_answers import expire_requests
from ocpi import v221
from sessions.models import Session

log = logging.getLogger(__name__)

STOP_RETRY = timedelta(seconds=30)


def sweep(*, now: datetime) -> None:
    """Do all that is due."""
    expire_commands(now=now)
    expire_requests(now=now)
    tell_changes(now=now)
    reservations.expire_due(now=now)
    reservations.withdraw_fenced(now=now)
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
        session = Session.objects.get(pk=key)
        return drop_pending(session, reason="no vehicle was plugged in", now=now)


def stop_sessions_that_must_end(*, now: datetime) -> int:
    """Ask the stations to stop what runs past the end that its grant set; asked again until it has stopped.

    A station that is away is asked when it is back: it would only find a pile of orders then.
    """
    due = Transaction.objects.filter(
        stopped_at__isnull=True,
        session__status=v221.SessionStatus.ACTIVE.value,
        session__must_end_by__lte=now,
    ).values_list("pk", flat=True)
    return sum(_ask_to_stop(key, now) for key in due)


def _ask_to_stop(key: int, now: datetime) -> bool:
    with transaction.atomic():
        row = lock_transaction(transaction_id=key)
        if row is None or row.stopped_at is not None:
            return False
        if row.stop_requested_at is not None and row.stop_requested_at > now - STOP_RETRY:
            return False
        if not charger_gateway().is_online(station_identity=row.station_identity):
            return False
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
        return True
