"""What may happen to one reserved bay at the same moment, on connections of their own: one outcome, no deadlock."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from access.services import republish
from cdrs.models import CDR
from charging import reservations, sweeps
from charging.answers import Outcome, station_answered
from charging.commands import Order
from charging.models import Command, Reservation, Transaction
from charging.transactions import BeginAnswer
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from tests.charging.booking import (
    ask_for_reservations,
    begin,
    cancel,
    end,
    grant_to,
    make_reservable,
    reserve,
    said,
    start,
    station_says,
)
from tests.charging.conftest import OPEN, token_of
from tests.sessions.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)
ROUNDS = 5
SECOND = timedelta(seconds=1)
Result = v221.CommandResultType


@pytest.fixture
def bay(bay: EVSE) -> EVSE:
    make_reservable()
    bay.refresh_from_db()
    return bay


def all_at_once(*actions: Any) -> list[Any]:
    outcomes = in_threads(*actions)
    assert [each for each in outcomes if isinstance(each, Exception)] == []
    return outcomes


def moments() -> list[datetime]:
    return [OPEN + timedelta(minutes=30 * number) for number in range(ROUNDS)]


def test_one_bay_is_reserved_once(order: Order, bay: EVSE, stranger: Party) -> None:
    """Two partners and a start at the same moment: one has the bay, the others are told EVSE_OCCUPIED."""
    grant_to(stranger, bay.location)
    republish(location=bay.location, now=OPEN)
    other = Order(stranger, order.own_party, "https://partner.example/nordlicht/9", "c-9")
    for number, at in enumerate(moments()):
        until = at + timedelta(minutes=20)
        all_at_once(
            lambda: reserve(order, bay, now=at, until=until, reservation_id=f"R{number}"),
            lambda: reserve(other, bay, now=at, until=until, reservation_id=f"R{number}"),
            lambda: start(order, bay, now=at, token=token_of(order.party, "driver-18")),
        )
        [session] = Session.objects.filter(status__in=["RESERVATION", "PENDING"])
        assert said().count(Result.EVSE_OCCUPIED) == 2 * (number + 1)
        station_says("Rejected", now=at)
        session.refresh_from_db()
        assert session.status == "INVALID"


def test_a_driver_who_comes_while_it_is_canceled(order: Order, bay: EVSE) -> None:
    """Either the charge runs and the cancel is rejected, or it is canceled and nothing runs under it."""
    ask_for_reservations()
    for at in moments():
        row = in_force(order, bay, at)
        start(order, bay, now=at + SECOND)
        station_says(now=at + SECOND)
        cancel(order, now=at + 2 * SECOND)
        command = Command.objects.get(state="SENT", type="CANCEL_RESERVATION")
        answer, *_ = all_at_once(
            lambda: begin(bay, row.id_tag, at + 3 * SECOND, reservation_id=row.pk),
            lambda: station_answered(
                purpose=f"command:{command.pk}", outcome=Outcome("Accepted"), now=at + 3 * SECOND
            ),
        )
        row.refresh_from_db()
        session = Session.objects.get(pk=row.session_id)
        expected = {"USED": ("ACTIVE", Result.REJECTED), "CANCELED": ("COMPLETED", Result.ACCEPTED)}
        assert (session.status, said()[-1]) == expected[row.state]
        assert answer.status == "Accepted"
        end(bay, answer, at + timedelta(minutes=10))
    used = Reservation.objects.filter(state="USED").count()
    assert CDR.objects.count() == used + 2 * (ROUNDS - used)


def test_a_driver_who_comes_while_it_expires_or_is_taken_back(order: Order, bay: EVSE) -> None:
    """The reservation ends in one way, whoever comes first, and it is told at most once that we canceled it."""
    for at in moments():
        row = in_force(order, bay, at)
        late = row.expires_at + SECOND
        all_at_once(
            lambda: begin(bay, row.id_tag, late, reservation_id=row.pk),
            lambda: sweeps.sweep(now=late),
            lambda: reservations.withdraw(
                reservation=row, reason="operator", message="Bay needed.", now=late
            ),
            lambda: reservations.expire_due(now=late),
        )
        row.refresh_from_db()
        session = Session.objects.get(pk=row.session_id)
        expected = {"USED": "ACTIVE", "EXPIRED": "COMPLETED", "WITHDRAWN": "INVALID"}
        assert session.status == expected[row.state]
        for transaction in session_transactions(session):
            end(bay, transaction, late + timedelta(minutes=2))
    withdrawn = Reservation.objects.filter(state="WITHDRAWN").count()
    assert said().count(Result.CANCELED_RESERVATION) == withdrawn


def test_two_cancels_at_the_same_moment_bill_it_once(order: Order, bay: EVSE) -> None:
    ask_for_reservations()
    for at in moments():
        in_force(order, bay, at)
        cancel(order, now=at + SECOND)
        cancel(order, now=at + SECOND)
        later = at + 2 * SECOND
        answers = [
            lambda key=key: station_answered(purpose=f"command:{key}", outcome=Outcome("Accepted"), now=later)
            for key in Command.objects.filter(state="SENT").values_list("pk", flat=True)
        ]
        all_at_once(*answers)
    assert (CDR.objects.count(), Reservation.objects.filter(state="CANCELED").count()) == (ROUNDS, ROUNDS)
    assert said() == [Result.ACCEPTED] * 3 * ROUNDS


def in_force(order: Order, bay: EVSE, at: datetime) -> Reservation:
    reserve(order, bay, now=at, until=at + timedelta(minutes=20))
    station_says(now=at)
    return Reservation.objects.get(state="PLACED")


def session_transactions(session: Session) -> list[Any]:
    running = Transaction.objects.filter(session=session, stopped_at__isnull=True)
    return [BeginAnswer(row.pk, row.id_tag_status) for row in running]
