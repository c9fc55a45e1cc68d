"""What a connector can give: volts, phases, and the limits that follow from them. [pure]"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from types import MappingProxyType

from ocpi import v221

_PHASES: Mapping[str, int] = MappingProxyType(
    {
        v221.PowerType.AC_2_PHASE.value: 2,
        v221.PowerType.AC_2_PHASE_SPLIT.value: 2,
        v221.PowerType.AC_3_PHASE.value: 3,
    }
)
_TENTH = Decimal("0.1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """The most that a connector gives: V between line and neutral, phases, A per phase, W over all of them."""

    volts: int
    phases: int
    amperes: Decimal
    watts: Decimal

    @classmethod
    def of(cls, *, power_type: str, volts: int, amperes: int, watts: int | None) -> "Supply":
        """The supply of a Connector with these members; ``watts`` when it gives less than V x A."""
        # OCPI gives the voltage of three phases between line and neutral, so each phase counts.
        phases = _PHASES.get(power_type, 1)
        most_w = Decimal(watts or volts * amperes * phases)
        most_a = Decimal(amperes)
        if volts:
            most_a = min(most_a, tenths(most_w / (volts * phases)))
        return cls(volts=volts, phases=phases, amperes=most_a, watts=most_w)

    def most(self, unit: v221.ChargingRateUnit) -> Decimal:
        """The most in W over all phases, or in A per phase."""
        return self.watts if unit is v221.ChargingRateUnit.W else self.amperes

    def converted(self, rate: Decimal, *, to: v221.ChargingRateUnit) -> Decimal:
        """A rate of the other unit in this one, in tenths and never more than it was."""
        if to is v221.ChargingRateUnit.W:
            return tenths(rate * self.volts * self.phases)
        return tenths(rate / (self.volts * self.phases)) if self.volts else self.amperes


def tenths(rate: Decimal) -> Decimal:
    """A rate with one decimal, rounded down: a limit may become lower by that, never higher."""
    return rate.quantize(_TENTH, ROUND_DOWN)
