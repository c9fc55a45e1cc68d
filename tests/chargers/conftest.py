"""A depot that is open all day, connected stations, and the gateway between them."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.utils import timezone

from access.models import Grant
from config import depot_file, depots
from config.datadir import ROOT
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party
from tests.chargers.gateway import Gateway, Yard
from tests.charging.conftest import taxi, token_of  # noqa: F401  # a fixture
from tests.factories import OwnPartyFactory
from tokens.services import put_token

CARD = "04A2B3C4D5E680"


@pytest.fixture
def bay(taxi: Party, settings) -> EVSE:
    """Bay 1 of Gent Noord; guests of Randstad Taxi may charge there at any hour, and CARD is one of theirs."""
    settings.OCPP_METER_INTERVAL_SECONDS = Decimal("0.3")
    load_open_depot()
    put_token(
        own_party=OwnPartyFactory(),
        party=taxi,
        token=token_of(taxi, CARD, v221.TokenType.RFID),
        now=timezone.now(),
    )
    return EVSE.objects.get(station_identity="GENT-01")


def load_open_depot() -> None:
    """The example depot, whose partners may come at any hour."""
    depots.load(file=depot_file.read(ROOT / "examples" / "gent-noord.yaml"), now=timezone.now())
    for grant in Grant.objects.all():
        grant.schedule.windows.update(opens="00:00", closes="00:00")
        grant.schedule.exceptions.all().delete()


@pytest.fixture
def gateway(bay: EVSE) -> Iterator[Gateway]:
    """The gateway, running."""
    with Gateway() as running:
        yield running


@pytest.fixture
def yard(gateway: Gateway) -> Iterator[Yard]:
    """Where stations are; all of them are switched off at the end."""
    with Yard(gateway.url) as stations:
        yield stations
