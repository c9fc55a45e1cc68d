"""The OCPI face of commands over real HTTP: what leaves the house, and what bad input gets."""

import pytest
from django.utils import timezone

from access.models import Decision, Grant
from chargers.models import Station, StationCall
from charging import stations
from charging.models import Command
from config import depot_file, depots
from config.datadir import ROOT
from locations.models import EVSE
from roaming.models import Obligation
from sessions.models import Session
from tests.partner_platform import Partner, connect, partner, yardgate  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def taxi(yardgate: str, partner: Partner) -> Partner:
    """Randstad Taxi, connected, with the run of the guest bays of Gent Noord at any hour."""
    connect(partner, yardgate)
    file = depot_file.read(ROOT / "examples" / "gent-noord.yaml")
    now = timezone.now()
    depots.load(file=file, now=now)
    schedule = Grant.objects.get().schedule
    schedule.windows.update(opens="00:00", closes="00:00")
    schedule.exceptions.all().delete()
    for identity in ("GENT-01", "GENT-02"):
        stations.connected(station_identity=identity, now=now)
        stations.connector_status(
            station_identity=identity, ocpp_connector=1, status="Available", at=now, now=now
        )
    Station.objects.update(is_online=True)
    return partner


@pytest.fixture
def evse(taxi: Partner) -> EVSE:
    return EVSE.objects.get(station_identity="GENT-01")


def start(taxi: Partner, evse: EVSE, **members: object) -> dict[str, object]:
    token = taxi.add_token("driver-17", type="APP_USER")
    return {"token": token, "location_id": evse.location.ocpi_id, "evse_uid": evse.uid} | members


def nothing_happened() -> bool:
    rows = (Session, StationCall, Command)
    return (
        not any(model.objects.exists() for model in rows)
        and not Obligation.objects.filter(kind="command_result").exists()
    )


def test_an_accepted_start_answers_at_once_in_the_envelope(taxi: Partner, evse: EVSE) -> None:
    """CMD-01, CMD-02, HUB-02."""
    answer, _ = taxi.command("START_SESSION", **start(taxi, evse))
    assert (answer.http_status, answer.code, answer.data["result"]) == (200, 1000, "ACCEPTED")
    assert answer.data["timeout"] == 45
    assert answer.headers["ocpi-to-party-id"] == "EMS"
    assert answer.headers["ocpi-from-party-id"] == "YRD"
    assert StationCall.objects.get().action == "RemoteStartTransaction"


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.7/results",
        "http://evil.example/results",
        "http://127.0.0.1@evil.example/results",
        "ftp://127.0.0.1/results",
        "http://127.0.0.1:1/results#fragment",
        "not a url",
    ],
)
def test_a_response_url_that_is_not_the_partners_is_refused(taxi: Partner, evse: EVSE, url: str) -> None:
    """CMD-09, O6, O7: nothing is stored and no station is asked."""
    answer, _ = taxi.command("START_SESSION", **start(taxi, evse, response_url=url))
    assert (answer.http_status, answer.code) == (200, 2001)
    assert "response_url" in answer.json["status_message"]
    assert nothing_happened()


def test_an_unknown_command_word_is_refused(taxi: Partner, evse: EVSE) -> None:
    """CMD-10."""
    answer, _ = taxi.command("FLY_AWAY", **start(taxi, evse))
    assert (answer.http_status, answer.code) == (200, 2001)
    assert nothing_happened()


@pytest.mark.parametrize("missing", ["token", "location_id", "response_url"])
def test_a_missing_member_is_named(taxi: Partner, evse: EVSE, missing: str) -> None:
    """CMD-10."""
    answer, _ = taxi.command("START_SESSION", **start(taxi, evse, **{missing: None}))
    assert (answer.http_status, answer.code) == (200, 2001)
    assert missing in answer.json["status_message"]
    assert nothing_happened()


def test_a_connector_without_its_evse_is_refused(taxi: Partner, evse: EVSE) -> None:
    """CMD-12."""
    answer, _ = taxi.command("START_SESSION", **start(taxi, evse, evse_uid=None, connector_id="1"))
    assert (answer.http_status, answer.code) == (200, 2001)
    assert nothing_happened()


def test_an_unknown_location_is_2003_with_a_rejection_inside(taxi: Partner, evse: EVSE) -> None:
    """STS-04, CMD-11."""
    answer, _ = taxi.command("START_SESSION", **start(taxi, evse, location_id="NOWHERE"))
    assert (answer.http_status, answer.code, answer.data["result"]) == (200, 2003, "REJECTED")
    assert nothing_happened()


def test_a_token_that_was_never_put_is_not_checked_and_not_stored(taxi: Partner, evse: EVSE) -> None:
    """CMD-14, CMD-17."""
    token = start(taxi, evse)["token"]
    answer, _ = taxi.command("START_SESSION", **start(taxi, evse))
    assert answer.data["result"] == "ACCEPTED"
    endpoint = taxi.endpoints["tokens", "RECEIVER"]
    found = taxi.call("GET", f"{endpoint}/NL/EMS/{token['uid']}?type=APP_USER", headers=taxi.routing())
    assert found.http_status == 404


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("RESERVE_NOW", "expiry_date"),
        ("RESERVE_NOW", "reservation_id"),
        ("CANCEL_RESERVATION", "reservation_id"),
        ("UNLOCK_CONNECTOR", "location_id"),
        ("UNLOCK_CONNECTOR", "evse_uid"),
        ("UNLOCK_CONNECTOR", "connector_id"),
    ],
)
def test_each_command_needs_all_its_members(taxi: Partner, evse: EVSE, command: str, missing: str) -> None:
    """CMD-10, CMD-25: UNLOCK_CONNECTOR needs all three ids."""
    members = start(taxi, evse, expiry_date="2030-01-01T00:00:00Z", reservation_id="R1", connector_id="1")
    answer, _ = taxi.command(command, **{name: value for name, value in members.items() if name != missing})
    assert (answer.http_status, answer.code) == (200, 2001)
    assert missing in answer.json["status_message"]
    assert nothing_happened()


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
def test_only_post_is_a_command(taxi: Partner, method: str) -> None:
    """HTP-01."""
    url = f"{taxi.endpoints['commands', 'RECEIVER']}/START_SESSION"
    answer = taxi.call(method, url, headers=taxi.routing())
    assert (answer.http_status, answer.headers["allow"]) == (405, "POST")


def test_a_partner_reads_its_own_receipt_and_nobody_elses(taxi: Partner, evse: EVSE, yardgate: str) -> None:
    taxi.command("START_SESSION", **start(taxi, evse))
    receipt = Decision.objects.get()
    answer = taxi.call("GET", f"{yardgate}/ocpi/decisions/{receipt.ref}")
    assert (answer.code, answer.data["outcome"], answer.data["ref"]) == (1000, "ALLOW", receipt.ref)
    assert "trace" not in answer.data
    Decision.objects.update(party=None)
    assert taxi.call("GET", f"{yardgate}/ocpi/decisions/{receipt.ref}").http_status == 404
    assert taxi.call("GET", f"{yardgate}/ocpi/decisions/{receipt.ref}", token="wrong").http_status == 401
