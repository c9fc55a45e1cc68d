"""Commands of partners: answered at once, carried out at the station, and closed by exactly one result.

Chapter mod_commands. A refusal by policy is synchronous and touches no station; a bay that turns out to be
occupied or broken is told in the result, where the protocol has words for it (CMD-24).
"""

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from access.decisions import Allow, Deny, StartRequest
from access.models import Decision
from access.reasons import COMMAND_RESPONSE, COMMAND_RESULT, STATUS_CODE
from access.services import Verdict, decide_start
from charging.locks import lock_bay, lock_bay_of, lock_session, lock_transaction
from charging.models import Command, Transaction
from charging.openings import Guest, Start, open_for
from charging.ports import charger_gateway
from locations.models import Location, PartnerView
from locations.services import set_serving
from ocpi import codec, v221
from ocpi.status import StatusCode
from roaming.delivery.services import owe_once
from roaming.models import Party
from sessions.models import Session
from sessions.services import EvseTaken, invalidate_session

# The result is posted this long before the promised timeout ends, so that it arrives in time (CMD-06).
MARGIN_SECONDS = 10


@dataclass(frozen=True)
class Order:
    """Who commands whom, and where the result goes."""

    party: Party
    own_party: Party
    response_url: str
    correlation_id: str


@dataclass(frozen=True)
class Reply:
    """The synchronous answer to a command, and the status code of the envelope around it."""

    response: v221.CommandResponse
    status_code: StatusCode = StatusCode.SUCCESS
    status_message: str = ""


def start_session(*, order: Order, request: v221.StartSession, now: datetime) -> Reply:
    """START_SESSION: decide by the fences, open the session, send the station the order.

    The reply has 2001 for a token of another party and 2003 for a Location that this party cannot see.
    The token's validity is not looked at (CMD-14). Starts at one pool follow each other (charging/locks.py).
    """
    if not _is_own_token(order.party, request.token):
        return _foreign_token(order.party, request.token)
    location = _visible_location(order, request.location_id)
    if location is None:
        return _unknown_location()
    with transaction.atomic():
        lock_bay(location_id=location.pk)
        verdict = _verdict(order, request, location, now)
        if isinstance(verdict.outcome, Deny):
            return _refuse_start(order, verdict.outcome, verdict.receipt, now)
        try:
            session = _open(order, request, verdict.outcome, verdict.receipt, now)
        except EvseTaken:
            command = _record(order, v221.CommandType.START_SESSION, None, verdict.receipt.ref, now)
            answered(command_id=command.id, result=v221.CommandResultType.EVSE_OCCUPIED, now=now)
            return _accepted(f"Ref {verdict.receipt.ref}")
        _send_start(order, session, now)
        return _accepted(_until(session, verdict.receipt))


def _verdict(order: Order, request: v221.StartSession, location: Location, now: datetime) -> Verdict:
    asked = StartRequest(
        source="START_SESSION",
        party=str(order.party.ocpi_id),
        token_group=request.token.group_id,
        location_id=location.ocpi_id,
        evse_uid=request.evse_uid.upper() if request.evse_uid else None,
        connector_id=request.connector_id,
    )
    return decide_start(request=asked, party=order.party, location=location, now=now)


