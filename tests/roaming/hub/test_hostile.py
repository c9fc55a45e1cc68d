"""What a party tries that wants more than it was given: nothing of it reaches anybody."""

from typing import Any

import pytest

from access.fenced import FencedLocation
from access.models import Decision
from demo.http import Reply
from roaming.hub.agreements import set_agreement
from roaming.models import Agreement, Party
from tests.roaming import hub_members as objects
from tests.roaming.hub.peers import Hub, Peer
from tests.roaming.hub.test_forward import asked

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = "/ocpi/2.2.1"
ACCEPTED = Reply(data={"result": "ACCEPTED", "timeout": 30})


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("receiver/tokens/NL%2FEVB/U1", "receiver/tokens/NL/EVB/U1"),
        ("receiver/tokens/NL%5CEVB/EVB/U1", "receiver/tokens/NL\\EVB/EVB/U1"),
        ("receiver/tokens/NL/EMS;x/U1", "receiver/tokens/NL/EMS;x/U1"),
    ],
)
def test_an_owner_is_never_hidden_in_a_segment(cpo: Peer, emsp: Peer, written: str, meant: str) -> None:
    """OBJ-10: some take an encoded slash for a real one, and would see another owner than we did."""
    for method in ("GET", "PUT", "PATCH"):
        answer = asked(emsp, f"{ROOT}/{written}", f"{ROOT}/{meant}", to=cpo.ocpi_id, method=method)
        assert answer["status_code"] == 2000
    assert cpo.calls == []


@pytest.mark.parametrize(
    "tail",
    [
        "..%2Fcredentials",
        "..;/..;/credentials",
        "..;",
        "LOC1%2F..%2F..%2Fcredentials",
        "..%5Ccredentials",
        "//LOC1",
        "LOC1//E1",
    ],
)
def test_no_path_climbs_out_of_an_endpoint(cpo: Peer, emsp: Peer, tail: str) -> None:
    """I12: however the target takes it apart; our token opens its credentials too."""
    raw = f"{ROOT}/sender/locations/{tail}"
    answer = asked(emsp, raw, raw.replace("%2F", "/").replace("%5C", "\\"), to=cpo.ocpi_id)
    assert answer["status_code"] == 2000
    assert cpo.calls == []


@pytest.mark.parametrize(
    ("method", "path", "http"),
    [
        ("DELETE", "sender/locations/LOC1", 405),
        ("POST", "receiver/commands/start_session", 404),
        ("POST", "receiver/commands/FLY_AWAY", 404),
        ("PUT", "receiver/commands/START_SESSION", 405),
        ("GET", "sender/locations/LOC1/E1/1/more", 404),
        ("PATCH", "receiver/tariffs/NL/EMS/T1", 405),
        ("DELETE", "receiver/cdrs/C1", 405),
    ],
)
def test_what_no_interface_has_is_not_passed_on(
    cpo: Peer, emsp: Peer, method: str, path: str, http: int
) -> None:
    """HTP-01: 404 for another path, 405 for another method; also under a command's other name."""
    body = {} if method in ("GET", "DELETE") else {"body": {}}
    answer = emsp.ask(method, path, to=cpo.ocpi_id, **body)
    assert (answer.http_status, answer.code) == (http, 2000)
    assert cpo.calls == []


