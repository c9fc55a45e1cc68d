"""What a session would cost, before anybody drives to the depot. [pure]"""

from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from ocpi import v221
from tariffs.bill import Bill
from tariffs.cutting import cut
from tariffs.pricing import price


def preview(
    *,
    tariff: v221.Tariff,
    time_zone: str,
    start: datetime,
    charging: timedelta,
    parking: timedelta,
    energy_kwh: Decimal,
) -> Bill:
    """Price a session that draws its energy evenly while it charges, and then parks. Raises CannotPrice."""
    full = start + charging
    stop = full + parking
    energy_wh = int((energy_kwh * 1000).to_integral_value(ROUND_HALF_UP))
    periods = cut(
        tariffs=(tariff,),
        time_zone=time_zone,
        start=start,
        stop=stop,
        readings=[(start, 0), (full, energy_wh), (stop, energy_wh)],
        suspended_ev_from=full if parking else None,
    )
    return price(tariffs=(tariff,), charging_periods=periods, start=start, end=stop, time_zone=time_zone)
