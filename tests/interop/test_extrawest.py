"""Whole flows with an eMSP that this project did not write: the package extrawest-ocpi, in a process of its own.

It is odd in many ways, and most of them are allowed: ids change their case, absent members are null, URLs end in a
slash, errors are {"detail": …}, a wrong token is HTTP 403, what was stored comes back as data. The tests build
on each other, as a connection does.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chargers.simulator import Vehicle
from config.datadir import ROOT
from demo.partner import Partner
from demo.stage import Stations
from tests.interop.other_side import Peer, a_peer
from tests.stacks import RunningStack, a_stack, wait_for

pytestmark = pytest.mark.interop

NAME = "Randstad Taxi"
BASE = "/ocpi/emsp/2.2.1"
SOON = 30
CARD = {
    "country_code": "NL", "party_id": "EMS", "uid": "04A2B3C4D5E680", "type": "RFID",
    "contract_id": "NL-EMS-C00000042-7", "issuer": NAME, "valid": True, "whitelist": "NEVER",
    "last_updated": "2026-03-11T08:00:00Z",
}  # fmt: skip
APP = CARD | {"uid": "DRIVER-17", "type": "APP_USER"}


@dataclass
class Scene:
    """Our stack, their platform, and the depot's stations."""

    stack: RunningStack
    peer: Peer
    stations: Stations

    def manage(self, *command: str) -> Any:
        """Run a management command and return what it handed over."""
        return json.loads(self.stack.output(*command, "--json"))

    def deliveries(self, **wanted: str) -> list[dict[str, Any]]:
        """What we owe them, or have told them."""
        listed: list[dict[str, Any]] = self.manage("deliveries", "--limit", "500")
        return [each for each in listed if wanted.items() <= each.items()]

    def open_depot(self) -> None:
        """Load the example depot; its guests may come from this minute on."""
        now = datetime.now(UTC).astimezone(ZoneInfo("Europe/Brussels"))
        hours = f'opens: "{now:%H:%M}", closes: "{now + timedelta(hours=3):%H:%M}"'
        text = (ROOT / "examples" / "gent-noord.yaml").read_text()
        file = self.stack.folder / "gent-noord.yaml"
        file.write_text(text.replace('opens: "20:00", closes: "05:00"', hours))
        self.manage("load_depot", str(file))


@pytest.fixture(scope="module")
def scene(test_data_dir: Path) -> Iterator[Scene]:
    quick = {"SESSION_UPDATE_SECONDS": "1", "OCPP_METER_INTERVAL_SECONDS": "2"}
    with a_peer() as peer, a_stack(test_data_dir, **quick) as stack:
        assert stack.addresses is not None
        stations = Stations(stack.addresses.ocpp)
        stack.output("add_party", "--country", "BE", "--party", "YRD", "--name", "Yardgate Depots")
        yield Scene(stack, peer, stations)
        stations.stop()


def test_it_registers_with_us(scene: Scene) -> None:
    """CRD-10, CRD-12: it announces its role in lower case; we call back before we answer, and its token A is over."""
    who = ("--country", "NL", "--party", "EMS", "--name", NAME)
    invitation = scene.manage("invite_partner", *who)
    answer = scene.peer.do("register", versions_url=invitation["versions_url"], token_a=invitation["token_a"])
    assert (answer["http"], answer["answer"]["status_code"]) == (200, 1000)
    assert Partner().call("GET", invitation["versions_url"], token=invitation["token_a"]).http_status == 401
    assert scene.peer.log() == [
        ("GET", "/ocpi/versions", 200), ("GET", "/ocpi/2.2.1/details", 200),
    ]  # fmt: skip
    assert scene.stack.rows(
        "SELECT country_code, party_id FROM roaming_party WHERE platform_id IS NOT NULL"
    ) == [("NL", "EMS")]


def test_it_is_told_that_we_leave(scene: Scene) -> None:
    """CRD-36: DELETE, and afterwards it lets our token in no more."""
    scene.stack.output("unregister_partner", "--name", NAME)
    assert scene.peer.log()[-1] == ("DELETE", f"{BASE}/credentials/", 200)
    assert scene.stack.rows("SELECT status FROM roaming_platform") == [("UNREGISTERED",)]


