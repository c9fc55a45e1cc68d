"""What a CDR is made of, as one frozen value. [pure]"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ocpi import v221
from sessions.periods import Reading
from tariffs.choice import TariffChange


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """Something that the station said and that cannot be; noted when it was received."""

    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFacts:
    """A finished session with the corrections of a person laid over it; meter values in Wh.

    Place, token and tariffs are those of the start (CDR-12). ``payer`` is the party that the session was
    opened for. From ``reserved_from`` on the bay was reserved for it, until it started or, when it never did,
    until its end (``is_unused``). ``overlaps`` names other sessions that had the same EVSE at the same time,
    ``max_power_w`` is what the connector can deliver, when known, ``tariff_changes`` which of the tariffs bills
    from when on. ``accepted`` holds codes of findings that a person has looked into.
    """

    session_id: str
    country_code: str
    party_id: str
    payer: tuple[str, str]
    started_at: datetime
    ended_at: datetime
    meter_start_wh: int | None
    meter_stop_wh: int | None
    readings: tuple[Reading, ...]
    suspended_ev_from: datetime | None
    cdr_token: v221.CdrToken
    auth_method: v221.AuthMethod
    authorization_reference: str
    cdr_location: v221.CdrLocation
    currency: str
    time_zone: str
    tariffs: tuple[v221.Tariff, ...]
    end_reason: str
    decision_ref: str
    is_estimated: bool
    anomalies: tuple[Anomaly, ...]
    overlaps: tuple[str, ...]
    max_power_w: int | None
    tariff_changes: tuple[TariffChange, ...] = ()
    accepted: frozenset[str] = frozenset()
    reserved_from: datetime | None = None
    is_reservation_expired: bool = False
    is_unused: bool = False

    @property
    def begun_at(self) -> datetime:
        """Start of the CDR: that of the reservation when there was one (mod_cdrs, start_date_time)."""
        return self.started_at if self.reserved_from is None else min(self.reserved_from, self.started_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What this installation holds for possible: ``max_total`` by currency, ``vat_countries`` as alpha-3."""

    max_total: dict[str, Decimal]
    vat_countries: frozenset[str]
    max_hours: int = 48
    max_energy_kwh: Decimal = Decimal(2_000)
