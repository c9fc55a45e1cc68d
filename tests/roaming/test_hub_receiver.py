"""What is pushed to the hub: kept as its owner wrote it, and put together from its parts."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from ocpi.scalars import write_datetime
from roaming.models import HubDocument, Obligation
from tests.contracts import ReceiverContract
from tests.partners import PartnerClient
from tests.roaming import hub_members as hub

PATHS = hub.RECEIVER


@pytest.fixture(autouse=True)
def _hub(db: None) -> None:
    hub.the_hub()


class HubContract(ReceiverContract):
    """What holds for every object that is received holds at the hub, but that unknown members are kept."""

    @pytest.fixture(autouse=True)
    def _ours(self, _hub: None) -> None:
        pass

    @pytest.fixture
    def partner(self, _ours: None) -> PartnerClient:
        return hub.member(self.role, "NL", "EMS")

    @pytest.fixture
    def stranger(self, _ours: None) -> PartnerClient:
        return hub.member(self.role, "DE", "FRE")

    role: ClassVar[str]
    # Not even looked at: no such path may be sent on to anybody.
    no_path: ClassVar[tuple[int, int]] = (404, 2000)

    def count(self) -> int:
        return HubDocument.objects.count()

    def test_unknown_members_are_ignored(self, partner: PartnerClient) -> None:
        """HUB-14: not here: they belong to whoever reads the object in the end."""
        extended = {**self.sample(), "x_new": 1, "is_fleet": True, "owner_notes": {"priority": [0]}}
        assert partner.put(self.url(), extended).http_status == 201
        assert self.stored(partner) == extended

    def test_the_hub_answers_in_its_own_name(self, partner: PartnerClient) -> None:
        """HUB-02, HUB-31: TO = requester, FROM = hub."""
        for reply in (partner.put(self.url(), self.sample()), partner.get(self.url())):
            names = [
                f"OCPI-{side}-{name}" for side in ("to", "from") for name in ("country-code", "party-id")
            ]
            assert [reply.headers[name] for name in names] == ["NL", "EMS", "BE", "HUB"]


NL_EMS = {"country_code": "NL", "party_id": "EMS"}


class TestLocations(HubContract):
    path: ClassVar[str] = f"{PATHS}/locations"
    role: ClassVar[str] = "CPO"
    optional: ClassVar[str] = "parking_type"
    required: ClassVar[str] = "city"
    change: ClassVar[dict[str, Any]] = {"name": "Utrecht, back entrance", "publish": False}

    def sample(self) -> dict[str, Any]:
        return hub.location(_owner(), parking_type="PARKING_LOT")


class TestTokens(HubContract):
    path: ClassVar[str] = f"{PATHS}/tokens"
    role: ClassVar[str] = "EMSP"
    id_member: ClassVar[str] = "uid"
    optional: ClassVar[str] = "group_id"
    required: ClassVar[str] = "contract_id"
    change: ClassVar[dict[str, Any]] = {"valid": False, "whitelist": "NEVER"}

    def sample(self) -> dict[str, Any]:
        return hub.token(_owner(), group_id="TAXI-A")


def _owner() -> Any:
    class Owner:
        country_code, party_id = "NL", "EMS"

    return Owner()


@pytest.fixture
def cpo(_hub: None) -> PartnerClient:
    return hub.member("CPO", "NL", "TNM")


@pytest.fixture
def utrecht(cpo: PartnerClient) -> dict[str, Any]:
    """A Location that the hub knows."""
    document = hub.location(cpo)
    assert cpo.put(hub.url("locations", document), document).http_status == 201
    return document


def kept(cpo: PartnerClient, document: dict[str, Any], *parts: str) -> Any:
    return cpo.get(hub.url("locations", document, *parts)).data


def refused(reply: Any, http_status: int, status_code: int) -> None:
    assert (reply.http_status, reply.status_code, reply.data) == (http_status, status_code, None)


def test_a_document_is_kept_byte_by_byte(cpo: PartnerClient) -> None:
    """HUB-14, HUB-15, LOC-17: spaces, digits and members that no chapter knows."""
    document = hub.location(cpo)
    body = hub.pretty(document)
    cpo.put(hub.url("locations", document), body)
    assert bytes(HubDocument.objects.get().document) == body
    assert body in cpo.get(hub.url("locations", document)).body


def test_a_connector_stamps_all_that_holds_it(cpo: PartnerClient, utrecht: dict[str, Any]) -> None:
    """LOC-15: by PUT and by PATCH, with the stamp that its owner gave."""
    plug = hub.connector("2", hub.LATER)
    assert cpo.put(hub.url("locations", utrecht, "BAY-1", "2"), plug).http_status == 201
    whole = kept(cpo, utrecht)
    assert [each["last_updated"] for each in (whole, *whole["evses"])] == [hub.LATER, hub.LATER, hub.EIGHT]
    patch = {"tariff_ids": ["DAY"], "last_updated": hub.LAST}
    assert cpo.patch(hub.url("locations", utrecht, "bay-1", "2"), patch).status_code == 1000
    whole = kept(cpo, utrecht)
    assert [each["last_updated"] for each in (whole, *whole["evses"])] == [hub.LAST, hub.LAST, hub.EIGHT]
    assert whole["evses"][0]["connectors"] == [hub.connector("1"), plug | patch]
    assert HubDocument.objects.get().last_updated == datetime(2026, 3, 11, 8, 10, tzinfo=UTC)


def test_an_evse_stamps_its_location(cpo: PartnerClient, utrecht: dict[str, Any]) -> None:
    """LOC-15."""
    status = {"status": "CHARGING", "last_updated": hub.LATER}
    assert cpo.patch(hub.url("locations", utrecht, "BAY-2"), status).status_code == 1000
    assert kept(cpo, utrecht) == utrecht | {
        "evses": [hub.evse("BAY-1"), hub.evse("BAY-2") | status], "last_updated": hub.LATER
    }  # fmt: skip
    assert cpo.put(hub.url("locations", utrecht, "BAY-1"), hub.evse("BAY-1", hub.LAST)).http_status == 200
    assert kept(cpo, utrecht)["last_updated"] == hub.LAST


def test_unknown_parts_are_added_to_what_is_known(cpo: PartnerClient, utrecht: dict[str, Any]) -> None:
    """LOC-16."""
    bay = hub.evse("BAY-3", hub.LATER)
    assert cpo.put(hub.url("locations", utrecht, "BAY-3"), bay).http_status == 201
    assert kept(cpo, utrecht, "BAY-3") == bay
    assert [each["uid"] for each in kept(cpo, utrecht)["evses"]] == ["BAY-1", "BAY-2", "BAY-3"]
    plug = hub.connector("9", hub.LATER)
    assert cpo.put(hub.url("locations", utrecht, "BAY-3", "9"), plug).http_status == 201
    assert kept(cpo, utrecht, "BAY-3", "9") == plug


def test_parts_of_what_is_unknown_are_refused(cpo: PartnerClient, utrecht: dict[str, Any]) -> None:
    """LOC-16, DIS-06, OBJ-06: 404; nothing is kept or owed."""
    before = list(HubDocument.objects.values())
    other = utrecht | {"id": "UTRECHT-9"}
    refused(cpo.put(hub.url("locations", other, "BAY-1"), hub.evse("BAY-1")), 404, 2000)
    refused(cpo.put(hub.url("locations", other, "BAY-1", "1"), hub.connector()), 404, 2000)
    refused(cpo.put(hub.url("locations", utrecht, "BAY-9", "1"), hub.connector()), 404, 2000)
    patch = {"status": "BLOCKED", "last_updated": hub.LATER}
    refused(cpo.patch(hub.url("locations", utrecht, "BAY-9"), patch), 404, 2000)
    refused(cpo.patch(hub.url("locations", utrecht, "BAY-1", "9"), {"last_updated": hub.LATER}), 404, 2000)
    assert cpo.get(hub.url("locations", utrecht, "BAY-9")).http_status == 404
    assert (list(HubDocument.objects.values()), Obligation.objects.count()) == (before, 0)


def test_older_news_of_a_part_is_acknowledged_and_ignored(
    cpo: PartnerClient, utrecht: dict[str, Any]
) -> None:
    """DIS-28: of the part itself, even when its Location is newer by another one; B19 for the same moment."""
    cpo.patch(hub.url("locations", utrecht, "BAY-1"), {"status": "CHARGING", "last_updated": hub.LAST})
    # Older than the Location by now, and still news of this bay.
    later = {"status": "BLOCKED", "last_updated": hub.LATER}
    assert cpo.patch(hub.url("locations", utrecht, "BAY-2"), later).status_code == 1000
    before = kept(cpo, utrecht)
    assert [each["status"] for each in before["evses"]] == ["CHARGING", "BLOCKED"]
    assert before["last_updated"] == hub.LAST
    for reply in (
        cpo.patch(hub.url("locations", utrecht, "BAY-1"), later),
        cpo.put(hub.url("locations", utrecht, "BAY-1"), hub.evse("BAY-1", hub.LATER)),
        cpo.put(hub.url("locations", utrecht), utrecht),
    ):
        assert (reply.http_status, reply.status_code) == (200, 1000)
    refused(cpo.patch(hub.url("locations", utrecht, "BAY-1"), later | {"last_updated": hub.LAST}), 200, 2001)
    assert kept(cpo, utrecht) == before


def test_a_patch_of_a_location_keeps_the_bays_that_it_does_not_name(
    cpo: PartnerClient, utrecht: dict[str, Any]
) -> None:
    """DIS-24."""
    patch = {
        "name": "Utrecht West",
        "evses": [
            {"uid": "bay-2", "status": "INOPERATIVE", "last_updated": hub.LATER},
            hub.evse("BAY-3", hub.LATER),
        ],
        "last_updated": hub.LATER,
    }
    assert cpo.patch(hub.url("locations", utrecht), patch).status_code == 1000
    whole = kept(cpo, utrecht)
    assert [(each["uid"].upper(), each["status"]) for each in whole["evses"]] == [
        ("BAY-1", "AVAILABLE"), ("BAY-2", "INOPERATIVE"), ("BAY-3", "AVAILABLE")
    ]  # fmt: skip
    assert whole["name"] == "Utrecht West"


def test_a_part_names_itself_and_comes_from_the_past(cpo: PartnerClient, utrecht: dict[str, Any]) -> None:
    """OBJ-09, OBJ-11, B19: in the URL and in the body alike; nothing changes."""
    ahead = write_datetime(datetime.now(UTC) + timedelta(minutes=6))
    bay = hub.url("locations", utrecht, "BAY-1")
    refused(cpo.put(bay, hub.evse("BAY-2", hub.LATER)), 200, 2001)
    refused(cpo.put(bay, hub.evse("BAY-1", ahead)), 200, 2001)
    refused(cpo.patch(bay, {"uid": "BAY-7", "last_updated": hub.LATER}), 200, 2001)
    refused(cpo.patch(bay, {"status": "BROKEN", "last_updated": hub.LATER}), 200, 2001)
    refused(cpo.patch(bay, {"connectors": [], "last_updated": hub.LATER}), 200, 2001)
    refused(cpo.patch(bay, {"status": "BLOCKED"}), 200, 2001)
    assert kept(cpo, utrecht) == utrecht


def test_half_a_character_is_refused(cpo: PartnerClient) -> None:
    """HTP-05: also in a member that we do not know, since nobody could read the object again."""
    document = hub.location(cpo, x_note="@")
    body = hub.pretty(document).replace(b'"@"', b'"\\ud800"')
    refused(cpo.put(hub.url("locations", document), body), 400, 2000)
    assert HubDocument.objects.count() == 0


def test_a_location_does_not_grow_without_end(cpo: PartnerClient, utrecht: dict[str, Any]) -> None:
    """HTP-05: a Location that could not be put as a whole cannot be put together from parts."""
    for number in range(1, 4):
        bay = hub.evse(f"BAY-{number}", hub.LATER, x_note="x" * 400_000)
        reply = cpo.put(hub.url("locations", utrecht, bay["uid"]), bay)
        assert reply.status_code == (2001 if number == 3 else 1000)
    assert [each["uid"] for each in kept(cpo, utrecht)["evses"]] == ["BAY-1", "BAY-2"]


def test_the_life_of_a_tariff(cpo: PartnerClient) -> None:
    """TAR-05: PUT keeps, DELETE removes, GET then finds nothing, PATCH is not offered; unknown ones are 404."""
    document = hub.tariff(cpo)
    url = hub.url("tariffs", document)
    refused(cpo.call("DELETE", url), 404, 2000)
    assert [cpo.put(url, document).http_status for _ in range(2)] == [201, 200]
    changed = document | {"currency": "CHF", "last_updated": hub.LATER}
    assert cpo.put(url, changed).http_status == 200
    assert cpo.get(url).data == changed
    patch = cpo.patch(url, {"currency": "EUR", "last_updated": hub.LAST})
    assert (patch.http_status, sorted(patch.headers["Allow"].split(", "))) == (405, ["DELETE", "GET", "PUT"])
    gone = cpo.call("DELETE", url)
    assert (gone.http_status, gone.status_code, gone.data) == (200, 1000, None)
    refused(cpo.get(url), 404, 2000)
    refused(cpo.call("DELETE", url), 404, 2000)
    assert cpo.put(url, changed).status_code == 1000
    assert cpo.get(url).data == changed


def test_nobody_deletes_what_is_another_s(cpo: PartnerClient) -> None:
    """OBJ-10, B1: 404 as for what nobody has, also with an agreement; the tariff stays."""
    stranger = hub.member("CPO", "DE", "FRE")
    hub.agree(cpo, stranger)
    document = hub.tariff(cpo)
    url = hub.url("tariffs", document)
    cpo.put(url, document)
    refused(stranger.call("DELETE", url), 404, 2000)
    assert cpo.get(url).data == document


def test_a_token_is_found_by_its_type() -> None:
    """TOK-02, TOK-03, TOK-04."""
    emsp = hub.member("EMSP", "NL", "EMS")
    card, app = hub.token(emsp), hub.token(emsp, type="APP_USER")
    url = hub.url("tokens", card)
    assert [emsp.put(url, card).http_status, emsp.put(f"{url}?type=APP_USER", app).http_status] == [201, 201]
    assert (emsp.get(url).data, emsp.get(url, type="APP_USER").data) == (card, app)
    refused(emsp.put(f"{url}?type=OTHER", card), 200, 2001)
    refused(emsp.get(url, type="rfid"), 200, 2001)
    assert HubDocument.objects.count() == 2


@pytest.mark.parametrize("module", ["sessions", "cdrs"])
def test_sessions_and_cdrs_are_never_sent_to_a_hub(cpo: PartnerClient, module: str) -> None:
    """HUB-39: 2000; nothing is kept or owed."""
    emsp = hub.member("EMSP", "NL", "EMS")
    hub.agree(cpo, emsp)
    if module == "cdrs":
        reply = cpo.call("POST", f"{PATHS}/cdrs", hub.cdr(cpo, emsp))
    else:
        document = hub.session(cpo, emsp)
        reply = cpo.put(hub.url(module, document), document)
    refused(reply, 200, 2000)
    assert (HubDocument.objects.count(), Obligation.objects.count()) == (0, 0)


def test_the_owner_stands_in_the_body_when_the_url_names_the_hub(cpo: PartnerClient) -> None:
    """DIS-18: kept under its owner; a foreign one is refused all the same."""
    hub.member("CPO", "DE", "FRE")
    document = hub.tariff(cpo)
    url = hub.url("tariffs", document | {"country_code": "BE", "party_id": "HUB"})
    assert cpo.put(url, document).http_status == 201
    assert cpo.get(hub.url("tariffs", document)).data == document
    refused(cpo.put(url, document | {"country_code": "DE", "party_id": "FRE"}), 404, 2000)
    refused(cpo.put(url, {"id": "DAY"}), 404, 2000)
    assert HubDocument.objects.count() == 1


def test_of_a_party_in_two_roles_the_right_one_owns() -> None:
    """DIS-17: tokens are the eMSP's, Locations the CPO's, on one platform under one id."""
    cpo = hub.member("CPO", "NL", "TNM")
    assert cpo.party is not None
    emsp = hub.member("EMSP", "NL", "TNM", platform=cpo.party.platform)
    location, token = hub.location(cpo), hub.token(emsp)
    cpo.put(hub.url("locations", location), location)
    cpo.put(hub.url("tokens", token), token)
    assert list(HubDocument.objects.order_by("pk").values_list("module", "owner__role")) == [
        ("locations", "CPO"), ("tokens", "EMSP")
    ]  # fmt: skip


def test_a_broadcast_is_shown_to_whoever_may_see_it(cpo: PartnerClient, utrecht: dict[str, Any]) -> None:
    """HUB-38, HUB-53, LOC-17: to an eMSP with an agreement; 404 with the same bytes for all others."""
    emsp, stranger = hub.member("EMSP", "NL", "EMS"), hub.member("EMSP", "DE", "RMO")
    other_cpo = hub.member("CPO", "DE", "FRE")
    hub.agree(cpo, emsp, other_cpo)
    url = hub.url("locations", utrecht)
    assert emsp.get(url).data == utrecht
    assert emsp.get(hub.url("locations", utrecht, "BAY-1")).data == hub.evse("BAY-1")
    unknown = hub.url("locations", utrecht | {"country_code": "ZZ", "party_id": "ZZZ"})
    for each in (stranger, other_cpo):
        refused(each.get(url), 404, 2000)
        assert each.get(url).without_timestamp() == each.get(unknown).without_timestamp()


@pytest.mark.parametrize("rest", ["", "/NL", "/NL/TNM", "/NL/TNM/U/1/2/3"])
def test_paths_that_no_module_has_are_not_found(cpo: PartnerClient, rest: str) -> None:
    """HTP-04, ENV-06."""
    reply = cpo.call("PUT", f"{PATHS}/locations{rest}", {})
    assert (reply.http_status, reply.status_code) == (404, 2000)
    assert HubDocument.objects.count() == 0
