"""The smallest valid rows with real-life names; shared by all tests with a database."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import factory
from factory.django import DjangoModelFactory

from locations.models import EVSE, Connector, Depot, Location
from ocpi import v221
from roaming.models import CredentialsToken, Endpoint, Party, Platform
from roaming.secrets import hash_token, write_outbound_token

MORNING = datetime(2026, 3, 11, 8, 0, tzinfo=UTC)

_MODULES = ("tokens", "locations", "sessions", "cdrs", "tariffs", "commands")


class PlatformFactory(DjangoModelFactory[Platform]):
    """A partner's system, connected; without a limit on requests."""

    class Meta:
        model = Platform

    name = factory.Sequence(lambda n: f"Randstad Taxi {n}" if n else "Randstad Taxi")
    status = Platform.Status.CONNECTED
    version = "2.2.1"
    max_requests_per_second = 0


class OwnPartyFactory(DjangoModelFactory[Party]):
    """Our CPO, BE-YRD; the same row when asked for again."""

    class Meta:
        model = Party
        django_get_or_create = ("country_code", "party_id", "role")

    platform = None
    role = v221.Role.CPO.value
    country_code = "BE"
    party_id = "YRD"
    name = "Yardgate Depots"


class PartyFactory(DjangoModelFactory[Party]):
    """A partner's eMSP: NL-EMS, then NL-A01, NL-A02 … NL-B00 …"""

    class Meta:
        model = Party

    platform = factory.SubFactory(PlatformFactory)
    role = v221.Role.EMSP.value
    country_code = "NL"
    party_id = factory.Sequence(lambda n: f"{chr(65 + n // 100)}{n % 100:02}" if n else "EMS")
    name = factory.SelfAttribute("platform.name")


class DepotFactory(DjangoModelFactory[Depot]):
    """De Lijn's depot in Gent."""

    class Meta:
        model = Depot

    operator = factory.SubFactory(OwnPartyFactory)
    code = factory.Sequence(lambda n: f"gent-noord-{n}" if n else "gent-noord")
    name = "Gent Noord"
    fleet_name = "De Lijn"
    time_zone = "Europe/Brussels"
    address = "Wiedauwkaai 72"
    city = "Gent"
    postal_code = "9000"
    country = "BEL"
    latitude = Decimal("51.07")
    longitude = Decimal("3.73")


class LocationFactory(DjangoModelFactory[Location]):
    """The guest bays of a depot."""

    class Meta:
        model = Location

    depot = factory.SubFactory(DepotFactory)
    ocpi_id = factory.Sequence(lambda n: f"GENT-NOORD-GUEST-{n}" if n else "GENT-NOORD-GUEST")
    name = "Gent Noord, guest bays"


class EVSEFactory(DjangoModelFactory[EVSE]):
    """A bay with a rapid charger, online and free, with one plug."""

    class Meta:
        model = EVSE
        skip_postgeneration_save = True

    location = factory.SubFactory(LocationFactory)
    evse_id = factory.Sequence(lambda n: f"BE*YRD*E{n:04}")
    bay_label = factory.Sequence(lambda n: f"B{n}")
    station_identity = factory.Sequence(lambda n: f"GENT-{n:03}")
    capabilities = factory.List(["RFID_READER", "REMOTE_START_STOP_CAPABLE"])
    device_status = v221.Status.AVAILABLE.value
    is_online = True

    @factory.post_generation
    def plug(self: EVSE, create: bool, extracted: Any, **values: Any) -> None:
        """`plug=None` leaves the bay without a connector."""
        if create and "plug" not in values and extracted is not False:
            ConnectorFactory(evse=self, **values)


class ConnectorFactory(DjangoModelFactory[Connector]):
    """CCS with a cable, 150 kW."""

    class Meta:
        model = Connector

    evse = factory.SubFactory(EVSEFactory, plug=False)
    ocpi_id = "1"
    standard = v221.ConnectorType.IEC_62196_T2_COMBO.value
    format = v221.ConnectorFormat.CABLE.value
    power_type = v221.PowerType.DC.value
    max_voltage = 920
    max_amperage = 400
    max_electric_power = 150_000


def connect(party: Party, *, token: str = "", url: str = "http://127.0.0.1:9/ocpi/2.2.1") -> str:
    """Give a partner's platform endpoints, a token to call us with (returned), and one for our calls."""
    platform = party.platform
    assert platform is not None
    token = token or f"token-C-of-{party.country_code}-{party.party_id}"
    CredentialsToken.objects.create(
        platform=platform, kind=CredentialsToken.Kind.SESSION, hash=hash_token(token)
    )
    write_outbound_token(platform, f"token-for-{party.country_code}-{party.party_id}")
    platform.approved_hosts = [urlsplit(url).netloc]
    platform.save()
    for module in _MODULES:
        role = "SENDER" if module in ("tokens", "commands") else "RECEIVER"
        Endpoint.objects.create(platform=platform, module=module, role=role, url=f"{url}/{module}")
    return token


def token_object(**changes: Any) -> v221.Token:
    """A valid RFID card of NL-EMS."""
    members: dict[str, Any] = {
        "country_code": "NL",
        "party_id": "EMS",
        "uid": "04E1D2C3B4A580",
        "type": v221.TokenType.RFID,
        "contract_id": "NL-EMS-C00000042-7",
        "issuer": "Randstad Taxi",
        "valid": True,
        "whitelist": v221.WhitelistType.ALLOWED,
        "last_updated": MORNING,
    }
    return v221.Token(**(members | changes))


def tariff_object(**changes: Any) -> v221.Tariff:
    """BE-YRD's price for guests: 0.45 per kWh at any time, 21 % VAT."""
    energy = v221.PriceComponent(
        type=v221.TariffDimensionType.ENERGY, price=Decimal("0.45"), vat=Decimal(21), step_size=1
    )
    members: dict[str, Any] = {
        "country_code": "BE",
        "party_id": "YRD",
        "id": "GUEST",
        "currency": "EUR",
        "elements": (v221.TariffElement(price_components=(energy,)),),
        "last_updated": MORNING,
    }
    return v221.Tariff(**(members | changes))
