"""Tariffs (chapter "Tariffs module")."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from ocpi.v221.locations import EnergyMix
from ocpi.v221.types import (
    CiString36,
    Count,
    CountryCode,
    Currency,
    DisplayText,
    LocalDate,
    LocalTime,
    Number,
    Object,
    OcpiDateTime,
    PartyCode,
    Price,
    Url,
)


class TariffType(StrEnum):
    """For which sessions a Tariff is meant."""

    AD_HOC_PAYMENT = "AD_HOC_PAYMENT"
    PROFILE_CHEAP = "PROFILE_CHEAP"
    PROFILE_FAST = "PROFILE_FAST"
    PROFILE_GREEN = "PROFILE_GREEN"
    REGULAR = "REGULAR"


class TariffDimensionType(StrEnum):
    """What a price is asked for."""

    ENERGY = "ENERGY"
    FLAT = "FLAT"
    PARKING_TIME = "PARKING_TIME"
    TIME = "TIME"


class DayOfWeek(StrEnum):
    """Day on the calendar of the Location."""

    MONDAY = "MONDAY"
    TUESDAY = "TUESDAY"
    WEDNESDAY = "WEDNESDAY"
    THURSDAY = "THURSDAY"
    FRIDAY = "FRIDAY"
    SATURDAY = "SATURDAY"
    SUNDAY = "SUNDAY"


class ReservationRestrictionType(StrEnum):
    """Reservation that is used, or that expires."""

    RESERVATION = "RESERVATION"
    RESERVATION_EXPIRES = "RESERVATION_EXPIRES"


class PriceComponent(Object, frozen=True, kw_only=True):
    """A price without VAT per kWh, per hour or once; ``vat`` in percent; ``step_size`` in Wh or s."""

    type: TariffDimensionType
    price: Number
    vat: Number | None = None
    step_size: Count


class TariffRestrictions(Object, frozen=True, kw_only=True):
    """When an element holds: local times and dates, kWh, A over all phases, kW, s."""

    start_time: LocalTime | None = None
    end_time: LocalTime | None = None
    start_date: LocalDate | None = None
    end_date: LocalDate | None = None
    min_kwh: Number | None = None
    max_kwh: Number | None = None
    min_current: Number | None = None
    max_current: Number | None = None
    min_power: Number | None = None
    max_power: Number | None = None
    min_duration: Count | None = None
    max_duration: Count | None = None
    day_of_week: tuple[DayOfWeek, ...] = ()
    reservation: ReservationRestrictionType | None = None


class TariffElement(Object, frozen=True, kw_only=True):
    """Prices that hold together under the same restrictions."""

    price_components: Annotated[tuple[PriceComponent, ...], Meta(min_length=1)]
    restrictions: TariffRestrictions | None = None


class Tariff(Object, frozen=True, kw_only=True):
    """A price list; per dimension the first element that matches is billed."""

    country_code: CountryCode
    party_id: PartyCode
    id: CiString36
    currency: Currency
    type: TariffType | None = None
    tariff_alt_text: tuple[DisplayText, ...] = ()
    tariff_alt_url: Url | None = None
    min_price: Price | None = None
    max_price: Price | None = None
    elements: Annotated[tuple[TariffElement, ...], Meta(min_length=1)]
    start_date_time: OcpiDateTime | None = None
    end_date_time: OcpiDateTime | None = None
    energy_mix: EnergyMix | None = None
    last_updated: OcpiDateTime
