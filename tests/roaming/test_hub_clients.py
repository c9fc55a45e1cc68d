"""Life behind somebody else's hub: who is there, what is sent to whom, and in whose name; over real sockets."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from ocpi import codec, v221
from roaming.delivery.models import Obligation
from roaming.hub.clients import doubt_all_lists, pull_due_lists, put_client
from roaming.models import Party, Platform
from roaming.registration import register_with
from tests.factories import PartyFactory, token_object
from tests.partner_platform import yardgate
from tests.roaming.deliveries import drain, facts, let_pass, owe_bay, owe_cdr, own_party
from tests.roaming.hubs import HubPlatform, caller_of, client_info, connected, rhine, routing_of
from tokens.models import Token
from tokens.services import pull_tokens

__all__ = ["facts", "rhine", "yardgate"]

pytestmark = pytest.mark.django_db(transaction=True)

EMS = client_info()
FRE = client_info("FRE", country_code="DE", status="OFFLINE")
NLI = client_info("NLI", country_code="DE", role="CPO", status="PLANNED")


def announce(hub: Party, **changes: Any) -> Party:
    """The hub says something about NL-EMS; returns the party."""
    client = codec.decode(v221.ClientInfo, client_info(**changes))
    put_client(platform=hub.platform, client=client, now=timezone.now())
    return Party.objects.get(role=client.role, country_code=client.country_code, party_id=client.party_id)


def lists_asked(rhine: HubPlatform) -> int:
    return len([each for each in rhine.received("GET", "/hubclientinfo") if not each.query])


def presences() -> dict[str, str]:
    return dict(Party.objects.filter(is_behind_hub=True).values_list("party_id", "presence"))


class TestPull:
    def test_after_a_handshake_with_a_hub_its_list_is_read(self, yardgate: str, rhine: HubPlatform) -> None:
        """HCI-13, HUB-03: all pages, without routing headers; a partner that is no hub is not asked."""
        rhine.clients = [EMS, FRE, NLI]
        register_with(
            versions_url=rhine.versions_url, token_a=rhine.invite(), name="Rhine Hub", now=timezone.now()
        )
        PartyFactory(party_id="EM2")
        assert pull_due_lists(now=timezone.now()) == 1
        assert presences() == {"EMS": "CONNECTED", "FRE": "OFFLINE", "NLI": "PLANNED"}
        pages = rhine.received("GET", "/hubclientinfo")
        assert [(each.query, routing_of(each)) for each in pages] == [({}, {}), ({"offset": "2"}, {})]

    def test_the_list_is_read_every_hour_and_after_a_start(self, db: None, rhine: HubPlatform) -> None:
        """HCI-13, PAG-14: at start, or in doubt; not at every look."""
        connected(rhine)
        now = timezone.now()
        assert [pull_due_lists(now=now), pull_due_lists(now=now + timedelta(minutes=59))] == [1, 0]
        assert pull_due_lists(now=now + timedelta(minutes=71)) == 1
        doubt_all_lists()
        assert [pull_due_lists(now=now), lists_asked(rhine)] == [1, 3]

    def test_who_is_not_in_the_list_stays_as_it_was(self, db: None, rhine: HubPlatform) -> None:
        """HCI-05: parties are never deleted."""
        hub = connected(rhine)
        announce(hub)
        rhine.clients = [FRE]
        pull_due_lists(now=timezone.now())
        assert presences() == {"EMS": "CONNECTED", "FRE": "OFFLINE"}

    def test_broken_and_foreign_entries_are_left_out(self, db: None, rhine: HubPlatform) -> None:
        """HTP-13, OBJ-10: of ours and of other platforms nothing changes."""
        connected(rhine)
        ours, theirs = own_party(), PartyFactory(party_id="EM2")
        rhine.clients = [
            {"party_id": "?"}, EMS, client_info("EM2", status="SUSPENDED"),
            client_info("YRD", country_code="BE", role="CPO", status="SUSPENDED"),
        ]  # fmt: skip
        pull_due_lists(now=timezone.now())
        for party in (ours, theirs):
            party.refresh_from_db()
        assert (presences(), ours.presence, theirs.presence) == (
            {"EMS": "CONNECTED"},
            "CONNECTED",
            "CONNECTED",
        )
        assert Platform.objects.get(name="Rhine Hub").clients_problem == ""

    def test_a_hub_that_does_not_answer_is_asked_again_in_an_hour(self, db: None, rhine: HubPlatform) -> None:
        """HCI-13: nothing changes, and an operator sees why."""
        hub = connected(rhine)
        announce(hub)
        rhine.fail("http", on="/hubclientinfo", status=503)
        now = timezone.now()
        assert [pull_due_lists(now=now), pull_due_lists(now=now)] == [1, 0]
        assert presences() == {"EMS": "CONNECTED"}
        hub.platform.refresh_from_db()
        assert hub.platform.clients_problem == "HTTP 503, status 3000: no list of clients"

    def test_credentials_of_a_hub_leave_its_clients_alone(self, yardgate: str, rhine: HubPlatform) -> None:
        """DIS-13, HCI-10: it lists itself only; its clients are not given up by that."""
        rhine.clients = [EMS]
        register_with(
            versions_url=rhine.versions_url, token_a=rhine.invite(), name="Rhine Hub", now=timezone.now()
        )
        pull_due_lists(now=timezone.now())
        assert rhine.rotate().code == 1000
        party = Party.objects.get(party_id="EMS")
        assert (party.presence, party.is_active, party.is_behind_hub) == ("CONNECTED", True, True)
        assert [pull_due_lists(now=timezone.now()), lists_asked(rhine)] == [1, 2]


class TestSending:
    def test_sessions_and_cdrs_go_to_the_owner_of_the_token(self, db: None, rhine: HubPlatform) -> None:
        """HUB-43, HUB-01: TO is the party behind the hub, FROM ours, at the hub's endpoints; never the hub itself."""
        party = announce(connected(rhine))
        owe_bay(party, "S-1", "ACTIVE")
        owe_cdr(party, "CDR-1")
        drain()
        sent = {each.path.rpartition("/2.2.1/")[2]: routing_of(each) for each in rhine.requests}
        addressed = {
            "ocpi-to-country-code": "NL", "ocpi-to-party-id": "EMS",
            "ocpi-from-country-code": "BE", "ocpi-from-party-id": "YRD",
        }  # fmt: skip
        assert sent == {"sessions/BE/YRD/S-1": addressed, "cdrs": addressed}

    @pytest.mark.parametrize("status", ["OFFLINE", "PLANNED", "SUSPENDED"])
    def test_no_request_is_sent_to_who_is_not_connected(self, rhine: HubPlatform, status: str) -> None:
        """HCI-14, HCI-09: no push, no CDR, no question; then traffic resumes, with the state as it is then."""
        hub = connected(rhine)
        party = announce(hub)
        owe_bay(party, "S-1", "ACTIVE")
        drain()
        rhine.forget()
        announce(hub, status=status, last_updated="2026-03-11T09:00:00Z")
        owe_bay(party, "S-1", "COMPLETED")
        owe_cdr(party, "CDR-1")
        let_pass(3600)
        assert drain() == 0
        report = pull_tokens(platform=hub.platform, now=timezone.now())
        assert (rhine.requests, report.problem) == (
            [],
            "the platform has no active eMSP party that is connected",
        )
        assert not Obligation.objects.filter(shape="STATE", state="PENDING").exists()
        announce(hub, last_updated="2026-03-11T10:00:00Z")
        drain()
        [session] = rhine.received("PUT", "/sessions")
        assert (session.json["status"], list(rhine.cdrs)) == ("COMPLETED", ["CDR-1"])

    def test_the_token_list_of_each_connected_party_is_read(self, db: None, rhine: HubPlatform) -> None:
        """HCI-14: TO names the party; one that cannot be reached keeps no other back."""
        own_party()
        hub = connected(rhine)
        announce(hub)
        announce(hub, party_id="FRE", country_code="DE")
        announce(hub, party_id="OFF", country_code="DE", status="OFFLINE")
        rhine.add_token("04A2B3C4D5E680", country_code="DE", party_id="FRE")
        rhine.fail("http", on="/tokens", status=404, times=1)
        pull_tokens(platform=hub.platform, now=timezone.now())
        asked = [routing_of(each)["ocpi-to-party-id"] for each in rhine.received("GET", "/tokens")]
        assert (asked, Token.objects.get().party.party_id) == (["EMS", "FRE"], "FRE")


