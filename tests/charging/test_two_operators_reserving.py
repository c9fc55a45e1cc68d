"""Reservations and unlocking where one partner has grants of two operators: each order sees its own operator alone."""

from dataclasses import replace
from pathlib import Path

import pytest

from chargers.models import Station
from charging import stations
from charging.commands import Order
from charging.models import Command, Reservation
from charging.unlocking import unlock_connector
from locations.models import EVSE
from ocpi import v221
from ocpi.status import StatusCode
from roaming.models import Party
from tests.charging.booking import (
    ACCEPTED,
    REJECTED,
    asked,
    cancel,
    make_reservable,
    nothing_reserved,
    reserve,
    reserved,
    said,
    station_says,
)
from tests.charging.conftest import OPEN, token_of
from tests.two_operators import antwerp, load_antwerp

pytestmark = pytest.mark.django_db
RESULT = v221.CommandResultType


@pytest.fixture
def far_bay(bay: EVSE, taxi: Party, tmp_path: Path) -> EVSE:
    """Bay 1 of BE-ANT, free and online like that of BE-YRD; both can be reserved and unlocked."""
    found = load_antwerp(tmp_path, now=OPEN)
    stations.connected(station_identity="ANTW-01", now=OPEN)
    stations.connector_status(
        station_identity="ANTW-01", ocpp_connector=1, status="Available", at=OPEN, now=OPEN
    )
    Station.objects.update(is_online=True)
    make_reservable()
    return found


@pytest.fixture
def far_order(order: Order, far_bay: EVSE) -> Order:
    """The same partner, addressing BE-ANT."""
    return replace(order, own_party=antwerp().depot.operator)


def unlock(order: Order, location_id: str, bay: EVSE) -> StatusCode:
    request = v221.UnlockConnector(
        response_url=order.response_url, location_id=location_id, evse_uid=bay.uid, connector_id="1"
    )
    return unlock_connector(order=order, request=request, now=OPEN).status_code


def test_a_location_of_another_operator_cannot_be_reserved(
    order: Order, far_order: Order, bay: EVSE, far_bay: EVSE
) -> None:
    """HUB-06: each Location exists for orders to its own operator; nothing is kept or asked of a station."""
    for addressed, place in ((far_order, bay), (order, far_bay)):
        answer = reserve(addressed, place, location_id=place.location.ocpi_id)
        assert (answer.response.result, answer.status_code) == (REJECTED, StatusCode.UNKNOWN_LOCATION)
    assert nothing_reserved()


def test_a_reservation_is_canceled_by_an_order_to_its_own_operator_only(
    order: Order, far_order: Order, bay: EVSE, far_bay: EVSE
) -> None:
    """CMD-22, HUB-06: for BE-ANT the reservation at BE-YRD is an id that nobody has."""
    row = reserved(order, bay)
    assert cancel(far_order).response.result is ACCEPTED
    row.refresh_from_db()
    assert (said(), row.state) == ([RESULT.ACCEPTED, RESULT.UNKNOWN_RESERVATION], Reservation.State.PLACED)
    assert asked("CancelReservation") == []
    # The result comes in the name of whom the partner addressed.
    assert Command.objects.get(type="CANCEL_RESERVATION").own_party == far_order.own_party


def test_one_id_may_stand_for_a_reservation_at_each_operator(
    order: Order, far_order: Order, bay: EVSE, far_bay: EVSE
) -> None:
    """CMD-20, HUB-06: neither replaces the other, and each is canceled without a guess."""
    here = reserved(order, bay)
    assert reserve(far_order, far_bay, location_id=far_bay.location.ocpi_id).response.result is ACCEPTED
    station_says()
    there = Reservation.objects.exclude(pk=here.pk).get()
    assert cancel(order).response.result is ACCEPTED
    station_says()
    for row in (here, there):
        row.refresh_from_db()
    assert (here.state, there.state) == (Reservation.State.CANCELED, Reservation.State.PLACED)
    assert asked("CancelReservation") == [{"reservationId": here.pk}]
    assert there.session.own_party == far_order.own_party


def test_a_connector_of_another_operator_cannot_be_unlocked(
    order: Order, far_order: Order, bay: EVSE, far_bay: EVSE
) -> None:
    """CMD-25, HUB-06: 2003 as for a Location that nobody has; no station is asked."""
    for addressed, place in ((far_order, bay), (order, far_bay)):
        assert unlock(addressed, place.location.ocpi_id, place) is StatusCode.UNKNOWN_LOCATION
    assert (asked("UnlockConnector"), Command.objects.count()) == ([], 0)
    assert unlock(order, bay.location.ocpi_id, bay) is StatusCode.SUCCESS
    assert asked("UnlockConnector") == [{"connectorId": 1}]


def test_a_hub_reserves_for_nobody(order: Order, bay: EVSE) -> None:
    """CMD-15: a hub is shown Locations to pass them on; it has no drivers."""
    make_reservable()
    Party.objects.filter(pk=order.party.pk).update(role=v221.Role.HUB.value)
    order.party.refresh_from_db()
    answer = reserve(order, bay, token=token_of(order.party))
    assert (answer.response.result, answer.status_code) == (REJECTED, StatusCode.INVALID_PARAMETERS)
    assert nothing_reserved()
