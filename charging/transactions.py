"""Transactions of stations: begun, metered and stopped, each message counted once.

A repeated message finds what the first one left and gets the same answer (charging.md 4.4): a station repeats
everything that it saw no answer to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q

from charging import orphans
from charging.endings import Ending, finish, note_unreadable
from charging.locks import lock_transaction
from charging.models import Transaction
from charging.quarantine import keep, keep_readings
from charging.starts import Begin, BeginAnswer, started
from sessions.services import Reading, add_readings

__all__ = ["Begin", "BeginAnswer", "End", "Metering", "Reading", "metered", "started", "stopped"]


@dataclass(frozen=True)
class Metering:
    """MeterValues as the station sent them (OCPP 1.6, 4.7); `unreadable`: values that are no meter readings.

    Without a transaction id they belong to whatever runs at the connector.
    """

    station_identity: str
    ocpp_connector: int
    transaction_id: int | None
    readings: Sequence[Reading] = ()
    unreadable: Sequence[str] = ()


@dataclass(frozen=True)
class End:
    """A StopTransaction as the station sent it (OCPP 1.6, 4.10); Wh."""

    station_identity: str
    transaction_id: int
    at: datetime
    meter_stop_wh: int
    reason: str = "Local"
    id_tag: str = ""
    readings: Sequence[Reading] = ()
    unreadable: Sequence[str] = ()


def metered(*, metering: Metering, now: datetime) -> None:
    """Store readings of a running transaction; those of a foreign or unknown one go to a person (W4)."""
    station = metering.station_identity
    key = metering.transaction_id
    if key is None:
        key = _running_at(station, metering.ocpp_connector)
    if key is None or not (metering.readings or metering.unreadable):
        return
    with transaction.atomic():
        row = lock_transaction(transaction_id=key, station_identity=station)
        if row is None:
            keep_readings(
                station_identity=station,
                transaction_id=key,
                readings=metering.readings,
                reason="no such transaction here",
            )
            return
        _add(row, metering, now)


def _running_at(station_identity: str, ocpp_connector: int) -> int | None:
    found: int | None = (
        Transaction.objects.filter(
            station_identity=station_identity, ocpp_connector=ocpp_connector, stopped_at__isnull=True
        )
        .values_list("pk", flat=True)
        .first()
    )
    return found


def _add(row: Transaction, metering: Metering, now: datetime) -> None:
    if row.stopped_at is not None:
        later = [reading for reading in metering.readings if reading.at > row.stopped_at]
        if later:
            reason = "readings after the end of their transaction"
            keep_readings(
                station_identity=row.station_identity, transaction_id=row.pk, readings=later, reason=reason
            )
        return
    if row.session is not None:
        note_unreadable(session=row.session, texts=metering.unreadable)
        add_readings(session=row.session, readings=metering.readings, now=now)
    if row.orphaned_at is not None and metering.readings:
        newest = max(reading.at for reading in metering.readings)
        orphans.keep_alive(row, at=min(newest, now))


def stopped(*, end: End, now: datetime) -> None:
    """Close a transaction, complete its session and seal its CDR, in one step. A repeat changes nothing."""
    with transaction.atomic():
        row = lock_transaction(transaction_id=_meant_by(end), station_identity=end.station_identity)
        if row is None:
            _keep(end, "no such transaction here")
        elif row.stopped_at is None:
            _stop(row, end, now)
        elif (row.meter_stop_wh, row.stopped_at) != (end.meter_stop_wh, end.at):
            _keep(end, "a second stop with other values; the first one counts")


def _meant_by(end: End) -> int:
    """The transaction of a stop; a station that never learned its number (libocpp#495) says 0 or less, and its
    card tells which one it is, if it runs exactly one charge here."""
    if end.transaction_id > 0 or not end.id_tag:
        return end.transaction_id
    meant = Transaction.objects.filter(
        Q(stopped_at__isnull=True) | Q(stopped_at=end.at, meter_stop_wh=end.meter_stop_wh),
        station_identity=end.station_identity,
        id_tag__iexact=end.id_tag,
        started_at__lte=end.at,
        meter_start_wh__lte=end.meter_stop_wh,
    ).values_list("pk", flat=True)[:2]
    return meant[0] if len(meant) == 1 else end.transaction_id


def _stop(row: Transaction, end: End, now: datetime) -> None:
    row.stopped_at, row.meter_stop_wh, row.stop_reason = end.at, end.meter_stop_wh, end.reason[:20]
    row.save(update_fields=["stopped_at", "meter_stop_wh", "stop_reason"])
    finish(row=row, ending=Ending(end.at, end.meter_stop_wh, end.readings, end.unreadable), now=now)


def _keep(end: End, reason: str) -> None:
    payload = {
        "transactionId": end.transaction_id,
        "meterStop": end.meter_stop_wh,
        "at": end.at.isoformat(),
        "reason": end.reason,
    }
    keep(station_identity=end.station_identity, action="StopTransaction", payload=payload, reason=reason)
