"""What partners push to a party of ours that is no CPO: Sessions and CDRs for an eMSP that is hosted here."""

import threading
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection

from roaming.models import HubDocument, Obligation, Party
from tests.contracts import ReceiverContract
from tests.partners import PartnerClient
from tests.roaming import hub_members as hub

PATHS = hub.RECEIVER
CDRS = f"{PATHS}/cdrs"


@pytest.fixture(autouse=True)
def _hub(db: None) -> None:
    hub.the_hub()
    hub.own("CPO", "YRD")


@pytest.fixture
def fleet(_hub: None) -> Party:
    """The eMSP of a fleet, hosted here."""
    return hub.own("EMSP", "FLT")


@pytest.fixture
def cpo(fleet: Party) -> PartnerClient:
    """A CPO that sends what concerns the fleet's drivers to it."""
    return hub.to(hub.member("CPO", "NL", "TNM"), fleet)


class TestSessions(ReceiverContract):
    path = f"{PATHS}/sessions"
    # Not even looked at: no such path may be sent on to anybody.
    no_path = (404, 2000)
    optional = "meter_id"
    required = "currency"
    change = {"kwh": 7.25, "status": "COMPLETED"}  # noqa: RUF012  # the contract declares it

    @pytest.fixture(autouse=True)
    def _ours(self, _hub: None) -> None:
        pass

    @pytest.fixture
    def partner(self, fleet: Party) -> PartnerClient:
        return hub.to(hub.member("CPO", "NL", "EMS"), fleet)

    @pytest.fixture
    def stranger(self, fleet: Party) -> PartnerClient:
        return hub.to(hub.member("CPO", "DE", "FRE"), fleet)

    def sample(self) -> dict[str, Any]:
        owner = Party(country_code="NL", party_id="EMS")
        return hub.session(owner, Party(country_code="BE", party_id="FLT"), meter_id="M-1")

    def count(self) -> int:
        return HubDocument.objects.count()

    def test_unknown_members_are_ignored(self, partner: PartnerClient) -> None:
        """HUB-14: here they are kept for whoever reads the object in the end."""
        extended = {**self.sample(), "x_new": 1}
        assert partner.put(self.url(), extended).http_status == 201
        assert self.stored(partner) == extended


def refused(reply: Any, http_status: int, status_code: int) -> None:
    assert (reply.http_status, reply.status_code, reply.data) == (http_status, status_code, None)


def test_a_patch_appends_periods_and_a_put_replaces_them(cpo: PartnerClient, fleet: Party) -> None:
    """SES-09, SES-10, DIS-25: a repetition of either is harmless; nothing of a Session is passed on to anybody."""
    document = hub.session(cpo, fleet, charging_periods=[hub.period("2026-03-11T08:00:00Z")])
    url = hub.url("sessions", document)
    cpo.put(url, document)
    second, third = hub.period("2026-03-11T08:02:00Z"), hub.period("2026-03-11T08:04:00Z")
    patches = (
        {"charging_periods": [second], "last_updated": "2026-03-11T08:02:00Z"},
        {"charging_periods": [second], "last_updated": "2026-03-11T08:02:00Z"},
        {"charging_periods": [second, third], "kwh": 3, "last_updated": "2026-03-11T08:04:00Z"},
        {"charging_periods": [], "last_updated": "2026-03-11T08:05:00Z"},
        {"kwh": 4, "last_updated": "2026-03-11T08:06:00Z"},
    )
    for patch in patches:
        assert cpo.patch(url, patch).status_code == 1000
    session = cpo.get(url).data
    assert session["charging_periods"] == [*document["charging_periods"], second, third]
    assert (session["kwh"], session["last_updated"]) == (4, "2026-03-11T08:06:00Z")
    two = document | {"charging_periods": [third, second], "last_updated": "2026-03-11T08:07:00Z"}
    cpo.put(url, two)
    assert cpo.get(url).data == two
    none = {name: value for name, value in two.items() if name != "charging_periods"}
    for empty in (none, none | {"charging_periods": []}):
        stamped = empty | {"last_updated": "2026-03-11T08:08:00Z"}
        cpo.put(url, stamped)
        assert cpo.get(url).data == stamped
    assert Obligation.objects.count() == 0


