"""Reserving, canceling and unlocking down to a simulated station and back, over real sockets."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access.services import republish
from charging import reservations
from charging.commands import Order
from charging.models import Reservation, Transaction
from charging.unlocking import unlock_connector
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from tests.chargers.conftest import CARD
from tests.chargers.gateway import LiveStation, Yard, eventually
from tests.charging.booking import cancel, card_of, make_reservable, reserve, said, shown, start

pytestmark = pytest.mark.django_db(transaction=True)
Result = v221.CommandResultType


@pytest.fixture
def bay(bay: EVSE) -> EVSE:
    make_reservable()
    republish(location=bay.location, now=timezone.now())
    bay.refresh_from_db()
    return bay


@pytest.fixture
def order(bay: EVSE, taxi: Party) -> Order:
    return Order(taxi, bay.location.depot.operator, "https://partner.example/results/1", "c-1")


@pytest.fixture
def station(yard: Yard, bay: EVSE) -> LiveStation:
    """GENT-01, free and heard of."""
    station = yard.station()
    eventually(lambda: EVSE.objects.get(pk=bay.pk).ocpp_status == "Available")
    return station


def keep(order: Order, bay: EVSE, seconds: int = 3_600, **members: object) -> Reservation:
    """Reserve bay 1 and wait for the result."""
    now = timezone.now()
    reply = reserve(order, bay, now=now, until=now + timedelta(seconds=seconds), **members)
    assert reply.response.result is v221.CommandResponseType.ACCEPTED
    eventually(said)
    return Reservation.objects.get()


def test_the_station_keeps_the_bay_for_the_card_and_turns_others_away(
    station: LiveStation, order: Order, bay: EVSE, taxi: Party
) -> None:
    """SES-14: Reserved at the station, another card is Blocked, the driver's own charges under the reservation."""
    row = keep(order, bay, token=card_of(taxi))
    assert (said(), row.state, row.is_at_station) == ([Result.ACCEPTED], "PLACED", True)
    eventually(lambda: EVSE.objects.get(pk=bay.pk).ocpp_status == "Reserved")
    assert shown(taxi, bay) is v221.Status.RESERVED
    assert station.tap("04FFFFFFFFFF80") != "Accepted"
    station.charge(CARD)
    eventually(lambda: Session.objects.filter(status="ACTIVE").exists())
    session = Session.objects.get()
    row.refresh_from_db()
    assert (session.pk, session.auth_method, row.state) == (row.session_id, "WHITELIST", "USED")
    assert Transaction.objects.get().session == session


def test_a_start_by_command_is_let_in_under_the_stations_own_reservation(
    station: LiveStation, order: Order, bay: EVSE
) -> None:
    """SES-14, CMD-16: the same tag of ours for both."""
    row = keep(order, bay)
    start(order, bay, now=timezone.now())
    station.plug()
    eventually(lambda: Session.objects.filter(status="ACTIVE").exists())
    session = Session.objects.get()
    assert (session.pk, session.auth_method) == (row.session_id, "COMMAND")
    assert said() == [Result.ACCEPTED, Result.ACCEPTED]


def test_canceling_frees_the_bay_at_the_station(station: LiveStation, order: Order, bay: EVSE) -> None:
    """CMD-22."""
    keep(order, bay)
    station.wait(lambda each: each.connectors[1].status == "Reserved")
    cancel(order, now=timezone.now())
    station.wait(lambda each: each.connectors[1].status == "Available")
    eventually(lambda: len(said()) == 2)
    assert (said()[1], Session.objects.get().status) == (Result.ACCEPTED, "COMPLETED")


def test_taking_it_back_frees_the_bay_at_the_station(station: LiveStation, order: Order, bay: EVSE) -> None:
    """CMD-23."""
    row = keep(order, bay)
    station.wait(lambda each: each.connectors[1].status == "Reserved")
    assert reservations.withdraw(reservation=row, reason="operator", message="Needed.", now=timezone.now())
    station.wait(lambda each: each.connectors[1].status == "Available")
    assert said() == [Result.ACCEPTED, Result.CANCELED_RESERVATION]


def test_a_station_without_the_profile_leaves_it_to_us(
    station: LiveStation, order: Order, bay: EVSE, taxi: Party
) -> None:
    """ADR 12: a CALLERROR is a fact about the station, no failure."""
    station.station.misbehaviour.lacks.add("ReserveNow")
    row = keep(order, bay)
    assert (said(), row.state, row.is_at_station) == ([Result.ACCEPTED], "PLACED", False)
    assert (station.status, shown(taxi, bay)) == ("Available", v221.Status.RESERVED)


def test_a_bay_with_a_car_in_it_is_occupied(station: LiveStation, order: Order, bay: EVSE) -> None:
    """CMD-24: the station's own word, before its status has reached us."""
    station.station.misbehaviour.rejects.add("StatusNotification")
    station.plug()
    eventually(lambda: EVSE.objects.get(pk=bay.pk).ocpp_status == "Preparing")
    now = timezone.now()
    reserve(order, bay, now=now, until=now + timedelta(hours=1))
    assert eventually(said) == [Result.EVSE_OCCUPIED]
    assert shown(order.party, bay) is v221.Status.BLOCKED


def unlock(order: Order, bay: EVSE) -> None:
    request = v221.UnlockConnector(
        response_url=order.response_url,
        location_id=bay.location.ocpi_id,
        evse_uid=bay.uid,
        connector_id="1",
    )
    reply = unlock_connector(order=order, request=request, now=timezone.now())
    assert reply.response.result is v221.CommandResponseType.ACCEPTED


def test_unlocking_ends_the_charge_and_frees_the_cable(station: LiveStation, order: Order, bay: EVSE) -> None:
    """CMD-25."""
    station.charge(CARD)
    eventually(lambda: Session.objects.filter(status="ACTIVE").exists())
    unlock(order, bay)
    assert eventually(said) == [Result.ACCEPTED]
    eventually(lambda: Session.objects.filter(status="COMPLETED").exists())
    assert Session.objects.get().end_reason == "UnlockCommand"


def test_a_station_that_cannot_unlock_says_so(station: LiveStation, order: Order, bay: EVSE) -> None:
    """CMD-25."""
    station.station.misbehaviour.lacks.add("UnlockConnector")
    unlock(order, bay)
    assert eventually(said) == [Result.NOT_SUPPORTED]
