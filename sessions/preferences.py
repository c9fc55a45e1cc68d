"""What a driver's charging preferences are answered with (chapter "Sessions module"). [pure]"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from ocpi import v221
from tariffs.choice import tariff_for

LIVE = (v221.SessionStatus.PENDING.value, v221.SessionStatus.ACTIVE.value)

_Answer = v221.ChargingPreferencesResponse
_WH_PER_KWH = 1000
_SECONDS_PER_HOUR = 3600
# Cheap and green charging are shifted in time: without a departure and a need there is nothing to plan by.
_PLANNED = frozenset({v221.ProfileType.CHEAP, v221.ProfileType.GREEN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What preferences are held against: the session's frozen tariffs, its start, what it got, and what its connector
    gives (W; None: not known)."""

    tariffs: Sequence[v221.Tariff]
    is_live: bool
    started_at: datetime
    delivered_kwh: Decimal
    most_w: Decimal | None


def answer(
    preferences: v221.ChargingPreferences, *, charge: Charge, now: datetime
) -> v221.ChargingPreferencesResponse:
    """Return the answer for a session (SES-21).

    A profile needs a tariff of its own type (SES-22); REGULAR is what every session has anyway. What would
    feed energy back is NOT_POSSIBLE here, as is more energy until the departure than the connector gives, and anything
    after the end of the session.
    """
    if not charge.is_live or preferences.discharge_allowed:
        return _Answer.NOT_POSSIBLE
    profile = preferences.profile_type
    if tariff_for(charge.tariffs, profile=profile, at=charge.started_at) is None and (
        profile is not v221.ProfileType.REGULAR
    ):
        return _Answer.PROFILE_TYPE_NOT_SUPPORTED
    if profile in _PLANNED and preferences.departure_time is None:
        return _Answer.DEPARTURE_REQUIRED
    if profile in _PLANNED and preferences.energy_need is None:
        return _Answer.ENERGY_NEED_REQUIRED
    return _Answer.ACCEPTED if _can_be_met(preferences, charge, now) else _Answer.NOT_POSSIBLE


def _can_be_met(preferences: v221.ChargingPreferences, charge: Charge, now: datetime) -> bool:
    departure, need = preferences.departure_time, preferences.energy_need
    if departure is None:
        return True
    seconds = Decimal(int((departure - now).total_seconds()))
    if seconds <= 0:
        return False
    if need is None or charge.most_w is None:
        return True
    most_kwh = charge.most_w * seconds / _SECONDS_PER_HOUR / _WH_PER_KWH
    return need - charge.delivered_kwh <= most_kwh