def test_we_register_with_it(scene: Scene) -> None:
    """CRD-28: its credentials endpoint ends in a slash and has the role RECEIVER."""
    before = len(scene.peer.log())
    theirs = scene.peer.do("invite")
    scene.manage(
        "register_partner",
        "--versions-url",
        theirs["versions_url"],
        "--token-a",
        theirs["token_a"],
        "--name",
        NAME,
    )
    assert scene.peer.log()[before:] == [
        ("GET", "/ocpi/versions", 200), ("GET", "/ocpi/2.2.1/details", 200), ("POST", f"{BASE}/credentials/", 200),
    ]  # fmt: skip
    assert scene.stack.rows("SELECT status FROM roaming_platform") == [("CONNECTED",)]
    [ours] = scene.peer.memory()["registered"]["credentials"]["roles"]
    assert (ours["role"], ours["country_code"], ours["party_id"]) == ("CPO", "be", "yrd")


def test_we_rotate_with_it(scene: Scene) -> None:
    """CRD-33: PUT, and what follows goes with the new token."""
    [before] = scene.stack.rows("SELECT outbound_token FROM roaming_platform")
    scene.manage("rotate_credentials", "--name", NAME)
    assert scene.peer.log()[-1] == ("PUT", f"{BASE}/credentials/", 200)
    assert scene.stack.rows("SELECT outbound_token FROM roaming_platform") != [before]


def test_what_it_refuses_wrongly_is_parked_and_told(scene: Scene) -> None:
    """Its library takes a status_schedule for one object, and answers HTTP 422 without an envelope: one try."""
    scene.open_depot()
    assert wait_for(lambda: len(scene.peer.objects("tariffs")) == 1, SOON)
    assert wait_for(lambda: scene.deliveries(kind="location", state="PARKED"), SOON)
    [location] = scene.deliveries(kind="location")
    assert location["reason"] == "The partner's server refused it. Ask the partner, then replay."
    time.sleep(3)
    tried = [entry for entry in scene.peer.log() if "/locations/" in entry[1]]
    assert [(method, status) for method, _, status in tried] == [("PUT", 422)]


def test_it_takes_our_locations_and_tariffs(scene: Scene) -> None:
    """Once it is repaired and we replay: what it holds is what we publish, but for the case of ids."""
    scene.peer.do("repair")
    [location] = scene.deliveries(kind="location")
    scene.manage("deliveries", "--replay", str(location["id"]))
    assert wait_for(lambda: len(scene.peer.objects("locations")) == 1, SOON)
    [location] = scene.peer.objects("locations").values()
    assert [each["evse_id"] for each in location["evses"]] == ["be*yrd*e0001", "be*yrd*e0002"]
    [tariff] = scene.peer.objects("tariffs").values()
    assert (tariff["id"], tariff["currency"]) == ("gent-taxi", "EUR")


def test_it_takes_a_change_of_a_bay(scene: Scene) -> None:
    """The stations boot: a PATCH for each bay, accepted."""
    scene.stations.start()
    assert wait_for(lambda: _statuses(scene.peer) == {"AVAILABLE"}, SOON), _statuses(scene.peer)
    patched = [path for method, path, status in scene.peer.log() if (method, status) == ("PATCH", 200)]
    assert len(patched) >= 2
    assert wait_for(lambda: not scene.deliveries(state="PENDING"), SOON)
    assert {each["state"] for each in scene.deliveries()} == {"ACKED"}


def test_it_reads_our_lists(scene: Scene) -> None:
    """Its own types take every object that we serve; they equal what it was pushed, bay by bay."""
    tariffs, locations = (scene.peer.do("read", module=module) for module in ("tariffs", "locations"))
    assert (tariffs["pages"], tariffs["objects"]) == (1, list(scene.peer.objects("tariffs").values()))
    [read], [held] = locations["objects"], scene.peer.objects("locations").values()
    # Its library does not date the Location when a bay of it is patched.
    assert read | {"last_updated": "", "evses": _by_uid(read)} == held | {
        "last_updated": "",
        "evses": _by_uid(held),
    }


