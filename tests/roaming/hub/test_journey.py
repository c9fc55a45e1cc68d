"""A CPO and an eMSP that know nothing but the hub do everything with each other: the whole story over real sockets."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from access.fenced import FencedLocation, Pass, PassWindow
from access.models import Decision
from demo.http import Reply, Request
from roaming.delivery.drain import Drainer
from roaming.hub.presence import check_silent
from roaming.models import Endpoint, HubDocument, HubTrail, Obligation, Party, Platform
from tests.roaming import hub_members as objects
from tests.roaming.hub.peers import HUB, Hub, Peer, parties_of

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "04E1D2C3B4A580"
LOCATION = "sender/locations/UTRECHT-1"


@pytest.fixture(autouse=True)
def members_of_the_hub(cpo: Peer, emsp: Peer) -> None:
    """Both are there before each story; what they were told by joining is not part of it."""
    drain()
    cpo.forget()
    emsp.forget()


def drain() -> None:
    """Send what is owed now, without the rest that a confirmed state has."""
    Obligation.objects.filter(state="PENDING").update(next_at=Now() - timedelta(seconds=1))
    with Drainer(clock=timezone.now, jitter=lambda: 0.0, concurrency=4) as drainer:
        drainer.drain()


def location(cpo: Peer, **members: Any) -> dict[str, Any]:
    return objects.location(cpo.row, **members)


def session(cpo: Peer, emsp: Peer, **members: Any) -> dict[str, Any]:
    return {
        "country_code": cpo.country_code,
        "party_id": cpo.party_id,
        "id": "S1",
        "start_date_time": objects.EIGHT,
        "kwh": 0,
        "cdr_token": cdr_token(emsp),
        "auth_method": "COMMAND",
        "location_id": "UTRECHT-1",
        "evse_uid": "BAY-1",
        "connector_id": "1",
        "currency": "EUR",
        "status": "ACTIVE",
        "last_updated": objects.EIGHT,
    } | members


def cdr_token(emsp: Peer) -> dict[str, str]:
    return {
        "country_code": emsp.country_code,
        "party_id": emsp.party_id,
        "uid": CARD,
        "type": "RFID",
        "contract_id": "NL-EMS-C00000042-7",
    }


def of_module(peer: Peer, module: str) -> list[Request]:
    return [each for each in peer.calls if f"/{module}" in each.path]


def test_a_charge_from_the_map_to_the_bill(hub: Hub, cpo: Peer, emsp: Peer, other: Peer) -> None:
    """HUB-10, HUB-24 to HUB-27, HUB-30, HUB-41, HUB-45, HUB-50, HUB-51, TOK-25, CDR-04: and a third party hears nothing."""
    # The CPO tells everybody of its Location; the eMSP hears of it, and finds it in the list of all.
    assert (
        cpo.ask("PUT", "receiver/locations/NL/TNM/UTRECHT-1", to=HUB, body=location(cpo)).http_status == 201
    )
    drain()
    (told,) = of_module(emsp, "locations")
    assert (told.method, told.json["id"]) == ("PUT", "UTRECHT-1")
    assert parties_of(told) == (emsp.ocpi_id, HUB)
    listed = emsp.ask("GET", "sender/locations", to=HUB)
    assert ([each["id"] for each in listed.data], listed.headers["x-total-count"]) == (["UTRECHT-1"], "1")

    # The eMSP puts its card at the CPO; the CPO asks in real time about one that nobody showed it.
    token = objects.token(emsp.row, CARD)
    assert emsp.ask("PUT", f"receiver/tokens/NL/EMS/{CARD}", to=cpo.ocpi_id, body=token).code == 1000
    assert of_module(cpo, "tokens")[-1].json == token
    verdict = {"allowed": "ALLOWED", "token": token, "authorization_reference": "A-7"}
    emsp.on("/authorize", Reply(data=verdict))
    Party.objects.filter(pk=emsp.row.pk).update(answers_unknown_tokens=True)
    asked = cpo.ask("POST", f"sender/tokens/{CARD}/authorize", body={"location_id": "UTRECHT-1"})
    assert (asked.code, asked.data) == (1000, verdict)
    assert parties_of(asked) == (cpo.ocpi_id, emsp.ocpi_id)

    # A remote start without addressee: the hub knows whose Location it is, and brings the result back.
    cpo.on("START_SESSION", Reply(data={"result": "ACCEPTED", "timeout": 30}))
    command = {"response_url": f"{emsp.url}/odd/results/1", "token": token, "location_id": "UTRECHT-1"}
    started = emsp.ask("POST", "receiver/commands/START_SESSION", body=command)
    assert (started.code, started.data) == (1000, {"result": "ACCEPTED", "timeout": 30})
    result_url = of_module(cpo, "commands")[-1].json["response_url"]
    assert cpo.ask("POST", result_url, to=emsp.ocpi_id, body={"result": "ACCEPTED"}).code == 1000
    (result,) = of_module(emsp, "results")
    assert (result.path, result.json) == ("/odd/results/1", {"result": "ACCEPTED"})

    # Session and bill go to the eMSP alone; the hub keeps neither.
    cpo.ask("PUT", "receiver/sessions/NL/TNM/S1", to=emsp.ocpi_id, body=session(cpo, emsp))
    assert of_module(emsp, "sessions")[-1].json["status"] == "ACTIVE"
    bill = {"id": "C1", "country_code": "NL", "party_id": "TNM", "cdr_token": cdr_token(emsp)}
    emsp.on("POST", Reply(http_status=201, headers={"Location": f"{emsp.url}/odd/bills/77"}))
    emsp.on("GET /odd/bills/77", Reply(data=bill))
    posted = cpo.ask("POST", "receiver/cdrs", body=bill)
    assert (posted.http_status, posted.code) == (201, 1000)
    read = cpo.ask("GET", posted.headers["location"], to=emsp.ocpi_id)
    assert read.data == bill
    assert not HubDocument.objects.filter(module__in=("sessions", "cdrs")).exists()
    assert set(HubTrail.objects.values_list("object_key", flat=True)) == {"S1"}

    # STOP_SESSION without addressee: of the Session the hub knows whose it is, and nothing else.
    cpo.on("STOP_SESSION", Reply(data={"result": "ACCEPTED", "timeout": 30}))
    stop = {"response_url": f"{emsp.url}/odd/results/2", "session_id": "S1"}
    assert emsp.ask("POST", "receiver/commands/STOP_SESSION", body=stop).data["result"] == "ACCEPTED"

    assert other.calls == []
    assert other.ask("GET", "sender/locations", to=HUB).data == []


def test_who_goes_offline_is_announced_and_answered_for(hub: Hub, cpo: Peer, emsp: Peer) -> None:
    """HCI-02, HCI-06, HCI-07, HUB-20: by a PUT to who may know, and with 4003."""
    shown = emsp.call("GET", f"{emsp.hub_url}/ocpi/2.2.1/sender/hubclientinfo").data
    assert ("TNM", "CPO", "CONNECTED") in [(each["party_id"], each["role"], each["status"]) for each in shown]
    Endpoint.objects.create(
        platform=emsp.platform, module="hubclientinfo", role="RECEIVER", url=f"{emsp.url}/odd/hubclientinfo"
    )
    hour_ago = timezone.now() - timedelta(hours=1)
    Platform.objects.update(last_seen_at=hour_ago, connected_at=hour_ago, created_at=hour_ago)
    cpo.stop()
    check_silent(clock=timezone.now)
    drain()
    info = [each.json for each in of_module(emsp, "hubclientinfo")]
    assert [(each["party_id"], each["role"], each["status"]) for each in info][-1] == (
        "TNM",
        "CPO",
        "OFFLINE",
    )
    answer = emsp.ask("GET", "sender/locations", to=cpo.ocpi_id)
    assert (answer.http_status, answer.code) == (200, 4003)


def fenced(cpo: Peer, emsp: Peer | None = None) -> FencedLocation:
    """A fence around the Location, with a pass for the eMSP from eight in the evening to five."""
    fence = FencedLocation.objects.create(
        owner=cpo.row, location_id="UTRECHT-1", name="Utrecht", time_zone="Europe/Amsterdam"
    )
    if emsp is not None:
        granted = Pass.objects.create(fence=fence, party=emsp.row)
        local = datetime.now(UTC)
        PassWindow.objects.create(
            granted=granted,
            weekdays=[1, 2, 3, 4, 5, 6, 7],
            opens=time((local.hour + 6) % 24),
            closes=time((local.hour + 8) % 24),
        )
    return fence


def start(emsp: Peer, cpo: Peer) -> Any:
    command = {
        "response_url": f"{emsp.url}/odd/results/1",
        "token": objects.token(emsp.row, CARD),
        "location_id": "UTRECHT-1",
        "evse_uid": "BAY-1",
    }
    return emsp.ask("POST", "receiver/commands/START_SESSION", to=cpo.ocpi_id, body=command)


def test_behind_a_fence_a_location_does_not_exist(hub: Hub, cpo: Peer, emsp: Peer) -> None:
    """It is not broadcast, not in any list, not by its id, and a start never reaches the CPO."""
    fenced(cpo)
    cpo.ask("PUT", "receiver/locations/NL/TNM/UTRECHT-1", to=HUB, body=location(cpo))
    cpo.ask("PUT", "receiver/locations/NL/TNM/UTRECHT-2", to=HUB, body=location(cpo, id="UTRECHT-2"))
    drain()
    assert [each.json["id"] for each in of_module(emsp, "locations")] == ["UTRECHT-2"]
    listed = emsp.ask("GET", "sender/locations", to=HUB)
    assert ([each["id"] for each in listed.data], listed.headers["x-total-count"]) == (["UTRECHT-2"], "1")
    assert emsp.ask("GET", LOCATION, to=cpo.ocpi_id).http_status == 404
    assert emsp.ask("GET", "sender/locations", to=cpo.ocpi_id).code == 2000
    refused = start(emsp, cpo)
    assert (refused.http_status, refused.code, refused.data["result"]) == (200, 2003, "REJECTED")
    assert cpo.calls == []


def test_a_pass_opens_the_fence_in_its_hours(hub: Hub, cpo: Peer, emsp: Peer) -> None:
    """Seen all day; a start outside the window is refused with the next opening and the receipt, and not sent."""
    fenced(cpo, emsp)
    cpo.ask("PUT", "receiver/locations/NL/TNM/UTRECHT-1", to=HUB, body=location(cpo))
    drain()
    assert [each.json["id"] for each in of_module(emsp, "locations")] == ["UTRECHT-1"]
    refused = start(emsp, cpo)
    receipt = Decision.objects.get()
    assert (refused.code, refused.data["result"], refused.data["timeout"]) == (1000, "REJECTED", 0)
    text = refused.data["message"][0]["text"]
    assert text.startswith("Opens ")
    assert text.endswith(f"(Europe/Amsterdam). Ref {receipt.ref}")
    assert cpo.calls == []
    read = emsp.call("GET", f"{emsp.hub_url}/ocpi/decisions/{receipt.ref}")
    assert (read.data["reason"], read.data["location_id"]) == ("OUTSIDE_WINDOW", "UTRECHT-1")
    PassWindow.objects.update(opens=time(0), closes=time(0))
    cpo.on("START_SESSION", Reply(data={"result": "ACCEPTED", "timeout": 30}))
    assert start(emsp, cpo).data["result"] == "ACCEPTED"
    assert len(of_module(cpo, "commands")) == 1
