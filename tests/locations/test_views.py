"""The OCPI face of locations, through the whole stack."""

from datetime import timedelta
from typing import Any, ClassVar

import pytest

from locations.models import EVSE, Location, PartnerView
from locations.services import publish_view, report_status
from ocpi import v221
from roaming.models import Obligation
from tests.contracts import SenderContract
from tests.factories import MORNING, DepotFactory, EVSEFactory, LocationFactory, OwnPartyFactory
from tests.locations.building import CLOSES, NOON, OPENS, S, always_open, publication
from tests.partners import PartnerClient, a_partner

PATH = "/ocpi/2.2.1/sender/locations"


def publish(partner: PartnerClient, location: Location, now=MORNING, **changes: Any) -> None:
    assert partner.party is not None
    publish_view(party=partner.party, location=location, publication=always_open(**changes), now=now)


class TestLocations(SenderContract):
    path: ClassVar[str] = PATH
    # One to authenticate, one to count and look for edges, one to read.
    list_queries: ClassVar[int] = 3
    not_found_code: ClassVar[int] = 2003

    def make(self, partner: PartnerClient, count: int) -> list[str]:
        depot = DepotFactory()
        ids = []
        for index in range(count):
            location = LocationFactory(depot=depot)
            EVSEFactory(location=location)
            publish(partner, location, self.at(index))
            ids.append(location.ocpi_id)
        return ids

    def object_paths(self, partner: PartnerClient) -> list[str]:
        views = PartnerView.objects.filter(party=partner.party).select_related("location")
        location = views.order_by("id")[0].location
        evse = location.evses.get()
        base = f"{PATH}/{location.ocpi_id}"
        return [base, f"{base}/{evse.uid}", f"{base}/{evse.uid}/1"]


@pytest.fixture(autouse=True)
def _ours(db: None) -> None:
    OwnPartyFactory()


@pytest.fixture
def partner(_ours: None) -> PartnerClient:
    return a_partner()


def test_objects_are_answered_by_one_two_or_three_ids(partner: PartnerClient) -> None:
    """LOC-02: each the very object that the list holds, ids in any case."""
    location = LocationFactory()
    evse = EVSEFactory(location=location)
    publish(partner, location)
    (listed,) = partner.get(PATH).data
    assert partner.get(f"{PATH}/{location.ocpi_id.lower()}").data == listed
    assert partner.get(f"{PATH}/{location.ocpi_id}/{evse.uid.lower()}").data == listed["evses"][0]
    connector = partner.get(f"{PATH}/{location.ocpi_id}/{evse.uid}/1").data
    assert connector == listed["evses"][0]["connectors"][0]


def test_an_evse_of_another_location_is_not_found(partner: PartnerClient) -> None:
    """LOC-03: nor an unknown EVSE or connector; all with the same bytes."""
    depot = DepotFactory()
    one, other = LocationFactory(depot=depot), LocationFactory(depot=depot)
    mine, theirs = EVSEFactory(location=one), EVSEFactory(location=other)
    publish(partner, one)
    publish(partner, other)
    paths = [
        f"{one.ocpi_id}/{theirs.uid}",
        f"{one.ocpi_id}/NO-SUCH",
        f"{one.ocpi_id}/{mine.uid}/9",
        "NO-SUCH",
    ]
    replies = [partner.get(f"{PATH}/{path}") for path in paths]
    assert {(reply.http_status, reply.status_code) for reply in replies} == {(404, 2003)}
    assert len({reply.without_timestamp() for reply in replies}) == 1


def test_the_wire_form_of_a_location(partner: PartnerClient) -> None:
    """LOC-01, LOC-22, LOC-23, LOC-26, LOC-29: the exact object."""
    location = LocationFactory(directions="Enter by gate 2", parking_type="PARKING_LOT", facilities=["WIFI"])
    evse = EVSEFactory(location=location, evse_id="BE*YRD*E0001", bay_label="B1")
    publish(partner, location)
    assert partner.get(f"{PATH}/{location.ocpi_id}").data == {
        "country_code": "BE",
        "party_id": "YRD",
        "id": location.ocpi_id,
        "publish": True,
        "name": "Gent Noord, guest bays",
        "address": "Wiedauwkaai 72",
        "city": "Gent",
        "postal_code": "9000",
        "country": "BEL",
        "coordinates": {"latitude": "51.070000", "longitude": "3.730000"},
        "parking_type": "PARKING_LOT",
        "evses": [
            {
                "uid": evse.uid,
                "evse_id": "BE*YRD*E0001",
                "status": "AVAILABLE",
                "capabilities": ["RFID_READER", "REMOTE_START_STOP_CAPABLE"],
                "connectors": [
                    {
                        "id": "1",
                        "standard": "IEC_62196_T2_COMBO",
                        "format": "CABLE",
                        "power_type": "DC",
                        "max_voltage": 920,
                        "max_amperage": 400,
                        "max_electric_power": 150000,
                        "tariff_ids": ["GUEST"],
                        "last_updated": "2026-03-11T08:00:00Z",
                    }
                ],
                "physical_reference": "B1",
                "last_updated": "2026-03-11T08:00:00Z",
            }
        ],
        "directions": [{"language": "en", "text": "Enter by gate 2"}],
        "facilities": ["WIFI"],
        "time_zone": "Europe/Brussels",
        "opening_times": {"twentyfourseven": True},
        "charging_when_closed": False,
        "last_updated": "2026-03-11T08:00:00Z",
    }


def test_a_location_without_a_view_is_nowhere(partner: PartnerClient) -> None:
    """LOC-18."""
    location = LocationFactory()
    assert partner.get(PATH).data == []
    assert partner.get(f"{PATH}/{location.ocpi_id}").http_status == 404


