"""What the driver wishes for a running session, and the tariff that follows from it.

Used through ``sessions.services``.
"""

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from locations.connectors import supply_at
from ocpi import codec, v221
from sessions.models import Session
from sessions.preferences import LIVE, Charge, answer
from sessions.stored import changes_of, locked, whole_ms
from tariffs.choice import TariffChange, governed, tariff_for

_PENDING = v221.SessionStatus.PENDING.value


def set_preferences(
    *, session: Session, preferences: v221.ChargingPreferences, now: datetime
) -> v221.ChargingPreferencesResponse:
    """Answer a driver's preferences; accepted ones are kept for whoever plans the power, and choose the tariff.

    The tariff of the profile bills from this moment on, that of before up to it (TAR-25). Preferences are not part of the
    Session that partners see: what changes there is the next period.
    """
    with transaction.atomic():
        row = locked(session)
        tariffs = codec.decode_bytes(list[v221.Tariff], bytes(row.tariffs))
        outcome = answer(preferences, charge=_charge(row, tariffs), now=now)
        if outcome is v221.ChargingPreferencesResponse.ACCEPTED:
            row.charging_preferences = codec.encode(preferences)
            row.tariff_changes = _switched(row, tariffs, preferences.profile_type, now)
            row.save(update_fields=["charging_preferences", "tariff_changes"])
        return outcome


def _charge(row: Session, tariffs: Sequence[v221.Tariff]) -> Charge:
    supply = supply_at(evse_id=row.evse_id, connector_id=row.connector_id)
    return Charge(
        tariffs=tariffs,
        is_live=row.status in LIVE,
        started_at=row.started_at,
        delivered_kwh=row.kwh,
        most_w=None if supply is None else supply.watts,
    )


def _switched(
    row: Session, tariffs: Sequence[v221.Tariff], profile: v221.ProfileType, now: datetime
) -> bytes:
    if row.status == _PENDING:
        return first_choice(tariffs, profile, row.started_at)
    changes = changes_of(row)
    at = max(whole_ms(now), row.started_at)
    chosen = tariff_for(tariffs, profile=profile, at=row.started_at)
    if chosen is None:
        return bytes(row.tariff_changes)
    # Whatever an earlier preference said about a moment that has not come yet is taken back.
    kept = [change for change in changes if change.at is None or change.at < at]
    current = governed(tariffs, kept, start=row.started_at, stop=at)[-1][1]
    if current.id != chosen.id:
        kept.append(TariffChange(at=at, tariff_id=chosen.id))
    return codec.encode(kept)


def first_choice(tariffs: Sequence[v221.Tariff], profile: v221.ProfileType | None, at: datetime) -> bytes:
    """The changes with which a session begins: to the tariff of its profile, where that has one of its own."""
    chosen = None
    if profile is not None and profile is not v221.ProfileType.REGULAR:
        chosen = tariff_for(tariffs, profile=profile, at=at)
    return codec.encode([] if chosen is None else [TariffChange(tariff_id=chosen.id)])
