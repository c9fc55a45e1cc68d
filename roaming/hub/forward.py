"""From one party to another: the same request with our token, the same answer with our URLs (HUB-10 to HUB-29).

The body travels as the bytes that came; of its members only ``response_url`` is replaced, where it stands.
"""

from typing import Any
from urllib.parse import urljoin

from django.conf import settings
from django.http import HttpResponse

from ocpi import codec, v221
from ocpi.client import Answer, CallFailed, next_page
from ocpi.headers import PartyId
from ocpi.http import respond
from ocpi.interfaces import interface_path
from ocpi.paging import link_header
from ocpi.status import OcpiError, StatusCode, invalid, not_found
from roaming.hub import relays, results, rewriting, trails
from roaming.hub.agreements import is_agreed
from roaming.hub.fences import Refused, fence
from roaming.hub.incoming import Incoming
from roaming.hub.legs import Leg, passed_on
from roaming.hub.targets import Target, reach_again
from roaming.models import Party, Relay
from roaming.routing import Route, addressed_roles

_FENCED: dict[str, type[Any]] = {
    v221.CommandType.START_SESSION.value: v221.StartSession,
    v221.CommandType.RESERVE_NOW.value: v221.ReserveNow,
    v221.CommandType.UNLOCK_CONNECTOR.value: v221.UnlockConnector,
}
_MAX_ID_CHARS = 36


def forward(incoming: Incoming, target: Target) -> HttpResponse:
    """Pass a request on to its target, and the target's answer back.

    Raises OcpiError: 404 and 2001 for what is not the caller's to send or to see, before anybody is called; and what
    ``Leg.travel`` raises.
    """
    require_owner(incoming)
    _require_agreed_owner(incoming, target)
    refused = _refusal(incoming, target)
    if refused is not None:
        hidden = refused.is_hidden
        code = StatusCode.UNKNOWN_LOCATION if hidden else StatusCode.SUCCESS
        return respond(_rejected(refused), status_code=code)
    leg, relay = prepared(incoming, target)
    answer = leg.travel()
    if answer.is_success:
        _learn(incoming, target)
        if relay is not None:
            results.heed(relay, answer, now=incoming.now)
    return returned(incoming, leg, answer)


def forward_relay(incoming: Incoming, relay: Relay) -> HttpResponse:
    """Pass a request on to the very URL that a relay stands for. Raises OcpiError as ``Leg.travel``."""
    leg = Leg(
        target=reach_again(relay.target, module=relay.module, caller=relay.caller),
        method=incoming.method,
        url=relay.url,
        body=incoming.content,
        from_=relay.caller.ocpi_id,
        correlation_id=incoming.correlation_id,
    )
    return returned(incoming, leg, leg.travel())


def prepared(incoming: Incoming, target: Target) -> tuple[Leg, Relay | None]:
    """Return the call to a target, and the relay that it names for its result. Raises what ``results`` raises."""
    outgoing = results.through_us(incoming, target)
    url = f"{target.endpoint.rstrip('/')}{incoming.tail}" if incoming.tail else target.endpoint
    leg = Leg(
        target=target,
        method=incoming.method,
        url=f"{url}?{outgoing.query}" if outgoing.query else url,
        body=outgoing.body,
        from_=incoming.caller.ocpi_id,
        correlation_id=incoming.correlation_id,
    )
    return leg, outgoing.relay


def returned(incoming: Incoming, leg: Leg, answer: Answer) -> HttpResponse:
    """Return the target's answer for the requester, its URLs replaced by ours.

    Raises OcpiError 4000 for a next page that lies where our token must not go.
    """
    link = _link(incoming, leg, answer) if incoming.route.is_list else None
    location = _location(incoming, leg, answer) if incoming.method == "POST" else None
    response = passed_on(answer, to=incoming.caller.ocpi_id, from_=leg.target.party.ocpi_id)
    for name, value in (("Link", link), ("Location", location)):
        if value is not None:
            response[name] = value
    return response


def require_owner(incoming: Incoming) -> None:
    """Refuse objects of others: HTTP 404 by the URL (OBJ-10), 2001 by the body of a CDR (H6)."""
    owner = incoming.owner_in_url()
    if owner is not None and not incoming.is_callers(owner):
        raise not_found()
    route = incoming.route
    if (route.module, route.role, incoming.method) != ("cdrs", "RECEIVER", "POST"):
        return
    if not incoming.is_callers(PartyId.of(incoming.text("country_code"), incoming.text("party_id"))):
        raise invalid("country_code, party_id: must be those of the party that sends the CDR")


def _require_agreed_owner(incoming: Incoming, target: Target) -> None:
    """Refuse, as not there, objects of another party of the calling platform that has no agreement with the target.

    Whoever announces parties, such as another hub, speaks for one in the role that owns such objects only.
    """
    owner, module = incoming.owner_in_url(), incoming.route.module
    if owner is None or owner == incoming.caller.ocpi_id:
        return
    roles = addressed_roles(Route(module, v221.InterfaceRole.SENDER.value))
    owners = [party for party in incoming.known.parties if party.ocpi_id == owner and party.role in roles]
    if not any(is_agreed(party, target.party, module=module) for party in owners):
        raise not_found()