def test_a_cdr_is_kept_and_can_be_read_where_the_answer_says(cpo: PartnerClient, fleet: Party) -> None:
    """CDR-05, DIS-33: 201 with a Location that brings back the very bytes."""
    body = hub.pretty(hub.cdr(cpo, fleet, "CDR 7/2026?"))
    reply = cpo.call("POST", CDRS, body)
    assert (reply.http_status, reply.status_code, reply.data) == (201, 1000, None)
    base = f"{django_settings.OCPI_PUBLIC_URL}{CDRS}/"
    assert reply.headers["Location"] == f"{base}CDR%207%2F2026%3F"
    plain = cpo.call("POST", CDRS, hub.pretty(hub.cdr(cpo, fleet)))
    stored = cpo.get(plain.headers["Location"].removeprefix(django_settings.OCPI_PUBLIC_URL))
    assert hub.pretty(hub.cdr(cpo, fleet)) in stored.body
    assert stored.data["id"] == "CDR-1"


def test_the_same_cdr_again_is_one_cdr_and_another_one_is_refused(cpo: PartnerClient, fleet: Party) -> None:
    """CDR-06, DIS-34: whatever the order of members and the digits; what was kept never changes."""
    document = hub.cdr(cpo, fleet)
    first = cpo.call("POST", CDRS, document)
    again = dict(reversed(document.items())) | {"remark": None, "id": "CDR-1"}
    second = cpo.call("POST", CDRS, hub.json.dumps(again).replace("12.1}", "12.10}").encode())
    assert [(each.http_status, each.status_code) for each in (first, second)] == [(201, 1000), (200, 1000)]
    assert first.headers["Location"] == second.headers["Location"]
    for change in ({"total_cost": {"excl_vat": 12.2}}, {"x_discount": 1}, {"last_updated": hub.LAST}):
        reply = cpo.call("POST", CDRS, document | change)
        refused(reply, 200, 2001)
        assert "Location" not in reply.headers
    assert cpo.get(f"{CDRS}/cdr-1").data == document
    assert HubDocument.objects.count() == 1


def test_a_cdr_cannot_be_changed(cpo: PartnerClient, fleet: Party) -> None:
    """CDR-07."""
    document = hub.cdr(cpo, fleet)
    cpo.call("POST", CDRS, document)
    for method in ("PUT", "PATCH", "DELETE"):
        reply = cpo.call(method, f"{CDRS}/CDR-1", document)
        assert (reply.http_status, reply.headers["Allow"]) == (405, "GET")
        reply = cpo.call(method, CDRS, document)
        assert (reply.http_status, reply.headers["Allow"]) == (405, "POST")
    assert cpo.get(f"{CDRS}/CDR-1").data == document


def test_a_cdr_of_somebody_else_s_is_refused(cpo: PartnerClient, fleet: Party) -> None:
    """OBJ-09, OBJ-10, B1: 2001 for an owner that is not of this platform; nobody reads what is another's."""
    stranger = hub.to(hub.member("CPO", "DE", "FRE"), fleet)
    refused(cpo.call("POST", CDRS, hub.cdr(stranger, fleet)), 200, 2001)
    assert HubDocument.objects.count() == 0
    cpo.call("POST", CDRS, hub.cdr(cpo, fleet))
    foreign, unknown = stranger.get(f"{CDRS}/CDR-1"), stranger.get(f"{CDRS}/CDR-9")
    refused(foreign, 404, 2000)
    assert foreign.without_timestamp() == unknown.without_timestamp()
    refused(cpo.get(f"{CDRS}/%00"), 404, 2000)


def test_two_parties_of_a_platform_may_use_the_same_id(cpo: PartnerClient, fleet: Party) -> None:
    """DIS-17: each reads its own at the same URL."""
    assert cpo.party is not None
    other = hub.to(hub.member("CPO", "NL", "TN2", platform=cpo.party.platform), fleet)
    for each in (cpo, other):
        assert each.call("POST", CDRS, hub.cdr(each, fleet)).http_status == 201
    assert [each.get(f"{CDRS}/CDR-1").data["party_id"] for each in (cpo, other)] == ["TNM", "TN2"]


