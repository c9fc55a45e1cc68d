"""Answers of stations to the orders of charging, by the purpose that was given with the order."""

import uuid
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from charging import profile_answers
from charging.commands import answered
from charging.models import Command, Transaction
from charging.outcomes import Outcome
from ocpi import v221


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
    result = command_result(outcome)
    # The Transaction before the Command (charging/locks.py).
    with transaction.atomic():
        if is_refusal(outcome):
            stopping = Command.objects.filter(pk=command_id, type=v221.CommandType.STOP_SESSION.value)
            _forget_stop(
                Transaction.objects.filter(session__in=stopping.values("session"), stop_cause="PARTNER")
            )
        answered(command_id=command_id, result=result, message=outcome.error, now=now)


def is_refusal(outcome: Outcome) -> bool:
    """Whether the station surely does not do what it was asked; after a silence nobody knows."""
    return not outcome.is_timeout and outcome.status != "Accepted"


def _forget_stop(rows: QuerySet[Transaction]) -> None:
    """What goes on although we asked it to stop will end for a reason of its own."""
    rows.filter(stopped_at__isnull=True).update(stop_cause="")


def command_result(outcome: Outcome) -> v221.CommandResultType:
    """The word that OCPI has for a station's answer (mod_commands, CommandResultType)."""
    if outcome.is_timeout:
        return v221.CommandResultType.TIMEOUT
    if outcome.error:
        return v221.CommandResultType.FAILED
    if outcome.status == "Accepted":
        return v221.CommandResultType.ACCEPTED
    return v221.CommandResultType.REJECTED
