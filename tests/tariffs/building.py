"""The smallest tariffs, elements and periods that the tests of this folder need."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ocpi import v221


def component(type_: str, price: str, *, vat: str | None = "21", step_size: int = 1) -> v221.PriceComponent:
    return v221.PriceComponent(
        type=v221.TariffDimensionType(type_),
        price=Decimal(price),
        vat=None if vat is None else Decimal(vat),
        step_size=step_size,
    )


def element(*components: v221.PriceComponent, **restrictions: Any) -> v221.TariffElement:
    return v221.TariffElement(
        price_components=components,
        restrictions=v221.TariffRestrictions(**restrictions) if restrictions else None,
    )


def tariff(*elements: v221.TariffElement, id: str = "GENT-NIGHT", **members: Any) -> v221.Tariff:
    return v221.Tariff(
        country_code="BE",
        party_id="YRD",
        id=id,
        elements=elements,
        last_updated=datetime(2026, 1, 1, tzinfo=UTC),
        **{"currency": "EUR", **members},
    )


def period(start: datetime, *, tariff_id: str | None = None, **volumes: str) -> v221.ChargingPeriod:
    return v221.ChargingPeriod(
        start_date_time=start,
        dimensions=tuple(
            v221.CdrDimension(type=v221.CdrDimensionType(name), volume=Decimal(volume))
            for name, volume in volumes.items()
        ),
        tariff_id=tariff_id,
    )


def volumes_of(period: v221.ChargingPeriod) -> dict[str, str]:
    """Volumes by dimension, as text: what a reader of the JSON sees."""
    return {str(dimension.type): f"{dimension.volume:f}" for dimension in period.dimensions}


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    """A moment of Monday 4 May 2026, in UTC."""
    return datetime(2026, 5, 4, hour, minute, second, tzinfo=UTC)
