"""From one party to another through the hub, over real sockets."""

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from demo.http import Reply, Request
from ocpi.headers import authorization
from roaming.hub import fences
from roaming.hub.fences import Refused, Unfenced
from roaming.models import Agreement, HubDocument, HubTrail, Obligation, Party, Relay
from tests.roaming.hub.peers import HUB, OWN, Hub, Peer, parties_of, routing
from tests.roaming.hub_members import token

MORNING = "2026-03-11T08:00:00Z"
# As no encoder of ours would write it: spaces, unknown members, six decimals, an escape, an old stamp.
TOKEN = (
    b'{ "country_code" : "NL","party_id":"EMS", "uid":"04A2","x_extra":{"deep":[1.000001, 1e2]},'
    b'"issuer":"Randstad T\\u0061xi","last_updated":"2026-03-11T08:00:00Z"}'
)
SESSION = {
    "country_code": "NL", "party_id": "TNM", "id": "SES1", "last_updated": MORNING,
    "cdr_token": {"country_code": "NL", "party_id": "EMS", "uid": "04A2"},
}  # fmt: skip


def quiet(*peers: Peer) -> bool:
    """Nobody was called, and nothing waits to be sent."""
    return not any(peer.calls for peer in peers) and not Obligation.objects.exists()


class TestRequest:
    def test_both_legs(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-10, HUB-12, HUB-13, HUB-14, HUB-15, H8: same parties, path, query and bytes; the hub's own token."""
        answer = emsp.ask("PUT", "receiver/tokens/NL/EMS/04%20A2?type=APP_USER", to=cpo.ocpi_id, body=TOKEN)
        assert (answer.http_status, answer.code) == (200, 1000)
        call = cpo.only_call
        assert (call.method, call.target) == (
            "PUT", "/odd/~tnm/v2.2.1;x/tokens/NL/EMS/04%20A2?type=APP_USER"
        )  # fmt: skip
        assert hashlib.sha256(call.body).digest() == hashlib.sha256(TOKEN).digest()
        assert parties_of(call) == (("NL", "TNM"), ("NL", "EMS"))
        assert call.token in cpo.accepted
        assert call.token != emsp.token

    def test_message_ids(self, cpo: Peer, emsp: Peer) -> None:
        """MID-05, MID-06: a new request id on the second leg, one correlation id, the asker's own ids in the answer."""
        ids = {"X-Request-ID": "request-of-randstad", "X-Correlation-ID": "correlation-of-a-hundred" * 4}
        answer = emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id, headers=ids)
        call = cpo.only_call
        assert call.headers["x-correlation-id"] == ids["X-Correlation-ID"]
        assert call.headers["x-request-id"] not in ("", ids["X-Request-ID"])
        assert answer.headers["x-request-id"] == ids["X-Request-ID"]
        assert answer.headers["x-correlation-id"] == ids["X-Correlation-ID"]

    def test_parties_in_any_case(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-07, HUB-10."""
        answer = emsp.ask("GET", "sender/locations/LOC1", to=("nl", "tnm"), from_=("nl", "ems"))
        assert parties_of(cpo.only_call) == (("NL", "TNM"), ("NL", "EMS"))
        assert parties_of(answer) == (("NL", "EMS"), ("NL", "TNM"))

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "sender/tariffs"), ("GET", "sender/cdrs"), ("GET", "sender/sessions"),
            ("GET", "sender/locations/LOC1/E1/1"), ("PUT", "sender/sessions/SES1/charging_preferences"),
            ("PATCH", "receiver/tokens/NL/EMS/04A2"), ("GET", "receiver/tokens/NL/EMS/04A2"),
        ],
    )  # fmt: skip
    def test_each_side_of_each_module_for_the_emsp(
        self, cpo: Peer, emsp: Peer, method: str, path: str
    ) -> None:
        """HUB-10, HUB-13."""
        body: dict[str, Any] = {} if method == "GET" else {"body": {"last_updated": MORNING}}
        assert emsp.ask(method, path, to=cpo.ocpi_id, **body).code == 1000
        assert cpo.only_call.target == f"/odd/~tnm/v2.2.1;x/{path.partition('/')[2]}"

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "sender/tokens"), ("POST", "sender/tokens/04A2/authorize?type=RFID"),
            ("PUT", "receiver/locations/NL/TNM/LOC1/E1"), ("PATCH", "receiver/sessions/NL/TNM/SES1"),
            ("PUT", "receiver/tariffs/NL/TNM/T1"), ("DELETE", "receiver/tariffs/NL/TNM/T1"),
            ("PUT", "sender/chargingprofiles/SES1"),
        ],
    )  # fmt: skip
    def test_each_side_of_each_module_for_the_cpo(
        self, cpo: Peer, emsp: Peer, method: str, path: str
    ) -> None:
        """HUB-10, HUB-13."""
        body: dict[str, Any] = {} if method in ("GET", "DELETE") else {"body": {"last_updated": MORNING}}
        assert cpo.ask(method, path, to=emsp.ocpi_id, **body).code == 1000
        assert emsp.only_call.target == f"/odd/~ems/v2.2.1;x/{path.partition('/')[2]}"
        assert parties_of(emsp.only_call) == (("NL", "EMS"), ("NL", "TNM"))

    def test_a_request_without_a_body_is_sent_without_one(self, cpo: Peer, emsp: Peer) -> None:
        """TOK-25: the body of an authorization is optional."""
        assert cpo.ask("POST", "sender/tokens/04A2/authorize", to=emsp.ocpi_id).code == 1000
        assert (emsp.only_call.body, emsp.only_call.headers.get("content-length")) == (b"", "0")

    def test_ids_with_a_slash_stay_one_segment(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-13, I12: as gunicorn hands it on, written and decoded."""
        raw = "/ocpi/2.2.1/sender/locations/A%2FB%3f"
        answer = asked(emsp, raw, "/ocpi/2.2.1/sender/locations/A/B?", to=cpo.ocpi_id)
        assert answer["status_code"] == 1000
        assert cpo.only_call.target == "/odd/~tnm/v2.2.1;x/locations/A%2FB%3f"

    def test_a_written_path_that_means_something_else_is_not_used(self, cpo: Peer, emsp: Peer) -> None:
        """I12: what was decided upon is what is sent."""
        asked(emsp, "/ocpi/2.2.1/sender/cdrs", "/ocpi/2.2.1/sender/locations/LOC 1", to=cpo.ocpi_id)
        assert cpo.only_call.target == "/odd/~tnm/v2.2.1;x/locations/LOC%201"

    @pytest.mark.parametrize(
        "tail", ["/../credentials", "/%2e%2e/credentials", "/LOC1/..", "/.", "/%00", "/a%0d%0aX-Evil:%201"]
    )
    def test_paths_that_climb_are_not_found(self, cpo: Peer, emsp: Peer, tail: str) -> None:
        """I12: the hub's token for a target opens no other URL there."""
        answer = emsp.ask("GET", f"sender/locations{tail}", to=cpo.ocpi_id)
        assert (answer.http_status, answer.code) == (404, 2000)
        assert quiet(cpo)

    def test_nothing_is_kept_of_what_two_parties_tell_each_other(
        self, hub: Hub, cpo: Peer, emsp: Peer
    ) -> None:
        """HUB-27: neither for others nor for the hub; of a Session it remembers whom it concerns."""
        cpo.ask("PUT", "receiver/locations/NL/TNM/LOC1", to=emsp.ocpi_id, body={"id": "LOC1"})
        cpo.ask("PUT", "receiver/sessions/NL/TNM/ses1", to=emsp.ocpi_id, body=SESSION)
        cpo.ask("PATCH", "receiver/sessions/NL/TNM/SES1", to=emsp.ocpi_id, body={"kwh": 1})
        assert not HubDocument.objects.exists()
        trails = {(each.module, each.object_key, each.owner.party_id) for each in HubTrail.objects.all()}
        assert trails == {
            ("locations", "LOC1", "TNM"),
            ("sessions", "SES1", "TNM"),
            ("sessions", "SES1", "EMS"),
        }

    def test_a_refused_push_leaves_no_trail(self, cpo: Peer, emsp: Peer) -> None:
        emsp.on("PUT", Reply(code=2001))
        cpo.ask("PUT", "receiver/sessions/NL/TNM/SES1", to=emsp.ocpi_id, body=SESSION)
        assert not HubTrail.objects.exists()


class TestAnswer:
    def test_headers_are_added_when_the_target_leaves_them_out(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-11."""
        answer = emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id)
        assert parties_of(answer) == (("NL", "EMS"), ("NL", "TNM"))

    def test_what_a_target_says_in_headers_ends_at_the_hub(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-11, H5: routing headers are the hub's; cookies, tokens and the rest are left out."""
        lies = routing(to=("DE", "RMO"), from_=("ZZ", "ZZZ"))
        evil = {
            "Set-Cookie": "a=b",
            "Authorization": "Token x",
            "X-Limit": "7",
            "X-Total-Count": "9",
            "X-Other": "1",
        }
        cpo.on("GET", Reply(data=[], headers=lies | evil))
        answer = emsp.ask("GET", "sender/locations", to=cpo.ocpi_id)
        assert parties_of(answer) == (("NL", "EMS"), ("NL", "TNM"))
        assert (answer.headers["x-limit"], answer.headers["x-total-count"]) == ("7", "9")
        assert {"set-cookie", "authorization", "x-other"}.isdisjoint(answer.headers)

    @pytest.mark.parametrize(
        ("http_status", "code"),
        [
            (200, 1000), (201, 1000), (200, 2001), (404, 2003), (405, 2000), (200, 3000), (500, 3000), (200, 2999),
            (200, 4003),
        ],
    )  # fmt: skip
    def test_status_and_body_are_the_targets(
        self, cpo: Peer, emsp: Peer, http_status: int, code: int
    ) -> None:
        """HUB-16, HUB-17: with its text, byte for byte; another hub's 4xxx too."""
        reply = Reply(
            http_status, code, data={"x": "é"}, message="as the target says", headers={"Allow": "GET"}
        )
        sent: list[bytes] = []

        def script(received: Request) -> Reply:
            sent.append(reply.content())
            fixed = Reply(http_status, code, headers=reply.headers)
            fixed.content = lambda: sent[0]  # type: ignore[method-assign]
            return fixed

        cpo.on("GET", script)
        answer = emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id)
        assert (answer.http_status, answer.code, answer.body) == (http_status, code, sent[0])
        assert answer.headers["allow"] == "GET"

    @pytest.mark.parametrize("status", [401, 403])
    def test_a_fault_of_the_hubs_own_link(self, cpo: Peer, emsp: Peer, status: int) -> None:
        """HUB-17, HUB-22: the requester's token is sound, so it must not learn of a 401."""
        cpo.on("GET", Reply(status, 2000))
        answer = emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id)
        assert (answer.http_status, answer.code) == (200, 4000)
        assert "www-authenticate" not in answer.headers

    @pytest.mark.parametrize("code", [2002, 2004])
    def test_authorization_answers_pass(self, cpo: Peer, emsp: Peer, code: int) -> None:
        """STS-05."""
        emsp.on("authorize", Reply(200 if code == 2002 else 404, code, message="as the eMSP says"))
        answer = cpo.ask(
            "POST", "sender/tokens/04A2/authorize", to=emsp.ocpi_id, body={"location_id": "LOC1"}
        )
        assert (answer.http_status, answer.code) == (200 if code == 2002 else 404, code)
        assert answer.json["status_message"] == "as the eMSP says"

    def test_an_authorization_passes_unchanged(self, cpo: Peer, emsp: Peer) -> None:
        """TOK-25."""
        info = {
            "allowed": "ALLOWED", "token": {"uid": "04A2"}, "location": {"location_id": "LOC1", "evse_uids": ["E1"]},
            "authorization_reference": "REF-7", "info": {"language": "nl", "text": "Welkom"},
        }  # fmt: skip
        emsp.on("authorize", Reply(data=info))
        asked_for = {"location_id": "LOC1", "evse_uids": ["E1"]}
        answer = cpo.ask("POST", "sender/tokens/04A2/authorize", to=emsp.ocpi_id, body=asked_for)
        assert (answer.data, emsp.only_call.json) == (info, asked_for)

    def test_results_and_profiles_are_acknowledged_as_the_target_does(self, cpo: Peer, emsp: Peer) -> None:
        """CHP-18: without data."""
        answer = cpo.ask(
            "PUT", "sender/chargingprofiles/SES1", to=emsp.ocpi_id, body={"start_date_time": MORNING}
        )
        assert (answer.code, "data" in answer.json) == (1000, False)


