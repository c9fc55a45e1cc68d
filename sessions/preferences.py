"""What a driver's charging preferences are answered with (chapter "Sessions module"). [pure]"""

from collections.abc import Iterable

from ocpi import v221

_Answer = v221.ChargingPreferencesResponse
_PROFILE_TARIFF = {
    v221.ProfileType.CHEAP: v221.TariffType.PROFILE_CHEAP,
    v221.ProfileType.FAST: v221.TariffType.PROFILE_FAST,
    v221.ProfileType.GREEN: v221.TariffType.PROFILE_GREEN,
}
# Cheap and green charging are shifted in time: without a departure and a need there is nothing to plan by.
_PLANNED = frozenset({v221.ProfileType.CHEAP, v221.ProfileType.GREEN})


def answer(
    preferences: v221.ChargingPreferences, *, tariffs: Iterable[v221.Tariff], is_live: bool
) -> v221.ChargingPreferencesResponse:
    """Return the answer for a session with these frozen ``tariffs``.

    A profile needs a tariff of its own type (SES-22); REGULAR is what every session has anyway. What would
    feed energy back is NOT_POSSIBLE here, as is anything after the end of the session.
    """
    if not is_live or preferences.discharge_allowed:
        return _Answer.NOT_POSSIBLE
    profile = preferences.profile_type
    if profile is v221.ProfileType.REGULAR:
        return _Answer.ACCEPTED
    if _PROFILE_TARIFF[profile] not in {tariff.type for tariff in tariffs}:
        return _Answer.PROFILE_TYPE_NOT_SUPPORTED
    if profile in _PLANNED and preferences.departure_time is None:
        return _Answer.DEPARTURE_REQUIRED
    if profile in _PLANNED and preferences.energy_need is None:
        return _Answer.ENERGY_NEED_REQUIRED
    return _Answer.ACCEPTED
