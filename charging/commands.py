"""Commands of partners: answered at once, carried out at the station, and closed by exactly one result.

Chapter mod_commands. A refusal by policy is synchronous and touches no station; a bay that turns out to be
occupied or broken is told in the result, where the protocol has words for it (CMD-24).
"""

import uuid
from datetime import datetime, timedelta

from django.db import transaction

from access.decisions import Deny, StartRequest
from access.models import Decision
from access.reasons import COMMAND_RESPONSE, COMMAND_RESULT, STATUS_CODE
from access.services import Verdict, decide_start
from charging import reservations
from charging.locks import lock_bay, lock_bay_of, lock_session, lock_transaction
from charging.models import Command, Reservation, Transaction
from charging.openings import Guest, Permit, Start, open_for
from charging.orders import (
    MARGIN_SECONDS,
    About,
    Order,
    Reply,
    accepted,
    foreign_token,
    is_own_token,
    new_id_tag,
    not_after,
    purpose_of,
    record,
    rejected,
    response,
    unknown_location,
    visible_location,
)
from charging.ports import charger_gateway
from locations.models import Location
from locations.services import set_serving
from ocpi import codec, v221
from ocpi.status import StatusCode
from roaming.delivery.services import owe_once
from sessions.models import Session
from sessions.services import EvseTaken, invalidate_session, set_terms

__all__ = [
    "MARGIN_SECONDS",
    "Order",
    "Reply",
    "answered",
    "drop_pending",
    "expire_commands",
    "refuse",
    "start_session",
    "stop_session",
]


def start_session(*, order: Order, request: v221.StartSession, now: datetime) -> Reply:
    """START_SESSION: decide by the fences, open the session, send the station the order.

    The reply has 2001 for a token of another party and 2003 for a Location that this party cannot see.
    The token's validity is not looked at (CMD-14). Starts at one pool follow each other (charging/locks.py).
    """
    if not is_own_token(order.party, request.token):
        return foreign_token(order.party, request.token)
    location = visible_location(order, request.location_id)
    if location is None:
        return unknown_location()
    with transaction.atomic():
        lock_bay(location_id=location.pk)
        reserved = _reserved(order, request, location)
        verdict = _verdict(order, request, location, reserved, now)
        if isinstance(verdict.outcome, Deny):
            return refuse(
                order=order, kind=v221.CommandType.START_SESSION, deny=verdict.outcome, receipt=verdict.receipt, now=now
            )  # fmt: skip
        permit = Permit(verdict.outcome, verdict.receipt)
        try:
            session = _open(order, request, permit, reserved, now)
        except EvseTaken:
            return occupied(
                order=order, kind=v221.CommandType.START_SESSION, decision_ref=verdict.receipt.ref, now=now
            )
        _send_start(order, session, reserved, now)
        return accepted(_until(session, verdict.receipt))


def _reserved(order: Order, request: v221.StartSession, location: Location) -> Reservation | None:
    """The bay that this token has reserved, if it is the one to start at."""
    held = reservations.held_by(party=order.party, uid=request.token.uid, location=location)
    if held is None or (request.evse_uid and request.evse_uid.upper() != held.evse.uid):
        return None
    return held


def _verdict(
    order: Order,
    request: v221.StartSession,
    location: Location,
    reserved: Reservation | None,
    now: datetime,
) -> Verdict:
    evse_uid = reserved.evse.uid if reserved is not None else request.evse_uid
    asked = StartRequest(
        source="START_SESSION",
        party=str(order.party.ocpi_id),
        token_group=request.token.group_id,
        location_id=location.ocpi_id,
        evse_uid=evse_uid.upper() if evse_uid else None,
        connector_id=request.connector_id,
    )
    own = reserved.session if reserved is not None else None
    return decide_start(request=asked, party=order.party, location=location, now=now, reservation=own)


