"""Reservations from the station's answer to their end: used, expired, canceled by the partner or by us.

A Reservation is written only under the lock of its Location; who needs the Command as well takes that first
(charging/locks.py). Its session is a RESERVATION as long as it lives.
"""

import logging
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet

from access.decisions import Deny, StartRequest
from access.services import decide_start, is_admitted
from cdrs.services import seal
from charging.locks import lock_bay
from charging.models import Command, Reservation
from charging.orders import PLUG_IN_TIMEOUT, Order, not_after, purpose_of
from charging.ports import charger_gateway
from locations.models import Location
from locations.services import set_reserved, set_serving
from ocpi import codec, v221
from roaming.delivery.services import owe_once
from roaming.models import Party
from sessions.models import Session
from sessions.services import end_reservation, invalidate_session

log = logging.getLogger(__name__)

_State = Reservation.State
_Result = v221.CommandResultType
# Results after which a RESERVE_NOW stands: accepted by the station, or not answered yet.
_STANDS = ("", _Result.ACCEPTED.value)
# A start that may still lead to a charge.
_UNDER_WAY = ("", _Result.ACCEPTED.value, _Result.TIMEOUT.value)


@dataclass(frozen=True)
class Settled:
    """What a command about a reservation really ended with; `ended`: its session, to be billed."""

    result: v221.CommandResultType
    message: str = ""
    ended: Reservation | None = None


def live() -> QuerySet[Reservation]:
    """All reservations that keep a bay."""
    return Reservation.objects.filter(state__in=Reservation.LIVE).select_related(
        "party", "evse", "location__depot__operator", "session__party", "session__own_party"
    )


def of(order: Order) -> QuerySet[Reservation]:
    """Those between exactly these two; what is at another operator here does not exist for this order (HUB-06)."""
    return live().filter(party=order.party, session__own_party=order.own_party)


def held_by(*, party: Party, uid: str, location: Location) -> Reservation | None:
    """The reservation that a token holds at a Location; there is at most one."""
    return live().filter(party=party, location=location, session__token_uid__iexact=uid).first()


def kept_for(*, station_identity: str, id_tag: str) -> Reservation | None:
    """The reservation under which a station lets this tag in."""
    return live().filter(evse__station_identity=station_identity, id_tag__iexact=id_tag).first()


def has_own_tag(reservation: Reservation) -> bool:
    """Whether the station knows the driver by a tag of ours, and not by the card itself."""
    return reservation.id_tag.upper() != reservation.session.token_uid.upper()


def is_commanded(session: Session, *, since: datetime) -> bool:
    """Whether the partner has ordered a start under a reservation's session since then (TOK-22)."""
    return Command.objects.filter(
        session=session, type=v221.CommandType.START_SESSION.value, created_at__gte=since
    ).exists()


def ask_station(*, reservation: Reservation, command: Command) -> None:
    """Ask the station to keep the bay; asked again with the same id, it replaces what it has."""
    charger_gateway().reserve(
        station_identity=reservation.evse.station_identity,
        ocpp_connector=reservation.evse.ocpp_connector,
        reservation_id=reservation.pk,
        id_tag=reservation.id_tag,
        expires_at=reservation.expires_at,
        purpose=purpose_of(command),
        not_after=not_after(command),
    )


def settle(*, command: Command, result: v221.CommandResultType, now: datetime) -> Settled:
    """Let a reservation follow the result of a command about it; the caller's transaction holds the Command."""
    if command.reservation_id is None:
        return Settled(result)
    if command.type == v221.CommandType.RESERVE_NOW.value:
        _settle_placing(command, result, now)
    elif command.type == v221.CommandType.CANCEL_RESERVATION.value and result is _Result.ACCEPTED:
        return _settle_cancel(command, now)
    return Settled(result)


def _settle_placing(command: Command, result: v221.CommandResultType, now: datetime) -> None:
    row = _locked(command.reservation_id)
    if not row.is_live:
        return
    if result is _Result.ACCEPTED:
        row.state = _State.PLACED
        row.save(update_fields=["state"])
        return
    before = _commands(row).exclude(pk=command.pk).filter(result=_Result.ACCEPTED.value).first()
    if before is not None and before.reserve_until is not None:
        # A replacement that the station refuses leaves what it had accepted before.
        row.state, row.expires_at = _State.PLACED, before.reserve_until
        row.save(update_fields=["state", "expires_at"])
        return
    if result is _Result.TIMEOUT:
        _release_at_station(row, now)
    _end(row, _State.FAILED, f"reservation {result.value}", now)
    invalidate_session(session=row.session, reason=f"reservation {result.value}", now=now)


