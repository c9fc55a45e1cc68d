"""OCPP 1.6 MeterValue objects as register readings; what cannot be one is told apart, never guessed. [pure]

A message is never refused for its values: the station would drop it, and a session's end with it (W8).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

# Measurand absent means the import register (OCPP 1.6, 7.31); unit absent means Wh (7.48).
REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
FACTORS = {"Wh": Decimal(1), "kWh": Decimal(1000), "W": Decimal(1), "kW": Decimal(1000)}

MAX_WH = Decimal(2**63 - 1)
MAX_W = Decimal(2**31 - 1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of the register: Wh at the station's own time, and the power in W where it was given."""

    at: datetime
    energy_wh: int
    power_w: int | None


def instant(text: str) -> datetime:
    """Read a station's time; a station that names no zone means UTC (OCPP 1.6, 3.12). Raises ValueError."""
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"timestamp '{text[:40]}' is not an ISO 8601 instant") from error


def samples_of(meter_values: Iterable[dict[str, Any]]) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Samples of a list of MeterValue objects, and a sentence for each register value that is none."""
    samples: list[Sample] = []
    unreadable: list[str] = []
    for meter_value in meter_values:
        energy = _sampled(meter_value, REGISTER)
        if energy is None:
            continue
        try:
            samples.append(_sample(meter_value, energy))
        except ValueError as error:
            unreadable.append(str(error))
    return tuple(samples), tuple(unreadable)


def _sample(meter_value: dict[str, Any], energy: dict[str, Any]) -> Sample:
    at, power = instant(meter_value["timestamp"]), _sampled(meter_value, POWER)
    energy_wh = _number(energy, most=MAX_WH)
    if energy_wh is None:
        raise ValueError(f"'{str(energy['value'])[:40]}' at {at.isoformat()} is no register value")
    return Sample(at, energy_wh, _number(power, most=MAX_W) if power else None)


def _sampled(meter_value: dict[str, Any], measurand: str) -> dict[str, Any] | None:
    """The value of the whole outlet, not of one of its phases."""
    for sample in meter_value["sampledValue"]:
        is_total = "phase" not in sample and sample.get("location", "Outlet") == "Outlet"
        is_plain = sample.get("format", "Raw") == "Raw"
        if sample.get("measurand", REGISTER) == measurand and is_total and is_plain:
            found: dict[str, Any] = sample
            return found
    return None


def _number(sample: dict[str, Any], *, most: Decimal) -> int | None:
    """The value in whole Wh or W; None when it is no number, not finite, or more than can be kept."""
    try:
        value = Decimal(sample["value"]) * FACTORS.get(sample.get("unit", "Wh"), Decimal(1))
    except InvalidOperation:
        return None
    if not value.is_finite() or abs(value) > most:
        return None
    return round(value)