def _open(
    order: Order,
    request: v221.StartSession,
    permit: Permit,
    reserved: Reservation | None,
    now: datetime,
) -> Session:
    """The session of a start; what is reserved keeps its own, on the terms of the newer decision (SES-14)."""
    allow, receipt = permit
    reference = request.authorization_reference or ""
    if reserved is not None:
        return set_terms(
            session=reserved.session,
            must_end_by=allow.must_end_by,
            grant_ref=receipt.grant_ref,
            decision_ref=receipt.ref,
            authorization_reference=reference,
            now=now,
        )
    guest = Guest(
        party=order.party,
        token=request.token,
        auth_method=v221.AuthMethod.COMMAND,
        authorization_reference=reference,
    )
    with transaction.atomic():
        return open_for(
            guest=guest,
            allow=allow,
            receipt=receipt,
            connector_id=request.connector_id,
            start=Start(at=now),
            now=now,
        )


def _until(session: Session, receipt: Decision) -> str:
    if session.must_end_by is None:
        return f"Ref {receipt.ref}"
    return f"Ends by {session.must_end_by:%Y-%m-%dT%H:%MZ}. Ref {receipt.ref}"


def _send_start(order: Order, session: Session, reserved: Reservation | None, now: datetime) -> None:
    """Ask the station; it lets only the tag of a reservation in where it keeps one.

    A card is no tag of a command: it may have charged before and will again.
    """
    id_tag = new_id_tag() if reserved is None else reserved.id_tag
    is_card = reserved is not None and not reservations.has_own_tag(reserved)
    about = About(
        session=session,
        reservation=reserved,
        id_tag="" if is_card else id_tag,
        decision_ref=session.decision_ref,
    )
    command = record(order=order, kind=v221.CommandType.START_SESSION, about=about, now=now)
    charger_gateway().start(
        station_identity=session.evse.station_identity,
        ocpp_connector=session.evse.ocpp_connector,
        id_tag=id_tag,
        purpose=purpose_of(command),
        not_after=not_after(command),
    )


def refuse(*, order: Order, kind: v221.CommandType, deny: Deny, receipt: Decision, now: datetime) -> Reply:
    """Answer what was decided against: at once by policy, in the result where the bay stands in the way."""
    if STATUS_CODE[deny.reason] is StatusCode.UNKNOWN_LOCATION:
        return unknown_location()
    result = COMMAND_RESULT.get(deny.reason)
    if result is None:
        text = f"{receipt.message} Ref {receipt.ref}".strip()
        return Reply(response(COMMAND_RESPONSE[deny.reason], text))
    command = record(order=order, kind=kind, about=About(decision_ref=receipt.ref), now=now)
    answered(command_id=command.id, result=result, message=receipt.message, now=now)
    return accepted(f"Ref {receipt.ref}")


def occupied(*, order: Order, kind: v221.CommandType, decision_ref: str, now: datetime) -> Reply:
    """Answer whoever came a moment too late: the database gave the bay to somebody else."""
    command = record(order=order, kind=kind, about=About(decision_ref=decision_ref), now=now)
    answered(command_id=command.id, result=v221.CommandResultType.EVSE_OCCUPIED, now=now)
    return accepted(f"Ref {decision_ref}")


def stop_session(*, order: Order, request: v221.StopSession, now: datetime) -> Reply:
    """STOP_SESSION: always allowed to the party whose session it is, whatever the hour.

    A session of somebody else answers exactly as an unknown one (B13).
    """
    with transaction.atomic():
        session = _own_live_session(order, request.session_id)
        if session is None:
            unknown = v221.CommandResponseType.UNKNOWN_SESSION
            return Reply(response(unknown, "There is no such running session."))
        if not charger_gateway().is_online(station_identity=session.evse.station_identity):
            return rejected("The station is offline; please try again.")
        running = _running(session)
        if running is None:
            return rejected("The session has not started at the station yet.")
        about = About(session=session, decision_ref=session.decision_ref)
        command = record(order=order, kind=v221.CommandType.STOP_SESSION, about=about, now=now)
        running.stop_requested_at, running.stop_cause = now, "PARTNER"
        running.save(update_fields=["stop_requested_at", "stop_cause"])
        charger_gateway().stop(
            station_identity=running.station_identity,
            transaction_id=running.pk,
            purpose=purpose_of(command),
            not_after=not_after(command),
        )
        return accepted()


