"""A depot as an operator loads it, two connected partners, and a night on which it is open."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from chargers.models import Station
from charging import stations
from charging.commands import Order
from config import depot_file, depots
from config.datadir import ROOT
from locations.models import EVSE, Location
from ocpi import v221
from roaming.models import Endpoint, Party, Platform

# A Tuesday night in winter: the window 20:00-05:00 in Brussels is 19:00Z-04:00Z.
BEFORE = datetime(2026, 11, 24, 18, 59, 59, 999_000, tzinfo=UTC)
OPEN = datetime(2026, 11, 24, 19, 0, tzinfo=UTC)
LAST_START = datetime(2026, 11, 25, 3, 40, tzinfo=UTC)
CLOSE = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
MODULES = ("locations", "tariffs", "sessions", "cdrs")


def connected_partner(name: str, country_code: str, party_id: str) -> Party:
    platform = Platform.objects.create(
        name=name, status=Platform.Status.CONNECTED, approved_hosts=["partner.example"]
    )
    for module in MODULES:
        Endpoint.objects.create(
            platform=platform, module=module, role="RECEIVER", url=f"https://partner.example/{module}"
        )
    return Party.objects.create(
        platform=platform, role="EMSP", country_code=country_code, party_id=party_id, name=name
    )


@pytest.fixture
def taxi(db) -> Party:
    return connected_partner("Randstad Taxi", "NL", "EMS")


@pytest.fixture
def stranger(db) -> Party:
    return connected_partner("Nordlicht Mobil", "DE", "NLM")


@pytest.fixture
def gent(taxi: Party) -> Location:
    """The guest bays of Gent Noord, both stations connected and free, two hours before the window opens."""
    early = OPEN - timedelta(hours=2)
    depots.load(file=depot_file.read(ROOT / "examples" / "gent-noord.yaml"), now=early)
    for identity in ("GENT-01", "GENT-02"):
        stations.connected(station_identity=identity, now=early)
        stations.connector_status(
            station_identity=identity, ocpp_connector=1, status="Available", at=early, now=early
        )
    Station.objects.update(is_online=True)
    return Location.objects.get(ocpi_id="GENT-NOORD-GUEST")


@pytest.fixture
def bay(gent: Location) -> EVSE:
    return EVSE.objects.get(station_identity="GENT-01")


def token_of(
    party: Party,
    uid: str = "driver-17",
    type_: v221.TokenType = v221.TokenType.APP_USER,
    group_id: str | None = None,
) -> v221.Token:
    return v221.Token(
        country_code=party.country_code,
        party_id=party.party_id,
        uid=uid,
        type=type_,
        contract_id=f"{party.country_code}-{party.party_id}-C0017",
        issuer=party.name,
        group_id=group_id,
        valid=True,
        whitelist=v221.WhitelistType.ALWAYS,
        last_updated=timezone.now(),
    )


@pytest.fixture
def order(gent: Location, taxi: Party) -> Order:
    return Order(
        party=taxi,
        own_party=gent.depot.operator,
        response_url="https://partner.example/results/1?id=7",
        correlation_id="c-1",
    )
