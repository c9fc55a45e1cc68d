"""What each platform sees of the others, and what a hub may tell us (chapter "HubClientInfo module")."""

from typing import Any, ClassVar

import pytest

from ocpi.scalars import read_datetime
from roaming.delivery.models import Obligation
from roaming.hub.models import Agreement
from roaming.models import Party
from tests.contracts import SenderContract
from tests.factories import OwnPartyFactory, PartyFactory
from tests.factories import connect as connect_party
from tests.partners import PartnerClient, Reply, a_partner
from tests.roaming.hubs import agree, client_info, hub

__all__ = ["hub"]

pytestmark = pytest.mark.django_db

CLIENTS = "/ocpi/2.2.1/sender/hubclientinfo"
CLIENT = "/ocpi/2.2.1/receiver/hubclientinfo"
STRAY = {
    "OCPI-to-country-code": "ZZ", "OCPI-to-party-id": "ZZZ",
    "OCPI-from-country-code": "DE", "OCPI-from-party-id": "XXX",
}  # fmt: skip


class TestList(SenderContract):
    """HCI-01, HCI-03: the whole of paging and filters, on the moment of the last change as the caller sees it."""

    path = CLIENTS
    id_member = "party_id"
    list_queries: ClassVar[int] = 4

    @pytest.fixture(autouse=True)
    def _ours(self, hub: Party) -> None:
        """Only the hub is ours: a CPO of ours would be in every list."""

    def make(self, partner: PartnerClient, count: int) -> list[str]:
        made = [PartyFactory(role="CPO", country_code="BE", party_id=f"C{n:02}") for n in range(count)]
        for minutes, party in enumerate(made):
            agreement = agree(partner.party, party)
            Party.objects.filter(pk=party.pk).update(presence_at=self.at(minutes))
            Agreement.objects.filter(pk=agreement.pk).update(changed_at=self.at(minutes))
        return [party.party_id for party in made]

    def test_routing_headers_come_back_swapped(self, partner: PartnerClient) -> None:
        """HUB-03: a configuration module has none, in no answer."""
        replies = [partner.get(self.path), partner.call("GET", self.path, headers=STRAY)]
        assert [name for reply in replies for name in reply.headers if name.lower().startswith("ocpi-")] == []

    def test_a_party_that_we_do_not_host_is_refused(self, partner: PartnerClient) -> None:
        """HUB-54: answered by the hub itself, whatever stray routing headers say."""
        made = self.make(partner, 2)
        assert self.ids(partner.call("GET", self.path, headers=STRAY)) == made


def seen(partner: PartnerClient) -> dict[str, str]:
    return {f"{each['role']} {each['party_id']}": each["status"] for each in partner.get(CLIENTS).data}


