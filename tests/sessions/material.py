"""Objects of a charging session at Gent Noord, small and real, for the tests of sessions and CDRs."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ocpi import v221

ZONE = "Europe/Brussels"
START = datetime(2026, 11, 20, 19, 0, tzinfo=UTC)


def component(type_: str, price: str, *, vat: str | None = "21", step_size: int = 1) -> v221.PriceComponent:
    return v221.PriceComponent(
        type=v221.TariffDimensionType(type_),
        price=Decimal(price),
        vat=None if vat is None else Decimal(vat),
        step_size=step_size,
    )


def tariff(*elements: v221.TariffElement, **members: Any) -> v221.Tariff:
    """Night guests at Gent Noord: 0.35 per kWh, 3.00 per hour of parking, 0.50 per session, 21 % VAT."""
    default = v221.TariffElement(
        price_components=(
            component("ENERGY", "0.35"),
            component("PARKING_TIME", "3.00"),
            component("FLAT", "0.50"),
        )
    )
    given = {
        "country_code": "BE",
        "party_id": "YRD",
        "id": "gent-night",
        "currency": "EUR",
        "elements": elements or (default,),
        "last_updated": datetime(2026, 11, 1, tzinfo=UTC),
    }
    return v221.Tariff(**{**given, **members})


def evening_tariff() -> v221.Tariff:
    """0.45 per kWh until 21:00 local time, 0.30 after it."""
    return tariff(
        v221.TariffElement(
            price_components=(component("ENERGY", "0.45"),),
            restrictions=v221.TariffRestrictions(start_time="06:00", end_time="21:00"),
        ),
        v221.TariffElement(price_components=(component("ENERGY", "0.30"),)),
    )


def cdr_token(**members: Any) -> v221.CdrToken:
    given = {
        "country_code": "NL",
        "party_id": "EMS",
        "uid": "04A2B3C4D5E680",
        "type": v221.TokenType.RFID,
        "contract_id": "NL-EMS-C12345678-1",
    }
    return v221.CdrToken(**{**given, **members})


def cdr_location(**members: Any) -> v221.CdrLocation:
    given = {
        "id": "LOC-GENT-NOORD",
        "name": "Gent Noord, guest bays",
        "address": "Wiedauwkaai 83",
        "city": "Gent",
        "postal_code": "9000",
        "country": "BEL",
        "coordinates": v221.GeoLocation(latitude="51.074700", longitude="3.731400"),
        "evse_uid": "EVSE-7K2M",
        "evse_id": "BE*YRD*E0001",
        "connector_id": "1",
        "connector_standard": v221.ConnectorType.IEC_62196_T2,
        "connector_format": v221.ConnectorFormat.SOCKET,
        "connector_power_type": v221.PowerType.AC_3_PHASE,
    }
    return v221.CdrLocation(**{**given, **members})


def energy_of(periods: tuple[v221.ChargingPeriod, ...]) -> Decimal:
    return volume_of(periods, "ENERGY")


def volume_of(periods: tuple[v221.ChargingPeriod, ...], *types: str) -> Decimal:
    return sum(
        (each.volume for period in periods for each in period.dimensions if each.type.value in types),
        Decimal(0),
    )
