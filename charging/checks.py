"""What should have happened at the bays by now (delivery.md 4.11): a stop after its start, a CDR after its stop."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from cdrs.models import CDR, Review
from charging.models import Transaction
from locations.models import EVSE
from ocpi import v221
from roaming.checks import findings
from roaming.checks.findings import Found, Severity
from roaming.models import Party
from roaming.operators import duration

NO_STOP = "no_stop"
NO_CDR = "no_cdr"
NO_STOP_AFTER = timedelta(hours=24)
NO_CDR_AFTER = timedelta(minutes=15)
# A station may deliver its stops late; what is older than this was looked at often enough.
LOOK_BACK = timedelta(days=60)
MOST = 200


def check_transactions(*, now: datetime) -> int:
    """Note charges without an end and ends without a bill, and close what has come since; returns how many there are."""
    open_ends = _without_stop(now)
    unbilled = _without_cdr(now)
    _note(NO_STOP, (_no_stop(row, now) for row in open_ends), now)
    _note(NO_CDR, (_no_cdr(row, now) for row in unbilled), now)
    return len(open_ends) + len(unbilled)


def _without_stop(now: datetime) -> list[Transaction]:
    rows = Transaction.objects.filter(stopped_at__isnull=True, started_at__lt=now - NO_STOP_AFTER)
    rows = rows.select_related("session__own_party")
    return list(rows.order_by("pk")[:MOST])


def _without_cdr(now: datetime) -> list[Transaction]:
    """Charges of a session that ended: neither sealed, nor in review, nor known to be void."""
    rows = (
        Transaction.objects.filter(
            session__isnull=False, stopped_at__lt=now - NO_CDR_AFTER, stopped_at__gte=now - LOOK_BACK
        )
        .exclude(session__status=v221.SessionStatus.INVALID.value)
        .select_related("session__own_party")
    )
    sealed = CDR.objects.filter(session=OuterRef("session"))
    held = Review.objects.filter(session=OuterRef("session"))
    return list(rows.filter(~Exists(sealed), ~Exists(held)).order_by("pk")[:MOST])


def _note(kind: str, found: Iterable[Found], now: datetime) -> None:
    keys = []
    for each in found:
        findings.note(each, now=now)
        keys.append(each.object_key)
    findings.close_others(kind=kind, still_found=keys, now=now)


def _operator(row: Transaction) -> Party | None:
    """Whose depot it is: by the session, or by the bays of the station."""
    if row.session is not None:
        return row.session.own_party
    bay = EVSE.objects.filter(station_identity=row.station_identity).select_related(
        "location__depot__operator"
    )
    found = bay.order_by("is_removed", "pk").first()
    return found.location.depot.operator if found is not None else None


def _no_stop(row: Transaction, now: datetime) -> Found:
    return Found(
        kind=NO_STOP,
        object_key=str(row.pk),
        own_party=_operator(row),
        text=f"Station {row.station_identity}, connector {row.ocpp_connector}: a charge began {duration(now - row.started_at)}"
        " ago and no end was reported.",
        remedy="Look whether the vehicle still charges. If not, restart the station: it reports the end, or the charge is "
        "closed from the last reading.",
    )


def _no_cdr(row: Transaction, now: datetime) -> Found:
    ended = row.stopped_at or row.started_at
    return Found(
        kind=NO_CDR,
        object_key=str(row.pk),
        own_party=_operator(row),
        text=f"Station {row.station_identity}, connector {row.ocpp_connector}: a charge ended {duration(now - ended)} ago and is"
        " neither billed nor in review.",
        remedy="Report it to support with the number of the transaction: this must not happen.",
        severity=Severity.ALERT,
    )
