"""OCPP 1.6 messages of stations: each handler stores what it is told and returns the answer's payload.

The answer leaves only after the handler has returned, that is after its commit: a CALLRESULT is a receipt, and the
station deletes its copy on it (charging.md 4.4). Payloads satisfy the standard's schemas already.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chargers.frames import ErrorCode, Payload
from chargers.connection import CallRefused
from chargers.models import Station
from charging import authorize, stations, transactions
from sessions.services import Reading

HEARTBEAT_SECONDS = 60
# Measurand absent means the import register (OCPP 1.6, 7.31); unit absent means Wh (7.48).
REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
FACTORS = {"Wh": Decimal(1), "kWh": Decimal(1000), "W": Decimal(1), "kW": Decimal(1000)}

Handler = Callable[[str, Payload, datetime], Payload]


def boot_notification(identity: str, payload: Payload, now: datetime) -> Payload:
    """BootNotification: remember what the station is; what ran before may be lost."""
    Station.objects.filter(identity=identity).update(
        vendor=payload["chargePointVendor"],
        model=payload["chargePointModel"],
        firmware_version=payload.get("firmwareVersion", ""),
        booted_at=now,
        last_seen_at=now,
    )
    stations.booted(station_identity=identity, now=now)
    return {"status": "Accepted", "currentTime": _text(now), "interval": HEARTBEAT_SECONDS}


def heartbeat(identity: str, _payload: Payload, now: datetime) -> Payload:
    """Heartbeat: seen; tells the time."""
    Station.objects.filter(identity=identity).update(last_seen_at=now)
    return {"currentTime": _text(now)}


def status_notification(identity: str, payload: Payload, now: datetime) -> Payload:
    """StatusNotification: ordered by the station's own time, ours when it gives none."""
    stations.connector_status(
        station_identity=identity,
        ocpp_connector=payload["connectorId"],
        status=payload["status"],
        at=instant(payload["timestamp"]) if "timestamp" in payload else now,
        now=now,
    )
    return {}


def authorize_tag(identity: str, payload: Payload, now: datetime) -> Payload:
    """Authorize: somebody holds a card to the reader."""
    answer = authorize.tap(station_identity=identity, id_tag=payload["idTag"], now=now)
    return {"idTagInfo": _id_tag_info(answer.status, answer.expires_at)}


def start_transaction(identity: str, payload: Payload, now: datetime) -> Payload:
    """StartTransaction: always stored and numbered, whatever we think of its card."""
    answer = transactions.started(
        begin=transactions.Begin(
            station_identity=identity,
            ocpp_connector=payload["connectorId"],
            id_tag=payload["idTag"],
            at=instant(payload["timestamp"]),
            meter_start_wh=payload["meterStart"],
        ),
        now=now,
    )
    return {
        "transactionId": answer.transaction_id,
        "idTagInfo": _id_tag_info(answer.status, answer.expires_at),
    }


def meter_values(identity: str, payload: Payload, now: datetime) -> Payload:
    """MeterValues: those of a transaction become readings; others (clock-aligned, idle) are only acknowledged."""
    if (transaction_id := payload.get("transactionId")) is not None:
        transactions.metered(
            station_identity=identity,
            transaction_id=transaction_id,
            readings=readings_of(payload["meterValue"]),
            now=now,
        )
    return {}


def stop_transaction(identity: str, payload: Payload, now: datetime) -> Payload:
    """StopTransaction: closes the transaction, its session and its CDR in one commit."""
    transactions.stopped(
        end=transactions.End(
            station_identity=identity,
            transaction_id=payload["transactionId"],
            at=instant(payload["timestamp"]),
            meter_stop_wh=payload["meterStop"],
            reason=payload.get("reason", "Local"),
            readings=readings_of(payload.get("transactionData", ())),
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
    """Store one message and return its answer. Errors: CallRefused for an action that we do not serve."""
    handler = HANDLERS.get(action)
    if handler is None:
        raise CallRefused(ErrorCode.NOT_SUPPORTED, f"{action} is not supported here")
    return handler(identity, payload, now)


def instant(text: str) -> datetime:
    """Read a station's time; a station that names no zone means UTC (OCPP 1.6, 3.12)."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise CallRefused(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, f"timestamp '{text[:40]}' is not an ISO 8601 instant"
        ) from error
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def readings_of(meter_values: Iterable[dict[str, Any]]) -> tuple[Reading, ...]:
    """Register readings in Wh (and power in W where given) of a list of OCPP MeterValue objects."""
    readings = []
    for meter_value in meter_values:
        energy = _sampled(meter_value, REGISTER)
        if energy is not None:
            power = _sampled(meter_value, POWER)
            readings.append(
                Reading(
                    at=instant(meter_value["timestamp"]),
                    energy_wh=round(energy),
                    power_w=None if power is None else round(power),
                )
            )
    return tuple(readings)


def _sampled(meter_value: dict[str, Any], measurand: str) -> Decimal | None:
    for sample in meter_value["sampledValue"]:
        is_total = "phase" not in sample and sample.get("location", "Outlet") == "Outlet"
        if sample.get("measurand", REGISTER) == measurand and is_total and sample.get("format", "Raw") == "Raw":
            return _number(sample["value"]) * FACTORS.get(sample.get("unit", "Wh"), Decimal(1))
    return None


def _number(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except ArithmeticError as error:
        raise CallRefused(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, f"value '{text[:40]}' is no number") from error
    if not value.is_finite() or abs(value) > 10**12:
        raise CallRefused(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, f"value '{text[:40]}' is no meter reading")
    return value


def _id_tag_info(status: str, expires_at: datetime | None) -> Payload:
    if expires_at is None or status != "Accepted":
        return {"status": status}
    return {"status": status, "expiryDate": _text(expires_at)}


def _text(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
