"""Rules on what the meter said. [pure]"""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from cdrs.rules import Rule, SessionCase
from sessions.periods import kwh

_ENTER_METER = "Enter the true meter values by a correction, then seal."
_TOLERANCE = Decimal("1.1")
# Stations often stamp whole seconds: a session may have lasted up to two more than it says.
_SECOND_ROUNDING = 2
_METER_ANOMALIES = frozenset(
    {"READING_BACKWARDS", "READING_IMPOSSIBLE", "READING_IN_FUTURE", "STOP_BELOW_READING", "STOP_IMPOSSIBLE"}
)


def _energy_wh(case: SessionCase) -> int | None:
    start, stop = case.facts.meter_start_wh, case.facts.meter_stop_wh
    return None if start is None or stop is None else stop - start


def _meter_missing(case: SessionCase) -> Iterator[str]:
    if case.facts.is_unused:
        return  # a reservation alone has no meter
    if case.facts.meter_start_wh is None:
        yield "the meter value of the start is missing"
    if case.facts.meter_stop_wh is None:
        yield "the meter value of the stop is missing"


def _meter_negative(case: SessionCase) -> Iterator[str]:
    for name, value in (("start", case.facts.meter_start_wh), ("stop", case.facts.meter_stop_wh)):
        if value is not None and value < 0:
            yield f"the meter value of the {name} is {value} Wh; an import register is never negative"


def _negative_energy(case: SessionCase) -> Iterator[str]:
    energy = _energy_wh(case)
    if energy is not None and energy < 0:
        yield f"the register ran backwards over the session, by {-energy} Wh"


def _zero_energy(case: SessionCase) -> Iterator[str]:
    if _energy_wh(case) == 0:
        yield "no energy was delivered; most partners dispute such a CDR"


def _meter_anomalies(case: SessionCase) -> Iterator[str]:
    for anomaly in case.facts.anomalies:
        if anomaly.code in _METER_ANOMALIES:
            yield f"{anomaly.code.lower().replace('_', ' ')}: {anomaly.text}"


def _estimated(case: SessionCase) -> Iterator[str]:
    if case.facts.is_estimated:
        yield "the station never sent the end of this session; it was closed from the last reading"


def _power_exceeded(case: SessionCase) -> Iterator[str]:
    energy, power_w = _energy_wh(case), case.facts.max_power_w
    if energy is None or power_w is None:
        return
    seconds = (case.facts.ended_at - case.facts.started_at) // timedelta(seconds=1) + _SECOND_ROUNDING
    possible = power_w * Decimal(max(seconds, 0)) / 3600 * _TOLERANCE
    if energy > possible:
        yield (
            f"{kwh(energy)} kWh in {seconds - _SECOND_ROUNDING} s is more than the connector's "
            f"{Decimal(power_w) / 1000:f} kW can deliver"
        )


def _energy_over_limit(case: SessionCase) -> Iterator[str]:
    energy, limit = _energy_wh(case), case.limits.max_energy_kwh
    if energy is not None and kwh(energy) > limit:
        yield f"{kwh(energy)} kWh is more than the limit of {limit:f} kWh for one session"


def _readings_outside_register(case: SessionCase) -> Iterator[str]:
    start, stop = case.facts.meter_start_wh, case.facts.meter_stop_wh
    if start is None or stop is None:
        return
    for reading in case.facts.readings:
        inside = case.facts.started_at < reading.at < case.facts.ended_at
        if inside and not start <= reading.energy_wh <= stop:
            yield f"{reading.energy_wh} Wh at {reading.at:%H:%M:%S} is outside {start}–{stop} Wh"


RULES: tuple[Rule[SessionCase], ...] = (
    Rule("METER_MISSING", _meter_missing, _ENTER_METER),
    Rule("METER_NEGATIVE", _meter_negative, _ENTER_METER),
    Rule("NEGATIVE_ENERGY", _negative_energy, _ENTER_METER),
    Rule(
        "ZERO_ENERGY",
        _zero_energy,
        "Close the review without billing, or accept it to bill time or a fee.",
        True,
    ),
    Rule(
        "METER_ANOMALY",
        _meter_anomalies,
        "Compare with the station's log; correct the values, or accept.",
        True,
    ),
    Rule("ESTIMATED_END", _estimated, "Enter the true end by a correction, or accept the estimate.", True),
    Rule("POWER_EXCEEDED", _power_exceeded, _ENTER_METER),
    Rule("ENERGY_OVER_LIMIT", _energy_over_limit, _ENTER_METER),
    Rule("READING_OUTSIDE", _readings_outside_register, _ENTER_METER, True),
)