def test_its_tokens_are_pulled_and_put(scene: Scene) -> None:
    """TOK-07: nulls in every absent member, ids in lower case, seconds without a fraction."""
    scene.peer.do("card", token=CARD)
    said = scene.stack.output("pull_tokens", "--full")
    assert said.strip() == f"{NAME}: 1 received, 1 new or changed, 0 broken, 0 foreign."
    scene.peer.do("card", token=APP)
    pushed = scene.peer.do("push", uid=APP["uid"].lower())
    assert (pushed["http"], pushed["answer"]["status_code"]) == (201, 1000)
    again = scene.peer.do("push", uid=CARD["uid"].lower())
    assert (again["http"], again["answer"]["status_code"]) == (200, 1000)
    rows = scene.stack.rows("SELECT uid, type FROM tokens_token ORDER BY uid")
    assert [(uid.upper(), kind) for uid, kind in rows] == [(CARD["uid"], "RFID"), (APP["uid"], "APP_USER")]


def test_it_authorizes_a_card_in_real_time(scene: Scene) -> None:
    """It answers with a list of one AuthorizationInfo, and with a place in lower case: the driver charges."""
    evse = _evse(scene.peer, "be*yrd*e0002")
    scene.stations.run(lambda: scene.stations.slow.plug(1, Vehicle(max_w=Decimal(22_000))))
    shown = scene.stations.do(scene.stations.slow.tap(1, CARD["uid"]))
    asked = scene.peer.memory()["asked"]
    assert (shown, [each["evse_uids"] for each in asked]) == ("Accepted", [[evse["uid"]]])
    assert wait_for(lambda: _sessions(scene.peer, CARD, "ACTIVE"), SOON)
    assert wait_for(lambda: _sessions(scene.peer, CARD, "ACTIVE")[0]["kwh"] > 0, SOON)
    [session] = _sessions(scene.peer, CARD, "ACTIVE")
    assert session["authorization_reference"] == "extrawest-1"
    scene.stations.do(scene.stations.slow.tap(1, CARD["uid"]))
    assert wait_for(lambda: _sessions(scene.peer, CARD, "COMPLETED"), SOON)
    scene.stations.run(lambda: scene.stations.slow.unplug(1))


def test_a_card_that_it_refuses_does_not_charge(scene: Scene) -> None:
    scene.peer.do("card", token=CARD, verdict={"allowed": "BLOCKED"})
    sessions = scene.stack.rows("SELECT count(*) FROM charging_sessions_session")
    assert scene.stations.do(scene.stations.slow.tap(1, CARD["uid"])) == "Blocked"
    assert scene.stack.rows("SELECT count(*) FROM charging_sessions_session") == sessions
    assert len(scene.peer.memory()["asked"]) == 2


def test_it_starts_and_stops_a_session(scene: Scene) -> None:
    """Its commands name everything in lower case and with nulls; each result comes to its response_url."""
    token = scene.peer.objects("tokens")[APP["uid"].lower()]
    evse = _evse(scene.peer, "be*yrd*e0001")
    [location] = scene.peer.objects("locations").values()
    where = {"token": token, "location_id": location["id"], "evse_uid": evse["uid"]}
    started = scene.peer.do("command", name="START_SESSION", uid="start-1", members=where)
    assert (started["http"], started["answer"]["data"]["result"]) == (200, "ACCEPTED")
    assert wait_for(lambda: scene.peer.objects("commands").get("start-1"), SOON)["result"] == "ACCEPTED"
    scene.stations.run(lambda: scene.stations.fast.plug(1, Vehicle(max_w=Decimal(150_000))))
    assert wait_for(lambda: [each for each in _sessions(scene.peer, APP, "ACTIVE") if each["kwh"]], SOON)
    [session] = _sessions(scene.peer, APP, "ACTIVE")
    stopped = scene.peer.do(
        "command", name="STOP_SESSION", uid="stop-1", members={"session_id": session["id"]}
    )
    assert (stopped["http"], stopped["answer"]["data"]["result"]) == (200, "ACCEPTED")
    assert wait_for(lambda: scene.peer.objects("commands").get("stop-1"), SOON)["result"] == "ACCEPTED"
    assert wait_for(lambda: _sessions(scene.peer, APP, "COMPLETED"), SOON)
    scene.stations.run(lambda: scene.stations.fast.unplug(1))


