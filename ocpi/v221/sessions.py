"""Sessions and charging preferences (chapter "Sessions module")."""

from enum import StrEnum

from ocpi.v221.cdrs import AuthMethod, CdrToken, ChargingPeriod
from ocpi.v221.tokens import ProfileType
from ocpi.v221.types import (
    CiString36,
    CountryCode,
    Currency,
    Number,
    Object,
    OcpiDateTime,
    PartyCode,
    Price,
    String255,
)


class SessionStatus(StrEnum):
    """State of a Session."""

    ACTIVE = "ACTIVE"
    COMPLETED = "COMPLETED"
    INVALID = "INVALID"
    PENDING = "PENDING"
    RESERVATION = "RESERVATION"


class ChargingPreferencesResponse(StrEnum):
    """Answer to charging preferences."""

    ACCEPTED = "ACCEPTED"
    DEPARTURE_REQUIRED = "DEPARTURE_REQUIRED"
    ENERGY_NEED_REQUIRED = "ENERGY_NEED_REQUIRED"
    NOT_POSSIBLE = "NOT_POSSIBLE"
    PROFILE_TYPE_NOT_SUPPORTED = "PROFILE_TYPE_NOT_SUPPORTED"


class Session(Object, frozen=True, kw_only=True):
    """A charge or reservation as it runs; ``kwh`` so far; an absent ``total_cost`` is unknown, not free."""

    country_code: CountryCode
    party_id: PartyCode
    id: CiString36
    start_date_time: OcpiDateTime
    end_date_time: OcpiDateTime | None = None
    kwh: Number
    cdr_token: CdrToken
    auth_method: AuthMethod
    authorization_reference: CiString36 | None = None
    location_id: CiString36
    evse_uid: CiString36
    connector_id: CiString36
    meter_id: String255 | None = None
    currency: Currency
    charging_periods: tuple[ChargingPeriod, ...] = ()
    total_cost: Price | None = None
    status: SessionStatus
    last_updated: OcpiDateTime


class ChargingPreferences(Object, frozen=True, kw_only=True):
    """What a driver wishes; ``energy_need`` in kWh."""

    profile_type: ProfileType
    departure_time: OcpiDateTime | None = None
    energy_need: Number | None = None
    discharge_allowed: bool | None = None
