"""Which way a request goes that reaches a hub: no header names the case, so it follows from four facts. [pure]

Chapter "Transport and format", message routing. Configuration modules (versions, credentials, hubclientinfo) are
never routed: they are the hub's own.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

from ocpi.headers import PartyId
from ocpi.interfaces import V221_INTERFACES
from ocpi.status import OcpiError, StatusCode, invalid
from ocpi.v221 import InterfaceRole, ModuleID, Role

CONFIGURATION = frozenset({"versions", ModuleID.CREDENTIALS.value, ModuleID.HUBCLIENTINFO.value})
SHAREABLE = frozenset({ModuleID.LOCATIONS.value, ModuleID.TARIFFS.value, ModuleID.TOKENS.value})
"""What may be broadcast; Sessions and CDRs concern one party (HUB-39)."""

FUNCTIONAL = frozenset(interface.module for interface in V221_INTERFACES.values()) - CONFIGURATION
"""The modules that parties have, and that are routed between them."""

PUSHES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS = PUSHES | {"GET"}
"""What travels through a hub; no interface has other methods (HTP-01)."""

_CPO = frozenset({Role.CPO.value})
_EMSP_SIDE = (Role.EMSP.value, Role.NSP.value, Role.SCSP.value, Role.NAP.value, Role.OTHER.value)
# Who receives what a role broadcasts (chapter "Transport and format", 5.3.4); NAP only what CPOs share.
_AUDIENCE = {
    Role.CPO.value: frozenset({Role.EMSP.value, Role.NSP.value, Role.NAP.value, Role.OTHER.value}),
    Role.EMSP.value: _CPO,
    Role.OTHER.value: _CPO,
}


@dataclass(frozen=True, slots=True)
class Route:
    """One functional endpoint: ``module``, its side ``role`` (SENDER, RECEIVER), and the decoded path below it."""

    module: str
    role: str
    rest: tuple[str, ...] = ()

    @property
    def is_list(self) -> bool:
        """Whether it is the list of the Sender interface."""
        return self.role == InterfaceRole.SENDER.value and not self.rest


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request says about its way; ``to`` None when the caller leaves the choice to the hub."""

    route: Route
    method: str
    to: PartyId | None
    from_: PartyId


class Case(StrEnum):
    """The ways through a hub."""

    LOCAL = "LOCAL"
    """For a party that is hosted here: its module answers."""
    FORWARD = "FORWARD"
    """For a party on another platform."""
    BROADCAST = "BROADCAST"
    """A push to the hub: kept, and passed on to everybody whom it concerns."""
    KEPT = "KEPT"
    """GET of one object that was broadcast."""
    GET_ALL = "GET_ALL"
    """The lists of all parties as one."""
    OPEN = "OPEN"
    """The hub finds the addressee."""


_PREFIXES = {
    interface.path: (interface.module, interface.role)
    for interface in V221_INTERFACES.values()
    if interface.module not in CONFIGURATION
}


def route_of(path: str) -> Route | None:
    """Return the functional endpoint that a raw path (percent-encoded, no slash at its end) lies below, or None."""
    pieces = path.split("/")
    found = _PREFIXES.get("/".join(pieces[:5]))
    if found is None:
        return None
    return Route(found[0], found[1], tuple(unquote(piece) for piece in pieces[5:]))


def methods_of(route: Route) -> tuple[str, ...]:
    """Return the methods that the interface has for a path; none where it has no such path.

    A word of the interface, such as a command, is only itself; everything else stands for one non-empty id.
    """
    suffix = _suffix_of(route)
    return () if suffix is None else V221_INTERFACES[route.module, route.role].methods(suffix)


def _suffix_of(route: Route) -> str | None:
    suffixes = {each.path_suffix for each in V221_INTERFACES[route.module, route.role].operations}
    wanted = [f"/{part}" for part in route.rest]
    for suffix in sorted(suffixes, key=lambda each: each.count("{")):
        parts = [f"/{part}" for part in suffix.split("/")[1:]]
        if len(parts) == len(wanted) and all(
            part == given or (part.startswith("/{") and given != "/") for part, given in zip(parts, wanted)
        ):
            return suffix
    return None


def is_safe_below(segment: str) -> bool:
    """Tell whether a decoded path segment stays below its endpoint, however its reader takes it apart.

    Some decode before they split, take a backslash for a slash, or cut at a semicolon; none of that may climb.
    """
    pieces = segment.replace("\\", "/").split("/")
    return all(piece.partition(";")[0] not in (".", "..") for piece in pieces)


def case_of(ask: Ask, *, hub: PartyId | None, own: Collection[PartyId]) -> Case:
    """Return the way of a request; ``hub`` is our hub party, None where there is none, ``own`` all parties hosted here.

    Raises OcpiError 2001 for a list without addressee (HUB-47), 2000 for what is never sent to a hub itself (HUB-39).
    """
    if hub is None:
        return Case.LOCAL
    if ask.to is None:
        if ask.route.is_list:
            raise invalid("OCPI-to-party-id: a list is asked of one party, or of the hub for all (GET all)")
        return Case.OPEN
    if ask.to != hub:
        return Case.LOCAL if ask.to in own else Case.FORWARD
    if ask.route.role == InterfaceRole.SENDER.value:
        # What the hub does not keep itself it finds by its id.
        return Case.GET_ALL if ask.method == "GET" and ask.route.is_list else Case.OPEN
    if ask.route.module not in SHAREABLE:
        raise OcpiError(
            StatusCode.CLIENT_ERROR,
            f"{ask.route.module} concern one party: name it in OCPI-to-party-id, a hub broadcasts only "
            "locations, tariffs and tokens",
        )
    return Case.BROADCAST if ask.method in PUSHES else Case.KEPT


def audience(role: str) -> frozenset[str]:
    """Return the roles that learn of what a party in this role broadcasts (HUB-30, HUB-34)."""
    return _AUDIENCE.get(role, frozenset())


def acting_roles(route: Route) -> tuple[str, ...]:
    """Return the roles that call this side of this module, the most likely first."""
    return _EMSP_SIDE if addressed_roles(route) == (Role.CPO.value,) else (Role.CPO.value,)


def addressed_roles(route: Route) -> tuple[str, ...]:
    """Return the roles that serve this side of this module, the most likely first."""
    is_cpos_sender = route.module not in (ModuleID.TOKENS, ModuleID.COMMANDS, ModuleID.CHARGINGPROFILES)
    is_cpo = is_cpos_sender == (route.role == InterfaceRole.SENDER.value)
    return (Role.CPO.value,) if is_cpo else _EMSP_SIDE
