"""What stations say and nothing here fits: kept for a person, never guessed, each thing once."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from charging.models import UnmatchedMessage
from sessions.services import Reading

log = logging.getLogger(__name__)


def keep(*, station_identity: str, action: str, payload: Mapping[str, Any], reason: str) -> None:
    """Keep a message for a person; a repeat of it is the same message.

    Messages of one station come one by one, so nobody keeps the same one at the same moment.
    """
    known = UnmatchedMessage.objects.filter(
        station_identity=station_identity, action=action[:30], payload=dict(payload)
    )
    if not known.exists():
        UnmatchedMessage.objects.create(
            station_identity=station_identity, action=action[:30], payload=dict(payload), reason=reason[:200]
        )
        log.warning("charging.unmatched station=%s action=%s reason=%s", station_identity, action, reason)


def keep_readings(
    *, station_identity: str, transaction_id: int, readings: Sequence[Reading], reason: str
) -> None:
    """Keep readings that belong to nothing: one row per transaction with the first, the last and their number,
    whatever a station sends."""
    row = UnmatchedMessage.objects.filter(
        station_identity=station_identity, action="MeterValues", payload__transactionId=transaction_id
    ).first()
    if row is None:
        first = _text(readings[0]) if readings else ""
        payload = {"transactionId": transaction_id, "first": first, "last": first, "readings": 0}
        keep(station_identity=station_identity, action="MeterValues", payload=payload, reason=reason)
        row = UnmatchedMessage.objects.get(
            station_identity=station_identity, action="MeterValues", payload__transactionId=transaction_id
        )
    row.payload["readings"] += len(readings)
    if readings:
        row.payload["last"] = _text(readings[-1])
    row.save(update_fields=["payload"])


def _text(reading: Reading) -> str:
    return f"{reading.energy_wh} Wh at {reading.at.isoformat()}"