class TestFences:
    @pytest.fixture(autouse=True)
    def fenced(self, cpo: Peer, emsp: Peer) -> None:
        FencedLocation.objects.create(owner=cpo.row, location_id="LOC1", name="Utrecht")
        cpo.on("/odd/", ACCEPTED)

    def command(self, emsp: Peer, cpo: Peer, name: str, **members: Any) -> Any:
        body = {
            "response_url": f"{emsp.url}/odd/r",
            "location_id": "LOC1",
            "evse_uid": "E1",
            "connector_id": "1",
        }
        return emsp.ask("POST", f"receiver/commands/{name}", to=cpo.ocpi_id, body=body | members)

    def test_nobody_unlocks_where_nobody_may_see(self, cpo: Peer, emsp: Peer) -> None:
        answer = self.command(emsp, cpo, "UNLOCK_CONNECTOR")
        assert (answer.code, answer.data["result"]) == (2003, "REJECTED")
        assert self.command(emsp, cpo, "UNLOCK_CONNECTOR", location_id="LOC2").data["result"] == "ACCEPTED"
        assert len(cpo.calls) == 1

    @pytest.mark.parametrize("location_id", [1001, "\x00", "\ud800", "L" * 37, None])
    def test_an_id_that_is_none_is_2001(self, cpo: Peer, emsp: Peer, location_id: Any) -> None:
        """The target could read it as the id of what is fenced; and no text of a caller is a fault of ours."""
        token = objects.token(emsp.row)
        answer = self.command(emsp, cpo, "START_SESSION", token=token, location_id=location_id)
        assert (answer.http_status, answer.code) in ((200, 2001), (400, 2000))
        for members in ({"evse_uid": "E" * 37}, {"token": token | {"group_id": "\x00"}}):
            answer = self.command(emsp, cpo, "START_SESSION", **({"token": token} | members))
            assert (answer.http_status, answer.code) == (200, 2001)
        assert cpo.calls == []
        assert not Decision.objects.exists()

    def test_an_evse_is_not_shown_under_another_name(self, cpo: Peer, emsp: Peer) -> None:
        raw = f"{ROOT}/sender/locations/LOC1%2FE1"
        answer = asked(emsp, raw, f"{ROOT}/sender/locations/LOC1/E1", to=cpo.ocpi_id)
        assert answer["status_code"] == 2003
        assert cpo.calls == []


@pytest.mark.parametrize("text", ["\x00", "\ud800"])
def test_no_text_of_a_command_is_a_fault_of_ours(cpo: Peer, emsp: Peer, text: str) -> None:
    """Without addressee the hub looks for the owner of an id: one that no id can be leads to nobody."""
    for name, member in (("STOP_SESSION", "session_id"), ("START_SESSION", "location_id")):
        body = {"response_url": f"{emsp.url}/odd/r", member: text}
        answer = emsp.ask("POST", f"receiver/commands/{name}", body=body)
        assert answer.http_status in (200, 400, 404)
        assert answer.code in (2000, 2001, 2003, 4001)
    assert cpo.calls == []


def test_a_platform_speaks_only_for_its_parties_that_have_an_agreement(
    hub: Hub, cpo: Peer, emsp: Peer
) -> None:
    """HUB-28, OBJ-10: a second eMSP of the same platform, and one that is known in another role, have none."""
    for role, party_id in (("EMSP", "EVB"), ("NSP", "MAP")):
        Party.objects.create(
            platform=emsp.platform, role=role, country_code="NL", party_id=party_id, name=party_id
        )
        token = objects.token(emsp.row) | {"party_id": party_id}
        path = f"receiver/tokens/NL/{party_id}/{token['uid']}"
        assert emsp.ask("PUT", path, to=cpo.ocpi_id, body=token).http_status == 404
    assert cpo.calls == []
    second = Party.objects.get(party_id="EVB")
    set_agreement(one=second, other=cpo.row, status=Agreement.Status.ACTIVE)
    token = objects.token(emsp.row) | {"party_id": "EVB"}
    assert emsp.ask("PUT", f"receiver/tokens/NL/EVB/{token['uid']}", to=cpo.ocpi_id, body=token).code == 1000


def test_an_id_may_be_ours_in_one_role_and_somebody_elses_in_another(hub: Hub, cpo: Peer) -> None:
    """HUB-10: BE-YRD is our CPO, and an eMSP on a platform of its own: a Session for the eMSP reaches it."""
    twin = hub.join("Yardgate Drivers", "BE", "YRD", "EMSP")
    hub.agree(cpo, twin)
    body = {"country_code": "NL", "party_id": "TNM", "id": "S1"}
    assert cpo.ask("PUT", "receiver/sessions/NL/TNM/S1", to=twin.ocpi_id, body=body).code == 1000
    assert [each.path for each in twin.calls] == ["/odd/~yrd/v2.2.1;x/sessions/NL/TNM/S1"]
