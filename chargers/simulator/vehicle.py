"""A vehicle's battery: how much it asks for, and what it takes from what is offered. [pure]"""

from dataclasses import dataclass
from decimal import Decimal

FULL_PERCENT = Decimal(100)
LAST_WATTS_SHARE = Decimal("0.05")  # what a nearly full battery still asks, as a share of its maximum
STEP_SECONDS = Decimal(30)
MAX_STEPS = 200
WH_STEP = Decimal("0.001")
SECONDS_PER_HOUR = Decimal(3600)


@dataclass(slots=True)
class Vehicle:
    """One vehicle at a connector; the state of charge is a percentage, power is in watts."""

    capacity_kwh: Decimal = Decimal(60)
    soc_percent: Decimal = Decimal(20)
    max_w: Decimal = Decimal(11_000)
    taper_from_percent: Decimal = Decimal(80)
    phases: int = 3

    @property
    def is_full(self) -> bool:
        """Whether the battery takes no more."""
        return self.soc_percent >= FULL_PERCENT

    def demand_w(self) -> Decimal:
        """Power that the battery asks for now: its maximum, falling linearly after `taper_from_percent`."""
        if self.is_full:
            return Decimal(0)
        if self.soc_percent <= self.taper_from_percent:
            return self.max_w
        left = (FULL_PERCENT - self.soc_percent) / (FULL_PERCENT - self.taper_from_percent)
        return self.max_w * (LAST_WATTS_SHARE + (1 - LAST_WATTS_SHARE) * left)

    def charge(self, *, offered_w: Decimal, seconds: Decimal) -> Decimal:
        """Charge for `seconds` with at most `offered_w`; returns the energy taken, in Wh.

        The taper is followed in steps, so that an hour at once ends where sixty minutes one by one end.
        """
        capacity_wh = self.capacity_kwh * 1000
        steps = min(MAX_STEPS, int(seconds / STEP_SECONDS)) + 1
        taken_wh = Decimal(0)
        for _ in range(steps):
            wanted_wh = min(offered_w, self.demand_w()) * (seconds / steps) / SECONDS_PER_HOUR
            room_wh = (FULL_PERCENT - self.soc_percent) * capacity_wh / 100
            if room_wh < WH_STEP:
                # Less than the meter can show is a full battery: it must not ask for ever.
                self.soc_percent = FULL_PERCENT
                break
            step_wh = min(wanted_wh, room_wh)
            self.soc_percent = min(FULL_PERCENT, self.soc_percent + step_wh * 100 / capacity_wh)
            taken_wh += step_wh
        return taken_wh.quantize(WH_STEP)
