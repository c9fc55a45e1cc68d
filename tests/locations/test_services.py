"""From a report of a station to what each partner is shown and owed."""

import threading
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from locations import stored
from locations.models import EVSE, Depot, Location, PartnerView
from locations.publishing import read_publication
from locations.services import (
    publish_view,
    refresh_all_due_views,
    refresh_due_views,
    remove_evse,
    report_status,
    rerender_location,
    set_online,
    set_serving,
)
from locations.wire import cdr_location
from ocpi import codec, v221
from roaming.models import Obligation, Party
from tests.factories import ConnectorFactory, DepotFactory, EVSEFactory, LocationFactory, OwnPartyFactory
from tests.locations.building import CLOSES, NIGHT, NOON, OPENS, S, always_open, publication
from tests.partners import a_partner

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


@pytest.fixture
def taxi() -> Party:
    OwnPartyFactory()
    party = a_partner().party
    assert party is not None
    return party


@pytest.fixture
def vans(taxi: Party) -> Party:
    party = a_partner("DE", "FRE", platform__name="Freie Fahrt").party
    assert party is not None
    return party


@pytest.fixture
def location() -> Location:
    return LocationFactory()


def bays(location: Location, count: int) -> list[EVSE]:
    return [EVSEFactory(location=location, station_identity=f"GENT-{n:03}") for n in range(1, count + 1)]


def shown(party: Party) -> v221.Location:
    return stored.read_location(bytes(PartnerView.objects.get(party=party).document))


def statuses(party: Party) -> list[v221.Status]:
    return [evse.status for evse in shown(party).evses]


def report(status: v221.Status, at: datetime, *, station: int = 1, now: datetime | None = None) -> bool:
    return report_status(
        station_identity=f"GENT-{station:03}", ocpp_connector=1, status=status, at=at, now=now or at
    )


def owed(party: Party) -> list[tuple[str, str, list[str], bool]]:
    rows = Obligation.objects.filter(party=party, state="PENDING").order_by("kind", "object_key")
    return [(row.kind, row.object_key, row.changed_fields, row.force_put) for row in rows]


def delivered() -> None:
    """As if every partner had taken everything."""
    for row in Obligation.objects.all():
        row.state, row.confirmed_version = "ACKED", row.wanted_version
        row.changed_fields, row.force_put = [], False
        row.save()


def test_a_status_reaches_row_views_and_obligations_at_once(
    location: Location, taxi: Party, vans: Party
) -> None:
    """LOC-10, LOC-12: one EVSE, `status` only, for each partner that sees a difference."""
    (evse,) = bays(location, 1)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    publish_view(party=vans, location=location, publication=publication(), now=NOON)
    delivered()
    assert report(S.CHARGING, NOON + MINUTE) is True
    evse.refresh_from_db()
    assert (evse.device_status, evse.device_status_at) == ("CHARGING", NOON + MINUTE)
    assert statuses(taxi) == [S.CHARGING]
    assert (shown(taxi).last_updated, shown(taxi).evses[0].last_updated) == (NOON + MINUTE, NOON + MINUTE)
    assert PartnerView.objects.get(party=taxi).last_updated == NOON + MINUTE
    # The depot is closed to the vans: that a bay is busy is not told, not even by a stamp or a push.
    assert (statuses(vans), shown(vans).last_updated) == ([S.INOPERATIVE], NOON)
    assert owed(vans) == []
    assert [row[:3] for row in owed(taxi)] == [("evse", f"{location.ocpi_id}/{evse.uid}", ["status"])]


def test_an_older_report_is_ignored(location: Location, taxi: Party) -> None:
    """Fault 34: an offline buffer arrives after the present; row, view and obligations stay."""
    bays(location, 1)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    report(S.CHARGING, NOON + MINUTE)
    before = (EVSE.objects.values().get(), PartnerView.objects.values().get(), owed(taxi))
    assert report(S.AVAILABLE, NOON + MINUTE - timedelta(seconds=1), now=NOON + 2 * MINUTE) is False
    assert (EVSE.objects.values().get(), PartnerView.objects.values().get(), owed(taxi)) == before
    assert report(S.AVAILABLE, NOON + MINUTE, now=NOON + 2 * MINUTE) is True


