"""Charge detail records (chapter "CDRs module")."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from ocpi.v221.locations import ConnectorFormat, ConnectorType, GeoLocation, PowerType
from ocpi.v221.tariffs import Tariff
from ocpi.v221.tokens import TokenType
from ocpi.v221.types import (
    CiString32,
    CiString36,
    CiString39,
    CiString48,
    Country,
    CountryCode,
    Currency,
    Int,
    Number,
    Object,
    OcpiDateTime,
    PartyCode,
    Price,
    String10,
    String20,
    String45,
    String255,
    String512,
    String5000,
)


class AuthMethod(StrEnum):
    """How a charge was authorized."""

    AUTH_REQUEST = "AUTH_REQUEST"
    COMMAND = "COMMAND"
    WHITELIST = "WHITELIST"


class CdrDimensionType(StrEnum):
    """What a volume measures: kWh, h, A, kW or percent."""

    CURRENT = "CURRENT"
    ENERGY = "ENERGY"
    ENERGY_EXPORT = "ENERGY_EXPORT"
    ENERGY_IMPORT = "ENERGY_IMPORT"
    MAX_CURRENT = "MAX_CURRENT"
    MIN_CURRENT = "MIN_CURRENT"
    MAX_POWER = "MAX_POWER"
    MIN_POWER = "MIN_POWER"
    PARKING_TIME = "PARKING_TIME"
    POWER = "POWER"
    RESERVATION_TIME = "RESERVATION_TIME"
    STATE_OF_CHARGE = "STATE_OF_CHARGE"
    TIME = "TIME"


class CdrDimension(Object, frozen=True, kw_only=True):
    """One volume of a period."""

    type: CdrDimensionType
    volume: Number


class ChargingPeriod(Object, frozen=True, kw_only=True):
    """A span with one set of prices; it ends where the next one starts."""

    start_date_time: OcpiDateTime
    dimensions: Annotated[tuple[CdrDimension, ...], Meta(min_length=1)]
    tariff_id: CiString36 | None = None


class CdrToken(Object, frozen=True, kw_only=True):
    """The Token as it was at the start of the charge."""

    country_code: CountryCode
    party_id: PartyCode
    uid: CiString36
    type: TokenType
    contract_id: CiString36


class CdrLocation(Object, frozen=True, kw_only=True):
    """The place as it was at the start of the charge."""

    id: CiString36
    name: String255 | None = None
    address: String45
    city: String45
    postal_code: String10 | None = None
    state: String20 | None = None
    country: Country
    coordinates: GeoLocation
    evse_uid: CiString36
    evse_id: CiString48
    connector_id: CiString36
    connector_standard: ConnectorType
    connector_format: ConnectorFormat
    connector_power_type: PowerType


class SignedValue(Object, frozen=True, kw_only=True):
    """One signed meter value; ``nature`` is Start, End or Intermediate."""

    nature: CiString32
    plain_data: String5000
    signed_data: String5000


class SignedData(Object, frozen=True, kw_only=True):
    """What a driver needs to check the meter values of a charge."""

    encoding_method: CiString36
    encoding_method_version: Int | None = None
    public_key: String512 | None = None
    signed_values: Annotated[tuple[SignedValue, ...], Meta(min_length=1)]
    url: String512 | None = None


class CDR(Object, frozen=True, kw_only=True):
    """A finished charge as billed: kWh, hours, money in ``currency``. It never changes once handed out."""

    country_code: CountryCode
    party_id: PartyCode
    id: CiString39
    start_date_time: OcpiDateTime
    end_date_time: OcpiDateTime
    session_id: CiString36 | None = None
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: CiString36 | None = None
    cdr_location: CdrLocation
    meter_id: String255 | None = None
    currency: Currency
    tariffs: tuple[Tariff, ...] = ()
    charging_periods: Annotated[tuple[ChargingPeriod, ...], Meta(min_length=1)]
    signed_data: SignedData | None = None
    total_cost: Price
    total_fixed_cost: Price | None = None
    total_energy: Number
    total_energy_cost: Price | None = None
    total_time: Number
    total_time_cost: Price | None = None
    total_parking_time: Number | None = None
    total_parking_cost: Price | None = None
    total_reservation_cost: Price | None = None
    remark: String255 | None = None
    invoice_reference_id: CiString39 | None = None
    credit: bool | None = None
    credit_reference_id: CiString39 | None = None
    home_charging_compensation: bool | None = None
    last_updated: OcpiDateTime

    def __post_init__(self) -> None:
        if self.credit and self.credit_reference_id is None:
            raise ValueError("credit_reference_id: needed when credit is true")