def _open(
    order: Order, request: v221.StartSession, allow: Allow, receipt: Decision, now: datetime
) -> Session:
    guest = Guest(
        party=order.party,
        token=request.token,
        auth_method=v221.AuthMethod.COMMAND,
        authorization_reference=request.authorization_reference or "",
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


def _send_start(order: Order, session: Session, now: datetime) -> None:
    command = _record(order, v221.CommandType.START_SESSION, session, session.decision_ref, now)
    charger_gateway().start(
        station_identity=session.evse.station_identity,
        ocpp_connector=session.evse.ocpp_connector,
        id_tag=command.id_tag,
        purpose=f"command:{command.id}",
        not_after=command.expires_at - timedelta(seconds=MARGIN_SECONDS),
    )


def _refuse_start(order: Order, deny: Deny, receipt: Decision, now: datetime) -> Reply:
    if STATUS_CODE[deny.reason] is StatusCode.UNKNOWN_LOCATION:
        return _unknown_location()
    result = COMMAND_RESULT.get(deny.reason)
    if result is None:
        text = f"{receipt.message} Ref {receipt.ref}".strip()
        return Reply(_response(COMMAND_RESPONSE[deny.reason], text))
    command = _record(order, v221.CommandType.START_SESSION, None, receipt.ref, now)
    answered(command_id=command.id, result=result, message=receipt.message, now=now)
    return _accepted(f"Ref {receipt.ref}")


def stop_session(*, order: Order, request: v221.StopSession, now: datetime) -> Reply:
    """STOP_SESSION: always allowed to the party whose session it is, whatever the hour.

    A session of somebody else answers exactly as an unknown one (B13).
    """
    with transaction.atomic():
        session = _own_live_session(order, request.session_id)
        if session is None:
            unknown = v221.CommandResponseType.UNKNOWN_SESSION
            return Reply(_response(unknown, "There is no such running session."))
        if not charger_gateway().is_online(station_identity=session.evse.station_identity):
            return _rejected("The station is offline; please try again.")
        running = _running(session)
        if running is None:
            return _rejected("The session has not started at the station yet.")
        command = _record(order, v221.CommandType.STOP_SESSION, session, session.decision_ref, now)
        running.stop_requested_at, running.stop_cause = now, "PARTNER"
        running.save(update_fields=["stop_requested_at", "stop_cause"])
        charger_gateway().stop(
            station_identity=running.station_identity,
            transaction_id=running.pk,
            purpose=f"command:{command.id}",
            not_after=command.expires_at - timedelta(seconds=MARGIN_SECONDS),
        )
        return _accepted()


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
    """Close a command with its one result; whoever comes second (late answer, timeout) changes nothing."""
    with transaction.atomic():
        command = (
            Command.objects.select_for_update(of=("self",))
            .select_related("party", "own_party", "session")
            .get(pk=command_id)
        )
        if command.state != Command.State.SENT:
            return
        command.state = Command.State.ANSWERED
        command.result = result.value
        command.message = message[:255]
        command.answered_at = now
        command.save(update_fields=["state", "result", "message", "answered_at"])
        _end_session_that_never_started(command, result, now)
        texts = (v221.DisplayText(language="en", text=message),) if message else ()
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


def _record(
    order: Order, kind: v221.CommandType, session: Session | None, decision_ref: str, now: datetime
) -> Command:
    return Command.objects.create(
        party=order.party,
        own_party=order.own_party,
        type=kind.value,
        state=Command.State.SENT,
        session=session,
        id_tag=_new_id_tag() if kind is v221.CommandType.START_SESSION else "",
        response_url=order.response_url,
        correlation_id=order.correlation_id,
        decision_ref=decision_ref,
        expires_at=now + timedelta(seconds=settings.COMMAND_TIMEOUT_SECONDS),
        created_at=now,
    )


def _new_id_tag() -> str:
    """OCPP 1.6 knows 20 characters, a token uid has up to 36: the station is given a tag of ours."""
    return f"YG{secrets.token_hex(9).upper()}"


def _is_own_token(party: Party, token: v221.Token) -> bool:
    # A hub is shown Locations to pass them on; it has no drivers.
    if party.role == v221.Role.HUB:
        return False
    owner = (token.country_code.upper(), token.party_id.upper())
    return owner == (party.country_code.upper(), party.party_id.upper())


def _foreign_token(party: Party, token: v221.Token) -> Reply:
    return Reply(
        _response(v221.CommandResponseType.REJECTED, "The token belongs to another party."),
        StatusCode.INVALID_PARAMETERS,
        f"token: belongs to {token.country_code}-{token.party_id}, but {party.country_code}-{party.party_id} "
        "is calling; start with a token of your own party",
    )


def _visible_location(order: Order, location_id: str) -> Location | None:
    """The Location as far as the addressed party of ours shows it to this partner (HUB-06)."""
    shown = (
        PartnerView.objects.filter(
            party=order.party,
            own_party=order.own_party,
            location__ocpi_id=location_id.upper(),
            is_ended=False,
        )
        .select_related("location__depot__operator")
        .first()
    )
    return shown.location if shown is not None else None


def _unknown_location() -> Reply:
    """The same bytes whether the Location does not exist, is not granted or has no such EVSE (B16)."""
    return Reply(
        _response(v221.CommandResponseType.REJECTED, "There is no such Location or EVSE."),
        StatusCode.UNKNOWN_LOCATION,
        "location_id: there is no such Location, EVSE or Connector",
    )


def _accepted(text: str = "") -> Reply:
    return Reply(_response(v221.CommandResponseType.ACCEPTED, text))


def _rejected(text: str) -> Reply:
    return Reply(_response(v221.CommandResponseType.REJECTED, text))


def _response(result: v221.CommandResponseType, text: str = "") -> v221.CommandResponse:
    accepted = result is v221.CommandResponseType.ACCEPTED
    return v221.CommandResponse(
        result=result,
        timeout=settings.COMMAND_TIMEOUT_SECONDS if accepted else 0,
        message=(v221.DisplayText(language="en", text=text[:512]),) if text else (),
    )
