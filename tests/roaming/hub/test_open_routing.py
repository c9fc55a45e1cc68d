"""Requests that name nobody: the hub finds out whom they concern."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils import timezone

from demo.http import Reply, Request
from roaming.models import HubDocument, HubTrail, Obligation, Party
from tests.roaming.hub.peers import HUB, OWN, Hub, Peer, Script, parties_of, routing

MORNING = "2026-03-11T08:00:00Z"
CDR = {
    "country_code": "NL", "party_id": "TNM", "id": "CDR1",
    "cdr_token": {"country_code": "NL", "party_id": "EMS", "uid": "04A2"},
}  # fmt: skip
SESSION = CDR | {"id": "SES1"}


def document(owner: Peer, module: str, key: str, **values: Any) -> None:
    """Something that the hub keeps of a broadcast."""
    HubDocument.objects.create(
        recipient=Party.objects.get(role="HUB"), owner=owner.row, module=module, object_key=key, document=b"{}",
        last_updated=timezone.now(), **values,
    )  # fmt: skip


def command(emsp: Peer, **members: Any) -> dict[str, Any]:
    return {"response_url": f"{emsp.url}/odd/r"} | members


@pytest.fixture
def second(hub: Hub, emsp: Peer) -> Peer:
    """A second CPO, Laadpunt (BE-LPT), which has an agreement with Randstad Taxi."""
    peer = hub.join("Laadpunt", "BE", "LPT", "CPO")
    hub.agree(emsp, peer)
    return peer


class TestFound:
    def test_a_cdr_goes_to_the_owner_of_its_token(self, hub: Hub, cpo: Peer, emsp: Peer, other: Peer) -> None:
        """HUB-45, HUB-46: only there; TO is filled in, FROM unchanged, and the answer names the chosen one."""
        hub.agree(cpo, other)
        answer = cpo.ask("POST", "receiver/cdrs", body=CDR)
        assert (answer.code, parties_of(answer)) == (1000, (cpo.ocpi_id, emsp.ocpi_id))
        assert parties_of(emsp.only_call) == (emsp.ocpi_id, cpo.ocpi_id)
        assert other.calls == []

    def test_a_session_and_its_changes(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-45, HUB-47: PUT by its token; PATCH and GET by what the PUT has taught."""
        path = "receiver/sessions/NL/TNM/SES1"
        assert cpo.ask("PUT", path, body=SESSION).code == 1000
        assert cpo.ask("PATCH", path, body={"kwh": 1, "last_updated": MORNING}).code == 1000
        assert cpo.ask("GET", path).code == 1000
        assert [call.method for call in emsp.calls] == ["PUT", "PATCH", "GET"]

    def test_a_session_leads_back_to_its_cpo(self, cpo: Peer, emsp: Peer, second: Peer) -> None:
        """HUB-45, HUB-47: preferences, STOP_SESSION and profiles, by the id alone, in any case."""
        cpo.ask("PUT", "receiver/sessions/NL/TNM/SES1", to=emsp.ocpi_id, body=SESSION)
        preferences = {"profile_type": "CHEAP"}
        url = f"{emsp.url}/odd/r"
        answers = [
            emsp.ask("PUT", "sender/sessions/ses1/charging_preferences", body=preferences),
            emsp.ask("PUT", "sender/sessions/SES1/charging_preferences", to=HUB, body=preferences),
            emsp.ask("POST", "receiver/commands/STOP_SESSION", body=command(emsp, session_id="SES1")),
            emsp.ask("GET", f"receiver/chargingprofiles/SES1?duration=60&response_url={url}"),
            emsp.ask("DELETE", f"receiver/chargingprofiles/SES1?response_url={url}"),
        ]
        assert [(each.code, parties_of(each)) for each in answers] == [
            (1000, (emsp.ocpi_id, cpo.ocpi_id))
        ] * 5
        assert {parties_of(call) for call in cpo.calls} == {(cpo.ocpi_id, emsp.ocpi_id)}
        assert second.calls == []

    def test_a_location_leads_to_its_cpo(self, cpo: Peer, emsp: Peer, second: Peer) -> None:
        """HUB-45, HUB-47: by what was broadcast, or pushed to somebody."""
        document(second, "locations", "LOC2")
        cpo.ask("PUT", "receiver/locations/NL/TNM/LOC1", to=emsp.ocpi_id, body={"id": "LOC1"})
        start = command(emsp, location_id="LOC2", token={})
        assert emsp.ask("GET", "sender/locations/LOC1/E1").code == 1000
        assert emsp.ask("POST", "receiver/commands/START_SESSION", body=start).code == 1000
        assert [call.path.rpartition("/")[2] for call in (*cpo.calls, *second.calls)] == [
            "E1",
            "START_SESSION",
        ]

    def test_what_leads_nowhere_else_is_asked_of_our_own_cpo(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-45, HUB-46: TO is filled in for it too."""
        answer = emsp.ask("GET", "sender/locations/LOC9")
        assert (answer.http_status, answer.code, parties_of(answer)) == (404, 2003, (emsp.ocpi_id, OWN))
        stop = emsp.ask("POST", "receiver/commands/STOP_SESSION", body=command(emsp, session_id="S9"))
        assert (stop.code, stop.data["result"]) == (1000, "UNKNOWN_SESSION")
        assert cpo.calls == []

    def test_a_body_is_read_once_for_the_hub_and_once_for_the_view(self, emsp: Peer) -> None:
        """HUB-45: what the hub looked at to find the addressee is still there for it."""
        body = command(emsp, location_id="LOC9", token={})
        answer = emsp.ask("POST", "receiver/commands/START_SESSION", body=body)
        assert (answer.code, answer.json["status_message"].partition(":")[0]) == (2001, "token.country_code")


class TestNotFound:
    def test_a_cdr_for_a_token_that_nobody_owns(self, cpo: Peer, emsp: Peer, other: Peer) -> None:
        """HUB-48: 4001; the same for an owner that has no agreement with the sender."""
        for party_id, country_code in (("ZZZ", "ZZ"), ("RMO", "DE")):
            token = {"country_code": country_code, "party_id": party_id}
            answer = cpo.ask("POST", "receiver/cdrs", body=CDR | {"cdr_token": token})
            assert (answer.http_status, answer.code, parties_of(answer)) == (200, 4001, (cpo.ocpi_id, HUB))
        assert cpo.ask("POST", "receiver/cdrs", body=CDR | {"cdr_token": {}}).code == 4001
        assert (emsp.calls, other.calls, Obligation.objects.count()) == ([], [], 0)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("PATCH", "receiver/sessions/NL/TNM/SES9"), ("GET", "receiver/sessions/NL/TNM/SES9"),
            ("GET", "receiver/cdrs/CDR9"), ("PUT", "sender/chargingprofiles/SES9"), ("POST", "sender/commands/X/1"),
        ],
    )  # fmt: skip
    def test_what_nothing_is_known_of(self, cpo: Peer, emsp: Peer, method: str, path: str) -> None:
        """HUB-48."""
        answer = cpo.ask(method, path, **({} if method == "GET" else {"body": {}}))
        assert (answer.http_status, answer.code) == (200, 4001)
        assert emsp.calls == []

    def test_without_a_cpo_of_ours_nobody_is_left(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-48."""
        Party.objects.filter(platform=None, role="CPO").update(is_active=False)
        assert emsp.ask("GET", "sender/locations/LOC9").code == 4001
        assert cpo.calls == []

    def test_an_id_of_two_parties_is_not_guessed(self, cpo: Peer, emsp: Peer, second: Peer) -> None:
        """HUB-48: nobody takes over an id by pushing it too."""
        for owner in (cpo, second):
            HubTrail.objects.create(module="sessions", object_key="SES1", owner=owner.row)
        stop = emsp.ask("POST", "receiver/commands/STOP_SESSION", body=command(emsp, session_id="SES1"))
        assert (stop.http_status, stop.code) == (200, 4001)
        assert (cpo.calls, second.calls) == ([], [])

    def test_ids_of_parties_without_an_agreement_lead_nowhere(
        self, cpo: Peer, emsp: Peer, other: Peer
    ) -> None:
        """HUB-28: as if nobody had ever heard of them."""
        HubTrail.objects.create(module="sessions", object_key="SES1", owner=cpo.row)
        body = command(other, session_id="SES1")
        stop = other.ask("POST", "receiver/commands/STOP_SESSION", body=body)
        assert (stop.code, stop.data["result"]) == (1000, "UNKNOWN_SESSION")
        assert cpo.calls == []

    @pytest.mark.parametrize("module", ["locations", "tokens", "cdrs", "sessions", "tariffs"])
    def test_lists(self, cpo: Peer, emsp: Peer, module: str) -> None:
        """HUB-47: that would be GET all."""
        answer = emsp.ask("GET", f"sender/{module}")
        assert (answer.http_status, answer.code) == (200, 2001)
        assert cpo.calls == []

    def test_cdrs_and_sessions_for_the_hub_itself(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-39, H3."""
        for method, path in (("POST", "receiver/cdrs"), ("PUT", "receiver/sessions/NL/TNM/SES1")):
            answer = cpo.ask(method, path, to=HUB, body=SESSION)
            assert (answer.http_status, answer.code) == (200, 2000)
        assert (emsp.calls, Obligation.objects.count()) == ([], 0)

    def test_objects_of_others_are_not_broadcast(self, cpo: Peer, emsp: Peer) -> None:
        """OBJ-10."""
        assert cpo.ask("PUT", "receiver/locations/DE/RMO/LOC1", body={}).http_status == 404
        assert (emsp.calls, Obligation.objects.count()) == ([], 0)


class TestAuthorization:
    @pytest.fixture
    def emsps(self, hub: Hub, cpo: Peer, emsp: Peer, other: Peer) -> list[Peer]:
        """Three eMSPs, each agreed with the CPO and ready to be asked; none knows any card."""
        third = hub.join("Vlotte Kar", "BE", "VLK", "EMSP")
        hub.agree(cpo, other)
        hub.agree(cpo, third)
        peers = [emsp, other, third]
        for peer in peers:
            peer.on("authorize", Reply(404, 2004, message="unknown token"))
        Party.objects.filter(role="EMSP").update(answers_unknown_tokens=True)
        return peers

    def ask(self, cpo: Peer, uid: str = "04a2", **headers: Any) -> Any:
        return cpo.ask(
            "POST", f"sender/tokens/{uid}/authorize?type=RFID", body={"location_id": "LOC1"}, **headers
        )

    def asked(self, emsps: list[Peer]) -> list[int]:
        return [len(peer.calls) for peer in emsps]

    def test_one_after_the_other_until_one_knows_it(self, cpo: Peer, emsps: list[Peer]) -> None:
        """HUB-50, HUB-46, TOK-25: the third knows it; body, query and answer unchanged."""
        emsps[2].on("authorize", Reply(data={"allowed": "ALLOWED"}))
        answer = self.ask(cpo)
        assert (answer.code, answer.data, parties_of(answer)) == (
            1000, {"allowed": "ALLOWED"}, (cpo.ocpi_id, emsps[2].ocpi_id)
        )  # fmt: skip
        assert self.asked(emsps) == [1, 1, 1]
        for peer in emsps:
            assert parties_of(peer.only_call) == (peer.ocpi_id, cpo.ocpi_id)
            assert peer.only_call.target.endswith("/tokens/04a2/authorize?type=RFID")
            assert peer.only_call.json == {"location_id": "LOC1"}

    def test_nobody_is_asked_after_one_that_knows_it(self, cpo: Peer, emsps: list[Peer]) -> None:
        """HUB-50: also when the answer is no."""
        emsps[0].on("authorize", Reply(data={"allowed": "BLOCKED"}))
        assert self.ask(cpo).data == {"allowed": "BLOCKED"}
        assert self.asked(emsps) == [1, 0, 0]

    def test_too_little_information_is_an_answer(self, cpo: Peer, emsps: list[Peer]) -> None:
        """STS-05, HUB-50."""
        emsps[0].on("authorize", Reply(code=2002, message="location needed"))
        answer = self.ask(cpo)
        assert (answer.http_status, answer.code, answer.json["status_message"]) == (
            200,
            2002,
            "location needed",
        )
        assert self.asked(emsps) == [1, 0, 0]

    @pytest.mark.parametrize("reply", [Reply(404, 2004), Reply(200, 2004), Reply(404, 2000)])
    def test_all_decline(self, cpo: Peer, emsps: list[Peer], reply: Reply) -> None:
        """HUB-50, STS-05, DIS-51: 404 with 2004, whichever way they say it."""
        for peer in emsps:
            peer.on("authorize", reply)
        answer = self.ask(cpo)
        assert (answer.http_status, answer.code, answer.data) == (404, 2004, None)
        assert parties_of(answer) == (cpo.ocpi_id, HUB)
        assert self.asked(emsps) == [1, 1, 1]

    def test_with_the_hub_as_addressee_it_is_the_same(self, cpo: Peer, emsps: list[Peer]) -> None:
        """HUB-50."""
        emsps[1].on("authorize", Reply(data={"allowed": "ALLOWED"}))
        assert parties_of(self.ask(cpo, to=HUB))[1] == emsps[1].ocpi_id

    def test_the_owner_of_a_card_that_was_seen_is_asked_alone(self, cpo: Peer, emsps: list[Peer]) -> None:
        """HUB-50, HUB-45: of the token index; nobody else learns of the card."""
        document(emsps[1], "tokens", "04A2/RFID")
        document(emsps[2], "tokens", "04A2/RFID", is_deleted=True)
        assert self.ask(cpo).code == 2004
        assert self.asked(emsps) == [0, 1, 0]

    def test_prefixes_come_first_and_those_who_did_not_ask_for_it_never(
        self, cpo: Peer, emsps: list[Peer]
    ) -> None:
        """HUB-50, O11."""
        Party.objects.filter(party_id="EMS").update(answers_unknown_tokens=False)
        Party.objects.filter(party_id="RMO").update(token_prefixes=["99"], answers_unknown_tokens=False)
        Party.objects.filter(party_id="VLK").update(token_prefixes=["04a"], answers_unknown_tokens=False)
        assert self.ask(cpo, "04A2").code == 2004
        assert self.asked(emsps) == [0, 0, 1]

    def test_those_without_an_agreement_are_not_asked(self, hub: Hub, cpo: Peer, emsps: list[Peer]) -> None:
        """O11, HUB-28: nor when the card is theirs."""
        lone = hub.join("Elbstrom", "DE", "ELB", "CPO")
        document(emsps[0], "tokens", "04A2/RFID")
        assert self.ask(lone).code == 2004
        assert self.asked(emsps) == [0, 0, 0]

    def test_one_that_is_away_leaves_it_open(self, cpo: Peer, emsps: list[Peer]) -> None:
        """HUB-50: it might know the card, so nobody says that nobody does; the others are asked all the same."""
        emsps[0].stop()
        answer = self.ask(cpo)
        assert (answer.http_status, answer.code) == (200, 4003)
        assert self.asked(emsps) == [0, 1, 1]

    def test_the_owner_of_a_card_is_away(self, cpo: Peer, emsps: list[Peer]) -> None:
        """HUB-20, HUB-50."""
        document(emsps[0], "tokens", "04A2/RFID")
        Party.objects.filter(party_id="EMS").update(presence="OFFLINE")
        assert self.ask(cpo).code == 4003
        assert self.asked(emsps) == [0, 0, 0]

    def test_a_driver_does_not_wait_longer_than_a_station(
        self, cpo: Peer, emsps: list[Peer], settings: Any
    ) -> None:
        """HUB-50, O10: one budget for all."""
        settings.REALTIME_AUTHORIZATION_SECONDS = 0.5
        emsps[0].fail("slow", on="authorize", seconds=3)
        assert self.ask(cpo).code == 4002
        assert self.asked(emsps[1:]) == [0, 0]

    def test_one_that_was_left_little_time_is_not_taken_for_silent(
        self, cpo: Peer, emsps: list[Peer], settings: Any
    ) -> None:
        """HUB-19, HUB-50: after two such cards it is asked side by side as before."""
        settings.REALTIME_AUTHORIZATION_SECONDS = 2.0
        emsps[0].on("authorize", after(1.0, Reply(404, 2004)))
        emsps[1].on("authorize", after(2.0, Reply(404, 2004)))
        assert [self.ask(cpo).code for _ in range(2)] == [4002, 4002]
        assert emsps[1].wait_until(lambda: self.asked(emsps) == [2, 2, 0])
        with ThreadPoolExecutor() as pool:
            path = "sender/tokens/04a2/authorize"
            asked = [pool.submit(cpo.ask, "POST", path, to=emsps[1].ocpi_id) for _ in range(2)]
        assert [each.result().code for each in asked] == [2004, 2004]


def after(seconds: float, reply: Reply) -> Script:
    """An answer that takes its time."""

    def answer(_: Request) -> Reply:
        time.sleep(seconds)
        return reply

    return answer


def test_from_is_needed_where_a_platform_has_several_parties(hub: Hub, cpo: Peer, emsp: Peer) -> None:
    """HUB-08, HUB-09."""
    Party.objects.create(
        platform=cpo.platform, role="CPO", country_code="NL", party_id="TN2", name="Tank en Meer 2"
    )
    url = f"{cpo.hub_url}/ocpi/2.2.1/receiver/cdrs"
    answer = cpo.call("POST", url, CDR, headers=routing(to=emsp.ocpi_id))
    assert (answer.http_status, answer.code, emsp.calls) == (200, 2001, [])
