"""The profile in force on a session, and what its senders are told of it.

Callers hold the session's Transaction or the row itself, so that two changes follow each other (charging/locks.py).
"""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from charging.models import ChargingProfile
from charging.profiles import Schedule, plan, schedule_of
from charging.steering import supply_of
from locations import connectors
from locations.electrical import Supply
from locations.models import Connector
from ocpi import codec, v221
from roaming.delivery.services import owe_state
from roaming.models import Party
from sessions.models import Session

KIND = "active_profile"


def accepted(
    *, session: Session, sender: Party, profile: v221.ChargingProfile, now: datetime
) -> ChargingProfile:
    """The station has taken a profile: it replaces the former one, and from now on its sender is told of changes."""
    row, _ = ChargingProfile.objects.update_or_create(
        session=session,
        defaults={
            "profile": codec.encode(profile),
            "unit": profile.charging_rate_unit.value,
            "changed_at": now,
        },
    )
    row.senders.add(sender)
    _tell(row, supply_of(session), now)
    return row


def forgotten(*, session: Session, now: datetime) -> None:
    """The station holds no profile of this session (any more): the connector's maximum is in force (CHP-17)."""
    row = ChargingProfile.objects.select_for_update(of=("self",)).filter(session=session).first()
    if row is None:
        return
    row.profile, row.changed_at = b"", now
    row.save(update_fields=["profile", "changed_at"])
    _tell(row, supply_of(session), now)


def schedule_in_force(row: ChargingProfile | None, supply: Supply, now: datetime) -> Schedule | None:
    """The schedule that bounds a session now; None when the connector's maximum does."""
    if row is None or not row.profile:
        return None
    profile = codec.decode_bytes(v221.ChargingProfile, bytes(row.profile))
    schedule = schedule_of(profile, supply=supply, charging_since=row.session.started_at)
    return None if schedule.is_over_at(now) else schedule


def tell_changes(*, now: datetime) -> int:
    """Tell senders what changed by itself: a profile that has ended, a connector that gives another maximum.

    Any number of these may run beside each other: the row is locked and looked at again.
    """
    rows = list(_running())
    supplies = _supplies(rows)
    changed = [row.pk for row in rows if _is_news(row, supplies.get(row.pk), now)]
    return sum(_tell_locked(key, now) for key in changed)


def _running() -> list[ChargingProfile]:
    active = v221.SessionStatus.ACTIVE.value
    return list(ChargingProfile.objects.filter(session__status=active).select_related("session"))


def _supplies(rows: list[ChargingProfile]) -> Mapping[int, Supply]:
    found = Connector.objects.filter(evse__in=[row.session.evse_id for row in rows])
    supplies = {(each.evse_id, each.ocpi_id): connectors.supply_of(each) for each in found}
    places = {row.pk: (row.session.evse_id, row.session.connector_id) for row in rows}
    return {key: supplies[place] for key, place in places.items() if place in supplies}


def _tell_locked(key: int, now: datetime) -> bool:
    with transaction.atomic():
        row = (
            ChargingProfile.objects.select_for_update(of=("self",))
            .select_related("session__own_party")
            .get(pk=key)
        )
        return _tell(row, supply_of(row.session), now)


def _tell(row: ChargingProfile, supply: Supply | None, now: datetime) -> bool:
    """Owe the senders the present plan, when it is another one than they were told of last (CHP-14)."""
    if not _is_news(row, supply, now) or supply is None:
        return False
    row.told = _plan(row, supply, now)
    row.save(update_fields=["told"])
    owe_state(
        own_party=row.session.own_party,
        parties=list(row.senders.all()),
        kind=KIND,
        object_key=str(row.session_id),
        now=now,
    )
    return True


def _is_news(row: ChargingProfile, supply: Supply | None, now: datetime) -> bool:
    return supply is not None and _plan(row, supply, now) != bytes(row.told)


def _plan(row: ChargingProfile, supply: Supply, now: datetime) -> bytes:
    schedule = schedule_in_force(row, supply, now)
    return codec.encode(plan(schedule, supply=supply, unit=v221.ChargingRateUnit(row.unit), now=now))
