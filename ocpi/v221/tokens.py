"""Tokens and real-time authorization (chapter "Tokens module")."""

from enum import StrEnum

from ocpi.v221.types import (
    CiString36,
    CountryCode,
    DisplayText,
    Language,
    Object,
    OcpiDateTime,
    PartyCode,
    String64,
)


class TokenType(StrEnum):
    """Kind of Token."""

    AD_HOC_USER = "AD_HOC_USER"
    APP_USER = "APP_USER"
    OTHER = "OTHER"
    RFID = "RFID"


class WhitelistType(StrEnum):
    """When a Token may be used without asking its owner."""

    ALWAYS = "ALWAYS"
    ALLOWED = "ALLOWED"
    ALLOWED_OFFLINE = "ALLOWED_OFFLINE"
    NEVER = "NEVER"


class AllowedType(StrEnum):
    """Verdict of a real-time authorization."""

    ALLOWED = "ALLOWED"
    BLOCKED = "BLOCKED"
    EXPIRED = "EXPIRED"
    NO_CREDIT = "NO_CREDIT"
    NOT_ALLOWED = "NOT_ALLOWED"


class ProfileType(StrEnum):
    """Preference of a driver."""

    CHEAP = "CHEAP"
    FAST = "FAST"
    GREEN = "GREEN"
    REGULAR = "REGULAR"


class EnergyContract(Object, frozen=True, kw_only=True):
    """A driver's own energy contract."""

    supplier_name: String64
    contract_id: String64 | None = None


class Token(Object, frozen=True, kw_only=True):
    """What a driver identifies with; the key is owner, uid and type."""

    country_code: CountryCode
    party_id: PartyCode
    uid: CiString36
    type: TokenType
    contract_id: CiString36
    visual_number: String64 | None = None
    issuer: String64
    group_id: CiString36 | None = None
    valid: bool
    whitelist: WhitelistType
    language: Language | None = None
    default_profile_type: ProfileType | None = None
    energy_contract: EnergyContract | None = None
    last_updated: OcpiDateTime


class LocationReferences(Object, frozen=True, kw_only=True):
    """A Location and, if given, the EVSEs of it that are meant."""

    location_id: CiString36
    evse_uids: tuple[CiString36, ...] = ()


class AuthorizationInfo(Object, frozen=True, kw_only=True):
    """Answer to a real-time authorization."""

    allowed: AllowedType
    token: Token
    location: LocationReferences | None = None
    authorization_reference: CiString36 | None = None
    info: DisplayText | None = None
