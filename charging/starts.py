"""Transactions begin: always stored and numbered; those of guests become sessions.

Decided once, by the first message; a repeat gets the same answer (charging.md 4.4).
"""

from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction

from access.decisions import Allow, Source, StartRequest
from access.reasons import ID_TAG_STATUS_16
from access.services import decide_start
from charging import orphans, reservations
from charging.authorize import tap
from charging.cards import (
    command_of,
    is_charging_elsewhere,
    kept_without_question,
    parent_of,
    waiting_for_card,
)
from charging.locks import lock_bay, lock_bay_of, lock_card, lock_session
from charging.models import Authorization, Command, Transaction
from charging.moments import TOLERANCE, is_possible, possible
from charging.openings import Guest, Permit, Start, open_for
from locations.models import EVSE
from ocpi import codec, v221
from sessions.models import Session
from sessions.services import EvseTaken, activate_session, note_anomaly, set_terms

REFUSED = "Invalid"
_WAITING = (v221.SessionStatus.PENDING.value, v221.SessionStatus.RESERVATION.value)
Opened = tuple[Session | None, str]


@dataclass(frozen=True)
class Begin:
    """A StartTransaction as the station sent it (OCPP 1.6, 4.8); Wh. `reservation_id`: what it took up."""

    station_identity: str
    ocpp_connector: int
    id_tag: str
    at: datetime
    meter_start_wh: int
    reservation_id: int | None = None


@dataclass(frozen=True)
class BeginAnswer:
    """What the station is told about its transaction."""

    transaction_id: int
    status: str
    expires_at: datetime | None = None
    parent_id_tag: str | None = None


@dataclass(frozen=True)
class _Case:
    """One start, its bay if there is one, and what we know to have come before it."""

    begin: Begin
    now: datetime
    evse: EVSE | None
    not_before: datetime | None = None

    @property
    def at(self) -> datetime:
        """When it happened: by the station's clock, or by ours where that cannot be."""
        return possible(self.begin.at, now=self.now, not_before=self.not_before)

    @property
    def is_clock_right(self) -> bool:
        """Whether the station's time can be believed."""
        return is_possible(self.begin.at, now=self.now, not_before=self.not_before)


def started(*, begin: Begin, now: datetime) -> BeginAnswer:
    """Store a transaction and give it its number; open or activate the guest's session.

    It is decided as of the moment when it happened, which may be days ago (fault 40). A partner may have to be asked
    about a card that was never shown before; that happens before the transaction.
    """
    known = Transaction.objects.select_related("session__party").filter(**_key(begin)).first()
    if known is not None:
        return _answer(known)
    case = _Case(begin, now, _evse(begin))
    orphans.close_superseded(
        station_identity=begin.station_identity,
        ocpp_connector=begin.ocpp_connector,
        said=begin.at,
        at=case.at,
        now=now,
    )
    refusal = REFUSED
    if not _is_expected(case):
        answer = tap(station_identity=begin.station_identity, id_tag=begin.id_tag, at=case.at, now=now)
        refusal = REFUSED if answer.status == "Accepted" else answer.status
    with transaction.atomic():
        row, is_new = Transaction.objects.get_or_create(**_key(begin), defaults={"id_tag_status": refusal})
        if is_new:
            _note_reservation(begin)
            row.session, row.id_tag_status = _session_for(case, refusal)
            row.save(update_fields=["session", "id_tag_status"])
        return _answer(row)


def _note_reservation(begin: Begin) -> None:
    if begin.reservation_id is not None:
        reservations.station_used(
            reservation_id=begin.reservation_id, station_identity=begin.station_identity
        )


def _key(begin: Begin) -> dict[str, object]:
    return {
        "station_identity": begin.station_identity,
        "ocpp_connector": begin.ocpp_connector,
        "id_tag": begin.id_tag,
        "started_at": begin.at,
        "meter_start_wh": begin.meter_start_wh,
    }