def _running(session: Session) -> Transaction | None:
    """The transaction of a session, locked while it runs; the Command that follows comes after it."""
    row = Transaction.objects.filter(session=session, stopped_at__isnull=True).first()
    locked = lock_transaction(transaction_id=row.pk) if row is not None else None
    return locked if locked is not None and locked.stopped_at is None else None


def _own_live_session(order: Order, session_id: str) -> Session | None:
    """The session between exactly these two; that of another operator here is as unknown as any (HUB-06)."""
    try:
        key = uuid.UUID(session_id)
    except ValueError:
        return None
    live = (v221.SessionStatus.PENDING.value, v221.SessionStatus.ACTIVE.value)
    mine = Session.objects.filter(party=order.party, own_party=order.own_party, status__in=live)
    return mine.select_related("evse").filter(pk=key).first()


def answered(
    *, command_id: uuid.UUID, result: v221.CommandResultType, message: str = "", now: datetime
) -> None:
    """Close a command with its one result; whoever comes second (late answer, timeout) changes nothing.

    What the result means for a session or a reservation is done in the same transaction, before it is told.
    """
    with transaction.atomic():
        command = (
            Command.objects.select_for_update(of=("self",))
            .select_related("party", "own_party", "session")
            .get(pk=command_id)
        )
        if command.state != Command.State.SENT:
            return
        _end_session_that_never_started(command, result, now)
        settled = reservations.settle(command=command, result=result, now=now)
        command.state = Command.State.ANSWERED
        command.result = settled.result.value
        command.message = (settled.message or message)[:255]
        command.answered_at = now
        command.save(update_fields=["state", "result", "message", "answered_at"])
        _owe_result(command, settled.result, now)
        # Last, as a sealed CDR takes a place in the feed of all partners (sessions/feed.py).
        reservations.bill(settled.ended, now=now)


def _owe_result(command: Command, result: v221.CommandResultType, now: datetime) -> None:
    texts = (v221.DisplayText(language="en", text=command.message),) if command.message else ()
    owe_once(
        own_party=command.own_party,
        party=command.party,
        kind="command_result",
        object_key=str(command.id),
        url=command.response_url,
        body=codec.encode(v221.CommandResult(result=result, message=texts)),
        expires_at=command.expires_at,
        correlation_id=command.correlation_id,
        now=now,
    )


def _end_session_that_never_started(command: Command, result: v221.CommandResultType, now: datetime) -> None:
    """A refused start ends its session as INVALID. After TIMEOUT it stays PENDING: it may yet start (CMD-26)."""
    is_start = command.type == v221.CommandType.START_SESSION.value
    if command.session is None or not is_start:
        return
    if result in (v221.CommandResultType.ACCEPTED, v221.CommandResultType.TIMEOUT):
        return
    drop_pending(command.session, reason=f"start {result.value}", now=now)


def drop_pending(session: Session, *, reason: str, now: datetime) -> bool:
    """End a session that waits for its start as INVALID and free its bay; False when it has started meanwhile."""
    bay = lock_bay_of(session)
    row = lock_session(session)
    if row.status != v221.SessionStatus.PENDING.value:
        return False
    set_serving(evse=bay, party=None, now=now)
    invalidate_session(session=row, reason=reason, now=now)
    return True


def expire_commands(*, now: datetime) -> int:
    """Give TIMEOUT to every command whose station stayed silent; returns how many."""
    bound = now + timedelta(seconds=MARGIN_SECONDS / 2)
    late = Command.objects.filter(state=Command.State.SENT, expires_at__lte=bound).values_list(
        "pk", flat=True
    )
    for command_id in late:
        answered(command_id=command_id, result=v221.CommandResultType.TIMEOUT, message="", now=now)
    return len(late)
