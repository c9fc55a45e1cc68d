"""How a transaction ends: its session is completed and sealed, and its bay is free, all in one step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cdrs.services import seal
from charging.locks import lock_bay_of
from charging.models import Transaction
from charging.quarantine import keep
from locations.services import set_serving
from ocpi import v221
from sessions.models import Session
from sessions.services import Reading, add_readings, complete_session, note_anomaly

END_REASONS = {"PARTNER": "stopped by partner", "WINDOW": "window end", "OPERATOR": "stopped by operator"}
# Clocks of stations are that exact at best.
SAME_TIME = timedelta(minutes=1)


@dataclass(frozen=True)
class Ending:
    """The end of a transaction; `readings` and `unreadable` values came along, an estimate is ours."""

    at: datetime
    meter_stop_wh: int
    readings: Sequence[Reading] = ()
    unreadable: Sequence[str] = ()
    is_estimated: bool = False


def finish(*, row: Transaction, ending: Ending, now: datetime) -> None:
    """Complete and seal the session of a stopped transaction; the caller's transaction holds its row locked.

    A session that a person has declared invalid meanwhile stays so, and the stop is kept for them.
    """
    if row.session is None:
        return
    bay = lock_bay_of(row.session)
    row.session.refresh_from_db(fields=["status"])
    if row.session.status == v221.SessionStatus.INVALID.value:
        _keep(row, ending)
        return
    set_serving(evse=bay, party=None, now=now)
    note_unreadable(session=row.session, texts=ending.unreadable)
    if ending.readings:
        add_readings(session=row.session, readings=ending.readings, now=now)
    session = complete_session(
        session=row.session,
        ended_at=ending.at,
        meter_stop_wh=ending.meter_stop_wh,
        end_reason=end_reason(row, ending.at),
        is_estimated=ending.is_estimated,
        now=now,
    )
    seal(session=session, station_key=f"{row.station_identity}/{row.ocpp_connector}/{row.id_tag}", now=now)


def note_unreadable(*, session: Session, texts: Sequence[str]) -> None:
    """Keep values that are no meter readings with their session, so that a person looks at it (W8)."""
    for text in texts:
        note_anomaly(session=session, code="READING_IMPOSSIBLE", text=text)


def _keep(row: Transaction, ending: Ending) -> None:
    payload = {"transactionId": row.pk, "meterStop": ending.meter_stop_wh, "at": ending.at.isoformat()}
    reason = "the stop of a session that is INVALID"
    keep(station_identity=row.station_identity, action="StopTransaction", payload=payload, reason=reason)


def end_reason(row: Transaction, ended_at: datetime) -> str:
    """Why it ended, in our words: our own order goes before the station's reason, which cannot know of it.

    But only if the order was there first: a driver who left at nine was not stopped by the order of ten.
    """
    is_ours = row.stop_requested_at is not None and ended_at >= row.stop_requested_at - SAME_TIME
    ours = END_REASONS.get(row.stop_cause) if is_ours else None
    return ours or row.stop_reason or "Local"
