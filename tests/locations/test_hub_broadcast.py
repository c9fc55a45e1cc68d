"""What we broadcast over somebody else's hub: a grant of the hub's own party is the switch."""

import pytest
from django.utils import timezone

from access.models import Grant
from access.services import change_grant
from charging.authorize import tap
from demo.http import Request
from locations.models import EVSE, Location
from roaming.models import Party
from tests.charging.conftest import gent
from tests.charging.test_hub_cards import copy_of
from tests.roaming.deliveries import drain, facts, owe_bay, owe_cdr
from tests.roaming.hubs import HubPlatform, connected, rhine, routing_of
from tests.roaming.test_hub_clients import announce

__all__ = ["facts", "gent", "rhine"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hub(db: None, rhine: HubPlatform) -> Party:
    """NL-RHB."""
    return connected(rhine)


@pytest.fixture
def taxi(hub: Party) -> Party:
    """NL-EMS behind the hub, with a grant of its own by the depot's file."""
    return announce(hub)


def addressee(request: Request) -> tuple[str, str]:
    routing = routing_of(request)
    assert (routing["ocpi-from-country-code"], routing["ocpi-from-party-id"]) == ("BE", "YRD")
    return request.segments[3], routing["ocpi-to-party-id"]


def test_locations_and_tariffs_are_broadcast_sessions_and_cdrs_go_to_the_owner(
    gent: Location, taxi: Party, hub: Party, rhine: HubPlatform
) -> None:
    """HUB-43, HUB-01: with a grant of the hub's own party its view goes out with TO = hub."""
    change_grant(grant=copy_of(Grant.objects.get(), party=hub), now=timezone.now())
    owe_bay(taxi, "S-1", "ACTIVE")
    owe_cdr(taxi, "CDR-1")
    drain()
    assert sorted({addressee(each) for each in rhine.requests}) == [
        ("cdrs", "EMS"), ("locations", "EMS"), ("locations", "RHB"), ("sessions", "EMS"), ("tariffs", "EMS"),
        ("tariffs", "RHB"),
    ]  # fmt: skip
    assert ("BE", "YRD", gent.ocpi_id) in rhine.locations


def test_without_a_grant_of_the_hub_nothing_is_broadcast(
    gent: Location, taxi: Party, rhine: HubPlatform
) -> None:
    """HUB-43, B16: what was granted to one party behind the hub goes to that party only."""
    drain()
    assert sorted({addressee(each) for each in rhine.requests}) == [("locations", "EMS"), ("tariffs", "EMS")]


def test_a_card_is_not_asked_for_in_the_name_of_the_hub(
    gent: Location, taxi: Party, hub: Party, rhine: HubPlatform
) -> None:
    """HUB-43: its grant shows, and opens nothing: the hub has no drivers."""
    change_grant(grant=copy_of(Grant.objects.get(), party=hub), now=timezone.now())
    Grant.objects.filter(party=taxi).update(status=Grant.Status.ENDED)
    assert EVSE.objects.count() == 2
    assert tap(station_identity="GENT-01", id_tag="04A2B3C4D5E680", now=timezone.now()).status == "Invalid"
    assert rhine.received("POST") == []
