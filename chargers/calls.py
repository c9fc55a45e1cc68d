"""The rows of StationCall: taken by the gateway once, closed once, and their answers carried home."""

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from chargers import capabilities, provisioning
from chargers.models import Station, StationCall
from chargers.outgoing import CallOutcome, CallStatus
from chargers.schedules import composite
from charging.answers import station_answered
from charging.outcomes import Outcome

log = logging.getLogger(__name__)

AT_ONCE = 200
# How long a station has for its answer, and when an answer will not come any more, as its gateway is gone.
ANSWER_SECONDS = 10.0
GIVEN_UP = timedelta(seconds=ANSWER_SECONDS + 5)
OPEN = (StationCall.State.NEW, StationCall.State.SENT)


def waiting(identities: Collection[str], *, now: datetime) -> list[StationCall]:
    """Calls for these stations that may still be sent, most urgent first."""
    return list(
        StationCall.objects.filter(
            identity__in=identities, state=StationCall.State.NEW, not_after__gt=now
        ).order_by("priority", "id")[:AT_ONCE]
    )


def mark_sent(call_id: int, *, epoch: int, now: datetime) -> bool:
    """Mark a call as sent for good; False when it was sent, is too late, or the connection of this `epoch` is not
    the station's newest one (I20). Never sent twice: a start that was sent and got no answer may have happened."""
    owner = Station.objects.filter(identity=OuterRef("identity"), epoch=epoch)
    fresh = StationCall.objects.filter(
        Exists(owner), pk=call_id, state=StationCall.State.NEW, not_after__gt=now
    )
    return fresh.update(state=StationCall.State.SENT, sent_at=now) == 1


def close(call_id: int, outcome: CallOutcome, *, now: datetime) -> None:
    """Keep the answer and carry it to whom it is for, in one transaction.

    A call that never left stays as it is: it may leave through a better connection while there is time.
    """
    with transaction.atomic():
        call = StationCall.objects.select_for_update().get(pk=call_id)
        never_left = call.state == StationCall.State.NEW and outcome.status is CallStatus.NOT_SENT
        if call.state not in OPEN or never_left:
            return
        is_answer = outcome.status is CallStatus.ANSWERED
        call.state = StationCall.State.DONE if is_answer else StationCall.State.FAILED
        call.answer = outcome.payload or None
        call.error = _error(outcome)[:200]
        call.answered_at = now
        call.save(update_fields=["state", "answer", "error", "answered_at"])
        capabilities.note(call, outcome)
        _carry(call, outcome, now)


def expire(*, now: datetime) -> int:
    """Close the calls that nobody could send in time, and those whose gateway went away before the answer."""
    unsent = Q(state=StationCall.State.NEW, not_after__lte=now)
    forgotten = Q(state=StationCall.State.SENT, sent_at__lte=now - GIVEN_UP)
    late = StationCall.objects.filter(unsent | forgotten).values_list("pk", flat=True)
    return sum(_expire(call_id, now) for call_id in late)


def _expire(call_id: int, now: datetime) -> bool:
    with transaction.atomic():
        call = StationCall.objects.select_for_update().get(pk=call_id)
        if call.state not in OPEN:
            return False
        was_sent = call.state == StationCall.State.SENT
        call.error = "no answer in time" if was_sent else "could not be sent in time"
        call.state, call.answered_at = StationCall.State.EXPIRED, now
        call.save(update_fields=["state", "answered_at", "error"])
        _carry(call, CallOutcome(CallStatus.TIMEOUT), now)
        return True


def _carry(call: StationCall, outcome: CallOutcome, now: datetime) -> None:
    if call.purpose.startswith(provisioning.PURPOSE):
        provisioning.answered(call, outcome, now=now)
    elif call.purpose:
        station_answered(
            purpose=call.purpose, outcome=to_outcome(outcome, asked_at=call.sent_at or now), now=now
        )


def to_outcome(outcome: CallOutcome, *, asked_at: datetime) -> Outcome:
    """A gateway's outcome in the words of charging."""
    if outcome.status is CallStatus.ANSWERED:
        payload: dict[str, Any] = outcome.payload
        return Outcome(status=str(payload.get("status", "")), limits=composite(payload, asked_at=asked_at))
    if outcome.status is CallStatus.TIMEOUT:
        return Outcome(is_timeout=True)
    return Outcome(
        error=_error(outcome), error_code=outcome.error_code, is_unable=capabilities.is_unable(outcome)
    )


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