class TestRefusals:
    def refused(self, answer: Any, code: int, http_status: int = 200) -> None:
        assert (answer.http_status, answer.code, answer.data) == (http_status, code, None), answer.body

    @pytest.mark.parametrize("to", [("ZZ", "ZZZ"), ("DE", "RMO")])
    def test_unknown_and_not_agreed_are_told_alike(
        self, cpo: Peer, emsp: Peer, other: Peer, to: tuple[str, str]
    ) -> None:
        """HUB-18, HUB-22: nobody learns who else is connected."""
        answer = cpo.ask("GET", "sender/tokens", to=to)
        self.refused(answer, 4001)
        assert answer.json["status_message"].replace("-".join(to), "X") == (
            "X is unknown to this hub, or has no agreement with you"
        )
        assert parties_of(answer) == (cpo.ocpi_id, HUB)
        assert quiet(cpo, emsp, other)

    @pytest.mark.parametrize(
        ("status", "modules", "code"),
        [("PLANNED", [], 4003), ("ENDED", [], 4001), ("ACTIVE", ["tokens"], 4001), ("ACTIVE", ["locations"], 1000)],
    )  # fmt: skip
    def test_agreements(
        self, hub: Hub, cpo: Peer, emsp: Peer, status: str, modules: list[str], code: int
    ) -> None:
        """HUB-28."""
        hub.agree(emsp, cpo, Agreement.Status(status), *modules)
        assert emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id).code == code
        assert len(cpo.calls) == (code == 1000)
        assert quiet() is not Obligation.objects.exists()

    @pytest.mark.parametrize("presence", ["OFFLINE", "SUSPENDED", "PLANNED"])
    def test_a_party_that_is_not_there(self, cpo: Peer, emsp: Peer, presence: str) -> None:
        """HUB-20, HUB-22, HUB-23: told at once, and not called later either."""
        Party.objects.filter(pk=cpo.row.pk).update(presence=presence)
        answer = emsp.ask("PUT", "receiver/tokens/NL/EMS/04A2", to=cpo.ocpi_id, body=TOKEN)
        self.refused(answer, 4003)
        assert parties_of(answer) == (emsp.ocpi_id, cpo.ocpi_id)
        Party.objects.filter(pk=cpo.row.pk).update(presence="CONNECTED")
        assert quiet(cpo)

    @pytest.mark.parametrize("status", ["SUSPENDED", "UNREGISTERED", "INVITED"])
    def test_a_platform_that_is_not_connected(self, cpo: Peer, emsp: Peer, status: str) -> None:
        """HUB-20."""
        platform = cpo.platform
        platform.status = status
        platform.save()
        self.refused(emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id), 4003)
        assert quiet(cpo)

    def test_a_target_that_refuses_connections(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-20, HUB-22, HUB-23: 4003; when it is back it is not called late."""
        cpo.stop()
        self.refused(emsp.ask("PUT", "receiver/tokens/NL/EMS/04A2", to=cpo.ocpi_id, body=TOKEN), 4003)
        cpo.start()
        assert quiet(cpo)
        assert emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id).code == 1000

    def test_a_target_that_does_not_answer(self, cpo: Peer, emsp: Peer, settings: Any) -> None:
        """HUB-19, HUB-22, H1: 4002 before a client gives up."""
        settings.HUB_FORWARD_SECONDS = 0.3
        cpo.fail("slow", seconds=2)
        self.refused(emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id), 4002)
        assert not Obligation.objects.exists()

    def test_a_module_that_the_target_does_not_offer(self, hub: Hub, emsp: Peer) -> None:
        """HUB-21, HUB-22."""
        plain = hub.join("Laadpunt", "BE", "LPT", "CPO", lacks=[("chargingprofiles", "RECEIVER")])
        hub.agree(emsp, plain)
        url = f"{emsp.url}/results/1"
        path = f"receiver/chargingprofiles/SES1?duration=60&response_url={url}"
        self.refused(emsp.ask("GET", path, to=plain.ocpi_id), 4000)
        assert quiet(plain)
        assert not Relay.objects.exists()

    @pytest.mark.parametrize("fault", ["drop", "html", "bad_json", "redirect", "huge"])
    def test_a_target_that_speaks_no_ocpi(self, cpo: Peer, emsp: Peer, fault: Any) -> None:
        """HUB-21, HUB-22, O4, O5: 4000, and no redirect is followed."""
        cpo.fail(fault, on="locations", target=f"{cpo.endpoint('tariffs')}")
        self.refused(emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id), 4000)
        assert [each for each in cpo.calls if "tariffs" in each.path] == []

    def test_an_endpoint_on_a_host_that_is_not_agreed(self, cpo: Peer, emsp: Peer, other: Peer) -> None:
        """O6: our token for a partner goes nowhere else."""
        platform = cpo.platform
        platform.approved_hosts = ["elsewhere.example"]
        platform.save()
        self.refused(emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id), 4000)
        assert quiet(cpo, other)

    def test_nobody_acts_for_others(self, cpo: Peer, emsp: Peer, other: Peer) -> None:
        """HUB-09, B4: FROM is a party of another platform, or of none: 401, and nobody is called."""
        for from_ in (other.ocpi_id, ("ZZ", "ZZZ"), OWN, HUB):
            answer = emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id, from_=from_)
            self.refused(answer, 2000, 401)
        assert quiet(cpo, other)

    def test_half_a_pair(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-08."""
        answer = emsp.ask("GET", "sender/locations/LOC1", headers={"OCPI-to-party-id": "TNM"})
        self.refused(answer, 2001)
        assert quiet(cpo)

    def test_strangers(self, cpo: Peer, emsp: Peer) -> None:
        """AUT-05: as everywhere, before anything is looked at."""
        url = f"{emsp.hub_url}/ocpi/2.2.1/sender/locations/LOC1"
        headers = routing(to=cpo.ocpi_id, from_=emsp.ocpi_id)
        self.refused(emsp.call("GET", url, token="wrong", headers=headers), 2000, 401)
        assert quiet(cpo)

    def test_objects_of_others(self, cpo: Peer, emsp: Peer) -> None:
        """OBJ-10, B8, H6: neither by the URL nor by the body of a CDR; nothing is learned of them."""
        answer = cpo.ask("PUT", "receiver/sessions/DE/RMO/SES1", to=emsp.ocpi_id, body=SESSION)
        self.refused(answer, 2000, 404)
        cdr = {"country_code": "DE", "party_id": "RMO", "id": "CDR1"}
        self.refused(cpo.ask("POST", "receiver/cdrs", to=emsp.ocpi_id, body=cdr), 2001)
        self.refused(cpo.ask("POST", "receiver/cdrs", to=emsp.ocpi_id, body=b"{"), 2000, 400)
        assert quiet(emsp)
        assert not HubTrail.objects.exists()

    def test_other_methods_end_at_the_hub(self, cpo: Peer, emsp: Peer) -> None:
        """HTP-01."""
        for method in ("OPTIONS", "HEAD", "BREW"):
            answer = emsp.ask(method, "sender/locations", to=OWN)
            assert answer.http_status == 405, method
        assert quiet(cpo)

    def test_too_many_requests(self, cpo: Peer, emsp: Peer) -> None:
        """The limits of a partner hold for what is forwarded."""
        platform = emsp.platform
        platform.max_requests_per_second = 1
        platform.save()
        answers = [emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id).http_status for _ in range(8)]
        assert sorted(set(answers)) == [200, 429]
        assert len(cpo.calls) == answers.count(200)


