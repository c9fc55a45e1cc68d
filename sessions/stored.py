"""The row of a session as its verbs use it: locked first, refreshed, owed and stamped last."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import connection

from ocpi import codec, v221
from roaming.delivery.services import owe_state
from sessions import feed, periods, reservation
from sessions.models import MeterReading, Session
from sessions.periods import Reading
from tariffs.choice import TariffChange

# What a row carries until its first stamp, in the same transaction: nobody ever sees it.
UNSTAMPED = datetime(1970, 1, 1, tzinfo=UTC)

_MAX_ANOMALIES = 20
_NEWEST_STAMP = (
    f"SELECT max(last_updated) FROM {Session._meta.db_table} WHERE party_id = %s AND own_party_id = %s"
)


def readings_of(session: Session) -> list[Reading]:
    """All readings of a session that count, oldest first."""
    rows = MeterReading.objects.filter(session=session).order_by("at")
    return [Reading(*row) for row in rows.values_list("at", "energy_wh", "power_w")]


def locked(session: Session) -> Session:
    """The row as it is now, locked until the end of the transaction, with both parties."""
    return (
        Session.objects.select_for_update(of=("self",), no_key=True)
        .select_related("own_party", "party")
        .get(pk=session.pk)
    )


def start_of(row: Session) -> Reading:
    """The register at the start of the transaction."""
    return Reading(row.started_at, row.meter_start_wh or 0)


def refresh(row: Session, now: datetime, *, readings: Sequence[Reading] | None = None) -> list[str]:
    """Bring energy, periods and cost up to the newest reading; returns the members that changed.

    ``readings`` are all of the session, when the caller has read them already.
    """
    progress = _reserved(row) if row.is_unused_reservation else _progress(row, readings)
    cost = progress.total_cost
    new: dict[str, Any] = {
        "kwh": progress.energy_kwh,
        "charging_periods": codec.encode(list(progress.periods)),
        "total_cost": None if cost is None else cost.excl_vat,
        "total_cost_incl_vat": None if cost is None else cost.incl_vat,
    }
    changed = [name for name, value in new.items() if _differs(getattr(row, name), value)]
    for name in changed:
        setattr(row, name, new[name])
    row.refreshed_at = now
    return sorted({name.removesuffix("_incl_vat") for name in changed})


def _progress(row: Session, readings: Sequence[Reading] | None) -> periods.Progress:
    stop_at = row.ended_at or row.meter_last_at or row.started_at
    stop = Reading(stop_at, row.meter_last_wh or row.meter_start_wh or 0)
    return periods.progress(
        tariffs=codec.decode_bytes(list[v221.Tariff], bytes(row.tariffs)),
        time_zone=row.time_zone,
        readings=periods.curve(
            start=start_of(row), stop=stop, readings=readings_of(row) if readings is None else readings
        ),
        suspended_ev_from=row.suspended_ev_from,
        changes=changes_of(row),
        reserved_from=row.reserved_from,
    )


def _reserved(row: Session) -> periods.Progress:
    begun_at = row.reserved_from or row.started_at
    return reservation.progress(
        tariffs=codec.decode_bytes(tuple[v221.Tariff, ...], bytes(row.tariffs)),
        time_zone=row.time_zone,
        start=begun_at,
        end=row.ended_at or begun_at,
        is_expired=row.is_reservation_expired,
        changes=changes_of(row),
    )


def changes_of(row: Session) -> list[TariffChange]:
    """Which of its tariffs bills from when on."""
    return codec.decode_bytes(list[TariffChange], bytes(row.tariff_changes))


def _differs(old: Decimal | bytes | memoryview | None, new: Decimal | bytes | None) -> bool:
    return (bytes(old) if isinstance(old, memoryview) else old) != new


def publish(row: Session, changed: Sequence[str], now: datetime, *, is_whole: bool = False) -> None:
    """Owe the change to the party that pays, then stamp and store: the stamp comes last (feed.py)."""
    owe_state(
        own_party=row.own_party,
        parties=[row.party],
        kind="session",
        object_key=str(row.pk),
        changed_fields=changed,
        whole=is_whole,
        now=now,
    )
    feed.lock(feed=feed.Feed.SESSIONS, own_party_id=row.own_party_id, party_id=row.party_id)
    stamp = feed.later_than(_newest_stamp(row), now=now)
    if row.last_updated == UNSTAMPED:
        # Lists are in the order of creation: the first stamp is unique and rises in commit order (PAG-09).
        row.created_at = stamp
    row.last_updated = stamp
    row.save()


def _newest_stamp(row: Session) -> datetime | None:
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST_STAMP, [row.party_id, row.own_party_id])
        newest: datetime | None = cursor.fetchone()[0]
    return newest


def remember(row: Session, found: Iterable[tuple[str, str]]) -> None:
    """Add anomalies, each once: a repeated message does not lengthen the list."""
    for code, text in found:
        anomaly = {"code": code, "text": text}
        if anomaly not in row.anomalies and len(row.anomalies) < _MAX_ANOMALIES:
            row.anomalies.append(anomaly)


def whole_ms(at: datetime) -> datetime:
    """Instants as the wire can show them: what is below a millisecond would be lost there (TYP-04)."""
    at = at.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