def test_a_fast_clock_does_not_outrun_its_own_later_reports(location: Location) -> None:
    (evse,) = bays(location, 1)
    assert report(S.CHARGING, NOON + timedelta(days=365), now=NOON) is True
    assert report(S.AVAILABLE, NOON + MINUTE) is True
    evse.refresh_from_db()
    assert (evse.device_status, evse.device_status_at) == ("AVAILABLE", NOON + MINUTE)


def test_a_report_of_an_unknown_or_removed_bay_changes_nothing(location: Location) -> None:
    (evse,) = bays(location, 1)
    assert report(S.CHARGING, NOON, station=7) is False
    remove_evse(evse=evse, now=NOON)
    assert report(S.CHARGING, NOON + MINUTE) is False
    evse.refresh_from_db()
    assert evse.device_status == "AVAILABLE"


def test_a_repeated_status_moves_nothing(location: Location, taxi: Party) -> None:
    """LOC-05."""
    bays(location, 1)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    delivered()
    before = PartnerView.objects.values().get()
    assert report(S.AVAILABLE, NOON + MINUTE) is True
    assert PartnerView.objects.values().get() == before
    assert owed(taxi) == []


def test_a_status_report_after_an_edge_brings_the_whole_view_to_the_present(
    location: Location, taxi: Party
) -> None:
    first, second = bays(location, 2)
    publish_view(party=taxi, location=location, publication=publication(), now=NOON)
    delivered()
    report(S.CHARGING, NIGHT)
    assert statuses(taxi) == [S.CHARGING, S.AVAILABLE]
    assert [row[1] for row in owed(taxi)] == sorted(
        f"{location.ocpi_id}/{bay.uid}" for bay in (first, second)
    )


def test_three_bays_that_flip_at_an_edge_are_one_put(location: Location, taxi: Party) -> None:
    """5.5: 34 bays x 12 partners are 12 requests, not 408."""
    bays(location, 3)
    publish_view(party=taxi, location=location, publication=publication(), now=NOON)
    delivered()
    assert rerender_location(location=location, now=OPENS - timedelta(milliseconds=1)) is False
    assert owed(taxi) == []
    assert rerender_location(location=location, now=OPENS) is True
    assert [(kind, key, whole) for kind, key, _, whole in owed(taxi)] == [
        ("location", location.ocpi_id, True)
    ]
    assert {evse.last_updated for evse in shown(taxi).evses} == {OPENS}
    assert rerender_location(location=location, now=OPENS + MINUTE) is False


def test_rendering_again_without_a_change_moves_nothing(location: Location, taxi: Party) -> None:
    """LOC-05: not on each internal save."""
    (evse,) = bays(location, 1)
    assert publish_view(party=taxi, location=location, publication=publication(), now=NOON) is True
    delivered()
    before = PartnerView.objects.values().get()
    evse.save()
    assert rerender_location(location=location, now=NOON + MINUTE) is False
    assert publish_view(party=taxi, location=location, publication=publication(), now=NOON + MINUTE) is False
    assert PartnerView.objects.values().get() == before
    assert owed(taxi) == []


def test_a_changed_connector_moves_three_stamps(location: Location, taxi: Party) -> None:
    """LOC-04: of the connector, its EVSE and the Location; the other bay keeps its own."""
    first, _ = bays(location, 2)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    delivered()
    first.connectors.update(max_electric_power=100_000)
    assert rerender_location(location=location, now=NOON + MINUTE) is True
    changed, other = shown(taxi).evses
    moved = {shown(taxi).last_updated, changed.last_updated, changed.connectors[0].last_updated}
    assert (moved, other.last_updated) == ({NOON + MINUTE}, NOON)
    assert owed(taxi) == [("evse", f"{location.ocpi_id}/{first.uid}", ["*"], True)]


