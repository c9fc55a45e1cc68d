"""Answers of stations to the orders of charging, by the purpose that was given with the order."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType

from django.db import transaction
from django.db.models import QuerySet

from charging import profile_answers, reservations
from charging.commands import answered
from charging.models import Command, Transaction
from charging.outcomes import Outcome
from ocpi import v221

_Type = v221.CommandType
_Result = v221.CommandResultType

# The words of stations that mean something else than yes or no, by command (OCPP 1.6, chapter 7).
_RESULTS: Mapping[str, Mapping[str, v221.CommandResultType]] = MappingProxyType(
    {
        _Type.RESERVE_NOW.value: {
            "Occupied": _Result.EVSE_OCCUPIED,
            "Faulted": _Result.EVSE_INOPERATIVE,
            "Unavailable": _Result.EVSE_INOPERATIVE,
        },
        # It knows no such reservation: then none is in anybody's way any more.
        _Type.CANCEL_RESERVATION.value: {"Rejected": _Result.ACCEPTED},
        _Type.UNLOCK_CONNECTOR.value: {
            "Unlocked": _Result.ACCEPTED,
            "UnlockFailed": _Result.FAILED,
            "NotSupported": _Result.NOT_SUPPORTED,
        },
    }
)
# What a station without the message comes down to: we keep reservations ourselves (ADR 12).
_LACKING: Mapping[str, v221.CommandResultType] = MappingProxyType(
    {
        _Type.RESERVE_NOW.value: _Result.ACCEPTED,
        _Type.CANCEL_RESERVATION.value: _Result.ACCEPTED,
        _Type.UNLOCK_CONNECTOR.value: _Result.NOT_SUPPORTED,
    }
)
_NOT_THERE = frozenset({"NotImplemented", "NotSupported"})


def station_answered(*, purpose: str, outcome: Outcome, now: datetime) -> None:
    """Carry an answer to whom it is for; unknown purposes are a programming error (ValueError)."""
    kind, _, key = purpose.partition(":")
    if kind == "command":
        _command_answered(uuid.UUID(key), outcome, now)
    elif kind == "profile":
        profile_answers.answered(request_id=uuid.UUID(key), outcome=outcome, now=now)
    elif kind == "stop":
        if is_refusal(outcome):
            _forget_stop(Transaction.objects.filter(pk=int(key), stop_cause="WINDOW"))
    else:
        raise ValueError(f"no one waits for the answer to '{purpose}'")


def _command_answered(command_id: uuid.UUID, outcome: Outcome, now: datetime) -> None:
    kind = Command.objects.values_list("type", flat=True).get(pk=command_id)
    result = command_result(outcome, kind=kind)
    # The Transaction before the Command (charging/locks.py).
    with transaction.atomic():
        if is_refusal(outcome):
            stopping = Command.objects.filter(pk=command_id, type=v221.CommandType.STOP_SESSION.value)
            _forget_stop(
                Transaction.objects.filter(session__in=stopping.values("session"), stop_cause="PARTNER")
            )
        message = "" if result is _Result.ACCEPTED else outcome.error
        answered(command_id=command_id, result=result, message=message, now=now)
        if kind == _Type.RESERVE_NOW.value and outcome.status == "Accepted":
            reservations.station_keeps(command_id=command_id, now=now)


def is_refusal(outcome: Outcome) -> bool:
    """Whether the station surely does not do what it was asked; after a silence nobody knows."""
    return not outcome.is_timeout and outcome.status != "Accepted"


def _forget_stop(rows: QuerySet[Transaction]) -> None:
    """What goes on although we asked it to stop will end for a reason of its own."""
    rows.filter(stopped_at__isnull=True).update(stop_cause="")


def command_result(outcome: Outcome, *, kind: str) -> v221.CommandResultType:
    """The word that OCPI has for a station's answer to a command (mod_commands, CommandResultType)."""
    if outcome.is_timeout:
        return _Result.TIMEOUT
    if outcome.error:
        is_lacking = outcome.error_code in _NOT_THERE
        return _LACKING.get(kind, _Result.FAILED) if is_lacking else _Result.FAILED
    usual = _Result.ACCEPTED if outcome.status == "Accepted" else _Result.REJECTED
    return _RESULTS.get(kind, {}).get(outcome.status, usual)