def test_it_takes_both_cdrs(scene: Scene) -> None:
    """CDR-02: it states a Location with another scheme that leads nowhere; each CDR goes once all the same."""
    assert wait_for(lambda: len(scene.peer.objects("cdrs")) == 2, SOON)
    posted = [
        status for method, path, status in scene.peer.log() if (method, path) == ("POST", f"{BASE}/cdrs/")
    ]
    assert posted == [200, 200]
    cdrs = {cdr["cdr_token"]["uid"]: cdr for cdr in scene.peer.objects("cdrs").values()}
    for card in (CARD, APP):
        [session] = _sessions(scene.peer, card, "COMPLETED")
        cdr = cdrs[card["uid"].lower()]
        assert (cdr["session_id"], cdr["total_cost"]) == (session["id"], session["total_cost"])
    assert {each["state"] for each in scene.deliveries(kind="cdr")} == {"ACKED"}
    assert scene.manage("check_books")["is_balanced"] is True


def test_a_refused_token_stops_the_lane_without_hammering(scene: Scene) -> None:
    """It answers HTTP 403 {"detail": ""}: one try, then silence until there is another token."""
    assert wait_for(lambda: not scene.deliveries(state="PENDING"), SOON)
    scene.peer.do("doors", closed=True)
    before = len(scene.peer.log())
    scene.stations.run(lambda: scene.stations.slow.plug(1, Vehicle(max_w=Decimal(22_000))))
    assert wait_for(lambda: _breakers(scene) == {"static": "AUTH_BLOCKED"}, SOON), _breakers(scene)
    time.sleep(8)
    refused = scene.peer.log()[before:]
    assert {status for *_, status in refused} == {403}
    assert len(refused) <= 2
    scene.peer.do("doors", closed=False)
    scene.manage("rotate_credentials", "--name", NAME)
    assert wait_for(lambda: not scene.deliveries(state="PENDING"), SOON)
    assert _breakers(scene) == {}
    scene.stations.run(lambda: scene.stations.slow.unplug(1))


def test_nothing_that_it_answered_was_a_surprise(scene: Scene) -> None:
    """No fault of ours in any log, and nothing parked."""
    assert wait_for(lambda: not scene.deliveries(state="PENDING"), SOON)
    assert {each["state"] for each in scene.deliveries()} == {"ACKED"}
    logs = "\n".join(file.read_text() for file in (scene.stack.folder / "logs").glob("*.log"))
    assert "Traceback" not in logs


def _statuses(peer: Peer) -> set[str]:
    return {evse["status"] for each in peer.objects("locations").values() for evse in each["evses"]}


def _by_uid(location: dict[str, Any]) -> dict[str, Any]:
    return {evse["uid"]: evse for evse in location["evses"]}


def _evse(peer: Peer, evse_id: str) -> dict[str, Any]:
    [location] = peer.objects("locations").values()
    found: dict[str, Any] = next(each for each in location["evses"] if each["evse_id"] == evse_id)
    return found


def _sessions(peer: Peer, card: dict[str, Any], status: str) -> list[dict[str, Any]]:
    wanted = (card["uid"].lower(), status)
    held = peer.objects("sessions").values()
    return [each for each in held if (each["cdr_token"]["uid"], each["status"]) == wanted]


def _breakers(scene: Scene) -> dict[str, str]:
    """The lanes that do not flow."""
    return dict(scene.stack.rows("SELECT name, breaker FROM roaming_lane WHERE breaker <> 'CLOSED'"))
