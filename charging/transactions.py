"""Transactions of stations: always stored and numbered; those of guests become sessions, then CDRs.

A repeated message finds what the first one left and gets the same answer (charging.md 4.4): a station repeats
everything that it saw no answer to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from access.decisions import Allow, StartRequest
from access.reasons import ID_TAG_STATUS_16
from access.services import decide_start
from cdrs.services import seal
from charging.authorize import tap
from charging.models import Authorization, Command, Transaction, UnmatchedMessage
from charging.openings import Guest, Start, open_for
from locations.models import EVSE
from locations.services import set_serving
from ocpi import codec, v221
from sessions.models import Session
from sessions.services import EvseTaken, Reading, activate_session, add_readings, complete_session

END_REASONS = {"PARTNER": "stopped by partner", "WINDOW": "window end", "OPERATOR": "stopped by operator"}


@dataclass(frozen=True)
class Begin:
    """A StartTransaction as the station sent it (OCPP 1.6, 4.8); Wh."""

    station_identity: str
    ocpp_connector: int
    id_tag: str
    at: datetime
    meter_start_wh: int


@dataclass(frozen=True)
class End:
    """A StopTransaction as the station sent it (OCPP 1.6, 4.10); Wh."""

    station_identity: str
    transaction_id: int
    at: datetime
    meter_stop_wh: int
    reason: str = "Local"
    readings: Sequence[Reading] = ()


@dataclass(frozen=True)
class BeginAnswer:
    """What the station is told about its transaction."""

    transaction_id: int
    status: str
    expires_at: datetime | None = None


def started(*, begin: Begin, now: datetime) -> BeginAnswer:
    """Store a transaction and give it its number; open or activate the guest's session.

    A partner may have to be asked about a card that was never shown before; that happens before the transaction.
    """
    known = _same(begin)
    if known is not None:
        return _repeat(known)
    if not _is_expected(begin, now):
        tap(station_identity=begin.station_identity, id_tag=begin.id_tag, now=now)
    with transaction.atomic():
        row, is_new = Transaction.objects.get_or_create(
            station_identity=begin.station_identity,
            ocpp_connector=begin.ocpp_connector,
            id_tag=begin.id_tag,
            started_at=begin.at,
            meter_start_wh=begin.meter_start_wh,
            defaults={"id_tag_status": "Invalid"},
        )
        if not is_new:
            return _repeat(row)
        session, status = _session_for(begin, now)
        row.session, row.id_tag_status = session, status
        row.save(update_fields=["session", "id_tag_status"])
        return BeginAnswer(row.pk, status, session.must_end_by if session else None)


def _same(begin: Begin) -> Transaction | None:
    return (
        Transaction.objects.select_related("session")
        .filter(
            station_identity=begin.station_identity,
            ocpp_connector=begin.ocpp_connector,
            id_tag=begin.id_tag,
            started_at=begin.at,
            meter_start_wh=begin.meter_start_wh,
        )
        .first()
    )


def _repeat(row: Transaction) -> BeginAnswer:
    return BeginAnswer(row.pk, row.id_tag_status, row.session.must_end_by if row.session else None)


def _is_expected(begin: Begin, now: datetime) -> bool:
    return Command.objects.filter(id_tag=begin.id_tag).exists() or _authorization(begin, now) is not None


def _authorization(begin: Begin, now: datetime) -> Authorization | None:
    found: Authorization | None = (
        Authorization.objects.filter(
            station_identity=begin.station_identity, id_tag=begin.id_tag, expires_at__gt=min(now, begin.at)
        )
        .select_related("party")
        .first()
    )
    return found


def _session_for(begin: Begin, now: datetime) -> tuple[Session | None, str]:
    command = (
        Command.objects.select_related("session__evse", "party").filter(id_tag=begin.id_tag).first()
    )
    if command is not None and command.session is not None:
        return _commanded(begin, command, now)
    authorization = _authorization(begin, now)
    if authorization is None:
        return None, "Invalid"
    return _authorized(begin, authorization, now)


def _commanded(begin: Begin, command: Command, now: datetime) -> tuple[Session | None, str]:
    session = command.session
    evse = _evse(begin)
    if session is None or evse is None or session.evse_id != evse.pk:
        return None, "Invalid"
    if session.status == v221.SessionStatus.PENDING.value:
        activated = activate_session(
            session=session, started_at=begin.at, meter_start_wh=begin.meter_start_wh, now=now
        )
        return activated, "Accepted"
    # The command timed out or failed, and the station starts after all: a new session, on the same terms (CMD-26).
    guest = Guest(
        party=command.party,
        token=_token_of(session),
        auth_method=v221.AuthMethod.COMMAND,
        authorization_reference=session.authorization_reference,
    )
    return _decided(begin, guest, evse, now)


def _token_of(session: Session) -> v221.Token:
    stored = codec.decode_bytes(v221.CdrToken, bytes(session.cdr_token))
    return v221.Token(
        country_code=stored.country_code,
        party_id=stored.party_id,
        uid=stored.uid,
        type=stored.type,
        contract_id=stored.contract_id,
        issuer=str(session.party.name),
        group_id=session.token_group or None,
        valid=True,
        whitelist=v221.WhitelistType.NEVER,
        last_updated=session.created_at,
    )


def _authorized(begin: Begin, authorization: Authorization, now: datetime) -> tuple[Session | None, str]:
    evse = _evse(begin)
    if evse is None:
        return None, "Invalid"
    if authorization.evse_uids and evse.uid.upper() not in authorization.evse_uids:
        return None, "Blocked"
    guest = Guest(
        party=authorization.party,
        token=codec.decode_bytes(v221.Token, bytes(authorization.token)),
        auth_method=v221.AuthMethod(authorization.auth_method),
        authorization_reference=authorization.authorization_reference,
    )
    return _decided(begin, guest, evse, now)


def _decided(begin: Begin, guest: Guest, evse: EVSE, now: datetime) -> tuple[Session | None, str]:
    verdict = decide_start(
        request=StartRequest(
            source="RFID",
            party=str(guest.party.ocpi_id),
            token_group=guest.token.group_id,
            location_id=evse.location.ocpi_id,
            evse_uid=evse.uid,
        ),
        party=guest.party,
        location=evse.location,
        now=now,
        at_station=True,
    )
    if not isinstance(verdict.outcome, Allow):
        return None, ID_TAG_STATUS_16[verdict.outcome.reason]
    try:
        with transaction.atomic():
            session = open_for(
                guest=guest,
                allow=verdict.outcome,
                receipt=verdict.receipt,
                connector_id=None,
                start=Start(at=begin.at, meter_start_wh=begin.meter_start_wh),
                now=now,
            )
    except EvseTaken:
        return None, "ConcurrentTx"
    return session, "Accepted"


def _evse(begin: Begin) -> EVSE | None:
    found: EVSE | None = (
        EVSE.objects.filter(
            station_identity=begin.station_identity, ocpp_connector=begin.ocpp_connector, is_removed=False
        )
        .select_related("location__depot__operator")
        .first()
    )
    return found


def metered(
    *, station_identity: str, transaction_id: int, readings: Sequence[Reading], now: datetime
) -> None:
    """Store readings of a running transaction; those of a foreign or unknown one go to a person (W4)."""
    with transaction.atomic():
        row = _own_transaction(station_identity, transaction_id)
        if row is None:
            _keep(station_identity, "MeterValues", {"transactionId": transaction_id}, "no such transaction here")
            return
        if row.session is not None and readings:
            add_readings(session=row.session, readings=readings, now=now)


def stopped(*, end: End, now: datetime) -> None:
    """Close a transaction, complete its session and seal its CDR, in one step. A repeat changes nothing."""
    with transaction.atomic():
        row = _own_transaction(end.station_identity, end.transaction_id)
        if row is None:
            payload = {"transactionId": end.transaction_id, "meterStop": end.meter_stop_wh, "at": end.at.isoformat()}
            _keep(end.station_identity, "StopTransaction", payload, "no such transaction here")
            return
        if row.stopped_at is not None:
            _note_other_stop(row, end)
            return
        row.stopped_at, row.meter_stop_wh, row.stop_reason = end.at, end.meter_stop_wh, end.reason[:20]
        row.save(update_fields=["stopped_at", "meter_stop_wh", "stop_reason"])
        if row.session is not None:
            if end.readings:
                add_readings(session=row.session, readings=end.readings, now=now)
            # The station cannot know why we stopped it, so our own cause goes before its reason.
            finish(row=row, ended_at=end.at, meter_stop_wh=end.meter_stop_wh, now=now)


def finish(
    *, row: Transaction, ended_at: datetime, meter_stop_wh: int, now: datetime, is_estimated: bool = False
) -> None:
    """Complete the session of a stopped transaction and seal it; inside the caller's transaction."""
    if row.session is None:
        return
    reason = END_REASONS.get(row.stop_cause, row.stop_reason or "Local")
    set_serving(evse=EVSE.objects.get(pk=row.session.evse_id), party=None, now=now)
    session = complete_session(
        session=row.session,
        ended_at=ended_at,
        meter_stop_wh=meter_stop_wh,
        end_reason=reason,
        is_estimated=is_estimated,
        now=now,
    )
    seal(session=session, station_key=f"{row.station_identity}/{row.ocpp_connector}/{row.id_tag}", now=now)


def _note_other_stop(row: Transaction, end: End) -> None:
    if (row.meter_stop_wh, row.stopped_at) == (end.meter_stop_wh, end.at):
        return
    payload = {"transactionId": row.pk, "meterStop": end.meter_stop_wh, "at": end.at.isoformat()}
    _keep(end.station_identity, "StopTransaction", payload, "a second stop with other values; the first one counts")


def _own_transaction(station_identity: str, transaction_id: int) -> Transaction | None:
    found: Transaction | None = (
        Transaction.objects.select_for_update(of=("self",))
        .select_related("session")
        .filter(pk=transaction_id, station_identity=station_identity)
        .first()
    )
    return found


def _keep(station_identity: str, action: str, payload: dict[str, object], reason: str) -> None:
    UnmatchedMessage.objects.create(
        station_identity=station_identity, action=action, payload=payload, reason=reason
    )