def _settle_cancel(command: Command, now: datetime) -> Settled:
    row = _locked(command.reservation_id)
    if row.state == _State.USED:
        return Settled(_Result.REJECTED, "The reservation has been used: the session has started.")
    if not row.is_live:
        return Settled(_Result.ACCEPTED)
    _end(row, _State.CANCELED, "reservation canceled", now)
    row.session = end_reservation(
        session=row.session, ended_at=now, is_expired=False, end_reason="reservation canceled", now=now
    )
    return Settled(_Result.ACCEPTED, ended=row)


def station_keeps(*, command_id: uuid.UUID, now: datetime) -> None:
    """Note that the station has the reservation of this RESERVE_NOW; if it has ended meanwhile, take it back."""
    with transaction.atomic():
        row = _locked(Command.objects.values_list("reservation_id", flat=True).get(pk=command_id))
        row.is_at_station = row.is_live
        row.save(update_fields=["is_at_station"])
        if not row.is_live and row.state != _State.USED:
            _release_at_station(row, now)


def station_used(*, reservation_id: int, station_identity: str) -> None:
    """Note that a transaction took up a reservation at its station, whoever began it: it keeps the bay no more."""
    known = Reservation.objects.filter(pk=reservation_id, evse__station_identity=station_identity)
    if known.exists():
        row = _locked(reservation_id)
        row.is_at_station = False
        row.save(update_fields=["is_at_station"])


def use(*, session: Session, now: datetime) -> None:
    """The reserved session becomes ACTIVE: its bay serves it. The caller's transaction holds the bay."""
    row = Reservation.objects.select_related("evse", "party").get(session=session)
    _close(row, _State.USED, "", now)
    set_serving(evse=row.evse, party=row.party, now=now)


def replace(*, reservation: Reservation, now: datetime) -> None:
    """End a reservation whose partner asked for another one under the same id (CMD-20): it costs nothing."""
    _release_at_station(reservation, now)
    _end(reservation, _State.REPLACED, "replaced by the partner", now)
    invalidate_session(session=reservation.session, reason="reservation replaced", now=now)


def expire_due(*, now: datetime, location: Location | None = None) -> int:
    """End the reservations whose time is over and bill what their tariff asks for (SES-14); returns how many."""
    due = Reservation.objects.filter(state__in=Reservation.LIVE, expires_at__lte=now)
    if location is not None:
        due = due.filter(location=location)
    return sum(_expire(key, now) for key in due.values_list("pk", flat=True))


def _expire(key: int, now: datetime) -> bool:
    with transaction.atomic():
        row = _locked(key)
        if not row.is_live or row.expires_at > now or _is_starting(row, now):
            return False
        _end(row, _State.EXPIRED, "reservation expired", now)
        row.session = end_reservation(
            session=row.session,
            ended_at=row.expires_at,
            is_expired=True,
            end_reason="reservation expired",
            now=now,
        )
        bill(row, now=now)
        return True


def _is_starting(row: Reservation, now: datetime) -> bool:
    """Whether a start is under way: the driver who comes at the last moment is not turned away."""
    return Command.objects.filter(
        session=row.session,
        type=v221.CommandType.START_SESSION.value,
        created_at__gt=now - PLUG_IN_TIMEOUT,
        result__in=_UNDER_WAY,
    ).exists()


def bill(ended: Reservation | None, *, now: datetime) -> None:
    """Seal the CDR of a reservation that ended unused, if it costs anything or nobody knows; call it last."""
    if ended is None or ended.session.total_cost == 0:
        return
    evse = ended.evse
    key = f"{evse.station_identity}/{evse.ocpp_connector}/reservation {ended.pk}"
    seal(session=ended.session, station_key=key, now=now)


def withdraw_fenced(*, now: datetime) -> int:
    """Cancel the reservations that no grant carries any more, e.g. after the kill switch; returns how many."""
    return sum(_withdraw_if_fenced(row, now) for row in live().filter(expires_at__gt=now))


def _withdraw_if_fenced(row: Reservation, now: datetime) -> bool:
    group = row.session.token_group or None
    if is_admitted(party=row.party, location=row.location, token_group=group, now=now):
        return False
    request = StartRequest(
        source="RESERVE_NOW",
        party=str(row.party.ocpi_id),
        token_group=group,
        location_id=row.location.ocpi_id,
        evse_uid=row.evse.uid,
    )
    verdict = decide_start(
        request=request, party=row.party, location=row.location, now=now, reservation=row.session
    )
    if not isinstance(verdict.outcome, Deny):
        return False
    text = f"{verdict.receipt.message} Ref {verdict.receipt.ref}"
    return withdraw(reservation=row, reason=f"fence: {verdict.outcome.reason.value}", message=text, now=now)