class TestWhatIsSeen:
    def test_an_agreement_decides_what_is_seen_of_a_party(self, hub: Party) -> None:
        """HCI-01, HCI-04, HUB-28: none, planned, in force, ended."""
        taxi, other = a_partner(), PartyFactory(role="CPO", party_id="NLI")
        assert seen(taxi) == {}
        for status, shown in (("PLANNED", "PLANNED"), ("ACTIVE", "CONNECTED"), ("ENDED", "SUSPENDED")):
            agree(taxi.party, other, status)
            assert seen(taxi) == {"CPO NLI": shown}

    @pytest.mark.parametrize("presence", ["CONNECTED", "OFFLINE", "PLANNED", "SUSPENDED"])
    def test_a_party_with_an_agreement_is_shown_as_it_is_connected(self, hub: Party, presence: str) -> None:
        """HCI-04."""
        taxi = a_partner()
        agree(taxi.party, PartyFactory(role="CPO", party_id="NLI", presence=presence))
        assert seen(taxi) == {"CPO NLI": presence}

    def test_a_planned_agreement_hides_how_the_party_is_connected(self, hub: Party) -> None:
        """HUB-28."""
        taxi = a_partner()
        agree(taxi.party, PartyFactory(role="CPO", party_id="NLI", presence="OFFLINE"), "PLANNED")
        assert seen(taxi) == {"CPO NLI": "PLANNED"}

    def test_a_party_in_two_roles_is_two_clients(self, hub: Party) -> None:
        """HCI-01, DIS-63: one entry per party and role."""
        taxi = a_partner()
        cpo = PartyFactory(role="CPO", party_id="NLI")
        nsp = PartyFactory(role="NSP", party_id="NLI", platform=cpo.platform)
        agree(taxi.party, cpo)
        agree(taxi.party, nsp, "PLANNED")
        assert seen(taxi) == {"CPO NLI": "CONNECTED", "NSP NLI": "PLANNED"}

    def test_parties_hosted_here_are_seen_by_everybody_and_the_hub_itself_is_no_client(
        self, hub: Party
    ) -> None:
        """HCI-01."""
        OwnPartyFactory()
        OwnPartyFactory(party_id="OLD", is_active=False)
        assert seen(a_partner()) == {"CPO YRD": "CONNECTED", "CPO OLD": "SUSPENDED"}

    def test_a_platform_is_not_told_of_its_own_parties(self, hub: Party) -> None:
        taxi = a_partner()
        mine = PartyFactory(role="CPO", party_id="NLI", platform=taxi.party.platform)
        agree(taxi.party, mine)
        assert seen(taxi) == {}

    def test_what_any_party_of_the_platform_may_reach_is_in_its_list(self, hub: Party) -> None:
        """HCI-01: a platform asks, so the best of the agreements of its parties counts."""
        taxi, other = a_partner(), PartyFactory(role="CPO", party_id="NLI")
        second = PartyFactory(party_id="EM2", platform=taxi.party.platform)
        agree(taxi.party, other, "ENDED")
        agree(second, other, "PLANNED")
        assert seen(taxi) == {"CPO NLI": "PLANNED"}
        agree(second, other, "ACTIVE")
        assert seen(taxi) == {"CPO NLI": "CONNECTED"}

    def test_the_stamp_moves_with_each_change_that_is_seen(self, hub: Party) -> None:
        """HCI-03: a delta from the last stamp brings what came after it, and its own entry again."""
        taxi, other = a_partner(), PartyFactory(role="CPO", party_id="NLI")
        stamps = []
        for status in ("PLANNED", "ACTIVE", "ENDED"):
            agree(taxi.party, other, status)
            [entry] = taxi.get(CLIENTS).data
            stamps.append(read_datetime(entry["last_updated"]))
            assert seen(taxi) == {"CPO NLI": entry["status"]}
            assert len(taxi.get(CLIENTS, date_from=entry["last_updated"]).data) == 1
        assert stamps == sorted(set(stamps))

    def test_where_there_is_no_hub_there_is_no_list(self, db: None) -> None:
        OwnPartyFactory()
        reply = a_partner().get(CLIENTS)
        assert (reply.http_status, reply.status_code, reply.data) == (404, 2000, None)


def a_hub(party_id: str = "RHB", **values: Any) -> PartnerClient:
    """The hub that we are connected to."""
    return a_partner("NL", party_id, role="HUB", platform__name=f"Hub {party_id}", **values)


def refused(reply: Reply, http_status: int, code: int) -> None:
    assert (reply.http_status, reply.status_code, reply.data) == (http_status, code, None)


def stored() -> list[tuple[Any, ...]]:
    parties = Party.objects.exclude(platform=None).order_by("pk")
    return list(
        parties.values_list("role", "party_id", "presence", "is_active", "is_behind_hub", "announced_at")
    )