def test_a_clock_that_steps_back_does_not_reorder(location: Location, taxi: Party) -> None:
    """Fault 36."""
    bays(location, 1)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    report(S.CHARGING, NOON - timedelta(hours=1))
    assert shown(taxi).last_updated == NOON + timedelta(milliseconds=1)


def test_a_new_view_is_owed_as_a_whole_and_others_do_not_move(
    location: Location, taxi: Party, vans: Party
) -> None:
    """LOC-10; invariant 8: a grant for one changes no bytes of another."""
    bays(location, 1)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    delivered()
    before = PartnerView.objects.values().get(party=taxi)
    publish_view(party=vans, location=location, publication=publication(), now=NOON + MINUTE)
    assert PartnerView.objects.values().get(party=taxi) == before
    assert owed(taxi) == []
    assert owed(vans) == [("location", location.ocpi_id, ["*"], True)]


def test_a_publication_that_only_reaches_further_is_stored_without_a_word(
    location: Location, taxi: Party
) -> None:
    bays(location, 1)
    publish_view(party=taxi, location=location, publication=publication(), now=NOON)
    delivered()
    before = PartnerView.objects.get()
    further = publication(
        phases=(*publication().phases, *always_open().phases[:0]), charging_when_closed=False
    )
    assert publish_view(party=taxi, location=location, publication=further, now=NOON + MINUTE) is False
    after = PartnerView.objects.get()
    assert (bytes(after.document), after.last_updated) == (bytes(before.document), before.last_updated)
    assert after.next_edge_at == OPENS
    assert read_publication(bytes(after.publication)) == further


def test_an_ended_view_shows_its_bays_as_removed_and_stays(location: Location, taxi: Party) -> None:
    """5.10, LOC-06, LOC-07."""
    bays(location, 3)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    publish_view(
        party=taxi, location=location, publication=always_open(ended=True, phases=()), now=NOON + MINUTE
    )
    assert statuses(taxi) == [S.REMOVED] * 3
    assert PartnerView.objects.get().is_ended is True
    report(S.CHARGING, NOON + 2 * MINUTE)
    assert statuses(taxi) == [S.REMOVED] * 3


def test_without_a_publication_there_is_no_view(location: Location, taxi: Party) -> None:
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    assert publish_view(party=taxi, location=location, publication=None, now=NOON) is True
    assert PartnerView.objects.count() == 0
    assert publish_view(party=taxi, location=location, publication=None, now=NOON) is False


def test_a_lost_station_is_unknown_after_a_quarter_of_an_hour(location: Location, taxi: Party) -> None:
    """5.4: not at the first broken connection, and at once available when it is back."""
    bays(location, 2)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    set_online(station_identity="GENT-001", is_online=False, now=NOON)
    assert statuses(taxi) == [S.AVAILABLE, S.AVAILABLE]
    assert refresh_all_due_views(now=NOON + timedelta(minutes=14, seconds=59)) == 0
    assert refresh_all_due_views(now=NOON + timedelta(minutes=15)) == 1
    assert statuses(taxi) == [S.UNKNOWN, S.AVAILABLE]
    assert refresh_all_due_views(now=NOON + timedelta(minutes=16)) == 0
    set_online(station_identity="GENT-001", is_online=True, now=NOON + timedelta(minutes=20))
    assert statuses(taxi) == [S.AVAILABLE, S.AVAILABLE]


def test_losing_a_lost_station_again_does_not_start_the_time_anew(location: Location) -> None:
    (evse,) = bays(location, 1)
    set_online(station_identity="GENT-001", is_online=False, now=NOON)
    set_online(station_identity="GENT-001", is_online=False, now=NOON + 10 * MINUTE)
    evse.refresh_from_db()
    assert (evse.is_online, evse.offline_since) == (False, NOON)


