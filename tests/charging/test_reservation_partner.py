"""Reservations as the partner's platform lives through them, over real sockets in both directions."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access.models import Grant
from chargers.models import Station
from charging import reservations, stations
from charging.answers import Outcome, station_answered
from charging.models import Command, Reservation
from config import depot_file, depots
from config.datadir import ROOT
from demo.http import Answer
from locations.models import EVSE
from roaming.models import Obligation
from sessions.models import Session
from tests.charging.booking import make_reservable
from tests.partner_platform import Partner, connect, partner, yardgate  # noqa: F401  # fixtures
from tests.roaming.deliveries import drain, let_pass

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def taxi(yardgate: str, partner: Partner) -> Partner:
    """Randstad Taxi, connected, with the run of the guest bays of Gent Noord at any hour; both can be reserved."""
    connect(partner, yardgate)
    now = timezone.now()
    depots.load(file=depot_file.read(ROOT / "examples" / "gent-noord.yaml"), now=now)
    make_reservable()
    schedule = Grant.objects.get().schedule
    schedule.windows.update(opens="00:00", closes="00:00")
    schedule.exceptions.all().delete()
    stations.connected(station_identity="GENT-01", now=now)
    stations.connector_status(
        station_identity="GENT-01", ocpp_connector=1, status="Available", at=now, now=now
    )
    Station.objects.update(is_online=True)
    return partner


def reserve(taxi: Partner) -> tuple[Answer, str]:
    """RESERVE_NOW of bay 1, with a query in the response_url; the path of its results."""
    bay = EVSE.objects.get(station_identity="GENT-01")
    answer, uid = taxi.command(
        "RESERVE_NOW",
        token=taxi.add_token("driver-17", type="APP_USER"),
        location_id=bay.location.ocpi_id,
        evse_uid=bay.uid,
        reservation_id="R1",
        expiry_date=(timezone.now() + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        authorization_reference="R-17",
    )
    assert (answer.http_status, answer.code, answer.data["result"]) == (200, 1000, "ACCEPTED")
    return answer, f"/commands/RESERVE_NOW/{uid}"


def station_says(word: str) -> None:
    command = Command.objects.get(state="SENT")
    station_answered(purpose=f"command:{command.pk}", outcome=Outcome(word), now=timezone.now())


def send() -> None:
    let_pass(60)
    drain()


def test_the_partner_is_told_the_session_and_the_result(taxi: Partner) -> None:
    """CMD-19, SES-13, CMD-04, CMD-05, MID-07: our credentials, ids, and the routing pair the other way round."""
    answer, path = reserve(taxi)
    drain()
    session = Session.objects.get()
    known = taxi.sessions["BE", "YRD", str(session.pk)]
    assert (known["status"], known["auth_method"], known["kwh"]) == ("RESERVATION", "COMMAND", 0)
    assert (known["authorization_reference"], known["evse_uid"]) == ("R-17", session.evse.uid)
    assert taxi.received("POST", path) == []
    station_says("Accepted")
    drain()
    (result,) = taxi.received("POST", path)
    assert (result.json, result.query) == ({"result": "ACCEPTED"}, {})
    assert result.token in taxi.accepted
    routing = {name: value for name, value in result.headers.items() if name.startswith("ocpi-")}
    assert routing == {
        "ocpi-from-country-code": "BE",
        "ocpi-from-party-id": "YRD",
        "ocpi-to-country-code": "NL",
        "ocpi-to-party-id": "EMS",
    }
    assert result.headers["x-correlation-id"] == answer.headers["x-correlation-id"]
    assert result.headers["x-request-id"] not in ("", answer.headers["x-request-id"])


def test_a_result_that_is_not_taken_is_not_sent_again(taxi: Partner) -> None:
    """CMD-08: the partner answers 500; one call, however often we look."""
    _, path = reserve(taxi)
    taxi.fail("http", on=path, status=500)
    station_says("Accepted")
    for _ in range(3):
        drain()
    assert len(taxi.received("POST", path)) == 1
    assert Obligation.objects.get(kind="command_result").state != Obligation.State.PENDING


def test_our_own_cancellation_goes_to_the_url_of_the_reservation(taxi: Partner) -> None:
    """CMD-23: after its result, to the same URL; the Session ends as INVALID."""
    _, path = reserve(taxi)
    station_says("Accepted")
    drain()
    row = Reservation.objects.get()
    assert reservations.withdraw(
        reservation=row, reason="operator", message="Bay needed.", now=timezone.now()
    )
    drain()
    assert [each.json["result"] for each in taxi.received("POST", path)] == [
        "ACCEPTED",
        "CANCELED_RESERVATION",
    ]
    send()
    assert taxi.sessions["BE", "YRD", str(row.session_id)]["status"] == "INVALID"


def test_an_unknown_reservation_is_told_in_the_result(taxi: Partner) -> None:
    """CMD-22."""
    answer, uid = taxi.command("CANCEL_RESERVATION", reservation_id="NEVER-MADE")
    assert (answer.code, answer.data["result"]) == (1000, "ACCEPTED")
    drain()
    assert taxi.command_results[uid] == {"result": "UNKNOWN_RESERVATION"}


def test_an_expired_reservation_is_told_as_completed(taxi: Partner) -> None:
    """SES-14: by a PUT of the whole Session."""
    reserve(taxi)
    station_says("Accepted")
    drain()
    reservations.expire_due(now=timezone.now() + timedelta(hours=2))
    send()
    (known,) = taxi.sessions.values()
    assert (known["status"], known["total_cost"]["excl_vat"]) == ("COMPLETED", 0)
    assert "RESERVATION_TIME" in str(known["charging_periods"])
