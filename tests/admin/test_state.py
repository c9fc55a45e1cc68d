"""State is looked at here, never written: whatever a browser posts, only master data and settings change."""

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from access.models import Grant
from chargers.models import Station
from locations.models import EVSE, Connector, Depot, PartnerView
from locations.services import rerender_location
from ocpi import v221
from roaming.models import Obligation, Platform
from roaming.pages import change_url
from sessions.models import Session
from tariffs.models import Tariff
from tariffs.services import put_tariff
from tests.admin.world import a_form, changed_tables, everything
from tests.factories import tariff_object

pytestmark = pytest.mark.django_db


def post(client: Client, row, **changes):
    """Post the row's own form, with what an attacker or a mistake adds to it."""
    form = a_form(client.get(change_url(row)))
    return client.post(change_url(row), form | changes)


def test_state_of_a_bay_cannot_be_posted(root: Client, world) -> None:
    before = EVSE.objects.values().get(pk=world.evse.pk)
    answer = post(
        root, world.evse, device_status="OUTOFORDER", is_online="", is_removed="on", serving_party=world.party.pk, uid="X",
        location=99, station_identity="GENT-02", ocpp_connector=2,
    )  # fmt: skip
    assert answer.status_code == 302
    assert EVSE.objects.values().get(pk=world.evse.pk) == before


def test_state_of_a_depot_cannot_be_posted(root: Client, world) -> None:
    depot = world.location.depot
    assert post(root, depot, is_closed_to_guests="on", time_zone="UTC", code="other").status_code == 302
    assert Depot.objects.values("is_closed_to_guests", "time_zone", "code").get() == {
        "is_closed_to_guests": False, "time_zone": "Europe/Brussels", "code": "gent-noord",
    }  # fmt: skip


def test_state_of_a_platform_cannot_be_posted(root: Client, world) -> None:
    platform = world.party.platform
    answer = post(
        root,
        platform,
        status="SUSPENDED",
        outbound_token="x",
        versions_url="https://evil.example",
        requests_per_second=5,
    )
    assert answer.status_code == 302
    now = Platform.objects.get(pk=platform.pk)
    assert (now.status, bytes(now.outbound_token), now.versions_url) == (
        platform.status, bytes(platform.outbound_token), platform.versions_url,
    )  # fmt: skip
    assert now.requests_per_second == 5


def test_state_of_a_grant_cannot_be_posted(root: Client, world) -> None:
    assert post(root, world.grant, status="ENDED", version=99, party=world.party.pk + 1).status_code == 302
    now = Grant.objects.get()
    assert (now.status, now.party_id, now.version) == ("ACTIVE", world.party.pk, world.grant.version + 1)


def test_state_of_a_station_cannot_be_posted(root: Client, world) -> None:
    station = Station.objects.first()
    assert post(root, station, identity="GENT-77", password_hash="x", is_online="").status_code == 302
    now = Station.objects.get(pk=station.pk)
    assert (now.identity, now.password_hash, now.is_online) == (station.identity, station.password_hash, True)


@pytest.mark.parametrize("model", [Obligation, Session, PartnerView])
def test_rows_of_the_product_take_no_form_at_all(model, root: Client, world) -> None:
    before = everything()
    row = model._default_manager.first()
    assert root.post(change_url(row), {"state": "ACKED", "status": "INVALID"}).status_code == 403
    assert root.get(change_url(row).replace("change", "delete")).status_code == 403
    assert root.get(
        reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist") + "add/"
    ).status_code in (403, 404, 302)
    assert changed_tables(before) == set()


def test_sealed_and_reviewed_rows_take_no_form(root: Client, world) -> None:
    before = everything()
    for row in (world.cdr, world.review, world.token, world.grant.tariff):
        assert root.post(change_url(row), {"total_excl_vat": "1", "valid": "on"}).status_code == 403
    assert changed_tables(before) == set()


def test_a_changed_bay_is_published_at_once(root: Client, world) -> None:
    connector = Connector.objects.get(evse=world.evse)
    answer = post(root, world.evse, bay_label="7", **{"connectors-0-max_amperage": "125"})
    assert answer.status_code == 302
    view = PartnerView.objects.get()
    shown = next(each for each in _location(view).evses if each.uid == world.evse.uid)
    assert (shown.physical_reference, shown.connectors[0].max_amperage) == ("7", 125)
    assert shown.connectors[0].id == connector.ocpi_id
    assert Obligation.objects.filter(kind="evse", object_key__endswith=world.evse.uid).exists()


