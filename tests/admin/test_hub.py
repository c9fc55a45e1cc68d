"""What the hub keeps, as operators see it."""

import pytest
from django.test import Client
from django.urls import reverse

from roaming.models import HubDocument, Party
from roaming.pages import change_url
from tests.admin.world import CARD, World
from tests.roaming import hub_members as hub

pytestmark = pytest.mark.django_db
LIST = reverse("admin:roaming_hubdocument_changelist")


@pytest.fixture
def place(world: World) -> HubDocument:
    """A Location that the partner pushed."""
    own = Party.objects.filter(platform=None)[0]
    document = hub.json.dumps(hub.location(world.party)).encode()
    return HubDocument.objects.create(
        recipient=own, owner=world.party, module="locations", object_key="UTRECHT-1", document=document,
        last_updated="2026-03-11T08:00:00Z",
    )  # fmt: skip


def found(root: Client, words: str) -> int:
    return int(root.get(LIST, {"q": words}).context["cl"].result_count)


def test_an_object_is_found_by_its_id_and_its_owner(root: Client, place: HubDocument) -> None:
    assert [found(root, words) for words in ("utrecht-1", "UTRECHT", "EMS")] == [1, 0, 2]


def test_a_card_is_not_found_by_its_uid(root: Client, place: HubDocument) -> None:
    """T21: whoever typed it would leave it in logs of URLs."""
    assert [found(root, words) for words in (CARD, f"{CARD}/RFID")] == [0, 0]


def test_the_text_is_shown_as_it_was_sent(root: Client, place: HubDocument) -> None:
    page = root.get(change_url(place)).content.decode()
    assert "Utrecht, Europalaan" in page
    card = HubDocument.objects.get(module="tokens")
    assert CARD not in root.get(change_url(card)).content.decode()


def test_nothing_can_be_changed_here(root: Client, place: HubDocument) -> None:
    before = HubDocument.objects.values().get(pk=place.pk)
    assert root.post(change_url(place), {"object_key": "X"}).status_code == 403
    assert root.get(reverse("admin:roaming_hubdocument_add")).status_code == 403
    assert HubDocument.objects.values().get(pk=place.pk) == before
