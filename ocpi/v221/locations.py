"""Locations, EVSEs and Connectors (chapter "Locations module")."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from ocpi.v221.tokens import TokenType
from ocpi.v221.types import (
    CiString4,
    CiString36,
    CiString48,
    Count,
    Country,
    CountryCode,
    DisplayText,
    Latitude,
    LocalTime,
    Longitude,
    Number,
    Object,
    OcpiDateTime,
    PartyCode,
    Pixels,
    String4,
    String10,
    String16,
    String45,
    String64,
    String100,
    String255,
    Url,
    Weekday,
)

# Shares such as three times 33.3 are rounded by their sender and miss 100 by less than this.
_SHARE_TOLERANCE = Decimal("0.5")


class Status(StrEnum):
    """State of an EVSE."""

    AVAILABLE = "AVAILABLE"
    BLOCKED = "BLOCKED"
    CHARGING = "CHARGING"
    INOPERATIVE = "INOPERATIVE"
    OUTOFORDER = "OUTOFORDER"
    PLANNED = "PLANNED"
    REMOVED = "REMOVED"
    RESERVED = "RESERVED"
    UNKNOWN = "UNKNOWN"


class Capability(StrEnum):
    """What an EVSE can do."""

    CHARGING_PROFILE_CAPABLE = "CHARGING_PROFILE_CAPABLE"
    CHARGING_PREFERENCES_CAPABLE = "CHARGING_PREFERENCES_CAPABLE"
    CHIP_CARD_SUPPORT = "CHIP_CARD_SUPPORT"
    CONTACTLESS_CARD_SUPPORT = "CONTACTLESS_CARD_SUPPORT"
    CREDIT_CARD_PAYABLE = "CREDIT_CARD_PAYABLE"
    DEBIT_CARD_PAYABLE = "DEBIT_CARD_PAYABLE"
    PED_TERMINAL = "PED_TERMINAL"
    REMOTE_START_STOP_CAPABLE = "REMOTE_START_STOP_CAPABLE"
    RESERVABLE = "RESERVABLE"
    RFID_READER = "RFID_READER"
    START_SESSION_CONNECTOR_REQUIRED = "START_SESSION_CONNECTOR_REQUIRED"
    TOKEN_GROUP_CAPABLE = "TOKEN_GROUP_CAPABLE"  # noqa: S105 (a word of the specification)
    UNLOCK_CAPABLE = "UNLOCK_CAPABLE"


class ConnectorFormat(StrEnum):
    """Socket, or attached cable."""

    SOCKET = "SOCKET"
    CABLE = "CABLE"


class PowerType(StrEnum):
    """Kind of current and number of phases."""

    AC_1_PHASE = "AC_1_PHASE"
    AC_2_PHASE = "AC_2_PHASE"
    AC_2_PHASE_SPLIT = "AC_2_PHASE_SPLIT"
    AC_3_PHASE = "AC_3_PHASE"
    DC = "DC"


class ParkingType(StrEnum):
    """Where the bays are."""

    ALONG_MOTORWAY = "ALONG_MOTORWAY"
    PARKING_GARAGE = "PARKING_GARAGE"
    PARKING_LOT = "PARKING_LOT"
    ON_DRIVEWAY = "ON_DRIVEWAY"
    ON_STREET = "ON_STREET"
    UNDERGROUND_GARAGE = "UNDERGROUND_GARAGE"


class ParkingRestriction(StrEnum):
    """Who may park."""

    EV_ONLY = "EV_ONLY"
    PLUGGED = "PLUGGED"
    DISABLED = "DISABLED"
    CUSTOMERS = "CUSTOMERS"
    MOTORCYCLES = "MOTORCYCLES"


class Facility(StrEnum):
    """What is near the Location."""

    HOTEL = "HOTEL"
    RESTAURANT = "RESTAURANT"
    CAFE = "CAFE"
    MALL = "MALL"
    SUPERMARKET = "SUPERMARKET"
    SPORT = "SPORT"
    RECREATION_AREA = "RECREATION_AREA"
    NATURE = "NATURE"
    MUSEUM = "MUSEUM"
    BIKE_SHARING = "BIKE_SHARING"
    BUS_STOP = "BUS_STOP"
    TAXI_STAND = "TAXI_STAND"
    TRAM_STOP = "TRAM_STOP"
    METRO_STATION = "METRO_STATION"
    TRAIN_STATION = "TRAIN_STATION"
    AIRPORT = "AIRPORT"
    PARKING_LOT = "PARKING_LOT"
    CARPOOL_PARKING = "CARPOOL_PARKING"
    FUEL_STATION = "FUEL_STATION"
    WIFI = "WIFI"


class ImageCategory(StrEnum):
    """What an image shows."""

    CHARGER = "CHARGER"
    ENTRANCE = "ENTRANCE"
    LOCATION = "LOCATION"
    NETWORK = "NETWORK"
    OPERATOR = "OPERATOR"
    OTHER = "OTHER"
    OWNER = "OWNER"


class EnergySourceCategory(StrEnum):
    """Where energy comes from."""

    NUCLEAR = "NUCLEAR"
    GENERAL_FOSSIL = "GENERAL_FOSSIL"
    COAL = "COAL"
    GAS = "GAS"
    GENERAL_GREEN = "GENERAL_GREEN"
    SOLAR = "SOLAR"
    WIND = "WIND"
    WATER = "WATER"


class EnvironmentalImpactCategory(StrEnum):
    """Kind of environmental impact."""

    NUCLEAR_WASTE = "NUCLEAR_WASTE"
    CARBON_DIOXIDE = "CARBON_DIOXIDE"


class ConnectorType(StrEnum):
    """Standard of a Connector; the mixed case of the IEC 60309 words is the specification's."""

    CHADEMO = "CHADEMO"
    CHAOJI = "CHAOJI"
    DOMESTIC_A = "DOMESTIC_A"
    DOMESTIC_B = "DOMESTIC_B"
    DOMESTIC_C = "DOMESTIC_C"
    DOMESTIC_D = "DOMESTIC_D"
    DOMESTIC_E = "DOMESTIC_E"
    DOMESTIC_F = "DOMESTIC_F"
    DOMESTIC_G = "DOMESTIC_G"
    DOMESTIC_H = "DOMESTIC_H"
    DOMESTIC_I = "DOMESTIC_I"
    DOMESTIC_J = "DOMESTIC_J"
    DOMESTIC_K = "DOMESTIC_K"
    DOMESTIC_L = "DOMESTIC_L"
    DOMESTIC_M = "DOMESTIC_M"
    DOMESTIC_N = "DOMESTIC_N"
    DOMESTIC_O = "DOMESTIC_O"
    GBT_AC = "GBT_AC"
    GBT_DC = "GBT_DC"
    IEC_60309_2_single_16 = "IEC_60309_2_single_16"
    IEC_60309_2_three_16 = "IEC_60309_2_three_16"
    IEC_60309_2_three_32 = "IEC_60309_2_three_32"
    IEC_60309_2_three_64 = "IEC_60309_2_three_64"
    IEC_62196_T1 = "IEC_62196_T1"
    IEC_62196_T1_COMBO = "IEC_62196_T1_COMBO"
    IEC_62196_T2 = "IEC_62196_T2"
    IEC_62196_T2_COMBO = "IEC_62196_T2_COMBO"
    IEC_62196_T3A = "IEC_62196_T3A"
    IEC_62196_T3C = "IEC_62196_T3C"
    NEMA_5_20 = "NEMA_5_20"
    NEMA_6_30 = "NEMA_6_30"
    NEMA_6_50 = "NEMA_6_50"
    NEMA_10_30 = "NEMA_10_30"
    NEMA_10_50 = "NEMA_10_50"
    NEMA_14_30 = "NEMA_14_30"
    NEMA_14_50 = "NEMA_14_50"
    PANTOGRAPH_BOTTOM_UP = "PANTOGRAPH_BOTTOM_UP"
    PANTOGRAPH_TOP_DOWN = "PANTOGRAPH_TOP_DOWN"
    TESLA_R = "TESLA_R"
    TESLA_S = "TESLA_S"