def test_a_cpo_receives_no_sessions(cpo: PartnerClient, fleet: Party) -> None:
    """HUB-21: 4000 for every method where the party of ours that is named receives no such things; nothing is kept."""
    to_cpo = hub.to(cpo, hub.own("CPO", "YRD"))
    document = hub.session(cpo, fleet)
    url = hub.url("sessions", document)
    for reply in (
        to_cpo.put(url, document),
        to_cpo.get(url),
        to_cpo.patch(url, {"kwh": 2, "last_updated": hub.LATER}),
        to_cpo.call("POST", CDRS, hub.cdr(cpo, fleet)),
        to_cpo.get(f"{CDRS}/CDR-1"),
        to_cpo.put(hub.url("tariffs", hub.tariff(cpo)), hub.tariff(cpo)),
    ):
        refused(reply, 200, 4000)
    assert HubDocument.objects.count() == 0


def test_a_party_of_ours_in_two_roles_receives_as_emsp(cpo: PartnerClient) -> None:
    """BE-YRD is CPO and eMSP."""
    both = hub.own("EMSP", "YRD")
    sender = hub.to(cpo, both)
    document = hub.session(cpo, both)
    assert sender.put(hub.url("sessions", document), document).http_status == 201
    assert HubDocument.objects.get().recipient == both


def test_what_was_sent_to_one_party_is_kept_apart_from_broadcasts(cpo: PartnerClient, fleet: Party) -> None:
    """DIS-17, HUB-27: the same Location may differ by recipient, and nobody else is told of this one."""
    emsp = hub.member("EMSP", "NL", "EMS")
    hub.agree(cpo, emsp)
    assert cpo.party is not None
    to_hub = hub.acting(cpo.party, str(cpo.token))
    shown, special = hub.location(cpo), hub.location(cpo, name="For the fleet", last_updated=hub.LATER)
    url = hub.url("locations", shown)
    assert cpo.put(url, special).http_status == 201
    assert (Obligation.objects.count(), emsp.get(url).http_status) == (0, 404)
    assert emsp.get(f"{hub.SENDER}/locations").data == []
    assert to_hub.put(url, shown).http_status == 201
    assert (cpo.get(url).data, to_hub.get(url).data, emsp.get(url).data) == (special, shown, shown)


def test_a_broadcast_reaches_the_emsp_that_is_hosted_here(cpo: PartnerClient, fleet: Party) -> None:
    """HUB-30, HUB-42: whole after a change of one bay, deleted with its owner's DELETE; nothing goes out for it."""
    assert cpo.party is not None
    to_hub = hub.acting(cpo.party, str(cpo.token))
    location, price = hub.location(cpo), hub.tariff(cpo)
    to_hub.put(hub.url("locations", location), location)
    to_hub.put(hub.url("tariffs", price), price)
    status = {"status": "CHARGING", "last_updated": hub.LATER}
    to_hub.patch(hub.url("locations", location, "BAY-1"), status)
    held = HubDocument.objects.filter(recipient=fleet)
    assert sorted(held.values_list("module", "object_key")) == [
        ("locations", "UTRECHT-1"),
        ("tariffs", "DAY"),
    ]
    assert cpo.get(hub.url("locations", location, "BAY-1")).data == hub.evse("BAY-1") | status
    assert to_hub.call("DELETE", hub.url("tariffs", price)).status_code == 1000
    assert cpo.get(hub.url("tariffs", price)).http_status == 404
    assert Obligation.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_of_two_pushes_at_once_the_newer_one_stays(cpo: PartnerClient, fleet: Party) -> None:
    """DIS-28, OBJ-13: PUTs and PATCHes side by side; no period is lost or doubled."""
    document = hub.session(cpo, fleet, charging_periods=[])
    url = hub.url("sessions", document)
    cpo.put(url, document)
    stamps = [f"2026-03-11T08:{minute:02}:00Z" for minute in range(1, 9)]

    def push(stamp: str) -> None:
        try:
            for _ in range(2):
                cpo.patch(url, {"charging_periods": [hub.period(stamp)], "kwh": 2, "last_updated": stamp})
        finally:
            connection.close()

    threads = [threading.Thread(target=push, args=(stamp,)) for stamp in stamps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    session = cpo.get(url).data
    starts = [each["start_date_time"] for each in session["charging_periods"]]
    assert starts == sorted(set(starts))
    assert (starts[-1], session["last_updated"]) == (stamps[-1], stamps[-1])
