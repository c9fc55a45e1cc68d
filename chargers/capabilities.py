"""What stations turn out to be able to do, by their answers: facts of their rows until the next boot.

Noted before the answer is carried on: a Station is locked before the Transactions of its bays, as at a boot.
"""

from typing import Any

from chargers.frames import ErrorCode
from chargers.models import Station, StationCall
from chargers.outgoing import CallOutcome, CallStatus

# What a station answers that was not built for a call at all: a fact about it, not a fault (charging.md 4.6).
UNABLE = frozenset({ErrorCode.NOT_IMPLEMENTED.value, ErrorCode.NOT_SUPPORTED.value})
_SET_PROFILE = "SetChargingProfile"


def note(call: StationCall, outcome: CallOutcome) -> None:
    """Remember what an answer tells about the station itself."""
    if is_unable(outcome):
        _note_refused(call)
    elif call.action == _SET_PROFILE and outcome.payload.get("status") == "Accepted":
        _note_unit(call)


def is_unable(outcome: CallOutcome) -> bool:
    """Whether the station says that it does not know this call."""
    return outcome.status is CallStatus.REFUSED and outcome.error_code in UNABLE


def _note_refused(call: StationCall) -> None:
    station = Station.objects.select_for_update().filter(identity=call.identity).first()
    if station is not None and call.action not in station.refused_actions:
        station.refused_actions = [*station.refused_actions, call.action]
        station.save(update_fields=["refused_actions"])


def _note_unit(call: StationCall) -> None:
    """The same limits were refused in the other unit just before: this unit is the only one."""
    before = StationCall.objects.filter(action=_SET_PROFILE, purpose=call.purpose).exclude(pk=call.pk).first()
    was_refused = before is not None and (before.answer or {}).get("status") == "Rejected"
    if before is not None and was_refused and _unit(before) != _unit(call):
        Station.objects.filter(identity=call.identity).update(rate_units=_unit(call))


def _unit(call: StationCall) -> str:
    payload: dict[str, Any] = call.payload
    return str(payload["csChargingProfiles"]["chargingSchedule"]["chargingRateUnit"])
