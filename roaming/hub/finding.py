"""Open routing: whom a request concerns that names nobody (HUB-45 to HUB-48).

Each module says by itself whose it is: the token's owner of a Session or CDR, the Location or Session of a command.
What was pushed by is remembered by its id (``HubTrail``), what was broadcast is kept (``HubDocument``).
"""

from collections.abc import Callable, Collection, Mapping

from ocpi.headers import PartyId
from ocpi.status import OcpiError, StatusCode
from roaming.hub import trails
from roaming.hub.agreements import parties_for
from roaming.hub.incoming import Incoming
from roaming.hub.targets import Target, find_target, parties_at, reach
from roaming.models import HubDocument, Party
from roaming.routing import addressed_roles


def find(incoming: Incoming) -> Target | Party | None:
    """Return whom a request concerns: a target elsewhere, a party of ours, or None when nothing says so.

    Raises OcpiError 4001 when several parties may be meant, and what ``find_target`` raises.
    """
    find_by = _WAYS.get((incoming.route.module, incoming.route.role))
    return find_by(incoming) if find_by else None


def nobody(incoming: Incoming) -> OcpiError:
    """4001 for a request that leads to nobody (HUB-48)."""
    route = incoming.route
    return OcpiError(
        StatusCode.UNKNOWN_RECEIVER,
        f"nothing says whom this request for {route.module} concerns: name the party in OCPI-to-party-id",
    )


def _by_location_in_url(incoming: Incoming) -> Target | Party | None:
    return _by_object(incoming, "locations", "".join(incoming.route.rest[:1]))


def _by_session_in_url(incoming: Incoming) -> Target | Party | None:
    return _by_object(incoming, "sessions", "".join(incoming.route.rest[:1]))


def _by_command(incoming: Incoming) -> Target | Party | None:
    session_id = incoming.text("session_id")
    if session_id:
        return _by_object(incoming, "sessions", session_id)
    return _by_object(incoming, "locations", incoming.text("location_id"))


def _by_token_of_session(incoming: Incoming) -> Target | Party | None:
    return _by_token(incoming) or _by_object(incoming, "sessions", "".join(incoming.route.rest[2:3]))


def _by_token(incoming: Incoming) -> Target | Party | None:
    country_code = incoming.text("cdr_token", "country_code")
    party_id = incoming.text("cdr_token", "party_id")
    if not country_code or not party_id:
        return None
    to = PartyId.of(country_code, party_id)
    roles = addressed_roles(incoming.route)
    mine = (party for party in incoming.known.own_parties if party.ocpi_id == to and party.role in roles)
    ours = next(mine, None)
    return ours or find_target(to, route=incoming.route, caller=incoming.caller)


def _by_object(incoming: Incoming, module: str, object_id: str) -> Target | Party | None:
    """Whom the trail of an object leads to; else our own CPO, which may have it without ever having told anybody."""
    if not object_id:
        return None
    owners = _owners(module, object_id) | trails.concerned(module=module, object_key=object_id)
    found = _reachable(incoming, owners)
    if len(found) > 1:
        raise OcpiError(
            StatusCode.UNKNOWN_RECEIVER,
            f"{module} {object_id[:36]!a} is known of several parties: name one in OCPI-to-party-id",
        )
    if found:
        return reach(found[0], route=incoming.route, caller=incoming.caller)
    return _only_own(incoming)


def _owners(module: str, object_id: str) -> set[int]:
    rows = HubDocument.objects.filter(module=module, object_key=object_id.upper(), is_deleted=False)
    return set(rows.values_list("owner_id", flat=True))


def _reachable(incoming: Incoming, keys: Collection[int]) -> list[Party]:
    """Of these parties those that serve this interface and that the caller may reach."""
    route, caller = incoming.route, incoming.caller
    if not keys:
        return []
    agreed = parties_for(caller, module=route.module, roles=addressed_roles(route))
    return list(parties_at(route).filter(pk__in=keys).filter(pk__in=agreed.values("pk")).order_by("pk"))


def _only_own(incoming: Incoming) -> Party | None:
    roles = addressed_roles(incoming.route)
    own = [party for party in incoming.known.own_parties if party.role in roles]
    return own[0] if len(own) == 1 else None


_WAYS: Mapping[tuple[str, str], Callable[[Incoming], Target | Party | None]] = {
    ("locations", "SENDER"): _by_location_in_url,
    ("sessions", "SENDER"): _by_session_in_url,
    ("sessions", "RECEIVER"): _by_token_of_session,
    ("cdrs", "RECEIVER"): _by_token,
    ("commands", "RECEIVER"): _by_command,
    ("chargingprofiles", "RECEIVER"): _by_session_in_url,
    ("chargingprofiles", "SENDER"): _by_session_in_url,
}