FROM_HUB = {
    "OCPI-from-country-code": "NL", "OCPI-from-party-id": "RHB", "OCPI-to-country-code": "BE", "OCPI-to-party-id": "YRD"
}  # fmt: skip
TOKENS = "/ocpi/2.2.1/receiver/tokens"


class TestReceiving:
    @pytest.fixture(autouse=True)
    def _ours(self, db: None) -> None:
        own_party()

    def test_a_token_that_the_hub_broadcasts_is_stored_under_its_owner(self, rhine: HubPlatform) -> None:
        """HUB-44, DIS-13: the owner in URL and body; answered TO = hub, FROM = our party."""
        hub = connected(rhine)
        party = announce(hub)
        body = codec.encode(token_object())
        reply = caller_of(hub).call("PUT", f"{TOKENS}/NL/EMS/{token_object().uid}", body, headers=FROM_HUB)
        assert (reply.http_status, reply.status_code, Token.objects.get().party) == (201, 1000, party)
        named = {name: value for name, value in reply.headers.items() if name.startswith("OCPI-")}
        assert named == {
            "OCPI-to-country-code": "NL", "OCPI-to-party-id": "RHB",
            "OCPI-from-country-code": "BE", "OCPI-from-party-id": "YRD",
        }  # fmt: skip

    def test_a_token_of_who_was_not_announced_is_not_found(self, rhine: HubPlatform) -> None:
        """HUB-44, OBJ-10: nor of who is announced by another hub, or gone."""
        hub = connected(rhine)
        PartyFactory(party_id="FRE", country_code="DE", is_behind_hub=True)
        announce(hub, status="SUSPENDED")
        caller = caller_of(hub)
        for country_code, party_id in (("NL", "EMS"), ("DE", "FRE"), ("ZZ", "ZZZ")):
            token = token_object(country_code=country_code, party_id=party_id)
            url = f"{TOKENS}/{country_code}/{party_id}/{token.uid}"
            reply = caller.call("PUT", url, codec.encode(token), headers=FROM_HUB)
            assert (reply.http_status, reply.status_code, reply.data) == (404, 2000, None)
        assert Token.objects.count() == 0

    def test_an_announced_party_may_act_and_others_may_not(self, rhine: HubPlatform) -> None:
        """HUB-09, DIS-13: FROM is a role of the platform, or a party that this hub announced."""
        hub = connected(rhine)
        announce(hub)
        PartyFactory(party_id="FRE", country_code="DE", is_behind_hub=True)
        caller = caller_of(hub)
        for country_code, party_id, status in (("NL", "EMS", 200), ("NL", "RHB", 200), ("DE", "FRE", 401)):
            headers = FROM_HUB | {"OCPI-from-country-code": country_code, "OCPI-from-party-id": party_id}
            reply = caller.call("GET", "/ocpi/2.2.1/sender/locations", headers=headers)
            assert reply.http_status == status