def test_a_changed_location_is_published_at_once(root: Client, world) -> None:
    assert post(root, world.location, directions="Gate 3", facilities=["WIFI", "CAFE"]).status_code == 302
    shown = _location(PartnerView.objects.get())
    assert ([each.text for each in shown.directions], shown.facilities) == (
        ["Gate 3"],
        (v221.Facility.WIFI, v221.Facility.CAFE),
    )


@pytest.mark.parametrize(
    ("directions", "words"),
    [("x" * 513, "at most 512"), ("Gate <b>3</b>", "is HTML"), ("Gate&nbsp;3", "is HTML")],
)
def test_directions_that_partners_cannot_show_are_refused(
    directions: str, words: str, root: Client, world
) -> None:
    """TYP-09: on our editor; nothing is stored, published or owed."""
    before = everything()
    answer = post(root, world.location, directions=directions)
    assert words in " ".join(answer.context["adminform"].form.errors["directions"])
    assert changed_tables(before) == set()


def test_an_unchanged_bay_is_no_news(root: Client, world) -> None:
    # While the window is open the view shows the bays as they came online in `world`.
    rerender_location(location=world.location, now=timezone.now())
    before = PartnerView.objects.values("document", "last_updated").get()
    assert post(root, world.evse).status_code == 302
    after = PartnerView.objects.values("document", "last_updated").get()
    assert bytes(after["document"]) == bytes(before["document"])
    assert after["last_updated"] == before["last_updated"]


def test_a_changed_quirk_is_told_at_once(root: Client, world) -> None:
    """DIS-44: the operator says how this partner reads midnight, and what it is shown is rendered again."""
    before = bytes(PartnerView.objects.get().document)
    assert before.count(b'"period_end":"23:59"') == 7
    Obligation.objects.filter(kind="location").update(state="ACKED")
    assert post(root, world.party.platform, midnight_as="00:00").status_code == 302
    assert bytes(PartnerView.objects.get().document).count(b'"period_end":"00:00"') == 7
    assert Obligation.objects.get(kind="location").state == "PENDING"


def test_only_the_settings_that_were_changed_are_written(root: Client, world) -> None:
    """The product writes other fields of the same row at any time, such as the stamp of the last call."""
    page = root.get(change_url(world.party.platform))
    form = a_form(page)
    Platform.objects.update(status=Platform.Status.SUSPENDED, version="2.2.1-new")
    assert root.post(change_url(world.party.platform), form | {"cdr_mode": "pull_only"}).status_code == 302
    now = Platform.objects.get(pk=world.party.platform_id)
    assert (now.cdr_mode, now.status, now.version) == ("pull_only", "SUSPENDED", "2.2.1-new")


def _location(view: PartnerView) -> v221.Location:
    from ocpi import codec

    return codec.decode_bytes(v221.Location, bytes(view.document))


def test_a_grant_with_an_overlapping_tariff_is_refused_on_the_form(root: Client, world) -> None:
    """LOC-27: said beside the field; nothing changes and nobody is told."""
    ours = world.location.depot.operator
    put_tariff(
        party=ours,
        tariff=tariff_object(id="NIGHT", country_code=ours.country_code, party_id=ours.party_id),
        now=timezone.now(),
    )
    night = Tariff.objects.get(ocpi_id="NIGHT")
    form = a_form(root.get(change_url(world.grant)))
    new = form | {
        "party": world.party.pk,
        "location": world.location.pk,
        "tariff": night.pk,
        "token_groups": "B",
    }
    before = everything()
    answer = root.post(reverse("admin:access_grant_add"), new)
    (text,) = answer.context["adminform"].form.errors["tariff"]
    assert "tariffs NIGHT and GENT-TAXI are both without type and valid at the same time" in text
    assert changed_tables(before) == set()
    assert root.post(change_url(world.grant), form | {"tariff": night.pk}).status_code == 302
    assert Grant.objects.get().tariff == night
