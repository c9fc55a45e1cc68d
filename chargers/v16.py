"""OCPP 1.6 messages of stations: each handler stores what it is told and returns the answer's payload.

The answer leaves only after the handler has returned, that is after its commit: a CALLRESULT is a receipt, and the
station deletes its copy on it (charging.md 4.4). Payloads satisfy the standard's schemas already.
"""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from chargers import clocks, provisioning
from chargers.connection import CallRefused
from chargers.frames import ErrorCode, Payload
from chargers.models import Station
from chargers.readings import instant, samples_of
from charging import authorize, quarantine, stations, transactions
from sessions.services import Reading

log = logging.getLogger(__name__)

# More connectors than any station has, and what a row can hold.
MAX_CONNECTOR = 32_767
# What a station drops when it was answered, and what is billed: not even a fault of ours may lose these.
BILLED = frozenset({"StartTransaction", "MeterValues", "StopTransaction"})

Handler = Callable[[str, Payload, datetime], Payload]


def boot_notification(identity: str, payload: Payload, now: datetime) -> Payload:
    """BootNotification: remember what the station is; what ran before may be lost; look at its configuration."""
    with transaction.atomic():
        provisioning.begin(identity=identity, now=now)
        Station.objects.filter(identity=identity).update(
            vendor=payload["chargePointVendor"],
            model=payload["chargePointModel"],
            firmware_version=payload.get("firmwareVersion", ""),
            booted_at=now,
            last_seen_at=now,
            clock_skew_seconds=None,
        )
        stations.booted(station_identity=identity, now=now)
    return {"status": "Accepted", "currentTime": _text(now), "interval": provisioning.HEARTBEAT_SECONDS}


def heartbeat(identity: str, _payload: Payload, now: datetime) -> Payload:
    """Heartbeat: seen; tells the time."""
    Station.objects.filter(identity=identity).update(last_seen_at=now)
    return {"currentTime": _text(now)}


def status_notification(identity: str, payload: Payload, now: datetime) -> Payload:
    """StatusNotification: ordered by the station's own time, ours when it gives none."""
    skew_seconds = None
    at = now
    if "timestamp" in payload:
        at = _instant(payload["timestamp"])
        skew_seconds = clocks.observe(identity=identity, said=at, now=now)
    stations.connector_status(
        station_identity=identity,
        ocpp_connector=_connector(payload),
        status=payload["status"],
        at=at,
        now=now,
        skew_seconds=skew_seconds,
    )
    return {}


def authorize_tag(identity: str, payload: Payload, now: datetime) -> Payload:
    """Authorize: somebody holds a card to the reader."""
    answer = authorize.tap(station_identity=identity, id_tag=payload["idTag"], now=now)
    return {"idTagInfo": _id_tag_info(answer.status, answer.expires_at, answer.parent_id_tag)}


def start_transaction(identity: str, payload: Payload, now: datetime) -> Payload:
    """StartTransaction: always stored and numbered, whatever we think of its card."""
    answer = transactions.started(
        begin=transactions.Begin(
            station_identity=identity,
            ocpp_connector=_connector(payload),
            id_tag=payload["idTag"],
            at=_instant(payload["timestamp"]),
            meter_start_wh=payload["meterStart"],
            reservation_id=payload.get("reservationId"),
        ),
        now=now,
    )
    return {
        "transactionId": answer.transaction_id,
        "idTagInfo": _id_tag_info(answer.status, answer.expires_at, answer.parent_id_tag),
    }


def meter_values(identity: str, payload: Payload, now: datetime) -> Payload:
    """MeterValues: those of a transaction become readings; others (idle, main meter) are only acknowledged."""
    readings, unreadable = _readings(payload["meterValue"])
    transactions.metered(
        metering=transactions.Metering(
            station_identity=identity,
            ocpp_connector=_connector(payload),
            transaction_id=payload.get("transactionId"),
            readings=readings,
            unreadable=unreadable,
        ),
        now=now,
    )
    return {}


def stop_transaction(identity: str, payload: Payload, now: datetime) -> Payload:
    """StopTransaction: closes the transaction, its session and its CDR in one commit."""
    readings, unreadable = _readings(payload.get("transactionData", []))
    transactions.stopped(
        end=transactions.End(
            station_identity=identity,
            transaction_id=payload["transactionId"],
            at=_instant(payload["timestamp"]),
            meter_stop_wh=payload["meterStop"],
            reason=payload.get("reason", "Local"),
            id_tag=payload.get("idTag", ""),
            readings=readings,
            unreadable=unreadable,
        ),
        now=now,
    )
    return {"idTagInfo": {"status": "Accepted"}} if "idTag" in payload else {}


def data_transfer(_identity: str, _payload: Payload, _now: datetime) -> Payload:
    """DataTransfer: we know no vendor's extension."""
    return {"status": "UnknownVendorId"}


def acknowledge(_identity: str, _payload: Payload, _now: datetime) -> Payload:
    """Reports that need an answer and no action (firmware and diagnostics status, security events)."""
    return {}


HANDLERS: dict[str, Handler] = {
    "BootNotification": boot_notification,
    "Heartbeat": heartbeat,
    "StatusNotification": status_notification,
    "Authorize": authorize_tag,
    "StartTransaction": start_transaction,
    "MeterValues": meter_values,
    "StopTransaction": stop_transaction,
    "DataTransfer": data_transfer,
    "FirmwareStatusNotification": acknowledge,
    "DiagnosticsStatusNotification": acknowledge,
    "SecurityEventNotification": acknowledge,
}


def handle(identity: str, action: str, payload: Payload, now: datetime) -> Payload:
    """Store one message and return its answer.

    Errors: CallRefused for an action that we do not serve, and what the database raises. A message about a
    transaction that breaks us is kept for a person before it is refused: a station gives up after a few tries.
    """
    handler = HANDLERS.get(action)
    if handler is None:
        raise CallRefused(ErrorCode.NOT_SUPPORTED, f"{action} is not supported here")
    try:
        return handler(identity, payload, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception as error:
        if action in BILLED:
            _quarantine(identity, action, payload, error)
        raise


def _quarantine(identity: str, action: str, payload: Payload, error: Exception) -> None:
    kept = json.loads(json.dumps(payload, default=str))
    reason = f"could not be processed: {type(error).__name__}: {error}"
    quarantine.keep(station_identity=identity, action=action, payload=kept, reason=reason)


def _instant(text: str) -> datetime:
    try:
        return instant(text)
    except ValueError as error:
        raise CallRefused(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, str(error)) from error


def _readings(meter_values: list[dict[str, Any]]) -> tuple[tuple[Reading, ...], tuple[str, ...]]:
    samples, unreadable = samples_of(meter_values)
    return tuple(Reading(each.at, each.energy_wh, each.power_w) for each in samples), unreadable


def _connector(payload: Payload) -> int:
    number: int = payload["connectorId"]
    if not 0 <= number <= MAX_CONNECTOR:
        raise CallRefused(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, f"connectorId {number} is no connector")
    return number


def _id_tag_info(status: str, expires_at: datetime | None, parent_id_tag: str | None) -> Payload:
    info: Payload = {"status": status}
    if status == "Accepted" and expires_at is not None:
        info["expiryDate"] = _text(expires_at)
    if status == "Accepted" and parent_id_tag is not None:
        info["parentIdTag"] = parent_id_tag
    return info


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
