"""What stations report about themselves: presence, boots and the status of their connectors."""

from datetime import datetime

from django.db import transaction

from charging.locks import lock_transaction
from charging.models import Transaction
from charging.moments import possible, without_skew
from charging.orphans import keep_alive, mark_orphans
from charging.reservations import withdraw_at
from locations.services import report_status, set_online
from ocpi import v221
from sessions.services import resume_ev, suspend_ev

# OCPP 1.6 ChargePointStatus to OCPI Status (charging.md 4.9).
STATUS_16 = {
    "Available": v221.Status.AVAILABLE,
    "Preparing": v221.Status.BLOCKED,
    "Charging": v221.Status.CHARGING,
    "SuspendedEV": v221.Status.CHARGING,
    "SuspendedEVSE": v221.Status.CHARGING,
    "Finishing": v221.Status.BLOCKED,
    "Reserved": v221.Status.RESERVED,
    "Unavailable": v221.Status.INOPERATIVE,
    "Faulted": v221.Status.OUTOFORDER,
}
RUNNING = frozenset({"Charging", "SuspendedEV", "SuspendedEVSE"})
BROKEN = frozenset({"Faulted", "Unavailable"})


def connected(*, station_identity: str, now: datetime) -> None:
    """The station is reachable."""
    set_online(station_identity=station_identity, is_online=True, now=now)


def disconnected(*, station_identity: str, now: datetime) -> None:
    """The station is not reachable; running sessions go on, the station will tell."""
    set_online(station_identity=station_identity, is_online=False, now=now)


def booted(*, station_identity: str, now: datetime) -> None:
    """The station has booted: what ran before may have been lost (a kept stop may still come)."""
    mark_orphans(station_identity=station_identity, ocpp_connector=None, at=now, now=now)


def connector_status(
    *,
    station_identity: str,
    ocpp_connector: int,
    status: str,
    at: datetime,
    now: datetime,
    skew_seconds: int | None = None,
) -> bool:
    """Take over the status of one connector; False when it is older than the one we have.

    `at` is the station's own time; with a clock that is known to be wrong (`skew_seconds` ahead) it is put right
    first, so that a station whose clock was lost is heard all the same. Connector 0 is the station itself and shows
    on no bay. Errors: KeyError for a word OCPP 1.6 does not have.
    """
    if ocpp_connector == 0:
        return False
    heard_at = possible(without_skew(at, skew_seconds=skew_seconds), now=now)
    is_newer = report_status(
        station_identity=station_identity,
        ocpp_connector=ocpp_connector,
        status=STATUS_16[status],
        ocpp_status=status,
        at=heard_at,
        now=now,
    )
    if is_newer:
        # A transaction of its own: it begins further left in the order of locks (charging/locks.py).
        if status in BROKEN:
            withdraw_at(station_identity=station_identity, ocpp_connector=ocpp_connector, now=now)
        elif status == "Available":
            mark_orphans(
                station_identity=station_identity, ocpp_connector=ocpp_connector, at=heard_at, now=now
            )
        elif status in RUNNING:
            _tell_transaction(_running_at(station_identity, ocpp_connector), status, at, now)
    return is_newer


def _running_at(station_identity: str, ocpp_connector: int) -> int | None:
    running = Transaction.objects.filter(
        station_identity=station_identity, ocpp_connector=ocpp_connector, stopped_at__isnull=True
    )
    key: int | None = running.values_list("pk", flat=True).first()
    return key


def _tell_transaction(key: int | None, status: str, said: datetime, now: datetime) -> None:
    if key is None:
        return
    # The moment by the clock that the session itself goes by, as its start and its stop do.
    at = possible(said, now=now)
    with transaction.atomic():
        row = lock_transaction(transaction_id=key)
        if row is None or row.stopped_at is not None:
            return
        keep_alive(row, at=now)
        if row.session is None:
            return
        if status == "SuspendedEV":
            suspend_ev(session=row.session, at=at, now=now)
        elif status == "Charging":
            resume_ev(session=row.session, now=now)
