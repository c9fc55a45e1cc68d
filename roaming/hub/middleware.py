"""The hub: one layer around the views, which lets a request pass or takes it over; no module knows of it.

It looks at functional endpoints alone: versions, credentials and hubclientinfo are the hub's own (HUB-54). Where no
HUB party is hosted it looks at nothing but the path.
"""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone

from ocpi.headers import PartyId, routing_headers
from ocpi.http import exception_handler, respond_to_error
from ocpi.middleware import Answerer
from ocpi.status import OcpiError, StatusCode
from ocpi.v221 import Role
from roaming.auth import Caller, address, admit, caller_of
from roaming.hub import aggregate, receiver, relays
from roaming.hub.authorizing import authorize, is_authorization
from roaming.hub.finding import find, nobody
from roaming.hub.forward import forward, forward_relay, require_owner
from roaming.hub.incoming import Incoming, read
from roaming.hub.targets import Target, find_target
from roaming.lookup import Known, known_of
from roaming.models import CredentialsToken, Party
from roaming.routing import METHODS, SHAREABLE, Case, addressed_roles, case_of, route_of


class HubMiddleware:
    """Takes over what concerns parties elsewhere, or all; everything else is answered by the views as ever."""

    def __init__(self, get_response: Answerer) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request, or let it pass."""
        route = route_of(request.path_info)
        if route is None or request.method not in METHODS:
            return self._get_response(request)
        now = timezone.now()
        known = known_of(request, now)
        hub = _hub(known) if known else None
        if known is None or hub is None:
            return self._get_response(request)
        try:
            incoming = read(request, route, known, hub, now)
        except OcpiError as error:
            return respond_to_error(error)
        try:
            return self._answered(incoming)
        except Exception as error:
            response = exception_handler(error, {"view": self})
            return _signed(response, incoming, from_=_speaker(incoming, error))

    def _answered(self, incoming: Incoming) -> HttpResponseBase:
        called = relays.uid_in(incoming)
        case = None if called else self._case(incoming)
        if case is Case.LOCAL:
            return self._get_response(incoming.request)
        admit(incoming.request, incoming.known, module=incoming.route.module, now=incoming.now)
        if called is not None:
            kind, uid = called
            return forward_relay(incoming, relays.find_relay(kind, uid, incoming=incoming))
        if case is Case.FORWARD and incoming.to is not None:
            return self._forwarded(incoming, incoming.to)
        if case is Case.GET_ALL:
            answer = aggregate.answer(incoming.request, incoming.route, _caller(incoming))
            return _signed(answer, incoming, from_=incoming.hub.ocpi_id)
        return self._open(incoming) if case is Case.OPEN else _by_hub(incoming)

    def _case(self, incoming: Incoming) -> Case:
        # One id may be a CPO of ours and an eMSP elsewhere: each interface is served by one of them.
        roles = addressed_roles(incoming.route)
        own = {party.ocpi_id for party in incoming.known.own_parties if party.role in roles}
        return case_of(incoming.ask, hub=incoming.hub.ocpi_id, own=own)

    def _forwarded(self, incoming: Incoming, to: PartyId) -> HttpResponseBase:
        try:
            target = find_target(to, route=incoming.route, caller=incoming.caller)
        except OcpiError as error:
            is_ours = any(party.ocpi_id == to for party in incoming.known.own_parties)
            if is_ours and error.status_code == StatusCode.UNKNOWN_RECEIVER:
                module, side = incoming.route.module, incoming.route.role
                text = f"{to} offers no endpoint for {module} {side}"
                raise OcpiError(StatusCode.HUB_ERROR, text) from None
            raise
        return forward(incoming, target)

    def _open(self, incoming: Incoming) -> HttpResponseBase:
        if is_authorization(incoming):
            return authorize(incoming)
        found = find(incoming)
        if isinstance(found, Target):
            return forward(incoming, found)
        if isinstance(found, Party):
            address(incoming.request, found.ocpi_id)
            return self._get_response(incoming.request)
        if incoming.route.module not in SHAREABLE or incoming.route.role != "RECEIVER":
            raise nobody(incoming)
        if incoming.method != "GET":
            require_owner(incoming)
        return _by_hub(incoming)


def _by_hub(incoming: Incoming) -> HttpResponse:
    """What the hub itself answers to a push that everybody shall know, and to a GET of what it keeps of them."""
    answer = receiver.answer(incoming.request, incoming.route, _caller(incoming))
    return _signed(answer, incoming, from_=incoming.hub.ocpi_id)


def _hub(known: Known) -> Party | None:
    """Return our HUB party, when the caller is registered."""
    if known.token_kind != CredentialsToken.Kind.SESSION:
        return None
    return next((party for party in known.own_parties if party.role == Role.HUB), None)


def _caller(incoming: Incoming) -> Caller:
    return caller_of(incoming.known, party=incoming.caller, own_party=incoming.hub)


def _speaker(incoming: Incoming, error: Exception) -> PartyId:
    """In whose name a refusal is answered: the party that was addressed, the hub where there is none."""
    is_known = not (isinstance(error, OcpiError) and error.status_code == StatusCode.UNKNOWN_RECEIVER)
    return incoming.to if incoming.to is not None and is_known else incoming.hub.ocpi_id


def _signed(response: HttpResponse, incoming: Incoming, *, from_: PartyId) -> HttpResponse:
    for name, value in routing_headers(to=incoming.caller.ocpi_id, from_=from_).items():
        response.setdefault(name, value)
    return response