def _refusal(incoming: Incoming, target: Target) -> Refused | None:
    """What the fence says; raises OcpiError 404 with 2003 for a Location that the caller does not see, and 2001 for a
    command to an operator with fences that cannot be read as such."""
    route = incoming.route
    if (route.module, route.role) == ("locations", "SENDER"):
        _require_visible(incoming, target)
        return None
    type_ = _FENCED.get(route.rest[0]) if (route.module, route.role) == ("commands", "RECEIVER") else None
    if type_ is None or not fence().has_fences(owner=target.party):
        return None
    command: Any = codec.decode(type_, incoming.members)
    if route.rest[0] == v221.CommandType.UNLOCK_CONNECTOR:
        is_seen = fence().may_see(
            party=incoming.caller, owner=target.party, location_id=command.location_id, now=incoming.now
        )
        return None if is_seen else Refused("Unknown Location.", "", is_hidden=True)
    return fence().refusal(
        party=incoming.caller,
        owner=target.party,
        location_id=command.location_id,
        evse_uid=command.evse_uid,
        token_group=command.token.group_id,
        command=route.rest[0],
        now=incoming.now,
    )


def _require_visible(incoming: Incoming, target: Target) -> None:
    """Refuse what a fence hides; a list that would show it is asked of the hub, which leaves it out."""
    rest = incoming.route.rest
    if any(mark in part for part in rest for mark in "/\\;") and fence().has_fences(owner=target.party):
        # Some take such an id apart and would show what lies below another one.
        raise not_found("unknown location", StatusCode.UNKNOWN_LOCATION)
    if not rest and fence().has_fences(owner=target.party):
        raise OcpiError(
            StatusCode.CLIENT_ERROR,
            f"OCPI-to-party-id: the Locations of {target.party.ocpi_id} are listed by this hub (GET all)",
        )
    visible = not rest or fence().may_see(
        party=incoming.caller, owner=target.party, location_id=rest[0], now=incoming.now
    )
    if not visible:
        raise not_found("unknown location", StatusCode.UNKNOWN_LOCATION)


def _rejected(refused: Refused) -> v221.CommandResponse:
    text = f"{refused.text} Ref {refused.ref}" if refused.ref else refused.text
    return v221.CommandResponse(
        result=v221.CommandResponseType.REJECTED,
        timeout=0,
        message=(v221.DisplayText(language="en", text=text[:512]),),
    )


def _learn(incoming: Incoming, target: Target) -> None:
    """Remember whom a Session or Location concerns that was just pushed to its receiver."""
    owner, route = incoming.owner_in_url(), incoming.route
    if owner is None or route.module not in trails.LEARNED or len(route.rest[2]) > _MAX_ID_CHARS:
        return
    if incoming.method not in ("PUT", "PATCH"):
        return
    concerned: list[Party] = [
        party for party in incoming.known.parties if party.ocpi_id == owner and party.role == v221.Role.CPO
    ]
    if route.module == "sessions":
        concerned.append(target.party)
    trails.learn(module=route.module, object_key=route.rest[2], parties=concerned, now=incoming.now)


def _link(incoming: Incoming, leg: Leg, answer: Answer) -> str | None:
    """Our URL of the target's next page: our endpoint with its query, or a relay where it is anything else (HUB-24)."""
    elsewhere = OcpiError(StatusCode.HUB_ERROR, f"the next page of {leg.target.party.ocpi_id} lies elsewhere")
    try:
        url = next_page(answer, leg.url)
    except CallFailed:
        raise elsewhere from None
    if url is None:
        return None
    query = rewriting.query_below(url, leg.target.endpoint)
    if query is not None and not relays.is_link(query):
        module = incoming.route.module
        return link_header(f"{settings.OCPI_PUBLIC_URL}{interface_path(module, 'SENDER')}?{query}")
    if len(url) > relays.MAX_URL_CHARS or not leg.target.may_get(url):
        raise elsewhere
    relay = _relay(incoming, leg.target, Relay.Kind.LINK, url)
    return link_header(relays.url_of(relay))


def _location(incoming: Incoming, leg: Leg, answer: Answer) -> str | None:
    """Our URL of the CDR that the target has stored; one that is not the target's is left out (HUB-25, O8)."""
    location = answer.headers.get("Location", "")
    if incoming.route.module != "cdrs" or not location or not answer.is_success:
        return None
    try:
        url = urljoin(leg.url, location)
    except ValueError:
        return None
    if len(url) > relays.MAX_URL_CHARS or not leg.target.may_get(url):
        return None
    return relays.url_of(_relay(incoming, leg.target, Relay.Kind.LOCATION, url))


def _relay(incoming: Incoming, target: Target, kind: Relay.Kind, url: str) -> Relay:
    life = relays.LOCATION_LIFE if kind == Relay.Kind.LOCATION else relays.LINK_LIFE
    return relays.open_relay(
        kind=kind,
        module=incoming.route.module,
        caller=incoming.caller,
        target=target.party,
        url=url,
        expires_at=incoming.now + life,
    )
