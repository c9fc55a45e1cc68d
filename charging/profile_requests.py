"""GET, PUT and DELETE of charging profiles: answered at once, and asked of the station.

Chapter "ChargingProfiles module", as Receiver. Each accepted request is closed by exactly one result
(profile_answers.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from charging.commands import MARGIN_SECONDS, Order
from charging.locks import lock_transaction
from charging.models import ChargingProfile, ProfileRequest, Transaction
from charging.ports import charger_gateway
from charging.profiles import in_unit, schedule_of
from charging.steering import steerable_session, supply_of
from locations.electrical import Supply
from ocpi import codec, v221
from sessions.models import Session

Method = ProfileRequest.Method
_Answer = v221.ChargingProfileResponseType
_Unit = v221.ChargingRateUnit


@dataclass(frozen=True)
class _Place:
    """A session that a partner may limit, its running transaction (locked), its connector, its station's units."""

    session: Session
    running: Transaction
    supply: Supply
    units: tuple[v221.ChargingRateUnit, ...]


def read_profile(
    *, order: Order, session_id: str, duration_seconds: int, now: datetime
) -> v221.ChargingProfileResponse:
    """GET: ask the station which limits it will follow for so many seconds from now."""

    def send(place: _Place, request: ProfileRequest) -> None:
        request.duration_seconds = duration_seconds
        known = ChargingProfile.objects.filter(session=place.session).first()
        request.unit = _unit_for(_Unit(known.unit) if known else _Unit.W, place.units).value
        charger_gateway().ask_limits(
            station_identity=place.running.station_identity,
            ocpp_connector=place.running.ocpp_connector,
            unit=_Unit(request.unit),
            seconds=duration_seconds,
            purpose=f"profile:{request.pk}",
            not_after=not_after(request),
        )

    return _ask(order, session_id, Method.GET, send, now)


def set_profile(
    *, order: Order, session_id: str, profile: v221.ChargingProfile, now: datetime
) -> v221.ChargingProfileResponse:
    """PUT: ask the station to stay below a profile that was checked (charging.profiles.check), in its own unit if the
    station takes that one; it replaces the former profile (CHP-09)."""

    def send(place: _Place, request: ProfileRequest) -> None:
        request.profile = codec.encode(profile)
        request.unit = _unit_for(profile.charging_rate_unit, place.units).value
        send_limits(request, place.running, place.supply, place.session)

    return _ask(order, session_id, Method.PUT, send, now)


def clear_profile(*, order: Order, session_id: str, now: datetime) -> v221.ChargingProfileResponse:
    """DELETE: ask the station to forget the profile of this session."""

    def send(place: _Place, request: ProfileRequest) -> None:
        charger_gateway().clear_limits(
            station_identity=place.running.station_identity,
            transaction_id=place.running.pk,
            purpose=f"profile:{request.pk}",
            not_after=not_after(request),
        )

    return _ask(order, session_id, Method.DELETE, send, now)


def _ask(
    order: Order,
    session_id: str,
    method: ProfileRequest.Method,
    send: Callable[[_Place, ProfileRequest], None],
    now: datetime,
) -> v221.ChargingProfileResponse:
    """Open a request and send it, or say why not; then nothing is stored and no station is asked.

    Requests about one session follow each other: its Transaction is locked.
    """
    with transaction.atomic():
        place = _place(order, session_id)
        if isinstance(place, _Answer):
            return _response(place)
        if _is_too_often(place.session, method, now):
            return _response(_Answer.TOO_OFTEN)
        request = ProfileRequest(
            party=order.party,
            own_party=order.own_party,
            session=place.session,
            method=method,
            response_url=order.response_url,
            correlation_id=order.correlation_id,
            expires_at=now + timedelta(seconds=settings.COMMAND_TIMEOUT_SECONDS),
            created_at=now,
        )
        send(place, request)
        request.save(force_insert=True)
        return _response(_Answer.ACCEPTED)


def _place(order: Order, session_id: str) -> _Place | v221.ChargingProfileResponseType:
    """The session with all that a request needs, or the word that refuses it.

    A session of somebody else answers exactly as an unknown one (B13, docs/adr/0014).
    """
    session = steerable_session(party=order.party, own_party=order.own_party, session_id=session_id)
    if session is None:
        return _Answer.UNKNOWN_SESSION
    supply = supply_of(session)
    units = charger_gateway().rate_units(station_identity=session.evse.station_identity)
    is_capable = v221.Capability.CHARGING_PROFILE_CAPABLE.value in session.evse.capabilities
    if not is_capable or not units or supply is None:
        return _Answer.NOT_SUPPORTED
    running = _running(session)
    if running is None or not charger_gateway().is_online(station_identity=running.station_identity):
        return _Answer.REJECTED
    return _Place(session, running, supply, units)


def _running(session: Session) -> Transaction | None:
    key = Transaction.objects.filter(session=session).values_list("pk", flat=True).first()
    row = lock_transaction(transaction_id=key) if key is not None else None
    return row if row is not None and row.stopped_at is None else None


def _is_too_often(session: Session, method: ProfileRequest.Method, now: datetime) -> bool:
    """A session is changed once in a while only, and read once at a time (CHP-08)."""
    requests = ProfileRequest.objects.filter(session=session)
    if method is Method.GET:
        return requests.filter(method=Method.GET, state=ProfileRequest.State.SENT).exists()
    since = now - timedelta(seconds=settings.PROFILE_CHANGE_SECONDS)
    return requests.exclude(method=Method.GET).filter(created_at__gt=since).exists()


def _unit_for(
    wanted: v221.ChargingRateUnit, units: tuple[v221.ChargingRateUnit, ...]
) -> v221.ChargingRateUnit:
    return wanted if wanted in units else units[0]


def send_limits(request: ProfileRequest, running: Transaction, supply: Supply, session: Session) -> None:
    """Ask the station to keep the profile of a request, in the request's unit."""
    profile = codec.decode_bytes(v221.ChargingProfile, bytes(request.profile))
    schedule = schedule_of(profile, supply=supply, charging_since=session.started_at)
    charger_gateway().set_limits(
        station_identity=running.station_identity,
        ocpp_connector=running.ocpp_connector,
        transaction_id=running.pk,
        schedule=in_unit(schedule, _Unit(request.unit), supply=supply),
        purpose=f"profile:{request.pk}",
        not_after=not_after(request),
    )


def not_after(request: ProfileRequest) -> datetime:
    """Until when the station may still be asked, so that the result arrives in the promised time."""
    return request.expires_at - timedelta(seconds=MARGIN_SECONDS)


def _response(result: v221.ChargingProfileResponseType) -> v221.ChargingProfileResponse:
    is_accepted = result is _Answer.ACCEPTED
    return v221.ChargingProfileResponse(
        result=result, timeout=settings.COMMAND_TIMEOUT_SECONDS if is_accepted else 0
    )
