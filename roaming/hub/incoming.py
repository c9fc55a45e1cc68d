"""A request that reached the hub, and what its way is decided by; read from the wire as it came."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from django.http import HttpRequest

from ocpi import codec
from ocpi.headers import PartyId
from ocpi.http import has_body, read_body
from ocpi.interfaces import V221_INTERFACES
from ocpi.status import method_not_allowed, not_found
from roaming.auth import acting_party, routing_of
from roaming.lookup import Known
from roaming.models import Party
from roaming.routing import Ask, Route, acting_roles, is_safe_below, methods_of, route_of

# What may stand in a path as it is written (RFC 3986, pchar and the slash).
_PATH = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*", re.ASCII)
_QUERY = re.compile(r"[!-~]*", re.ASCII)


@dataclass(frozen=True)
class Incoming:
    """One request on a functional endpoint.

    ``tail`` is the path below the endpoint and ``query`` the query, both as they were written; ``caller`` is the
    acting party, ``hub`` our own.
    """

    request: HttpRequest
    route: Route
    tail: str
    query: str
    known: Known
    to: PartyId | None
    caller: Party
    hub: Party
    now: datetime

    @property
    def method(self) -> str:
        """The HTTP method."""
        return str(self.request.method)

    @property
    def ask(self) -> Ask:
        """What the decision on its way needs of it."""
        return Ask(self.route, self.method, self.to, self.caller.ocpi_id)

    @property
    def correlation_id(self) -> str:
        """The id that stays the same on all legs (MID-05)."""
        return str(self.request.META["ocpi.message_ids"]["X-Correlation-ID"])

    @cached_property
    def body(self) -> bytes:
        """The body as it came, empty when there is none; raises what ``ocpi.http.read_body`` raises."""
        return read_body(self.request) if has_body(self.request) else b""

    @property
    def content(self) -> bytes | None:
        """The body for the next leg; None where none came and the method needs none."""
        return self.body or (b"" if self.method in ("POST", "PUT", "PATCH") else None)

    @cached_property
    def members(self) -> dict[str, Any]:
        """The members of a body that is an object, else none. Raises MalformedJson for what is no JSON."""
        value = codec.parse(self.body) if self.body else None
        return value if isinstance(value, dict) else {}

    def text(self, *path: str) -> str:
        """Return a member of the body by its path when it is a text that can be one of OCPI, else an empty one."""
        value: Any = self.members
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value if isinstance(value, str) and value.isprintable() else ""

    def owner_in_url(self) -> PartyId | None:
        """Return whose object the URL of a Receiver interface names."""
        route = self.route
        if route.role != "RECEIVER" or len(route.rest) < 3 or route.module in _WITHOUT_OWNER:
            return None
        return PartyId.of(route.rest[0], route.rest[1])

    def is_callers(self, owner: PartyId) -> bool:
        """Tell whether a party is one of the calling platform."""
        return any(party.ocpi_id == owner for party in self.known.parties)


_WITHOUT_OWNER = frozenset({"cdrs", "commands", "chargingprofiles"})


def read(request: HttpRequest, route: Route, known: Known, hub: Party, now: datetime) -> Incoming:
    """Return what a request says. Raises OcpiError: 401 (HUB-09), 404 for a path that no target may get, 2001."""
    routing = routing_of(request)
    tail, query = _target(request, route)
    route = route_of(V221_INTERFACES[route.module, route.role].path + tail) or route
    _require_operation(route, str(request.method))
    return Incoming(
        request=request,
        route=route,
        tail=tail,
        query=query,
        known=known,
        to=routing.to,
        caller=_role_for(route, acting_party(known, routing.from_), known),
        hub=hub,
        now=now,
    )


def _require_operation(route: Route, method: str) -> None:
    """Refuse what no interface has: 404 for another path, 405 for another method.

    The hub decides by its own reading of a path and passes on what was written: what others may read otherwise is not
    passed on at all. Only the last segment, the object's own id, may hold a slash.
    """
    if not all(is_safe_below(segment) for segment in route.rest):
        raise not_found()
    if any(mark in segment for segment in route.rest[:-1] for mark in "/\\;"):
        raise not_found()
    methods = methods_of(route)
    if not methods:
        raise not_found()
    if method not in methods:
        raise method_not_allowed(methods)


def _role_for(route: Route, party: Party, known: Known) -> Party:
    """Of the roles of the acting party the one that calls this interface, the first of them otherwise."""
    roles = {each.role: each for each in known.parties if each.ocpi_id == party.ocpi_id}
    return next((roles[role] for role in acting_roles(route) if role in roles), party)


def _target(request: HttpRequest, route: Route) -> tuple[str, str]:
    """Return path below the endpoint, and query, as written.

    Dots that would climb out of an endpoint, and what is no path, are not found (I12): our token for a target must
    not open another of its URLs.
    """
    tail, query = _written_tail(request, route), str(request.META.get("QUERY_STRING", ""))
    segments = [unquote_to_bytes(segment) for segment in tail.split("/")]
    if not _PATH.fullmatch(tail) or not _QUERY.fullmatch(query) or "#" in query:
        raise not_found()
    if any(min(segment, default=32) < 32 for segment in segments):
        raise not_found()
    return tail, query


def _written_tail(request: HttpRequest, route: Route) -> str:
    """The path below the endpoint as it was written; encoded again where the server has kept only what it means."""
    endpoint = V221_INTERFACES[route.module, route.role].path
    raw = str(request.META.get("RAW_URI", "")).partition("?")[0].removesuffix("/")
    is_same = raw.startswith(endpoint) and unquote_to_bytes(raw) == request.path_info.encode()
    path = raw if is_same else quote(request.path_info, safe="/!$&'()*+,;=:@~")
    return path[len(endpoint) :]
