"""RESERVE_NOW and CANCEL_RESERVATION as a partner means them (mod_commands).

The same fences decide as for a start. What is allowed has a RESERVATION session at once (CMD-19); the station is
asked, and its answer is the result.
"""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from access.decisions import Allow, Deny, StartRequest
from access.models import Decision
from access.services import Verdict, decide_start
from charging import reservations
from charging.commands import answered, occupied, refuse
from charging.locks import lock_bay, lock_card
from charging.models import Command, Reservation
from charging.openings import Guest, Permit, Start, open_for
from charging.orders import (
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
    unknown_location,
    visible_location,
)
from charging.ports import charger_gateway
from locations.models import Location
from ocpi import v221
from sessions.models import Session
from sessions.services import EvseTaken, set_terms

_RESERVE = v221.CommandType.RESERVE_NOW
_CANCEL = v221.CommandType.CANCEL_RESERVATION
# OCPP 1.6 has room for that much of an id tag.
_MAX_ID_TAG = 20


def reserve_now(*, order: Order, request: v221.ReserveNow, now: datetime) -> Reply:
    """RESERVE_NOW: keep a bay for one driver from now until ``expiry_date``.

    The same ``reservation_id`` at the same Location replaces what this party has there (CMD-20). A token holds
    one reservation at most. Refusals as for START_SESSION; an ``expiry_date`` beyond what the grant or the
    operator allows is refused with the latest one that would do.
    """
    if not is_own_token(order.party, request.token):
        return foreign_token(order.party, request.token)
    location = visible_location(order, request.location_id)
    if location is None:
        return unknown_location()
    reservations.expire_due(location=location, now=now)
    with transaction.atomic():
        lock_bay(location_id=location.pk)
        lock_card(party=order.party, uid=request.token.uid)
        known = _known(order, request, location)
        verdict = _verdict(order, request, location, known, now)
        allow, receipt = verdict.outcome, verdict.receipt
        if isinstance(allow, Deny):
            return refuse(order=order, kind=_RESERVE, deny=allow, receipt=receipt, now=now)
        complaint = _complaint(request, location, allow, known, now) or _other_place(order, request, known)
        if complaint:
            return rejected(f"{complaint} Ref {receipt.ref}")
        permit = Permit(allow, receipt)
        if known is not None and _is_same(known, request, allow):
            return _renew(order, request, known, permit, now)
        if known is not None:
            reservations.replace(reservation=known, now=now)
        return _place(order, request, permit, now)


def _known(order: Order, request: v221.ReserveNow, location: Location) -> Reservation | None:
    """What this party has reserved here under the same id."""
    mine = reservations.of(order).filter(location=location)
    return mine.filter(ocpi_id__iexact=request.reservation_id).first()


def _verdict(
    order: Order, request: v221.ReserveNow, location: Location, known: Reservation | None, now: datetime
) -> Verdict:
    evse_uid = request.evse_uid or (known.evse.uid if known is not None else None)
    asked = StartRequest(
        source="RESERVE_NOW",
        party=str(order.party.ocpi_id),
        token_group=request.token.group_id,
        location_id=location.ocpi_id,
        evse_uid=evse_uid.upper() if evse_uid else None,
    )
    own = known.session if known is not None else None
    return decide_start(request=asked, party=order.party, location=location, now=now, reservation=own)


def _complaint(
    request: v221.ReserveNow, location: Location, allow: Allow, known: Reservation | None, now: datetime
) -> str:
    """What is wrong with the expiry, and which one would do."""
    asked = request.expiry_date
    earliest = now + timedelta(seconds=settings.COMMAND_TIMEOUT_SECONDS)
    zone = ZoneInfo(location.depot.time_zone)
    given = f"given {asked.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    if asked <= earliest:
        at = f"{earliest.astimezone(zone):%H:%M:%S} ({zone.key})"
        return f"expiry_date: must be later than {at}, when the station has answered; {given}."
    latest, why = _latest(allow, known.starts_at if known is not None else now)
    if asked > latest:
        at = f"{latest.astimezone(zone):%H:%M:%S} ({zone.key})"
        return f"expiry_date: must not be later than {at}, {why}; {given}."
    return ""


def _latest(allow: Allow, starts_at: datetime) -> tuple[datetime, str]:
    """Until when a reservation may run, and by which rule; replacing it does not make it longer."""
    most = settings.RESERVATION_MAX_MINUTES
    bounds = [
        (starts_at + timedelta(minutes=most), f"as a reservation lasts {most} minutes at most"),
    ]
    if allow.terms.max_session_minutes is not None:
        minutes = allow.terms.max_session_minutes
        bounds.append(
            (starts_at + timedelta(minutes=minutes), f"as the agreement allows {minutes} minutes at a time")
        )
    if allow.until is not None:
        bounds.append((allow.until - allow.terms.cutoff, "the last start before closing"))
    return min(bounds)


def _other_place(order: Order, request: v221.ReserveNow, known: Reservation | None) -> str:
    """A driver holds one place: whoever reserves here and there keeps others out (F4)."""
    others = reservations.of(order).filter(session__token_uid__iexact=request.token.uid)
    if known is not None:
        others = others.exclude(pk=known.pk)
    return "The token holds another reservation: cancel that one first." if others.exists() else ""