def _answer(row: Transaction) -> BeginAnswer:
    session = row.session
    if session is None:
        return BeginAnswer(row.pk, row.id_tag_status)
    parent = parent_of(session.party, session.token_group)
    return BeginAnswer(row.pk, row.id_tag_status, session.must_end_by, parent)


def _evse(begin: Begin) -> EVSE | None:
    here = EVSE.objects.filter(
        station_identity=begin.station_identity, ocpp_connector=begin.ocpp_connector, is_removed=False
    )
    found: EVSE | None = here.select_related("location__depot__operator").first()
    return found


def _is_expected(case: _Case) -> bool:
    return bool(_command(case) or _waiting(case) or _kept(case) or _authorization(case))


def _session_for(case: _Case, refusal: str) -> Opened:
    """Who pays, by what we know of the id tag: a command, a command for this very card, a tap; or nobody."""
    if case.evse is None:
        return None, REFUSED
    command = _command(case)
    if command is not None:
        return _commanded(replace(case, not_before=command.created_at), case.evse, command)
    waiting = _waiting(case)
    if waiting is not None:
        session = _activated(replace(case, not_before=waiting.created_at), waiting)
        if session is not None:
            return session, "Accepted"
    kept = _kept(case)
    if kept is not None:
        session = _activated(replace(case, not_before=kept.created_at), kept)
        if session is not None:
            return session, "Accepted"
    authorization = _authorization(case)
    if authorization is None:
        return None, "ConcurrentTx" if _runs_beside(case.begin) else refusal
    return _authorized(replace(case, not_before=authorization.created_at), case.evse, authorization)


def _runs_beside(begin: Begin) -> bool:
    """Whether this card runs a charge at another connector of the station already."""
    running = Transaction.objects.filter(
        station_identity=begin.station_identity, id_tag__iexact=begin.id_tag, stopped_at__isnull=True
    )
    return running.exclude(ocpp_connector=begin.ocpp_connector).exists()


def _command(case: _Case) -> Command | None:
    return command_of(id_tag=case.begin.id_tag, at=case.at)


def _waiting(case: _Case) -> Session | None:
    begin = case.begin
    waiting = waiting_for_card(station_identity=begin.station_identity, id_tag=begin.id_tag, at=case.at)
    is_here = waiting is not None and case.evse is not None and waiting.evse_id == case.evse.pk
    return waiting if is_here else None


def _kept(case: _Case) -> Session | None:
    begin = case.begin
    kept = kept_without_question(station_identity=begin.station_identity, id_tag=begin.id_tag, at=case.at)
    is_here = kept is not None and case.evse is not None and kept.evse_id == case.evse.pk
    return kept if is_here else None


def _authorization(case: _Case) -> Authorization | None:
    """The tap that this start follows: one that was in force then, else one that is in force now."""
    rows = Authorization.objects.filter(
        station_identity=case.begin.station_identity, id_tag=case.begin.id_tag
    ).select_related("party")
    for moment in (case.at, case.now):
        found: Authorization | None = rows.filter(
            created_at__lte=moment + TOLERANCE, expires_at__gt=moment
        ).first()
        if found is not None:
            return found
    return None


def _commanded(case: _Case, evse: EVSE, command: Command) -> Opened:
    session = command.session
    if session is None or session.evse_id != evse.pk:
        return None, REFUSED
    activated = _activated(case, session)
    if activated is not None:
        return activated, "Accepted"
    if Transaction.objects.filter(id_tag=command.id_tag, session__isnull=False).exists():
        # One command is one charge: its tag opens no second one.
        return None, REFUSED
    # The command timed out or failed, and the station starts after all: a new session, on the same terms (CMD-26).
    guest = Guest(
        party=command.party,
        token=_token_of(session),
        auth_method=v221.AuthMethod.COMMAND,
        authorization_reference=session.authorization_reference,
    )
    return _decided(case, evse, guest, "START_SESSION")


