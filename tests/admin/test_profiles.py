"""What operators enter around charging profiles: contracts of an SCSP, and tariffs per preference."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.test import Client
from django.utils import timezone

from access.models import Grant
from locations.models import PartnerView
from ocpi import codec, v221
from roaming.models import Party
from roaming.pages import change_url
from tariffs.models import Tariff
from tariffs.services import put_tariff
from tests.admin.world import a_form, changed_tables, everything

pytestmark = pytest.mark.django_db


def post(client: Client, row: Any, **changes: Any) -> Any:
    form = a_form(client.get(change_url(row)))
    return client.post(change_url(row), form | changes)


def green(grant: Grant, name: str = "TAXI-GREEN") -> Tariff:
    own = codec.decode_bytes(v221.Tariff, bytes(grant.tariff.document))
    document = msgspec.structs.replace(own, id=name, type=v221.TariffType.PROFILE_GREEN)
    put_tariff(party=grant.tariff.party, tariff=document, now=timezone.now() - timedelta(minutes=1))
    return Tariff.objects.get(ocpi_id=name)


def shown() -> set[tuple[str, ...]]:
    document = codec.decode_bytes(v221.Location, bytes(PartnerView.objects.get().document))
    return {connector.tariff_ids for evse in document.evses for connector in evse.connectors}


def test_a_tariff_for_a_preference_is_published_as_soon_as_it_is_entered(operator: Client, world) -> None:
    answer = post(operator, world.grant, profile_tariffs=[green(world.grant).pk])
    assert answer.status_code == 302
    assert shown() == {("GENT-TAXI", "TAXI-GREEN")}
    assert Grant.objects.get().version == world.grant.version + 1
    post(operator, world.grant, profile_tariffs=[])
    assert shown() == {("GENT-TAXI",)}


def test_tariffs_that_cannot_stand_together_are_refused_in_the_form(operator: Client, world) -> None:
    both = [green(world.grant).pk, green(world.grant, "TAXI-WIND").pk]
    before = everything()
    answer = post(operator, world.grant, profile_tariffs=both)
    assert answer.status_code == 200
    assert answer.context["adminform"].form.errors == {
        "profile_tariffs": ["tariffs TAXI-GREEN and TAXI-WIND are both for PROFILE_GREEN"]
    }
    assert changed_tables(before) == set()


@pytest.fixture
def scsp(world) -> Party:
    """A smart charging service provider on the platform of the taxi company."""
    return Party.objects.create(
        platform=world.party.platform, role="SCSP", country_code="NL", party_id="FLX", name="Flex"
    )


def test_an_operator_enters_for_whom_an_scsp_acts_and_nothing_else(
    operator: Client, scsp: Party, world
) -> None:
    answer = post(operator, scsp, acts_for=[world.party.pk], name="Another", is_active="")
    assert answer.status_code == 302
    scsp.refresh_from_db()
    assert (list(scsp.acts_for.all()), scsp.name, scsp.is_active) == ([world.party], "Flex", True)


def test_an_emsp_acts_for_nobody(operator: Client, scsp: Party, world) -> None:
    assert "acts_for" not in operator.get(change_url(world.party)).context["adminform"].form.fields
    assert post(operator, world.party, acts_for=[scsp.pk]).status_code == 302
    assert not world.party.acts_for.exists()


def test_contracts_are_with_partners_emsps_only(operator: Client, scsp: Party, world) -> None:
    own = Party.objects.get(role="CPO", platform=None)
    answer = post(operator, scsp, acts_for=[own.pk])
    assert answer.status_code == 200
    assert not scsp.acts_for.exists()