class GeoLocation(Object, frozen=True, kw_only=True):
    """A point in WGS 84, decimal degrees as text with five to seven decimals."""

    latitude: Latitude
    longitude: Longitude


class AdditionalGeoLocation(GeoLocation, frozen=True, kw_only=True):
    """A further point of interest, such as an entrance."""

    name: DisplayText | None = None


class Image(Object, frozen=True, kw_only=True):
    """Reference to an image; sizes in pixels."""

    url: Url
    thumbnail: Url | None = None
    category: ImageCategory
    type: CiString4
    width: Pixels | None = None
    height: Pixels | None = None


class BusinessDetails(Object, frozen=True, kw_only=True):
    """A company as drivers see it."""

    name: String100
    website: Url | None = None
    logo: Image | None = None


class RegularHours(Object, frozen=True, kw_only=True):
    """A weekly opening period on the clock of the Location; an end not after its begin is tolerated."""

    weekday: Weekday
    period_begin: LocalTime
    period_end: LocalTime


class ExceptionalPeriod(Object, frozen=True, kw_only=True):
    """An opening or closing of its own, between two instants."""

    period_begin: OcpiDateTime
    period_end: OcpiDateTime


class Hours(Object, frozen=True, kw_only=True):
    """Opening hours: either around the clock or a list of regular hours, with exceptions."""

    twentyfourseven: bool
    regular_hours: tuple[RegularHours, ...] = ()
    exceptional_openings: tuple[ExceptionalPeriod, ...] = ()
    exceptional_closings: tuple[ExceptionalPeriod, ...] = ()

    def __post_init__(self) -> None:
        if self.twentyfourseven and self.regular_hours:
            raise ValueError("regular_hours: not allowed when twentyfourseven is true, leave them out")
        if not self.twentyfourseven and not self.regular_hours:
            raise ValueError("regular_hours: at least one entry is needed when twentyfourseven is false")


