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

from access.decisions import Deny, StartRequest
from access.models import Decision
from access.reasons import COMMAND_RESPONSE, COMMAND_RESULT, STATUS_CODE
from access.services import decide_start
from charging.models import Command, Transaction
from charging.openings import Guest, Start, open_for
from charging.ports import charger_gateway
from locations.models import EVSE, Location, PartnerView
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
    The token's validity is not looked at (CMD-14).
    """
    if not _is_own_token(order.party, request.token):
        return _foreign_token(order.party, request.token)
    location = _visible_location(order.party, request.location_id)
    if location is None:
        return _unknown_location()
    with transaction.atomic():
        verdict = decide_start(
            request=StartRequest(
                source="START_SESSION",
                party=str(order.party.ocpi_id),
                token_group=request.token.group_id,
                location_id=location.ocpi_id,
                evse_uid=request.evse_uid.upper() if request.evse_uid else None,
                connector_id=request.connector_id,
            ),
            party=order.party,
            location=location,
            now=now,
        )
        if isinstance(verdict.outcome, Deny):
            return _refuse_start(order, verdict.outcome, verdict.receipt, now)
        guest = Guest(
            party=order.party,
            token=request.token,
            auth_method=v221.AuthMethod.COMMAND,
            authorization_reference=request.authorization_reference or "",
        )
        try:
            with transaction.atomic():
                session = open_for(
                    guest=guest,
                    allow=verdict.outcome,
                    receipt=verdict.receipt,
                    connector_id=request.connector_id,
                    start=Start(at=now),
                    now=now,
                )
        except EvseTaken:
            command = _record(order, v221.CommandType.START_SESSION, None, verdict.receipt.ref, now)
            answered(command_id=command.id, result=v221.CommandResultType.EVSE_OCCUPIED, now=now)
            return _accepted(f"Ref {verdict.receipt.ref}")
        _send_start(order, session, now)
        return _accepted(_until(session, verdict.receipt))


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
        session = _own_live_session(order.party, request.session_id)
        if session is None:
            unknown = v221.CommandResponseType.UNKNOWN_SESSION
            return Reply(_response(unknown, "There is no such running session."))
        running = Transaction.objects.filter(session=session, stopped_at__isnull=True).first()
        identity = session.evse.station_identity
        if not charger_gateway().is_online(station_identity=identity):
            return _rejected("The station is offline; please try again.")
        if running is None:
            return _rejected("The session has not started at the station yet.")
        command = _record(order, v221.CommandType.STOP_SESSION, session, session.decision_ref, now)
        Transaction.objects.filter(pk=running.pk).update(stop_requested_at=now, stop_cause="PARTNER")
        charger_gateway().stop(
            station_identity=identity,
            transaction_id=running.pk,
            purpose=f"command:{command.id}",
            not_after=command.expires_at - timedelta(seconds=MARGIN_SECONDS),
        )
        return _accepted()


def _own_live_session(party: Party, session_id: str) -> Session | None:
    try:
        key = uuid.UUID(session_id)
    except ValueError:
        return None
    live = (v221.SessionStatus.PENDING.value, v221.SessionStatus.ACTIVE.value)
    return Session.objects.select_related("evse").filter(pk=key, party=party, status__in=live).first()


def answered(
    *, command_id: uuid.UUID, result: v221.CommandResultType, message: str = "", now: datetime
) -> None:
    """Close a command with its one result; whoever comes second (late answer, timeout) changes nothing."""
    with transaction.atomic():
        command = Command.objects.select_for_update().select_related("party", "own_party").get(pk=command_id)
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
    session = command.session
    is_start = command.type == v221.CommandType.START_SESSION.value
    if session is None or not is_start or session.status != v221.SessionStatus.PENDING.value:
        return
    if result in (v221.CommandResultType.ACCEPTED, v221.CommandResultType.TIMEOUT):
        return
    set_serving(evse=EVSE.objects.get(pk=session.evse_id), party=None, now=now)
    invalidate_session(session=session, reason=f"start {result.value}", now=now)


def expire_commands(*, now: datetime) -> int:
    """Give TIMEOUT to every command whose station stayed silent; returns how many."""
    bound = now + timedelta(seconds=MARGIN_SECONDS / 2)
    late = Command.objects.filter(state=Command.State.SENT, expires_at__lte=bound).values_list("pk", flat=True)
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
        # OCPP 1.6 knows 20 characters, a token uid has up to 36: the station is given a tag of ours.
        id_tag=f"YG{secrets.token_hex(9).upper()}",
        response_url=order.response_url,
        correlation_id=order.correlation_id,
        decision_ref=decision_ref,
        expires_at=now + timedelta(seconds=settings.COMMAND_TIMEOUT_SECONDS),
        created_at=now,
    )


def _is_own_token(party: Party, token: v221.Token) -> bool:
    owner = (token.country_code.upper(), token.party_id.upper())
    return owner == (party.country_code.upper(), party.party_id.upper())


def _foreign_token(party: Party, token: v221.Token) -> Reply:
    return Reply(
        _response(v221.CommandResponseType.REJECTED, "The token belongs to another party."),
        StatusCode.INVALID_PARAMETERS,
        f"token: belongs to {token.country_code}-{token.party_id}, but {party.country_code}-{party.party_id} "
        "is calling; start with a token of your own party",
    )


def _visible_location(party: Party, location_id: str) -> Location | None:
    shown = (
        PartnerView.objects.filter(party=party, location__ocpi_id=location_id.upper(), is_ended=False)
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
