"""Charging profiles (chapter "ChargingProfiles module")."""

from decimal import Decimal
from enum import StrEnum

from ocpi.v221.types import Count, Number, Object, OcpiDateTime, Url


class ChargingProfileResponseType(StrEnum):
    """Direct answer."""

    ACCEPTED = "ACCEPTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TOO_OFTEN = "TOO_OFTEN"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class ChargingProfileResultType(StrEnum):
    """Verdict of the charge point."""

    ACCEPTED = "ACCEPTED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"


class ChargingRateUnit(StrEnum):
    """W in total, or A per phase."""

    W = "W"
    A = "A"


def _refuse_second_decimal(name: str, rate: Decimal | None) -> None:
    if rate is not None and rate != round(rate, 1):
        raise ValueError(f"{name}: at most one decimal (given {rate})")


class ChargingProfilePeriod(Object, frozen=True, kw_only=True):
    """From ``start_period`` seconds on, at most ``limit``."""

    start_period: Count
    limit: Number

    def __post_init__(self) -> None:
        _refuse_second_decimal("limit", self.limit)


class ChargingProfile(Object, frozen=True, kw_only=True):
    """Upper limits over time; without ``start_date_time`` they count from the start of charging; seconds."""

    start_date_time: OcpiDateTime | None = None
    duration: Count | None = None
    charging_rate_unit: ChargingRateUnit
    min_charging_rate: Number | None = None
    charging_profile_period: tuple[ChargingProfilePeriod, ...] = ()

    def __post_init__(self) -> None:
        _refuse_second_decimal("min_charging_rate", self.min_charging_rate)


class ActiveChargingProfile(Object, frozen=True, kw_only=True):
    """The limits in force at the EVSE."""

    start_date_time: OcpiDateTime
    charging_profile: ChargingProfile


class SetChargingProfile(Object, frozen=True, kw_only=True):
    """Limits for a Session."""

    charging_profile: ChargingProfile
    response_url: Url


class ChargingProfileResponse(Object, frozen=True, kw_only=True):
    """Direct answer; ``timeout`` in seconds, after which no result is to be expected."""

    result: ChargingProfileResponseType
    timeout: Count


class ActiveChargingProfileResult(Object, frozen=True, kw_only=True):
    """Result of a GET."""

    result: ChargingProfileResultType
    profile: ActiveChargingProfile | None = None


class ChargingProfileResult(Object, frozen=True, kw_only=True):
    """Result of a PUT."""

    result: ChargingProfileResultType


class ClearProfileResult(Object, frozen=True, kw_only=True):
    """Result of a DELETE."""

    result: ChargingProfileResultType
