"""What partners are told about Locations and EVSEs."""

import json
from datetime import timedelta

import pytest

from locations.models import EVSE, Location, PartnerView
from locations.services import publish_view, remove_evse, report_status
from ocpi import v221
from roaming.models import Obligation, Party
from roaming.pushes import Message, get
from tests.factories import EVSEFactory, LocationFactory, OwnPartyFactory
from tests.locations.building import NOON, S, always_open
from tests.partners import a_partner

pytestmark = pytest.mark.django_db


@pytest.fixture
def taxi() -> Party:
    OwnPartyFactory()
    party = a_partner().party
    assert party is not None
    return party


@pytest.fixture
def location() -> Location:
    return LocationFactory()


@pytest.fixture
def evse(location: Location, taxi: Party) -> EVSE:
    evse: EVSE = EVSEFactory(location=location, station_identity="GENT-001")
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    return evse


def message(kind: str) -> Message | None:
    return get(kind).message(Obligation.objects.get(kind=kind), now=NOON)


def clean() -> None:
    """As after a clean acknowledgement: changes may be told by PATCH."""
    Obligation.objects.update(force_put=False, confirmed_version=1)


def charging(minutes: int = 1) -> None:
    at = NOON + timedelta(minutes=minutes)
    report_status(station_identity="GENT-001", ocpp_connector=1, status=S.CHARGING, at=at, now=at)


def test_a_new_location_is_put_at_its_owners_url(evse: EVSE, location: Location) -> None:
    """LOC-10, LOC-11, OBJ-08: the very bytes that the list serves."""
    document = bytes(PartnerView.objects.get().document)
    assert message("location") == Message(
        method="PUT", segments=("BE", "YRD", location.ocpi_id), body=document
    )
    owner = json.loads(document)
    assert (owner["country_code"], owner["party_id"], owner["id"]) == ("BE", "YRD", location.ocpi_id)


def test_a_status_is_a_patch_of_the_evse(evse: EVSE, location: Location) -> None:
    """LOC-10, LOC-12: `status`, `last_updated`, nothing else."""
    charging()
    clean()
    assert message("evse") == Message(
        method="PATCH",
        segments=("BE", "YRD", location.ocpi_id, evse.uid),
        body=b'{"status":"CHARGING","last_updated":"2026-03-11T12:01:00Z"}',
    )


def test_what_is_sent_is_the_state_at_sending(evse: EVSE) -> None:
    """SYN-03: no stale message is ever replayed."""
    charging()
    clean()
    at = NOON + timedelta(minutes=9)
    report_status(station_identity="GENT-001", ocpp_connector=1, status=S.AVAILABLE, at=at, now=at)
    clean()
    sent = message("evse")
    assert sent is not None
    assert sent.body == b'{"status":"AVAILABLE","last_updated":"2026-03-11T12:09:00Z"}'


def test_after_a_failure_the_whole_evse_is_put(evse: EVSE) -> None:
    """OBJ-07, LOC-13."""
    charging()
    Obligation.objects.update(force_put=True)
    sent = message("evse")
    assert sent is not None
    assert (sent.method, json.loads(sent.body or b"")) == (
        "PUT", json.loads(PartnerView.objects.get().document)["evses"][0]
    )  # fmt: skip


def test_removal_is_a_patch_of_the_status(evse: EVSE) -> None:
    """LOC-07: no DELETE."""
    remove_evse(evse=evse, now=NOON + timedelta(minutes=1))
    clean()
    sent = message("evse")
    assert sent is not None
    assert (sent.method, sent.body) == (
        "PATCH", b'{"status":"REMOVED","last_updated":"2026-03-11T12:01:00Z"}'
    )  # fmt: skip


def test_nothing_is_said_about_what_a_partner_no_longer_sees(
    evse: EVSE, location: Location, taxi: Party
) -> None:
    charging()
    publish_view(party=taxi, location=location, publication=None, now=NOON)
    assert (message("location"), message("evse")) == (None, None)


def test_a_partner_is_told_its_own_view_only(evse: EVSE, location: Location) -> None:
    """5.7 no. 7: restricted Locations are addressed, never broadcast."""
    vans = a_partner("DE", "FRE", platform__name="Freie Fahrt").party
    assert vans is not None
    group = (v221.PublishTokenType(group_id="VANS"),)
    shown = always_open(publish=False, publish_allowed_to=group)
    publish_view(party=vans, location=location, publication=shown, now=NOON)
    bodies = {
        row.party_id: get("location").message(row, now=NOON).body  # type: ignore[union-attr]
        for row in Obligation.objects.filter(kind="location")
    }
    assert {key: b"VANS" in (body or b"") for key, body in bodies.items()} == {
        vans.pk: True,
        PartnerView.objects.exclude(party=vans).get().party_id: False,
    }


@pytest.mark.parametrize("is_known", [True, False])
def test_a_batch_of_statuses_is_read_in_one_query(
    evse: EVSE, location: Location, taxi: Party, django_assert_num_queries, is_known: bool
) -> None:
    """Also the first ones that a partner hears of these EVSEs, which ask whether it knows the Location (LOC-10)."""
    for number in (2, 3):
        EVSEFactory(location=location, station_identity=f"GENT-00{number}")
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    at = NOON + timedelta(minutes=1)
    for number in (1, 2, 3):
        report_status(station_identity=f"GENT-00{number}", ocpp_connector=1, status=S.CHARGING, at=at, now=at)
    if is_known:
        clean()
    owed = list(Obligation.objects.filter(kind="evse").order_by("id"))
    alone = [get("evse").message(each, now=NOON) for each in owed]
    with django_assert_num_queries(1):
        loaded = get("evse").load(owed)
        for each in owed:
            each.loaded = loaded[each.pk]
        together = [get("evse").message(each, now=NOON) for each in owed]
    assert (len(together), together) == (3, alone)


def test_a_view_that_is_gone_is_missing_in_a_batch(evse: EVSE, location: Location, taxi: Party) -> None:
    charging()
    owed = list(Obligation.objects.filter(kind="evse"))
    publish_view(party=taxi, location=location, publication=None, now=NOON)
    assert get("evse").load(owed) == {}
