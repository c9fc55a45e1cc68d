"""The meter of a running session: readings, and when the vehicle stops asking for power.

Used through ``sessions.services``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from ocpi import v221
from sessions import periods
from sessions.models import MeterReading, Session
from sessions.periods import Reading, Refusal
from sessions.stored import locked, publish, readings_of, refresh, remember, start_of, whole_ms

_ACTIVE = v221.SessionStatus.ACTIVE.value
_METER_FIELDS = ("meter_last_wh", "meter_last_at", "suspended_ev_from", "anomalies", "refreshed_at")
# Less than this is the standby of a vehicle that has had enough.
_STANDBY_W = 100
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, kw_only=True)
class ReadingReport:
    """What became of a batch of readings; ``refused`` are kept as anomalies of the session."""

    stored: int = 0
    repeated: int = 0
    refused: tuple[tuple[Reading, Refusal], ...] = ()
    is_session_over: bool = False


def add_readings(*, session: Session, readings: Iterable[Reading], now: datetime) -> ReadingReport:
    """Store register readings, each once; a register that falls is refused and remembered, kWh never falls
    (I14).

    Partners are told at most every SESSION_UPDATE_SECONDS (SES-19). After the end of the session nothing is
    stored (SES-11).
    """
    batch = periods.in_time(each._replace(at=whole_ms(each.at)) for each in readings)
    with transaction.atomic():
        row = locked(session)
        if row.status != _ACTIVE:
            return ReadingReport(is_session_over=True)
        report, accepted = _sort_out(row, batch, now)
        MeterReading.objects.bulk_create(
            MeterReading(session=row, at=each.at, energy_wh=each.energy_wh, power_w=each.power_w)
            for each in accepted
        )
        remember(row, [(code.value, _text_of(each)) for each, code in report.refused])
        is_resumed = _note_newest(row, accepted)
        is_due = row.refreshed_at is None or now - row.refreshed_at >= _update_interval()
        changed = refresh(row, now) if accepted and (is_due or is_resumed) else []
        if changed:
            publish(row, changed, now)
        else:
            row.save(update_fields=_METER_FIELDS)
        return report


def _sort_out(row: Session, batch: Sequence[Reading], now: datetime) -> tuple[ReadingReport, list[Reading]]:
    known = _known(row, batch)
    accepted: list[Reading] = []
    refused: list[tuple[Reading, Refusal]] = []
    repeated = 0
    for reading in batch:
        if any(each.at == reading.at for each in known[1:]):
            repeated += 1
            continue
        code = periods.refusal(reading, known=known, now=now)
        if code is not None:
            refused.append((reading, code))
            continue
        accepted.append(reading)
        known = periods.in_time([*known, reading])
    return ReadingReport(stored=len(accepted), repeated=repeated, refused=tuple(refused)), accepted


def _known(row: Session, batch: Sequence[Reading]) -> list[Reading]:
    """The readings that a batch must fit to: all of them only when one of the batch is late."""
    start = start_of(row)
    newest_at = row.meter_last_at or row.started_at
    if all(reading.at > newest_at for reading in batch):
        newest = Reading(newest_at, row.meter_last_wh or start.energy_wh)
        return [start] if newest.at == start.at else [start, newest]
    return [start, *readings_of(row)]


def _note_newest(row: Session, accepted: Sequence[Reading]) -> bool:
    """Move the newest register value on; tell whether a suspended vehicle turned out to draw power again."""
    is_resumed = False
    for reading in accepted:
        newest = Reading(row.meter_last_at or row.started_at, row.meter_last_wh or 0)
        if reading.at <= newest.at:
            continue
        is_parked = row.suspended_ev_from is not None and newest.at >= row.suspended_ev_from
        is_resumed = is_resumed or (is_parked and _mean_w(newest, reading) > _STANDBY_W)
        row.meter_last_at, row.meter_last_wh = reading.at, reading.energy_wh
    if is_resumed:
        row.suspended_ev_from = None
    return is_resumed


def _mean_w(before: Reading, after: Reading) -> int:
    """Average power between two readings, in W."""
    return (after.energy_wh - before.energy_wh) * 3_600_000 // max(1, (after.at - before.at) // _MILLISECOND)


def note_anomaly(*, session: Session, code: str, text: str) -> None:
    """Remember something that the station said and that cannot be: the session's CDR goes to review. Each once;
    nothing of it is told to partners."""
    with transaction.atomic():
        row = locked(session)
        remember(row, [(code, text)])
        row.save(update_fields=["anomalies"])


def suspend_ev(*, session: Session, at: datetime, now: datetime) -> Session:
    """Note that the vehicle asks for no more power: from ``at`` on it parks (CDR-17).

    Not for a pause that we or the station impose. The first moment counts; energy that flows later ends it.
    """
    return _set_suspension(session, whole_ms(at), now)


def resume_ev(*, session: Session, now: datetime) -> Session:
    """Note that the vehicle asks for power again: the pause counts as charging time after all."""
    return _set_suspension(session, None, now)


def _set_suspension(session: Session, at: datetime | None, now: datetime) -> Session:
    with transaction.atomic():
        row = locked(session)
        if row.status != _ACTIVE or (row.suspended_ev_from is None) == (at is None):
            return row
        row.suspended_ev_from = None if at is None else max(at, row.started_at)
        changed = refresh(row, now)
        if changed:
            publish(row, changed, now)
        else:
            row.save(update_fields=["suspended_ev_from"])
        return row


def _text_of(reading: Reading) -> str:
    return f"{reading.energy_wh} Wh at {reading.at.isoformat()}"


def _update_interval() -> timedelta:
    return timedelta(seconds=settings.SESSION_UPDATE_SECONDS)