class StatusSchedule(Object, frozen=True, kw_only=True):
    """A planned status of an EVSE."""

    period_begin: OcpiDateTime
    period_end: OcpiDateTime | None = None
    status: Status


class EnergySource(Object, frozen=True, kw_only=True):
    """Share of one source in percent."""

    source: EnergySourceCategory
    percentage: Number

    def __post_init__(self) -> None:
        if not 0 <= self.percentage <= 100:
            raise ValueError(f"percentage: must be from 0 to 100 (given {self.percentage})")


class EnvironmentalImpact(Object, frozen=True, kw_only=True):
    """Amount of one impact in g/kWh."""

    category: EnvironmentalImpactCategory
    amount: Number


class EnergyMix(Object, frozen=True, kw_only=True):
    """Where the energy of a Location or tariff comes from."""

    is_green_energy: bool
    energy_sources: tuple[EnergySource, ...] = ()
    environ_impact: tuple[EnvironmentalImpact, ...] = ()
    supplier_name: String64 | None = None
    energy_product_name: String64 | None = None

    def __post_init__(self) -> None:
        total = sum((source.percentage for source in self.energy_sources), Decimal(0))
        if self.energy_sources and abs(total - 100) > _SHARE_TOLERANCE:
            raise ValueError(f"energy_sources: percentages must add up to 100 (given {total})")


class PublishTokenType(Object, frozen=True, kw_only=True):
    """Tokens to whose owners an unpublished Location may be shown."""

    uid: CiString36 | None = None
    type: TokenType | None = None
    visual_number: String64 | None = None
    issuer: String64 | None = None
    group_id: CiString36 | None = None

    def __post_init__(self) -> None:
        if self.uid is None and self.visual_number is None and self.group_id is None:
            raise ValueError("publish_allowed_to: set at least one of uid, visual_number, group_id")
        if self.uid is not None and self.type is None:
            raise ValueError("type: needed next to uid")
        if self.visual_number is not None and self.issuer is None:
            raise ValueError("issuer: needed next to visual_number")


class Connector(Object, frozen=True, kw_only=True):
    """A socket or cable of an EVSE; V (line to neutral on three phases), A, W."""

    id: CiString36
    standard: ConnectorType
    format: ConnectorFormat
    power_type: PowerType
    max_voltage: Count
    max_amperage: Count
    max_electric_power: Count | None = None
    tariff_ids: tuple[CiString36, ...] = ()
    terms_and_conditions: Url | None = None
    last_updated: OcpiDateTime


class EVSE(Object, frozen=True, kw_only=True):
    """What charges one vehicle at a time."""

    uid: CiString36
    evse_id: CiString48 | None = None
    status: Status
    status_schedule: tuple[StatusSchedule, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    connectors: Annotated[tuple[Connector, ...], Meta(min_length=1)]
    floor_level: String4 | None = None
    coordinates: GeoLocation | None = None
    physical_reference: String16 | None = None
    directions: tuple[DisplayText, ...] = ()
    parking_restrictions: tuple[ParkingRestriction, ...] = ()
    images: tuple[Image, ...] = ()
    last_updated: OcpiDateTime


class Location(Object, frozen=True, kw_only=True):
    """A place with EVSEs that belong together; ``time_zone`` is an IANA name."""

    country_code: CountryCode
    party_id: PartyCode
    id: CiString36
    publish: bool
    publish_allowed_to: tuple[PublishTokenType, ...] = ()
    name: String255 | None = None
    address: String255
    city: String45
    postal_code: String10 | None = None
    state: String45 | None = None
    country: Country
    coordinates: GeoLocation
    related_locations: tuple[AdditionalGeoLocation, ...] = ()
    parking_type: ParkingType | None = None
    evses: tuple[EVSE, ...] = ()
    directions: tuple[DisplayText, ...] = ()
    operator: BusinessDetails | None = None
    suboperator: BusinessDetails | None = None
    owner: BusinessDetails | None = None
    facilities: tuple[Facility, ...] = ()
    time_zone: String255
    opening_times: Hours | None = None
    charging_when_closed: bool | None = None
    images: tuple[Image, ...] = ()
    energy_mix: EnergyMix | None = None
    last_updated: OcpiDateTime

    def __post_init__(self) -> None:
        if self.publish and self.publish_allowed_to:
            raise ValueError("publish_allowed_to: only allowed when publish is false")