def _activated(case: _Case, session: Session, guest: Guest | None = None) -> Session | None:
    """The session made ACTIVE, as the guest that came was authorized; None when it waits for no start any more."""
    lock_bay_of(session)
    row = lock_session(session)
    if row.status not in _WAITING:
        return None
    if row.status == v221.SessionStatus.RESERVATION.value:
        reservations.use(session=row, now=case.now)
    active = activate_session(
        session=row,
        started_at=case.at,
        meter_start_wh=case.begin.meter_start_wh,
        auth_method=guest.auth_method if guest is not None else None,
        authorization_reference=guest.authorization_reference if guest is not None else None,
        now=case.now,
    )
    _note_clock(case, active)
    return active


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


def _authorized(case: _Case, evse: EVSE, authorization: Authorization) -> Opened:
    if authorization.evse_uids and evse.uid.upper() not in authorization.evse_uids:
        return None, "Blocked"
    guest = Guest(
        party=authorization.party,
        token=codec.decode_bytes(v221.Token, bytes(authorization.token)),
        auth_method=v221.AuthMethod(authorization.auth_method),
        authorization_reference=authorization.authorization_reference,
    )
    lock_bay(location_id=evse.location_id)
    lock_card(party=guest.party, uid=guest.token.uid)
    is_doubled = is_charging_elsewhere(
        party=guest.party,
        uid=guest.token.uid,
        station_identity=case.begin.station_identity,
        connector=case.begin.ocpp_connector,
        at=case.at,
    )
    return (None, "ConcurrentTx") if is_doubled else _decided(case, evse, guest, "RFID")


def _decided(case: _Case, evse: EVSE, guest: Guest, source: Source) -> Opened:
    # Locked before anything is looked at: two starts at one pool never share the last place of a grant.
    lock_bay(location_id=evse.location_id)
    held = reservations.held_by(party=guest.party, uid=guest.token.uid, location=evse.location)
    reserved = held.session if held is not None and held.evse_id == evse.pk else None
    verdict = decide_start(
        request=StartRequest(
            source=source,
            party=str(guest.party.ocpi_id),
            token_group=guest.token.group_id,
            location_id=evse.location.ocpi_id,
            evse_uid=evse.uid,
        ),
        party=guest.party,
        location=evse.location,
        now=case.at,
        at_station=True,
        reservation=reserved,
    )
    if not isinstance(verdict.outcome, Allow):
        return None, ID_TAG_STATUS_16[verdict.outcome.reason]
    if reserved is not None:
        return _arrived(case, reserved, guest, Permit(verdict.outcome, verdict.receipt))
    try:
        with transaction.atomic():
            session = open_for(
                guest=guest,
                allow=verdict.outcome,
                receipt=verdict.receipt,
                connector_id=None,
                start=Start(at=case.at, meter_start_wh=case.begin.meter_start_wh),
                now=case.now,
            )
    except EvseTaken:
        return None, "ConcurrentTx"
    _note_clock(case, session)
    return session, "Accepted"


def _arrived(case: _Case, reserved: Session, guest: Guest, permit: Permit) -> Opened:
    """The driver whose bay it is: the reserved session goes on, on the terms of today's decision (SES-14)."""
    set_terms(
        session=reserved,
        must_end_by=permit.allow.must_end_by,
        grant_ref=permit.receipt.grant_ref,
        decision_ref=permit.receipt.ref,
        now=case.now,
    )
    session = _activated(replace(case, not_before=reserved.created_at), reserved, guest)
    return (session, "Accepted") if session is not None else (None, "ConcurrentTx")


def _note_clock(case: _Case, session: Session) -> None:
    if not case.is_clock_right:
        text = f"the station says that it started at {case.begin.at.isoformat()}; the time of arrival counts"
        note_anomaly(session=session, code="CLOCK_WRONG", text=text)
