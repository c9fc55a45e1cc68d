"""Charging profiles of partners: upper limits over time, from OCPI to what a station is told, and back. [pure]

A partner's profile bounds its own session. It never raises anything: every limit is cut to what the connector gives, and
conversions between A (per phase) and W (over all phases) round down (CHP-09, CHP-11).
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from locations.electrical import Supply, tenths
from ocpi import v221

MAX_PERIODS = 500
"""More than any station holds; what is longer is a burden, not a plan."""

_SECOND = timedelta(seconds=1)


class Step(NamedTuple):
    """From so many seconds after the start on, at most ``limit``; None where a station knows no limit."""

    start_seconds: int
    limit: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Limits from ``starts_at`` on, for ``duration_seconds`` or for ever; the first step begins at 0.

    ``min_rate`` is what the vehicle should get at least for charging to make sense, ``phases`` those of the connector.
    """

    unit: v221.ChargingRateUnit
    starts_at: datetime
    steps: tuple[Step, ...]
    duration_seconds: int | None = None
    min_rate: Decimal | None = None
    phases: int = 3

    def holds_at(self, at: datetime) -> bool:
        """Whether it says anything about this moment."""
        return at >= self.starts_at and not self.is_over_at(at)

    def is_over_at(self, at: datetime) -> bool:
        """Whether it has ended for good."""
        ends_at = self.ends_at
        return ends_at is not None and at >= ends_at

    @property
    def ends_at(self) -> datetime | None:
        """The first moment that it does not cover any more; None: it has no end."""
        return None if self.duration_seconds is None else self.starts_at + self.duration_seconds * _SECOND

    @property
    def edges(self) -> tuple[datetime, ...]:
        """When a limit begins or ends."""
        begins = tuple(self.starts_at + step.start_seconds * _SECOND for step in self.steps)
        return begins if self.ends_at is None else (*begins, self.ends_at)


def check(profile: v221.ChargingProfile) -> None:
    """Refuse a profile that cannot be followed. Raises ValueError with a text that names the member."""
    periods = profile.charging_profile_period
    if len(periods) > MAX_PERIODS:
        raise ValueError(f"charging_profile_period: at most {MAX_PERIODS} (given {len(periods)})")
    if profile.duration == 0:
        raise ValueError("duration: at least one second (given 0)")
    if profile.min_charging_rate is not None and profile.min_charging_rate < 0:
        raise ValueError(f"min_charging_rate: must not be negative (given {profile.min_charging_rate})")
    before = -1
    for number, period in enumerate(periods):
        if period.start_period <= before:
            raise ValueError(
                f"charging_profile_period[{number}].start_period: must rise (given {period.start_period} after {before})"
            )
        if period.limit < 0:
            raise ValueError(
                f"charging_profile_period[{number}].limit: must not be negative (given {period.limit})"
            )
        before = period.start_period


def schedule_of(profile: v221.ChargingProfile, *, supply: Supply, charging_since: datetime) -> Schedule:
    """The schedule that follows from a sound profile: never above what the connector gives.

    Without ``start_date_time`` it counts from the start of charging; without ``duration`` its last limit holds to the
    end of the transaction (CHP-10). Where the profile says nothing, the connector's maximum is the limit.
    """
    unit, duration = profile.charging_rate_unit, profile.duration
    most = supply.most(unit)
    steps = [
        Step(period.start_period, min(period.limit, most))
        for period in profile.charging_profile_period
        if duration is None or period.start_period < duration
    ]
    if not steps or steps[0].start_seconds > 0:
        steps.insert(0, Step(0, most))
    least = profile.min_charging_rate
    origin = profile.start_date_time or charging_since
    return Schedule(
        unit=unit,
        starts_at=origin.replace(microsecond=0),
        steps=tuple(steps),
        duration_seconds=duration,
        min_rate=None if least is None else min(least, most),
        phases=supply.phases,
    )


def in_unit(schedule: Schedule, unit: v221.ChargingRateUnit, *, supply: Supply) -> Schedule:
    """The same limits in the other unit, for a station that knows only that one."""
    if schedule.unit is unit:
        return schedule

    def converted(rate: Decimal | None) -> Decimal | None:
        return None if rate is None else min(supply.converted(rate, to=unit), supply.most(unit))

    return replace(
        schedule,
        unit=unit,
        steps=tuple(Step(step.start_seconds, converted(step.limit)) for step in schedule.steps),
        min_rate=converted(schedule.min_rate),
    )


def limit_at(
    schedule: Schedule | None, at: datetime, *, supply: Supply, unit: v221.ChargingRateUnit
) -> Decimal:
    """The upper limit at a moment: the connector's maximum wherever no schedule holds (CHP-17)."""
    most = tenths(supply.most(unit))
    if schedule is None or not schedule.holds_at(at):
        return most
    elapsed = (at - schedule.starts_at) // _SECOND
    position = bisect_right(schedule.steps, elapsed, key=lambda step: step.start_seconds) - 1
    limit = schedule.steps[position].limit if position >= 0 else None
    if limit is None:
        return most
    return min(tenths(limit) if schedule.unit is unit else supply.converted(limit, to=unit), most)


def active(
    schedule: Schedule | None,
    *,
    supply: Supply,
    unit: v221.ChargingRateUnit,
    start: datetime,
    seconds: int,
) -> v221.ActiveChargingProfile:
    """The limits in force from ``start`` on, for exactly so many seconds (CHP-12, CHP-16)."""
    start = start.replace(microsecond=0)
    edges = schedule.edges if schedule is not None else ()
    offsets = sorted({0, *(offset for at in edges if 0 < (offset := (at - start) // _SECOND) < seconds)})
    periods: list[v221.ChargingProfilePeriod] = []
    for offset in offsets:
        limit = limit_at(schedule, start + offset * _SECOND, supply=supply, unit=unit)
        if not periods or periods[-1].limit != limit:
            periods.append(v221.ChargingProfilePeriod(start_period=offset, limit=limit))
    profile = v221.ChargingProfile(
        start_date_time=start,
        duration=seconds,
        charging_rate_unit=unit,
        charging_profile_period=tuple(periods),
    )
    return v221.ActiveChargingProfile(start_date_time=start, charging_profile=profile)


def plan(
    schedule: Schedule | None, *, supply: Supply, unit: v221.ChargingRateUnit, now: datetime
) -> v221.ChargingProfile:
    """What is to be told, without a horizon: two plans are equal when nothing has changed for the partner.

    A schedule that is over is none: the maximum holds.
    """
    if schedule is None or schedule.is_over_at(now):
        most = v221.ChargingProfilePeriod(start_period=0, limit=tenths(supply.most(unit)))
        return v221.ChargingProfile(charging_rate_unit=unit, charging_profile_period=(most,))
    return v221.ChargingProfile(
        start_date_time=schedule.starts_at,
        duration=schedule.duration_seconds,
        charging_rate_unit=unit,
        charging_profile_period=tuple(
            v221.ChargingProfilePeriod(
                start_period=step.start_seconds,
                limit=limit_at(
                    schedule, schedule.starts_at + step.start_seconds * _SECOND, supply=supply, unit=unit
                ),
            )
            for step in schedule.steps
        ),
    )