def withdraw_at(*, station_identity: str, ocpp_connector: int, now: datetime) -> bool:
    """Cancel the reservation of a bay that broke down: its station has dropped it too (charging.md 1.4)."""
    row = live().filter(
        evse__station_identity=station_identity, evse__ocpp_connector=ocpp_connector, evse__is_removed=False
    ).first()  # fmt: skip
    if row is None:
        return False
    return withdraw(
        reservation=row, reason="the bay is out of service", message="The EVSE is out of service.", now=now
    )


def withdraw(*, reservation: Reservation, reason: str, message: str, now: datetime) -> bool:
    """Cancel a reservation ourselves: it costs nothing, and CANCELED_RESERVATION goes to the response_url of the
    RESERVE_NOW that it stands on (CMD-23).

    False when it was over already, or replaced at this very moment: then look again.
    """
    with transaction.atomic():
        command = _commands(reservation).filter(result__in=_STANDS).select_for_update(of=("self",)).first()
        row = _locked(reservation.pk)
        newest = _commands(row).filter(result__in=_STANDS).values_list("pk", flat=True).first()
        if not row.is_live or command is None or newest != command.pk:
            return False
        _release_at_station(row, now)
        _end(row, _State.WITHDRAWN, reason, now)
        invalidate_session(session=row.session, reason="reservation withdrawn", now=now)
        _owe_cancellation(command, message, now)
        log.info("charging.reservation_withdrawn reservation=%s reason=%s", row.pk, reason)
        return True


def _owe_cancellation(command: Command, message: str, now: datetime) -> None:
    """The one result of a RESERVE_NOW that is open, or a word more to one that has had its result."""
    is_open = command.state == Command.State.SENT
    if is_open:
        command.state, command.result = Command.State.ANSWERED, _Result.CANCELED_RESERVATION.value
        command.message, command.answered_at = message[:255], now
        command.save(update_fields=["state", "result", "message", "answered_at"])
    body = v221.CommandResult(
        result=_Result.CANCELED_RESERVATION,
        message=(v221.DisplayText(language="en", text=message[:512]),),
    )
    owe_once(
        own_party=command.own_party,
        party=command.party,
        kind="command_result",
        object_key=str(command.id) if is_open else f"{command.id}/canceled",
        url=command.response_url,
        body=codec.encode(body),
        expires_at=now + timedelta(seconds=settings.COMMAND_TIMEOUT_SECONDS),
        correlation_id=command.correlation_id,
        now=now,
    )


def _commands(row: Reservation) -> QuerySet[Command]:
    """The RESERVE_NOWs that placed and replaced a reservation, the newest first."""
    placing = Command.objects.filter(reservation=row, type=v221.CommandType.RESERVE_NOW.value)
    return placing.select_related("party", "own_party").order_by("-created_at", "-pk")


def _locked(key: int | None) -> Reservation:
    """The reservation as it is now, its Location locked. Raises ValueError without a key."""
    if key is None:
        raise ValueError("the command is about no reservation")
    location_id = Reservation.objects.values_list("location_id", flat=True).get(pk=key)
    lock_bay(location_id=location_id)
    found: Reservation = Reservation.objects.select_related(
        "party", "evse", "session__party", "session__own_party"
    ).get(pk=key)
    return found


def _close(row: Reservation, state: Reservation.State, reason: str, now: datetime) -> None:
    row.state, row.end_reason, row.ended_at, row.is_at_station = state, reason[:100], now, False
    row.save(update_fields=["state", "end_reason", "ended_at", "is_at_station"])


def _end(row: Reservation, state: Reservation.State, reason: str, now: datetime) -> None:
    _close(row, state, reason, now)
    set_reserved(evse=row.evse, is_reserved=False, now=now)


def _release_at_station(row: Reservation, now: datetime) -> None:
    """Let the station's bay go, if it may keep it; one that is away is told when it is back, while it matters."""
    may_keep = row.is_at_station or row.state == _State.REQUESTED or not row.is_live
    if may_keep and row.expires_at > now:
        charger_gateway().cancel_reservation(
            station_identity=row.evse.station_identity,
            reservation_id=row.pk,
            purpose="",
            not_after=row.expires_at,
        )