class TestReceiver:
    """HCI-11, HCI-12, HCI-14: what a hub says of its clients."""

    @pytest.fixture(autouse=True)
    def _ours(self, db: None) -> None:
        OwnPartyFactory()

    def test_put_then_get(self, db: None) -> None:
        """HCI-11: 201 for new, 200 when known; without routing headers, whatever stray ones say (HUB-54)."""
        rhine = a_hub()
        first, again = (rhine.call("PUT", f"{CLIENT}/NL/EMS", client_info(), headers=STRAY) for _ in range(2))
        assert [(each.http_status, each.status_code, each.data) for each in (first, again)] == [
            (201, 1000, None), (200, 1000, None)
        ]  # fmt: skip
        reply = rhine.call("GET", f"{CLIENT}/nl/ems", headers=STRAY)
        assert (reply.http_status, reply.data) == (200, client_info())
        named = [name for each in (first, reply) for name in each.headers if name.lower().startswith("ocpi-")]
        assert named == []

    def test_a_new_client_is_a_party_behind_the_hub(self, db: None) -> None:
        """HCI-11, DIS-13."""
        rhine = a_hub()
        rhine.put(f"{CLIENT}/NL/EMS", client_info())
        party = Party.objects.get(party_id="EMS")
        assert (party.platform, party.is_behind_hub, party.is_active) == (rhine.party.platform, True, True)
        assert (party.presence, party.announced_at) == ("CONNECTED", read_datetime("2026-03-11T08:00:00Z"))

    def test_both_roles_of_a_party_are_kept(self, db: None) -> None:
        """HCI-12, DIS-63: one URL, two clients; GET shows the one that was spoken of last."""
        rhine = a_hub()
        later = client_info(role="CPO", status="OFFLINE", last_updated="2026-03-11T08:05:00Z")
        assert rhine.put(f"{CLIENT}/NL/EMS", client_info()).http_status == 201
        assert rhine.put(f"{CLIENT}/NL/EMS", later).http_status == 201
        presences = Party.objects.filter(party_id="EMS").values_list("role", "presence").order_by("role")
        assert list(presences) == [("CPO", "OFFLINE"), ("EMSP", "CONNECTED")]
        assert rhine.get(f"{CLIENT}/NL/EMS").data == later

    def test_older_news_is_acknowledged_and_ignored(self, db: None) -> None:
        """DIS-28."""
        rhine = a_hub()
        rhine.put(f"{CLIENT}/NL/EMS", client_info())
        before = stored()
        older = client_info(status="SUSPENDED", last_updated="2026-03-11T07:59:59Z")
        reply = rhine.put(f"{CLIENT}/NL/EMS", older)
        assert (reply.http_status, reply.status_code, stored()) == (200, 1000, before)

    @pytest.mark.parametrize(
        ("presence", "acts"),
        [("CONNECTED", True), ("OFFLINE", True), ("PLANNED", False), ("SUSPENDED", False)],
    )
    def test_who_is_planned_or_gone_cannot_act(self, presence: str, acts: bool) -> None:
        """HCI-14: its objects are accepted when it is connected, and again when it is back."""
        rhine = a_hub()
        rhine.put(f"{CLIENT}/NL/EMS", client_info(status=presence))
        headers = {"OCPI-from-country-code": "NL", "OCPI-from-party-id": "EMS"}
        reply = rhine.call("GET", "/ocpi/2.2.1/sender/locations", headers=headers)
        assert reply.http_status == (200 if acts else 401)
        rhine.put(f"{CLIENT}/NL/EMS", client_info(last_updated="2026-03-11T09:00:00Z"))
        assert rhine.call("GET", "/ocpi/2.2.1/sender/locations", headers=headers).http_status == 200

    def test_a_client_in_two_roles_acts_as_the_one_that_calls_a_cpo(self, db: None) -> None:
        """HCI-12: FROM names no role; who asks a CPO for Locations is not asking as a CPO."""
        rhine = a_hub()
        for role in ("CPO", "EMSP"):
            rhine.put(f"{CLIENT}/NL/EMS", client_info(role=role))
        token = {
            "country_code": "NL", "party_id": "EMS", "uid": "04E1D2C3B4A580", "type": "RFID", "contract_id": "NL-EMS-C1",
            "issuer": "Randstad Taxi", "valid": True, "whitelist": "ALLOWED", "last_updated": "2026-03-11T08:00:00Z",
        }  # fmt: skip
        headers = {"OCPI-from-country-code": "NL", "OCPI-from-party-id": "EMS"}
        url = "/ocpi/2.2.1/receiver/tokens/NL/EMS/04E1D2C3B4A580"
        assert rhine.call("PUT", url, token, headers=headers).http_status == 201
        assert list(Party.objects.filter(tokens__uid="04E1D2C3B4A580").values_list("role", flat=True)) == [
            "EMSP"
        ]

    def test_a_party_of_ours_or_of_another_platform_is_never_taken_over(self, caplog: Any) -> None:
        """OBJ-10, DIS-13: 2001, logged, and nothing changes."""
        rhine = a_hub()
        PartyFactory(party_id="EMS")
        before = stored()
        for url, body in (
            ("NL/EMS", client_info(status="SUSPENDED")),
            ("BE/YRD", client_info("YRD", country_code="BE", role="CPO", status="SUSPENDED")),
        ):
            refused(rhine.put(f"{CLIENT}/{url}", body), 200, 2001)
            refused(rhine.get(f"{CLIENT}/{url}"), 404, 2000)
        assert (stored(), caplog.text.count("clients.foreign")) == (before, 2)
        assert Party.objects.get(party_id="YRD").presence == "CONNECTED"

    def test_only_a_hub_has_clients(self, db: None) -> None:
        """HCI-11, B1: for every other platform, and for another hub's clients, nothing is here."""
        a_hub().put(f"{CLIENT}/NL/EMS", client_info())
        before = stored()
        taxi = a_partner("DE", "FRE")
        refused(taxi.put(f"{CLIENT}/DE/FRE", client_info("FRE", country_code="DE")), 404, 2000)
        refused(taxi.get(f"{CLIENT}/NL/EMS"), 404, 2000)
        elbe = a_hub("ELB")
        refused(elbe.get(f"{CLIENT}/NL/EMS"), 404, 2000)
        refused(elbe.put(f"{CLIENT}/NL/EMS", client_info(status="SUSPENDED")), 200, 2001)
        assert stored()[: len(before)] == before
        assert Party.objects.filter(party_id="EMS").count() == 1

    @pytest.mark.parametrize(
        "changes",
        [
            {"party_id": "XXX"}, {"country_code": "DE"}, {"role": "KING"}, {"status": "AWAY"}, {"last_updated": None},
            {"last_updated": "2099-01-01T00:00:00Z"}, {"party_id": "!!!"},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_cannot_be_is_refused(self, changes: dict[str, Any]) -> None:
        """HCI-03, HTP-06, OBJ-09: 2001, and nothing is stored or queued."""
        rhine = a_hub()
        before = stored()
        refused(rhine.put(f"{CLIENT}/NL/EMS", client_info() | changes), 200, 2001)
        assert (stored(), Obligation.objects.count()) == (before, 0)

    @pytest.mark.parametrize("word", ["%00", "%0A", "%C5%BF", "%E2%84%AA", "%F0%9F%9A%8C", "'", "A" * 300])
    def test_a_word_that_is_no_party_finds_and_stores_nothing(self, word: str) -> None:
        """I5, I12: control characters, look-alikes, over-long words."""
        rhine = a_hub()
        before = stored()
        refused(rhine.get(f"{CLIENT}/NL/{word}"), 404, 2000)
        refused(rhine.put(f"{CLIENT}/NL/{word}", client_info()), 200, 2001)
        assert stored() == before

    def test_other_methods_are_not_allowed(self, db: None) -> None:
        """HCI-11, HTP-01."""
        rhine = a_hub()
        rhine.put(f"{CLIENT}/NL/EMS", client_info())
        before = stored()
        for method in ("POST", "PATCH", "DELETE"):
            reply = rhine.call(method, f"{CLIENT}/NL/EMS", client_info(status="SUSPENDED"))
            assert (reply.http_status, reply.headers["Allow"]) == (405, "GET, PUT")
        assert stored() == before

    def test_a_party_in_the_hubs_own_credentials_stays_its_own(self, db: None) -> None:
        """DIS-13: some hubs list their clients in their credentials as well."""
        rhine = a_hub()
        listed = PartyFactory(party_id="EMS", platform=rhine.party.platform)
        assert rhine.put(f"{CLIENT}/NL/EMS", client_info(status="OFFLINE")).status_code == 1000
        listed.refresh_from_db()
        assert (listed.presence, listed.is_behind_hub, listed.is_active) == ("OFFLINE", False, True)


def test_a_stranger_gets_nothing_of_either_side(hub: Party) -> None:
    """AUT-05."""
    party = PartyFactory()
    nobody = PartnerClient(party=party, token="never-given-out")
    connect_party(party)
    for method, url in (("GET", CLIENTS), ("GET", f"{CLIENT}/NL/EMS"), ("PUT", f"{CLIENT}/NL/EMS")):
        assert nobody.call(method, url, client_info() if method == "PUT" else None).http_status == 401