def _is_same(known: Reservation, request: v221.ReserveNow, allow: Allow) -> bool:
    """Whether only the time of a reservation changes, not its bay nor its driver."""
    return known.evse.uid == allow.evse_uid and known.session.token_uid.upper() == request.token.uid.upper()


def _place(order: Order, request: v221.ReserveNow, permit: Permit, now: datetime) -> Reply:
    try:
        session = _open(order, request, permit, now)
    except EvseTaken:
        return occupied(order=order, kind=_RESERVE, decision_ref=permit.receipt.ref, now=now)
    row = Reservation.objects.create(
        party=order.party,
        location=session.location,
        evse=session.evse,
        session=session,
        ocpi_id=request.reservation_id,
        id_tag=_id_tag(request.token),
        starts_at=session.started_at,
        expires_at=request.expiry_date,
    )
    command = _record(order, request, row, permit.receipt, now)
    reservations.ask_station(reservation=row, command=command)
    return _kept(row, permit.receipt)


def _open(order: Order, request: v221.ReserveNow, permit: Permit, now: datetime) -> Session:
    guest = Guest(
        party=order.party,
        token=request.token,
        auth_method=v221.AuthMethod.COMMAND,
        authorization_reference=request.authorization_reference or "",
    )
    with transaction.atomic():
        return open_for(
            guest=guest,
            allow=permit.allow,
            receipt=permit.receipt,
            connector_id=None,
            start=Start(at=now, is_reserved=True),
            now=now,
        )


def _id_tag(token: v221.Token) -> str:
    """Whom the station lets in: the driver's own card where it can hold that, else a tag of ours."""
    is_card = token.type is v221.TokenType.RFID and len(token.uid) <= _MAX_ID_TAG
    return token.uid if is_card else new_id_tag()


def _renew(order: Order, request: v221.ReserveNow, row: Reservation, permit: Permit, now: datetime) -> Reply:
    """Another expiry for the same bay and driver: the session goes on, and the station is told again."""
    allow, receipt = permit
    set_terms(
        session=row.session,
        must_end_by=allow.must_end_by,
        grant_ref=receipt.grant_ref,
        decision_ref=receipt.ref,
        authorization_reference=request.authorization_reference or "",
        now=now,
    )
    row.expires_at = request.expiry_date
    row.save(update_fields=["expires_at"])
    command = _record(order, request, row, receipt, now)
    if row.is_at_station or row.state == Reservation.State.REQUESTED:
        reservations.ask_station(reservation=row, command=command)
    else:
        answered(command_id=command.id, result=v221.CommandResultType.ACCEPTED, now=now)
    return _kept(row, receipt)


def _record(
    order: Order, request: v221.ReserveNow, row: Reservation, receipt: Decision, now: datetime
) -> Command:
    about = About(
        session=row.session,
        reservation=row,
        reserve_until=request.expiry_date,
        decision_ref=receipt.ref,
    )
    return record(order=order, kind=_RESERVE, about=about, now=now)


def _kept(row: Reservation, receipt: Decision) -> Reply:
    return accepted(f"EVSE {row.evse.evse_id}. Ref {receipt.ref}")


def cancel_reservation(*, order: Order, request: v221.CancelReservation, now: datetime) -> Reply:
    """CANCEL_RESERVATION: the partner gives up what it reserved; its tariff may still ask for the time.

    An id of somebody else, or one at another operator here, ends exactly as one that nobody has:
    UNKNOWN_RESERVATION (CMD-21, CMD-22, HUB-06).
    """
    with transaction.atomic():
        mine = reservations.of(order).filter(ocpi_id__iexact=request.reservation_id)
        found = list(mine.order_by("-pk")[:2])
        if not found:
            command = record(order=order, kind=_CANCEL, now=now)
            answered(command_id=command.id, result=v221.CommandResultType.UNKNOWN_RESERVATION, now=now)
            return accepted()
        if len(found) > 1:
            return rejected("reservation_id: two Locations have a reservation of this id; let them expire.")
        return _cancel(order, found[0], now)


def _cancel(order: Order, row: Reservation, now: datetime) -> Reply:
    """Ask the station where it keeps the bay; our own word is enough where it does not."""
    about = About(session=row.session, reservation=row, decision_ref=row.session.decision_ref)
    if not row.is_at_station and row.state != Reservation.State.REQUESTED:
        command = record(order=order, kind=_CANCEL, about=about, now=now)
        answered(command_id=command.id, result=v221.CommandResultType.ACCEPTED, now=now)
        return accepted()
    if not charger_gateway().is_online(station_identity=row.evse.station_identity):
        return rejected("The station is offline; please try again.")
    command = record(order=order, kind=_CANCEL, about=about, now=now)
    charger_gateway().cancel_reservation(
        station_identity=row.evse.station_identity,
        reservation_id=row.pk,
        purpose=purpose_of(command),
        not_after=not_after(command),
    )
    return accepted()