class TestOurs:
    def test_parties_hosted_here_answer_as_ever(self, hub: Hub, emsp: Peer) -> None:
        """HUB-02: a CPO of ours is a party of the hub like others, without any agreement."""
        answer = emsp.ask("GET", "sender/locations", to=OWN)
        assert (answer.code, answer.data, parties_of(answer)) == (1000, [], (emsp.ocpi_id, OWN))

    def test_what_a_party_hosted_here_does_not_offer(self, emsp: Peer) -> None:
        """HUB-21."""
        answer = emsp.ask("PUT", "receiver/locations/NL/EMS/LOC1", to=OWN, body={})
        assert (answer.http_status, answer.code) == (200, 4000)

    def test_configuration_modules_are_the_hubs_own(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-54: stray routing headers are ignored, and none comes back (HUB-03)."""
        for path in ("credentials", ""):
            answer = emsp.ask("GET", path, to=cpo.ocpi_id)
            assert (answer.code, parties_of(answer)) == (1000, (("", ""), ("", "")))
        roles = emsp.ask("GET", "credentials", to=cpo.ocpi_id).data["roles"]
        assert [(each["role"], each["party_id"]) for each in roles] == [("HUB", "HUB")]
        assert quiet(cpo)

    def test_local_requests_cost_no_statement_more(self, hub: Hub, emsp: Peer) -> None:
        """The token is looked up once, by whoever asks first."""
        client = Client(
            headers={"Authorization": authorization(emsp.token)} | routing(to=OWN, from_=emsp.ocpi_id)
        )
        counts = []
        for is_hub in (True, False):
            Party.objects.filter(role="HUB").update(is_active=is_hub)
            client.get("/ocpi/2.2.1/sender/tariffs")
            with CaptureQueriesContext(connection) as queries:
                assert client.get("/ocpi/2.2.1/sender/tariffs").status_code == 200
            counts.append(len(queries))
        assert counts[0] == counts[1]


class NightFence(Unfenced):
    """Closed for Randstad Taxi at LOC1."""

    asked: list[Any] = []  # noqa: RUF012

    def refusal(self, **asked: Any) -> Refused | None:  # type: ignore[override]
        self.asked.append((asked["party"].party_id, asked["owner"].party_id, asked["location_id"],
                           asked["evse_uid"], asked["token_group"], asked["command"]))  # fmt: skip
        return Refused("Closed until 06:00.", "D-7F3A000001") if asked["location_id"] == "LOC1" else None

    def has_fences(self, *, owner: Party) -> bool:
        return True

    def may_see(self, *, party: Party, owner: Party, location_id: str, now: datetime) -> bool:
        return location_id != "LOC1"


class TestFence:
    @pytest.fixture(autouse=True)
    def fence(self, settings: Any) -> None:
        settings.HUB_FENCE = f"{__name__}.NightFence"
        NightFence.asked.clear()
        fences._made.cache_clear()

    @pytest.mark.parametrize("command", ["START_SESSION", "RESERVE_NOW"])
    def test_a_closed_fence_answers_itself(self, cpo: Peer, emsp: Peer, command: str) -> None:
        body = {
            "response_url": f"{emsp.url}/results/1", "location_id": "LOC1", "evse_uid": "E1",
            "token": token(emsp.row, "04A2", group_id="DAY"),
            "reservation_id": "R1", "expiry_date": "2030-01-01T00:00:00Z",
        }  # fmt: skip
        answer = emsp.ask("POST", f"receiver/commands/{command}", to=cpo.ocpi_id, body=body)
        assert (answer.http_status, answer.code) == (200, 1000)
        assert answer.data == {
            "result": "REJECTED", "timeout": 0,
            "message": [{"language": "en", "text": "Closed until 06:00. Ref D-7F3A000001"}],
        }  # fmt: skip
        assert NightFence.asked == [("EMS", "TNM", "LOC1", "E1", "DAY", command)]
        assert quiet(cpo)
        assert not Relay.objects.exists()

    def test_an_open_one_lets_pass_and_other_commands_are_not_asked_about(
        self, cpo: Peer, emsp: Peer
    ) -> None:
        url = f"{emsp.url}/results/1"
        start = {"response_url": url, "location_id": "LOC2", "token": token(emsp.row, "04A2")}
        emsp.ask("POST", "receiver/commands/START_SESSION", to=cpo.ocpi_id, body=start)
        emsp.ask(
            "POST",
            "receiver/commands/STOP_SESSION",
            to=cpo.ocpi_id,
            body={"response_url": url, "session_id": "S"},
        )
        assert NightFence.asked == [("EMS", "TNM", "LOC2", None, None, "START_SESSION")]
        assert len(cpo.calls) == 2

    def test_a_location_that_is_not_shown_does_not_exist(self, cpo: Peer, emsp: Peer) -> None:
        for tail in ("LOC1", "LOC1/E1", "LOC1/E1/1"):
            answer = emsp.ask("GET", f"sender/locations/{tail}", to=cpo.ocpi_id)
            assert (answer.http_status, answer.code) == (404, 2003)
        assert quiet(cpo)
        assert emsp.ask("GET", "sender/locations/LOC2", to=cpo.ocpi_id).code == 1000


class TestChain:
    """A second hub (DE-RUH) with the CPO Elbstrom (DE-ELB) behind it."""

    @pytest.fixture
    def second(self, hub: Hub, emsp: Peer) -> Peer:
        second = hub.join("Ruhr Hub", "DE", "RUH", "HUB")
        elbstrom = Party.objects.create(
            platform=second.platform, role="CPO", country_code="DE", party_id="ELB", name="Elbstrom",
            is_behind_hub=True,
        )  # fmt: skip
        first, other = sorted((emsp.row, elbstrom), key=lambda party: party.pk)
        Agreement.objects.create(one=first, other=other)
        return second

    def test_to_a_party_behind_another_hub(self, emsp: Peer, second: Peer) -> None:
        """HUB-29: TO and FROM as sent, at the other hub's endpoint."""
        answer = emsp.ask("PUT", "receiver/tokens/NL/EMS/04A2", to=("DE", "ELB"), body=TOKEN)
        assert (answer.code, parties_of(answer)) == (1000, (("NL", "EMS"), ("DE", "ELB")))
        assert parties_of(second.only_call) == (("DE", "ELB"), ("NL", "EMS"))
        assert second.only_call.body == TOKEN

    def test_from_a_party_behind_another_hub(self, emsp: Peer, second: Peer) -> None:
        """HUB-09, HUB-29: the other hub acts for whom it has announced, and for nobody else."""
        elbstrom = ("DE", "ELB")
        answer = second.ask(
            "PUT", "receiver/sessions/DE/ELB/S1", to=emsp.ocpi_id, from_=elbstrom, body={"id": "S1"}
        )
        assert answer.code == 1000
        assert parties_of(emsp.only_call) == (("NL", "EMS"), ("DE", "ELB"))
        stranger = second.ask("GET", "sender/tokens", to=emsp.ocpi_id, from_=("DE", "XXX"))
        assert stranger.http_status == 401
        assert len(emsp.calls) == 1

    def test_a_question_does_not_go_back_to_the_hub_that_asks(
        self, hub: Hub, emsp: Peer, second: Peer
    ) -> None:
        """H2: two hubs that each hold the other for the way would ask each other for ever."""
        mobil = Party.objects.create(
            platform=second.platform, role="EMSP", country_code="DE", party_id="MOB", name="Mobil", is_behind_hub=True
        )  # fmt: skip
        elbstrom = Party.objects.get(party_id="ELB")
        Agreement.objects.create(one=elbstrom, other=mobil)
        answer = second.ask("GET", "sender/locations", to=("DE", "ELB"), from_=("DE", "MOB"))
        assert (answer.http_status, answer.code) == (200, 4000)
        assert quiet(second, emsp)


def asked(peer: Peer, raw: str, path: str, *, to: tuple[str, str], method: str = "GET") -> Any:
    """Ask as a server hands it on that keeps the path as it was written (gunicorn), next to what it means."""
    headers = {"Authorization": authorization(peer.token)} | routing(to=to, from_=peer.ocpi_id)
    answer = Client().generic(method, "/", headers=headers, PATH_INFO=path, RAW_URI=raw)
    return json.loads(answer.content)