def test_each_partner_reads_its_own_document(partner: PartnerClient) -> None:
    """LOC-19, B17: groups of one partner are never told to another."""
    other = a_partner("DE", "FRE", platform__name="Freie Fahrt")
    location = LocationFactory()
    EVSEFactory(location=location)
    group = (v221.PublishTokenType(group_id="TAXI-A"),)
    publish(partner, location, publish=False, publish_allowed_to=group, tariff_ids=("TAXI",))
    publish(other, location)
    mine, theirs = partner.get(PATH).data[0], other.get(PATH).data[0]
    assert (mine["publish"], mine["publish_allowed_to"]) == (False, [{"group_id": "TAXI-A"}])
    assert (theirs["publish"], "publish_allowed_to" in theirs) == (True, False)
    assert mine["evses"][0]["connectors"][0]["tariff_ids"] == ["TAXI"]
    assert b"TAXI" not in other.get(PATH).body


def test_only_locations_of_the_addressed_operator_are_listed(partner: PartnerClient) -> None:
    """DIS-16: one list per party of ours."""
    ours = LocationFactory()
    second = OwnPartyFactory(party_id="HVN", name="Haven Depots")
    theirs = LocationFactory(depot__operator=second)
    for location in (ours, theirs):
        publish(partner, location)
    to = {"OCPI-to-country-code": "BE", "OCPI-to-party-id": "HVN"}
    reply = partner.call("GET", PATH, headers=to)
    assert [entry["id"] for entry in reply.data] == [theirs.ocpi_id]
    assert reply.headers["X-Total-Count"] == "1"
    assert partner.call("GET", f"{PATH}/{ours.ocpi_id}", headers=to).http_status == 404


def test_a_pull_after_an_edge_is_right_although_nobody_swept(
    partner: PartnerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5.7: a view is a function of time; whoever pulls first brings it to the present, and it is owed to be pushed."""
    location = LocationFactory()
    evse = EVSEFactory(location=location)
    assert partner.party is not None
    publish_view(party=partner.party, location=location, publication=publication(), now=NOON)
    path = f"{PATH}/{location.ocpi_id}/{evse.uid}"
    Obligation.objects.all().delete()
    seen = []
    for at in (OPENS - timedelta(milliseconds=1), OPENS + timedelta(milliseconds=1), CLOSES):
        monkeypatch.setattr("django.utils.timezone.now", lambda at=at: at)
        listed = partner.get(PATH).data[0]["evses"][0]
        assert partner.get(path).data == listed
        seen.append((listed["status"], listed["last_updated"]))
    assert seen == [
        ("INOPERATIVE", "2026-03-11T12:00:00Z"),
        ("AVAILABLE", "2026-03-11T19:00:00.001Z"),
        ("INOPERATIVE", "2026-03-12T04:00:00Z"),
    ]
    assert list(Obligation.objects.values_list("kind", "object_key")) == [
        ("evse", f"{location.ocpi_id}/{evse.uid}")
    ]


def test_a_delta_pull_returns_what_an_edge_flipped_once(partner: PartnerClient) -> None:
    """5.11 no. 9, LOC-04: `date_from` just before the change returns the Location; just after it does not."""
    location = LocationFactory()
    EVSEFactory(location=location, station_identity="GENT-001")
    publish(partner, location)
    at = MORNING + timedelta(hours=1)
    report_status(station_identity="GENT-001", ocpp_connector=1, status=S.CHARGING, at=at, now=at)
    before = partner.get(PATH, date_from="2026-03-11T08:59:59Z")
    after = partner.get(PATH, date_from="2026-03-11T09:00:00.001Z")
    assert [entry["evses"][0]["status"] for entry in before.data] == ["CHARGING"]
    assert after.data == []


def test_a_removed_bay_stays_in_the_list_for_ever(partner: PartnerClient) -> None:
    """LOC-06."""
    location = LocationFactory()
    evse = EVSEFactory(location=location)
    EVSE.objects.filter(pk=evse.pk).update(is_removed=True)
    publish(partner, location)
    assert partner.get(PATH).data[0]["evses"][0]["status"] == "REMOVED"


def test_pages_stay_as_they_were_when_objects_come_and_change(partner: PartnerClient) -> None:
    """PAG-09: a new Location lands on the last page, and a changed one keeps its place."""
    depot = DepotFactory()
    made = [LocationFactory(depot=depot) for _ in range(4)]
    for number, location in enumerate(made):
        EVSEFactory(location=location, station_identity=f"GENT-{number:03}")
        publish(partner, location)
    first = partner.get(PATH, limit="2")
    at = MORNING + timedelta(hours=1)
    report_status(station_identity="GENT-000", ocpp_connector=1, status=S.CHARGING, at=at, now=at)
    late = LocationFactory(depot=depot)
    publish(partner, late, at)
    assert first.next_url is not None
    pages = [first, *partner.crawl(first.next_url)]
    assert [entry["id"] for page in pages for entry in page.data] == [each.ocpi_id for each in (*made, late)]


def test_two_pools_of_a_depot_are_two_locations_with_one_publish_value_each(partner: PartnerClient) -> None:
    """LOC-21."""
    depot = DepotFactory()
    guests, fleet = LocationFactory(depot=depot), LocationFactory(depot=depot, name="Gent Noord, fleet bays")
    publish(partner, guests)
    publish(partner, fleet, publish=False)
    listed = {entry["id"]: (entry["publish"], entry["address"]) for entry in partner.get(PATH).data}
    assert listed == {
        guests.ocpi_id: (True, "Wiedauwkaai 72"), fleet.ocpi_id: (False, "Wiedauwkaai 72")
    }  # fmt: skip
