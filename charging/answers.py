"""Answers of stations to the orders of charging, by the purpose that was given with the order."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from charging.commands import answered
from charging.models import Transaction
from ocpi import v221

RETRY_STOP = timedelta(seconds=20)


@dataclass(frozen=True)
class Outcome:
    """What became of an order: the station's word, or why there is none."""

    status: str = ""
    error: str = ""
    is_timeout: bool = False


def station_answered(*, purpose: str, outcome: Outcome, now: datetime) -> None:
    """Carry an answer to whom it is for; unknown purposes are a programming error (ValueError)."""
    kind, _, key = purpose.partition(":")
    if kind == "command":
        result = command_result(outcome)
        answered(command_id=uuid.UUID(key), result=result, message=outcome.error, now=now)
    elif kind == "stop":
        if outcome.status != "Accepted":
            # Not stopped: the next sweep asks again.
            Transaction.objects.filter(pk=int(key)).update(stop_requested_at=None)
    else:
        raise ValueError(f"no one waits for the answer to '{purpose}'")


def command_result(outcome: Outcome) -> v221.CommandResultType:
    """The word that OCPI has for a station's answer (mod_commands, CommandResultType)."""
    if outcome.is_timeout:
        return v221.CommandResultType.TIMEOUT
    if outcome.error:
        return v221.CommandResultType.FAILED
    if outcome.status == "Accepted":
        return v221.CommandResultType.ACCEPTED
    return v221.CommandResultType.REJECTED
