"""A reservation that nobody used: its one period, and what the tariff asks for it (TAR-17, TAR-18). [pure]"""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from ocpi import v221
from sessions.periods import Progress
from tariffs.bill import Bill, CannotPrice, Reservation
from tariffs.choice import TariffChange
from tariffs.cutting import reserved
from tariffs.pricing import price

_FREE = v221.Price(excl_vat=Decimal(0), incl_vat=Decimal(0))


def bill(
    *,
    tariffs: Sequence[v221.Tariff],
    time_zone: str,
    start: datetime,
    end: datetime,
    is_expired: bool,
    changes: Sequence[TariffChange] = (),
) -> tuple[tuple[v221.ChargingPeriod, ...], Bill]:
    """Return the period of a reservation and its bill. Raises CannotPrice with what to correct."""
    periods = (reserved(tariffs=tariffs, start=start, end=end, changes=changes),)
    return periods, price(
        tariffs=tariffs,
        charging_periods=periods,
        start=start,
        end=end,
        time_zone=time_zone,
        reservation=Reservation(expired=is_expired),
    )


def progress(
    *,
    tariffs: Sequence[v221.Tariff],
    time_zone: str,
    start: datetime,
    end: datetime,
    is_expired: bool,
    changes: Sequence[TariffChange] = (),
) -> Progress:
    """Return period and cost of a reservation as its Session shows them; 0 where the tariff asks nothing.

    What was given up in the moment in which it was made costs nothing. The cost is None when it cannot be
    told: such a session is looked at by a person.
    """
    if end <= start:
        return Progress(energy_kwh=Decimal(0), periods=(), total_cost=_FREE)
    if not tariffs:
        return Progress(energy_kwh=Decimal(0), periods=(), total_cost=None)
    try:
        periods, priced = bill(
            tariffs=tariffs,
            time_zone=time_zone,
            start=start,
            end=end,
            is_expired=is_expired,
            changes=changes,
        )
    except CannotPrice:
        return Progress(energy_kwh=Decimal(0), periods=(), total_cost=None)
    return Progress(energy_kwh=Decimal(0), periods=periods, total_cost=priced.total_cost)
