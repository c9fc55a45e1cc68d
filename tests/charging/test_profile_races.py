"""Profiles, answers and the end of a charge at the same moment, on connections of their own."""

from datetime import timedelta
from typing import Any

import pytest

from chargers import calls
from chargers.models import StationCall
from chargers.outgoing import CallOutcome, CallStatus
from charging.commands import Order
from charging.models import ChargingProfile, ProfileRequest, Transaction
from charging.profile_answers import expire_requests
from charging.sweeps import sweep
from charging.transactions import End, stopped
from roaming.models import Obligation
from sessions.models import Session
from tests.charging.test_profile_requests import HALF, NOW, Answer, ac_bay, put, session
from tests.charging.test_profiles import profile
from tests.charging.test_races import all_at_once

__all__ = ["ac_bay", "session"]

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 8
ACCEPTED = CallOutcome(CallStatus.ANSWERED, {"status": "Accepted"})


def taken(now: Any) -> StationCall:
    call = StationCall.objects.get(state="NEW")
    StationCall.objects.filter(pk=call.pk).update(state="SENT", sent_at=now)
    return call


def test_of_many_changes_at_the_same_moment_one_goes_to_the_station(order: Order, session: Session) -> None:
    """CHP-08."""
    for number in range(ROUNDS):
        now = NOW + timedelta(minutes=number)
        answers = all_at_once(*[lambda now=now: put(order, session, HALF, now)] * 4)
        assert sorted(answers) == [Answer.ACCEPTED, *[Answer.TOO_OFTEN] * 3]
        calls.close(taken(now).pk, ACCEPTED, now=now)
    assert ProfileRequest.objects.count() == ROUNDS
    assert ChargingProfile.objects.count() == 1


def test_an_answer_a_timeout_a_sweep_and_the_next_change_leave_one_result_each(
    order: Order, session: Session
) -> None:
    """CHP-01, CHP-14: whoever is first, and no deadlock."""
    for number in range(ROUNDS):
        now = NOW + timedelta(minutes=number)
        assert put(order, session, profile((0, str(6 + number))), now) is Answer.ACCEPTED
        call, late = taken(now), now + timedelta(seconds=44)
        all_at_once(
            lambda call=call, late=late: calls.close(call.pk, ACCEPTED, now=late),
            lambda call=call, late=late: calls.close(call.pk, ACCEPTED, now=late),
            lambda late=late: expire_requests(now=late),
            lambda late=late: sweep(now=late),
            lambda late=late: put(order, session, HALF, late),
        )
        StationCall.objects.filter(state="NEW").delete()
        ProfileRequest.objects.filter(state="SENT").delete()
    results = Obligation.objects.filter(kind="profile_result")
    assert results.count() == ProfileRequest.objects.filter(state="ANSWERED").count()
    assert ProfileRequest.objects.exclude(result__in=["ACCEPTED", "REJECTED"]).count() == 0


def test_a_charge_that_ends_while_its_profile_is_answered_is_billed_and_answered_once(
    order: Order, session: Session
) -> None:
    """CHP-01."""
    assert put(order, session) is Answer.ACCEPTED
    call, key = taken(NOW), Transaction.objects.get().pk
    end = NOW + timedelta(seconds=5)
    all_at_once(
        lambda: calls.close(call.pk, ACCEPTED, now=end),
        lambda: stopped(end=End("GENT-02", key, end, 3_000), now=end),
        lambda: stopped(end=End("GENT-02", key, end, 3_000), now=end),
        lambda: sweep(now=end),
    )
    assert Session.objects.get().status == "COMPLETED"
    assert Obligation.objects.filter(kind="profile_result").count() == 1
    assert Obligation.objects.filter(kind="cdr").count() == 1
