"""The rows of StationCall: taken by the gateway once, closed once, and their answers carried home."""

import logging
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction

from chargers.models import StationCall
from chargers.outgoing import CallOutcome, CallStatus
from charging.answers import Outcome, station_answered

log = logging.getLogger(__name__)


def waiting(identities: Collection[str], *, now: datetime) -> list[StationCall]:
    """Calls for these stations that may still be sent, most urgent first."""
    return list(
        StationCall.objects.filter(
            identity__in=identities, state=StationCall.State.NEW, not_after__gt=now
        ).order_by("priority", "id")[:200]
    )


def mark_sent(call_id: int, *, now: datetime) -> bool:
    """Mark a call as sent for good; False when it was sent, or is too late. Never sent twice: a start that was
    sent and got no answer may have happened."""
    fresh = StationCall.objects.filter(pk=call_id, state=StationCall.State.NEW, not_after__gt=now)
    return fresh.update(state=StationCall.State.SENT, sent_at=now) == 1


def close(call_id: int, outcome: CallOutcome, *, now: datetime) -> None:
    """Keep the answer and carry it to whom it is for, in one transaction."""
    with transaction.atomic():
        call = StationCall.objects.select_for_update().get(pk=call_id)
        if call.state in (StationCall.State.DONE, StationCall.State.FAILED, StationCall.State.EXPIRED):
            return
        is_answer = outcome.status is CallStatus.ANSWERED
        call.state = StationCall.State.DONE if is_answer else StationCall.State.FAILED
        call.answer = outcome.payload or None
        call.error = _error(outcome)[:200]
        call.answered_at = now
        call.save(update_fields=["state", "answer", "error", "answered_at"])
        _carry(call, outcome, now)


def expire(*, now: datetime) -> int:
    """Close the calls that nobody could send in time: the station is silent or away."""
    late = StationCall.objects.filter(
        state__in=[StationCall.State.NEW, StationCall.State.SENT], not_after__lte=now
    ).values_list("pk", flat=True)
    for call_id in late:
        with transaction.atomic():
            call = StationCall.objects.select_for_update().get(pk=call_id)
            if call.state not in (StationCall.State.NEW, StationCall.State.SENT):
                continue
            call.state, call.answered_at, call.error = StationCall.State.EXPIRED, now, "no answer in time"
            call.save(update_fields=["state", "answered_at", "error"])
            _carry(call, CallOutcome(CallStatus.TIMEOUT), now)
    return len(late)


def _carry(call: StationCall, outcome: CallOutcome, now: datetime) -> None:
    if call.purpose:
        station_answered(purpose=call.purpose, outcome=to_outcome(outcome), now=now)


def to_outcome(outcome: CallOutcome) -> Outcome:
    """A gateway's outcome in the words of charging."""
    if outcome.status is CallStatus.ANSWERED:
        payload: dict[str, Any] = outcome.payload
        return Outcome(status=str(payload.get("status", "")))
    if outcome.status is CallStatus.TIMEOUT:
        return Outcome(is_timeout=True)
    return Outcome(error=_error(outcome))


def _error(outcome: CallOutcome) -> str:
    if outcome.status is CallStatus.ANSWERED:
        return ""
    words = {
        CallStatus.REFUSED: f"The station answered {outcome.error_code}.",
        CallStatus.INVALID: "The station's answer could not be read.",
        CallStatus.TIMEOUT: "The station did not answer in time.",
        CallStatus.LOST: "The station went away before it answered.",
        CallStatus.NOT_SENT: "The station could not be reached.",
    }
    return words[outcome.status]
