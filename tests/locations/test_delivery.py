"""From a change at a bay to what a real partner platform holds, over real sockets and the real lanes."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from demo.partner import Partner
from locations.models import EVSE, Location
from locations.services import publish_view, remove_evse, report_status
from ocpi import v221
from roaming.delivery.drain import Drainer
from roaming.models import Obligation, Party
from tariffs.models import Tariff
from tariffs.services import put_tariff, set_visible
from tests.factories import (
    EVSEFactory,
    LocationFactory,
    OwnPartyFactory,
    PartyFactory,
    connect,
    tariff_object,
)
from tests.locations.building import S, always_open
from tests.partners import PartnerClient

pytestmark = pytest.mark.django_db(transaction=True)

LOCATIONS = "/ocpi/emsp/2.2.1/locations"
KEY = ("BE", "YRD", "GENT-NOORD-GUEST")


@pytest.fixture
def randstad() -> Iterator[Partner]:
    with Partner() as running:
        yield running


@pytest.fixture
def party(randstad: Partner) -> Party:
    OwnPartyFactory()
    party = PartyFactory(
        country_code="NL", party_id="EMS", platform__name=randstad.name, platform__requests_per_second=1000
    )
    connect(party, url=f"{randstad.url}/ocpi/emsp/2.2.1")
    randstad.accepted.add("token-for-NL-EMS")
    return party


@pytest.fixture
def bays(party: Party) -> list[EVSE]:
    """Three bays, published and delivered."""
    location: Location = LocationFactory(ocpi_id=KEY[2])
    evses = [EVSEFactory(location=location, station_identity=f"GENT-{n:03}") for n in range(3)]
    publish_view(party=party, location=location, publication=always_open(), now=timezone.now())
    drain()
    return evses


def drain() -> None:
    # What was just told rests for a moment; here nobody waits for it.
    Obligation.objects.filter(state="PENDING").update(next_at=timezone.now() - timedelta(seconds=1))
    with Drainer(clock=timezone.now, jitter=lambda: 0.5, concurrency=2) as drainer:
        drainer.drain()


def report(status: v221.Status, station: int = 0) -> None:
    now = timezone.now()
    identity = f"GENT-{station:03}"
    report_status(station_identity=identity, ocpp_connector=1, status=status, at=now, now=now)


def held(randstad: Partner) -> dict[str, str]:
    """Status by uid, as the partner holds it."""
    return {evse["uid"]: evse["status"] for evse in randstad.locations[KEY]["evses"]}


def same_as_the_list(randstad: Partner, party: Party) -> bool:
    client = PartnerClient(party=party, token="token-C-of-NL-EMS")
    return bool(client.get("/ocpi/2.2.1/sender/locations").data == list(randstad.locations.values()))


def test_a_new_location_is_put_as_the_list_serves_it(
    randstad: Partner, party: Party, bays: list[EVSE]
) -> None:
    """LOC-10, LOC-11, SYN-01: pushes and pulls never disagree."""
    (request,) = randstad.received("PUT", LOCATIONS)
    assert request.path == f"{LOCATIONS}/BE/YRD/GENT-NOORD-GUEST"
    assert same_as_the_list(randstad, party)


def test_a_status_change_is_one_patch(randstad: Partner, party: Party, bays: list[EVSE]) -> None:
    """LOC-10, LOC-12, HUB-01."""
    randstad.forget()
    report(S.CHARGING)
    drain()
    (request,) = randstad.received(path=LOCATIONS)
    assert (request.method, request.path) == (
        "PATCH", f"{LOCATIONS}/BE/YRD/GENT-NOORD-GUEST/{bays[0].uid}"
    )  # fmt: skip
    assert sorted(request.json) == ["last_updated", "status"]
    assert request.json["status"] == "CHARGING"
    assert request.headers["ocpi-from-party-id"] == "YRD"
    assert held(randstad)[bays[0].uid] == "CHARGING"


def test_after_many_flips_the_partner_holds_the_last_state(
    randstad: Partner, party: Party, bays: list[EVSE]
) -> None:
    """SYN-03, SYN-05: a partner that was away gets the present, and no stale message."""
    randstad.stop()
    for index in range(20):
        report(S.CHARGING if index % 2 else S.AVAILABLE)
    report(S.BLOCKED)
    randstad.start()
    randstad.forget()
    drain()
    requests = randstad.received(path=LOCATIONS)
    assert [request.json["status"] for request in requests] == ["BLOCKED"]
    assert held(randstad)[bays[0].uid] == "BLOCKED"


def test_a_partner_that_lost_the_evse_gets_the_whole(
    randstad: Partner, party: Party, bays: list[EVSE]
) -> None:
    """OBJ-07: PATCH answered with 404, then PUT."""
    randstad.locations[KEY]["evses"].pop(0)
    randstad.forget()
    report(S.CHARGING)
    drain()
    drain()
    assert [request.method for request in randstad.received(path=bays[0].uid)] == ["PATCH", "PUT"]
    assert held(randstad)[bays[0].uid] == "CHARGING"


def test_a_removed_bay_is_patched_and_nothing_is_deleted(
    randstad: Partner, party: Party, bays: list[EVSE]
) -> None:
    """LOC-07."""
    remove_evse(evse=bays[1], now=timezone.now())
    drain()
    assert held(randstad)[bays[1].uid] == "REMOVED"
    assert randstad.received("DELETE") == []


def test_the_end_of_a_grant_is_one_put_with_all_bays_removed(
    randstad: Partner, party: Party, bays: list[EVSE]
) -> None:
    """LOC-06, 5.10."""
    randstad.forget()
    ended = always_open(ended=True, phases=())
    publish_view(party=party, location=bays[0].location, publication=ended, now=timezone.now())
    drain()
    assert [request.method for request in randstad.received(path=LOCATIONS)] == ["PUT"]
    assert [evse["status"] for evse in randstad.locations[KEY]["evses"]] == ["REMOVED"] * 3


def test_a_tariff_arrives_before_the_location_that_names_it(
    randstad: Partner, party: Party, bays: list[EVSE]
) -> None:
    """LOC-14, TAR-02; TAR-03: and it is deleted when no grant names it any more."""
    randstad.forget()
    now = timezone.now()
    ours = Party.objects.get(party_id="YRD")
    publish_view(
        party=party, location=bays[0].location, publication=always_open(tariff_ids=("NIGHT",)), now=now
    )
    put_tariff(party=ours, tariff=tariff_object(id="NIGHT"), now=now)
    set_visible(party=party, tariffs=Tariff.objects.all(), now=now)
    drain()
    paths = [request.path.rpartition("2.2.1/")[2].split("/")[0] for request in randstad.received("PUT")]
    assert paths[0] == "tariffs"
    assert set(paths[1:]) == {"locations"}
    energy = randstad.tariffs["BE", "YRD", "NIGHT"]["elements"][0]["price_components"][0]
    assert energy["price"] == Decimal("0.45")
    set_visible(party=party, tariffs=[], now=timezone.now())
    drain()
    assert randstad.tariffs == {}
    assert [request.path.rpartition("2.2.1/")[2] for request in randstad.received("DELETE")] == [
        "tariffs/BE/YRD/NIGHT"
    ]


def test_a_partner_without_a_receiver_is_not_called(
    randstad: Partner, party: Party, bays: list[EVSE]
) -> None:
    """SYN-02."""
    assert party.platform is not None
    party.platform.endpoints.filter(module="locations").delete()
    randstad.forget()
    report(S.CHARGING)
    drain()
    assert randstad.received(path=LOCATIONS) == []
