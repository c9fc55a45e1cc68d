"""What pricing returns: the OCPI totals, and a line for everything that is charged. [pure]"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from ocpi import v221


class CannotPrice(ValueError):
    """The tariffs, periods or readings contradict each other; the text names what to correct."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """That the session began with a reservation, and whether the driver let it expire."""

    expired: bool


class Dimension(StrEnum):
    """What a line charges for: OCPI's tariff dimensions, with the reservation apart from the charge."""

    ENERGY = "ENERGY"
    TIME = "TIME"
    PARKING_TIME = "PARKING_TIME"
    FLAT = "FLAT"
    RESERVATION_TIME = "RESERVATION_TIME"
    RESERVATION_FLAT = "RESERVATION_FLAT"


class Total(StrEnum):
    """The CDR total that a line belongs to (chapter "CDRs module")."""

    FIXED = "FIXED"
    ENERGY = "ENERGY"
    TIME = "TIME"
    PARKING = "PARKING"
    RESERVATION = "RESERVATION"


@dataclass(frozen=True, slots=True)
class Line:
    """One dimension of one charging period, under one price component.

    ``volume`` is what was measured, ``billed_volume`` what is charged after ``step_size``: kWh, hours, or 1
    for a flat fee. ``price`` is per kWh, per hour or once, without VAT; ``vat`` in percent. Amounts are
    unrounded. ``element`` and ``component`` count from 0 in the tariff ``tariff_id``.
    """

    period_start: datetime
    start: datetime
    dimension: Dimension
    total: Total
    tariff_id: str
    element: int
    component: int
    volume: Decimal
    billed_volume: Decimal
    step_size: int
    price: Decimal
    vat: Decimal | None
    excl_vat: Decimal
    incl_vat: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Costs under the names of the CDR; a cost is None when no price component asked for it."""

    total_cost: v221.Price
    total_fixed_cost: v221.Price | None
    total_energy_cost: v221.Price | None
    total_time_cost: v221.Price | None
    total_parking_cost: v221.Price | None
    total_reservation_cost: v221.Price | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill(Totals):
    """A priced session: rounded totals, the same ``unrounded``, volumes, and the lines that explain them.

    ``total_energy`` in kWh; ``total_time`` (charging and parking) and ``total_parking_time`` in hours, as
    measured, before any ``step_size``. ``limited_by`` names the limit that replaced the sum of the lines.
    """

    currency: str
    unrounded: Totals
    limited_by: str | None
    total_energy: Decimal
    total_time: Decimal
    total_parking_time: Decimal
    lines: tuple[Line, ...]