def test_the_partner_that_is_served_sees_its_session_behind_the_mask(
    location: Location, taxi: Party, vans: Party
) -> None:
    (evse,) = bays(location, 1)
    for party in (taxi, vans):
        publish_view(party=party, location=location, publication=publication(), now=NOON)
    report(S.CHARGING, NOON + MINUTE)
    set_serving(evse=evse, party=taxi, now=NOON + MINUTE)
    assert (statuses(taxi), statuses(vans)) == ([S.CHARGING], [S.INOPERATIVE])
    set_serving(evse=evse, party=None, now=NOON + 2 * MINUTE)
    assert (statuses(taxi), statuses(vans)) == ([S.INOPERATIVE], [S.INOPERATIVE])


def test_removing_a_bay_is_pushed_and_never_deletes(location: Location, taxi: Party) -> None:
    """LOC-06, LOC-07, LOC-08, LOC-09: its uid is never given again, its printed id may be."""
    (evse,) = bays(location, 1)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    delivered()
    remove_evse(evse=evse, now=NOON + MINUTE)
    assert statuses(taxi) == [S.REMOVED]
    assert [(row[0], row[2]) for row in owed(taxi)] == [("evse", ["status"])]
    moved = EVSEFactory(location=location, station_identity="GENT-001", evse_id=evse.evse_id)
    assert moved.uid != evse.uid
    rerender_location(location=location, now=NOON + 2 * MINUTE)
    assert [(each.uid, each.status) for each in shown(taxi).evses] == [
        (evse.uid, S.REMOVED), (moved.uid, S.AVAILABLE)
    ]  # fmt: skip


def test_a_bay_without_a_connector_is_not_shown(location: Location, taxi: Party) -> None:
    """LOC-01: `connectors` has at least one entry."""
    EVSEFactory(location=location, plug=False)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    assert shown(taxi).evses == ()


def test_refreshing_looks_only_at_what_is_due(location: Location, taxi: Party, vans: Party) -> None:
    bays(location, 1)
    publish_view(party=taxi, location=location, publication=publication(), now=NOON)
    publish_view(party=vans, location=location, publication=always_open(), now=NOON)
    assert refresh_due_views(party=taxi, now=OPENS - timedelta(microseconds=1)) == 0
    assert refresh_due_views(party=vans, now=OPENS) == 0
    assert refresh_due_views(party=taxi, now=OPENS) == 1
    assert statuses(taxi) == [S.AVAILABLE]
    assert refresh_due_views(party=taxi, now=CLOSES) == 1
    assert statuses(taxi) == [S.INOPERATIVE]


def test_the_number_of_queries_of_a_status_does_not_grow_with_the_partners(location: Location) -> None:
    """One statement for all views, however many partners see the bay."""
    OwnPartyFactory()
    bays(location, 2)
    counts = []
    for index in range(6):
        party = a_partner("NL", f"P{index:02}", platform__name=f"Partner {index}").party
        publish_view(party=party, location=location, publication=always_open(), now=NOON)
        if index in (0, 5):
            with CaptureQueriesContext(connection) as queries:
                report(S.CHARGING if index else S.BLOCKED, NOON + index * MINUTE)
            counts.append(len([q for q in queries if "locations_partnerview" in q["sql"]]))
    assert counts == [2, 2]


def test_the_place_of_a_session_as_its_cdr_names_it(location: Location) -> None:
    """CDR-01: complete, without queries into the publication."""
    evse = EVSEFactory(location=location, evse_id="BE*YRD*E0001")
    place = cdr_location(evse=evse, connector=evse.connectors.get())
    assert codec.decode_bytes(v221.CdrLocation, codec.encode(place)) == v221.CdrLocation(
        id=location.ocpi_id,
        name="Gent Noord, guest bays",
        address="Wiedauwkaai 72",
        city="Gent",
        postal_code="9000",
        country="BEL",
        coordinates=v221.GeoLocation(latitude="51.070000", longitude="3.730000"),
        evse_uid=evse.uid,
        evse_id="BE*YRD*E0001",
        connector_id="1",
        connector_standard=v221.ConnectorType.IEC_62196_T2_COMBO,
        connector_format=v221.ConnectorFormat.CABLE,
        connector_power_type=v221.PowerType.DC,
    )


