"""What a station must be configured to before guests may trust it: read after each boot, changed where it differs.

A station that caches permissions, or starts unknown cards while it is offline, would open the fence at night
(charging.md 2.3). What a station refuses is kept as a fact of its row, for the operator.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from chargers.models import Station, StationCall
from chargers.outgoing import CallOutcome, CallStatus, Priority

log = logging.getLogger(__name__)

PURPOSE = "configuration"
PATIENCE = timedelta(minutes=5)
HEARTBEAT_SECONDS = 60
# Read, never changed: the units in which the station takes limits, and what stations write there.
RATE_UNITS = "ChargingScheduleAllowedChargingRateUnit"
_UNIT_WORDS = {"power": "W", "w": "W", "current": "A", "a": "A"}


def wanted() -> dict[str, str]:
    """Configuration keys (OCPP 1.6, chapter 9) and the values that they must have."""
    return {
        "AuthorizationCacheEnabled": "false",
        "LocalPreAuthorize": "false",
        "AllowOfflineTxForUnknownId": "false",
        "StopTransactionOnInvalidId": "true",
        "HeartbeatInterval": str(HEARTBEAT_SECONDS),
        "MeterValueSampleInterval": str(settings.OCPP_METER_INTERVAL_SECONDS),
    }


def begin(*, identity: str, now: datetime) -> None:
    """Ask a station that has booted for its configuration; what was still waiting from before is of no use.

    Nobody is woken: the gateway looks by itself in a moment, when the answer to the boot has left.
    """
    StationCall.objects.filter(
        identity=identity, state=StationCall.State.NEW, purpose__startswith=PURPOSE
    ).update(state=StationCall.State.EXPIRED, error="the station booted again")
    # What it could not do before may be in its new firmware.
    Station.objects.filter(identity=identity).update(refused_actions=[])
    _queue(identity, "GetConfiguration", {"key": [*wanted(), RATE_UNITS]}, "read", now)


def answered(call: StationCall, outcome: CallOutcome, *, now: datetime) -> None:
    """Take the answer to one of our questions, inside the transaction that closes its row."""
    step = call.purpose.partition(":")[2]
    station = Station.objects.select_for_update().filter(identity=call.identity).first()
    if station is None:
        return
    if step == "change":
        _changed(station, call.payload["key"], call.payload["value"], outcome)
    elif outcome.status is CallStatus.ANSWERED:
        found = _Configuration.of(outcome.payload)
        station.rate_units = _rate_units(found) or station.rate_units
        _read(station, found, is_last=step == "verify", now=now)
    else:
        station.refused_configuration = {"GetConfiguration": {"answer": _word(outcome)}}
    station.configuration_read_at = now
    station.save(update_fields=["refused_configuration", "configuration_read_at", "rate_units"])


@dataclass(frozen=True)
class _Configuration:
    """What a station says about itself: values by key, and which of them it does not let us change."""

    values: Mapping[str, str]
    read_only: frozenset[str]

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "_Configuration":
        keys = payload.get("configurationKey", [])
        return cls(
            values={entry["key"]: entry.get("value", "") for entry in keys},
            read_only=frozenset(entry["key"] for entry in keys if entry["readonly"]),
        )


def _read(station: Station, found: _Configuration, *, is_last: bool, now: datetime) -> None:
    before = station.refused_configuration if is_last else {}
    facts: dict[str, dict[str, str]] = {}
    to_change: dict[str, str] = {}
    for key, value in wanted().items():
        if key not in found.values:
            facts[key] = {"wanted": value, "answer": "unknown key"}
        elif _is_equal(found.values[key], value):
            continue
        elif key in found.read_only:
            facts[key] = {"wanted": value, "has": found.values[key], "answer": "read-only"}
        elif is_last:
            answer = before.get(key, {}).get("answer", "accepted, and not changed")
            facts[key] = {"wanted": value, "has": found.values[key], "answer": answer}
        else:
            to_change[key] = value
    for key, value in to_change.items():
        _queue(station.identity, "ChangeConfiguration", {"key": key, "value": value}, "change", now)
    if to_change:
        _queue(station.identity, "GetConfiguration", {"key": list(wanted())}, "verify", now)
    station.refused_configuration = facts
    if facts:
        log.warning("ocpp.configuration station=%s keys=%s", station.identity, ",".join(sorted(facts)))


def _rate_units(found: _Configuration) -> str:
    words = (word.strip().lower() for word in found.values.get(RATE_UNITS, "").split(","))
    return ",".join(sorted({_UNIT_WORDS[word] for word in words if word in _UNIT_WORDS}, reverse=True))


def _changed(station: Station, key: str, value: str, outcome: CallOutcome) -> None:
    """Answers are stored side by side, so this one may come after the last reading: what was read stays true."""
    word, fact = _word(outcome), station.refused_configuration.get(key, {})
    if word != "Accepted":
        station.refused_configuration[key] = fact | {"wanted": value, "answer": word}
    elif "has" not in fact:
        station.refused_configuration.pop(key, None)


def _word(outcome: CallOutcome) -> str:
    if outcome.status is CallStatus.ANSWERED:
        return str(outcome.payload.get("status", ""))
    return outcome.error_code or outcome.status.value


def _is_equal(has: str, want: str) -> bool:
    """Booleans in any case, numbers in any form: "False" is false, "60.0" is 60."""
    if has.strip().lower() == want:
        return True
    try:
        return float(has) == float(want)
    except ValueError:
        return False


def _queue(identity: str, action: str, payload: dict[str, Any], step: str, now: datetime) -> None:
    StationCall.objects.create(
        identity=identity,
        action=action,
        payload=payload,
        priority=Priority.REST,
        purpose=f"{PURPOSE}:{step}",
        not_after=now + PATIENCE,
    )
