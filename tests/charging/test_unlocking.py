"""UNLOCK_CONNECTOR: for a stuck cable, never under somebody else's vehicle."""

import pytest

from access.services import republish
from chargers.models import Station
from charging.answers import Outcome
from charging.commands import Order, Reply, expire_commands
from charging.models import Command
from charging.unlocking import unlock_connector
from locations.models import EVSE
from ocpi import v221
from ocpi.status import StatusCode
from roaming.models import Party
from tests.charging.booking import (
    ACCEPTED,
    REJECTED,
    asked,
    begin,
    grant_to,
    make_reservable,
    reserved,
    said,
    start,
    station_says,
)
from tests.charging.conftest import CLOSE, OPEN

pytestmark = pytest.mark.django_db
Result = v221.CommandResultType


@pytest.fixture
def bay(bay: EVSE) -> EVSE:
    make_reservable()
    bay.refresh_from_db()
    return bay


@pytest.fixture
def other(order: Order, bay: EVSE, stranger: Party) -> Order:
    grant_to(stranger, bay.location)
    republish(location=bay.location, now=OPEN)
    return Order(stranger, order.own_party, "https://partner.example/nordlicht/9", "c-9")


def unlock(order: Order, bay: EVSE, now: object = OPEN, **members: str) -> Reply:
    given = {"location_id": bay.location.ocpi_id, "evse_uid": bay.uid, "connector_id": "1"} | members
    request = v221.UnlockConnector(response_url=order.response_url, **given)
    return unlock_connector(order=order, request=request, now=now)  # type: ignore[arg-type]  # an instant


def nothing_asked() -> bool:
    return asked("UnlockConnector") == [] and not Command.objects.filter(type="UNLOCK_CONNECTOR").exists()


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (Outcome("Unlocked"), Result.ACCEPTED),
        (Outcome("UnlockFailed"), Result.FAILED),
        (Outcome("NotSupported"), Result.NOT_SUPPORTED),
        (Outcome(error="The station answered NotImplemented.", error_code="NotImplemented"), Result.NOT_SUPPORTED),
        (Outcome(error="The station answered InternalError.", error_code="InternalError"), Result.FAILED),
    ],
)  # fmt: skip
def test_the_stations_answer_is_the_result(order: Order, bay: EVSE, answer: Outcome, result: Result) -> None:
    """CMD-25."""
    reply = unlock(order, bay)
    assert (reply.response.result, reply.response.timeout) == (ACCEPTED, 45)
    assert asked("UnlockConnector") == [{"connectorId": 1}]
    station_says(answer)
    assert said() == [result]


def test_a_bay_without_the_capability_says_so(order: Order, bay: EVSE) -> None:
    """CMD-25."""
    EVSE.objects.update(capabilities=["RESERVABLE"])
    reply = unlock(order, bay)
    assert (reply.response.result, reply.response.timeout) == (v221.CommandResponseType.NOT_SUPPORTED, 0)
    assert (nothing_asked(), said()) == (True, [])


@pytest.mark.parametrize("members", [{"location_id": "NO"}, {"evse_uid": "NO"}, {"connector_id": "7"}])
def test_each_of_the_three_ids_must_be_known(order: Order, bay: EVSE, members: dict[str, str]) -> None:
    """CMD-11, CMD-25."""
    reply = unlock(order, bay, **members)
    assert (reply.status_code, reply.response.result) == (StatusCode.UNKNOWN_LOCATION, REJECTED)
    assert nothing_asked()


def test_a_party_without_a_grant_learns_nothing(order: Order, bay: EVSE, stranger: Party) -> None:
    """CMD-11, B16: not even that the bay cannot be unlocked."""
    foreign = Order(stranger, order.own_party, order.response_url, "c-2")
    assert unlock(foreign, bay) == unlock(foreign, bay, location_id="NO")
    assert nothing_asked()


def test_under_ones_own_vehicle_it_is_allowed_after_hours(order: Order, bay: EVSE) -> None:
    start(order, bay)
    begin(bay, Command.objects.get().id_tag, OPEN)
    assert unlock(order, bay, CLOSE).response.result is ACCEPTED


def test_under_the_vehicle_of_another_partner_it_is_refused(order: Order, bay: EVSE, other: Order) -> None:
    start(order, bay)
    begin(bay, Command.objects.get().id_tag, OPEN)
    assert unlock(other, bay).response.result is REJECTED
    assert (nothing_asked(), said()) == (True, [])


def test_a_bay_that_another_partner_has_reserved_stays_locked(order: Order, bay: EVSE, other: Order) -> None:
    reserved(order, bay)
    assert unlock(other, bay).response.result is REJECTED
    assert nothing_asked()


def test_a_truck_of_the_fleet_keeps_its_cable(order: Order, bay: EVSE) -> None:
    """It charges without a session: nobody else may end that."""
    begin(bay, "FLEET-TRUCK-12", OPEN)
    assert unlock(order, bay).response.result is REJECTED
    assert nothing_asked()


def test_an_offline_station_is_refused_and_no_result_follows(order: Order, bay: EVSE) -> None:
    """CMD-03."""
    Station.objects.update(is_online=False)
    assert unlock(order, bay).response.result is REJECTED
    assert (nothing_asked(), said()) == (True, [])


def test_a_silent_station_gives_timeout(order: Order, bay: EVSE) -> None:
    """CMD-07."""
    unlock(order, bay)
    expire_commands(now=Command.objects.get().expires_at)
    assert said() == [Result.TIMEOUT]
