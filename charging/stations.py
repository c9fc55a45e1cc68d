"""What stations report about themselves: presence, boots and the status of their connectors."""

from datetime import datetime

from charging.models import Transaction
from charging.sweeps import mark_orphans
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


def connected(*, station_identity: str, now: datetime) -> None:
    """The station is reachable."""
    set_online(station_identity=station_identity, is_online=True, now=now)


def disconnected(*, station_identity: str, now: datetime) -> None:
    """The station is not reachable; running sessions go on, the station will tell."""
    set_online(station_identity=station_identity, is_online=False, now=now)


def booted(*, station_identity: str, now: datetime) -> None:
    """The station has booted: what ran before may have been lost (a kept stop may still come)."""
    mark_orphans(station_identity=station_identity, ocpp_connector=None, now=now)


def connector_status(
    *, station_identity: str, ocpp_connector: int, status: str, at: datetime, now: datetime
) -> bool:
    """Take over the status of one connector; False when it is older than the one we have.

    Connector 0 is the station itself and shows on no bay. Errors: KeyError for a word OCPP 1.6 does not have.
    """
    if ocpp_connector == 0:
        return False
    is_newer = report_status(
        station_identity=station_identity,
        ocpp_connector=ocpp_connector,
        status=STATUS_16[status],
        ocpp_status=status,
        at=at,
        now=now,
    )
    if is_newer:
        # A commit of its own: bays are locked before sessions everywhere, and never both here.
        _tell_session(station_identity, ocpp_connector, status, at, now)
    return is_newer


def _tell_session(station_identity: str, ocpp_connector: int, status: str, at: datetime, now: datetime) -> None:
    running = (
        Transaction.objects.filter(
            station_identity=station_identity, ocpp_connector=ocpp_connector, stopped_at__isnull=True
        )
        .select_related("session")
        .first()
    )
    if running is None:
        return
    if status == "Available":
        mark_orphans(station_identity=station_identity, ocpp_connector=ocpp_connector, now=now)
    if running.session is None:
        return
    if status == "SuspendedEV":
        suspend_ev(session=running.session, at=at, now=now)
    elif status == "Charging":
        resume_ev(session=running.session, now=now)