@pytest.mark.parametrize(
    ("member", "value"),
    [("time_zone", "CET+1"), ("time_zone", "../etc"), ("latitude", "90.5"), ("longitude", "-181")],
)
def test_what_no_depot_can_have_is_refused_by_the_form(member: str, value: Any) -> None:
    """LOC-22."""
    depot: Depot = DepotFactory()
    setattr(depot, member, value)
    with pytest.raises(ValidationError) as refusal:
        depot.full_clean()
    assert list(refusal.value.message_dict) == [member]


def test_a_country_of_two_letters_is_refused_by_the_database() -> None:
    """LOC-22."""
    with pytest.raises(IntegrityError, match="depot_country_alpha_3"), transaction.atomic():
        DepotFactory(country="NL")


def test_words_that_ocpi_does_not_have_are_refused() -> None:
    """LOC-30."""
    evse = EVSEFactory(capabilities=["RFID_READER", "FLYING"], parking_restrictions=["EMPLOYEES"])
    with pytest.raises(ValidationError) as refusal:
        evse.full_clean()
    assert sorted(refusal.value.message_dict) == ["capabilities", "parking_restrictions"]


def test_one_station_connector_is_one_bay(location: Location) -> None:
    """LOC-28: an OCPP connector shows as one EVSE; a second plug of the same EVSE is a second Connector."""
    (evse,) = bays(location, 1)
    ConnectorFactory(evse=evse, ocpi_id="2")
    with pytest.raises(IntegrityError, match="evse_one_per_station_connector"), transaction.atomic():
        EVSEFactory(location=location, station_identity="GENT-001")
    assert EVSE.objects.count() == 1


def test_ids_are_random_and_upper_case(location: Location) -> None:
    """B21: nothing about the hardware; ids are compared in upper case, so they are kept so."""
    evse = EVSE.objects.create(location=location, evse_id="BE*YRD*E1", station_identity="ABB-SN-4711")
    assert "4711" not in evse.uid
    assert evse.uid == evse.uid.upper()
    for uid in ("lower", 'A"B', "A/B", "A B", "A\n"):
        with pytest.raises(IntegrityError, match="evse_uid_form"), transaction.atomic():
            EVSEFactory(location=location, uid=uid)
        with pytest.raises(IntegrityError, match="location_id_form"), transaction.atomic():
            LocationFactory(ocpi_id=uid)


@pytest.mark.django_db(transaction=True)
def test_reports_of_all_bays_at_once_all_reach_the_document() -> None:
    """Real connections side by side, also with a grant that changes: no report is lost, no stamp goes back."""
    OwnPartyFactory()
    location = LocationFactory()
    taxi = a_partner().party
    assert taxi is not None
    bays(location, 6)
    publish_view(party=taxi, location=location, publication=always_open(), now=NOON)
    barrier = threading.Barrier(7)

    def work(station: int) -> None:
        barrier.wait()
        for minute in range(1, 6):
            at = NOON + minute * MINUTE
            if station:
                report(S.CHARGING if minute % 2 else S.AVAILABLE, at, station=station)
            else:
                shown_to = always_open(tariff_ids=(f"T{minute}",))
                publish_view(party=taxi, location=location, publication=shown_to, now=at)
        connections.close_all()

    threads = [threading.Thread(target=work, args=[station]) for station in range(7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    document = shown(taxi)
    assert statuses(taxi) == [S.CHARGING] * 6
    assert {evse.connectors[0].tariff_ids for evse in document.evses} == {("T5",)}
    assert document.last_updated == PartnerView.objects.get().last_updated
    assert document.last_updated == max(evse.last_updated for evse in document.evses)
    assert rerender_location(location=location, now=NOON + 6 * MINUTE) is False
