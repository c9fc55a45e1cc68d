"""What partners are told about tariffs."""

import pytest

from roaming.models import Lane, Obligation, Party
from roaming.pushes import Message, get
from tariffs.models import Tariff
from tariffs.services import put_tariff, set_visible
from tests.factories import MORNING, OwnPartyFactory, tariff_object
from tests.partners import a_partner

pytestmark = pytest.mark.django_db


@pytest.fixture
def taxi() -> Party:
    OwnPartyFactory()
    party = a_partner().party
    assert party is not None
    return party


def message(party: Party) -> Message | None:
    return get("tariff").message(Obligation.objects.get(party=party, kind="tariff"), now=MORNING)


def test_a_visible_tariff_is_put_as_a_whole_and_a_hidden_one_deleted(taxi: Party) -> None:
    """TAR-02, TAR-03, OBJ-08: at the owner's URL; never PATCH."""
    ours = Party.objects.get(party_id="YRD")
    put_tariff(party=ours, tariff=tariff_object(), now=MORNING)
    set_visible(party=taxi, tariffs=Tariff.objects.all(), now=MORNING)
    segments = ("BE", "YRD", "GUEST")
    document = bytes(Tariff.objects.get().document)
    assert message(taxi) == Message(method="PUT", segments=segments, body=document)
    Obligation.objects.update(confirmed_version=1, attempts=1)
    set_visible(party=taxi, tariffs=[], now=MORNING)
    assert message(taxi) == Message(method="DELETE", segments=segments)


def test_a_tariff_that_a_partner_never_heard_of_is_not_deleted_there(taxi: Party) -> None:
    """No word about what came and went between two pushes."""
    ours = Party.objects.get(party_id="YRD")
    put_tariff(party=ours, tariff=tariff_object(), now=MORNING)
    set_visible(party=taxi, tariffs=Tariff.objects.all(), now=MORNING)
    set_visible(party=taxi, tariffs=[], now=MORNING)
    assert message(taxi) is None


def test_tariffs_travel_with_locations(taxi: Party) -> None:
    """LOC-14: one lane, so that what a Location names is there before it."""
    assert {get(kind).lane for kind in ("tariff", "location", "evse")} == {Lane.Name.STATIC}
