"""Where a party is reached: its row, its platform, the endpoint, our token; or why it is not (HUB-18 to HUB-21)."""

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import OuterRef, QuerySet, Subquery

from ocpi.headers import PartyId
from ocpi.status import OcpiError, StatusCode
from roaming import rawsql
from roaming.approved import is_on_approved_host
from roaming.hub.agreements import standing, standing_in
from roaming.lookup import columns
from roaming.models import Agreement, Endpoint, Party, Platform
from roaming.routing import Route, addressed_roles
from roaming.secrets import SecretUnreadableError, read_outbound_token


@dataclass(frozen=True)
class Target:
    """A party on another platform that can be called now; ``endpoint`` is empty where only a relay leads there."""

    party: Party
    platform: Platform
    endpoint: str
    token: str

    @property
    def key(self) -> tuple[int, int | None]:
        """What hangs when it hangs: the platform, or behind another hub the party alone."""
        return self.platform.pk, self.party.pk if self.party.is_behind_hub else None

    def may_get(self, url: str) -> bool:
        """Tell whether our token for this target may go to a URL (O6, O8)."""
        return is_on_approved_host(
            url,
            approved_hosts=self.platform.approved_hosts,
            require_https=settings.OUTBOUND_REQUIRE_HTTPS,
        )


@dataclass(frozen=True)
class _Offer:
    """One role of a party: where its platform serves an endpoint, and how it stands with the caller."""

    party: Party
    endpoint: str
    standing: Agreement.Status


def find_target(to: PartyId, *, route: Route, caller: Party) -> Target:
    """Return the target that TO names for an endpoint.

    Raises OcpiError 4001 when nobody is named so or nothing is agreed with the caller, and what ``reach`` raises.
    """
    offers = _offers(to, route, caller)
    offer = min(offers, key=lambda each: _rank(each, route), default=None)
    if offer is None:
        raise unknown(to)
    return _target(offer, route=route, caller=caller)


def reach(party: Party, *, route: Route, caller: Party) -> Target:
    """Return a party of ``parties_at`` as a target of the caller.

    Raises OcpiError 4001 when nothing is agreed, 4003 when the party is not connected, 4000 when it does not offer
    this endpoint, or its way leads back to where the call came from.
    """
    offer = _Offer(party, endpoint_of(party), standing(caller, party, module=route.module))
    return _target(offer, route=route, caller=caller)


def reach_again(party: Party, *, module: str, caller: Party) -> Target:
    """Return the target of a relay: no endpoint is needed. Raises OcpiError as ``reach``."""
    offer = _Offer(party, "", standing(caller, party, module=module))
    _require_agreement(offer, caller)
    return _connected(offer)


def parties_at(route: Route) -> QuerySet[Party]:
    """Return the parties of other platforms, each with the URL of this endpoint at its platform."""
    endpoint = Endpoint.objects.filter(
        platform=OuterRef("platform"), module=route.module, role=route.role
    ).values("url")[:1]
    return (
        Party.objects.filter(platform__isnull=False)
        .select_related("platform")
        .annotate(endpoint_url=Subquery(endpoint))
    )


def endpoint_of(party: Party) -> str:
    """Return the URL that ``parties_at`` found for a party, empty where its platform offers none."""
    return getattr(party, "endpoint_url", None) or ""


def unknown(to: PartyId) -> OcpiError:
    """4001, with one text whether nobody is named so or nothing is agreed with it (HUB-18)."""
    return OcpiError(
        StatusCode.UNKNOWN_RECEIVER, f"{to} is unknown to this hub, or has no agreement with you"
    )


def not_connected(party: Party) -> OcpiError:
    """4003 (HUB-20)."""
    return OcpiError(StatusCode.CONNECTION_PROBLEM, f"{party.ocpi_id} is not connected")


def _target(offer: _Offer, *, route: Route, caller: Party) -> Target:
    _require_agreement(offer, caller)
    if offer.party.role not in addressed_roles(route) or not offer.endpoint:
        raise OcpiError(
            StatusCode.HUB_ERROR, f"{offer.party.ocpi_id} offers no endpoint for {route.module} {route.role}"
        )
    return _connected(offer)


def _require_agreement(offer: _Offer, caller: Party) -> None:
    party = offer.party
    if offer.standing == Agreement.Status.ENDED:
        raise unknown(party.ocpi_id)
    if offer.standing == Agreement.Status.PLANNED:
        raise not_connected(party)
    # A hub that asks for a party behind itself would get its own question back.
    if party.platform_id == caller.platform_id and (party.is_behind_hub or caller.is_behind_hub):
        raise OcpiError(StatusCode.HUB_ERROR, f"{party.ocpi_id} is reached by the hub that asks for it")


def _connected(offer: _Offer) -> Target:
    party, platform = offer.party, offer.party.platform
    is_connected = (
        platform is not None
        and party.is_active
        and party.presence == Party.Presence.CONNECTED
        and platform.status == Platform.Status.CONNECTED
    )
    if platform is None or not is_connected:
        raise not_connected(party)
    try:
        token = read_outbound_token(platform)
    except SecretUnreadableError:
        raise OcpiError(StatusCode.HUB_ERROR, f"the link to {party.ocpi_id} is out of order") from None
    return Target(party, platform, offer.endpoint, token)


def _rank(offer: _Offer, route: Route) -> tuple[bool, bool, int, bool, bool]:
    """Who of several roles of one party is meant: one that serves this and may be reached, the likeliest that is there
    and has the endpoint."""
    roles, role = addressed_roles(route), offer.party.role
    place = roles.index(role) if role in roles else len(roles)
    is_barred = offer.standing == Agreement.Status.ENDED
    return role not in roles, is_barred, place, not offer.party.is_active, not offer.endpoint


def _offers(to: PartyId, route: Route, caller: Party) -> list[_Offer]:
    """All roles of a party; one statement, since it runs before every request that is forwarded."""
    values = [route.module, route.role, caller.pk, caller.pk, to.country_code, to.party_id]
    return [_offer(row, route.module) for row in rawsql.fetch(_QUERY, values)]


def _offer(row: tuple[Any, ...], module: str) -> _Offer:
    url, status, modules = row[:_PLATFORM]
    party = Party.from_db("default", _PARTY_FIELDS, row[_PARTY:])
    party.platform = Platform.from_db("default", _PLATFORM_FIELDS, row[_PLATFORM:_PARTY])
    return _Offer(party, url or "", standing_in(module, status=status, modules=modules))


# In the order of the model, as `from_db` reads them.
_PLATFORM_FIELDS = ("id", "name", "status", "outbound_token", "approved_hosts", "accept_raw_token")
_PARTY_FIELDS = tuple(field.attname for field in Party._meta.concrete_fields)
_PLATFORM = 3
_PARTY = _PLATFORM + len(_PLATFORM_FIELDS)
_QUERY = f"""
SELECT e.url, a.status, a.modules, {columns(Platform, "p", _PLATFORM_FIELDS)}, {columns(Party, "y", _PARTY_FIELDS)}
FROM {Party._meta.db_table} y
JOIN {Platform._meta.db_table} p ON p.id = y.platform_id
LEFT JOIN {Endpoint._meta.db_table} e ON e.platform_id = p.id AND e.module = %s AND e.role = %s
LEFT JOIN {Agreement._meta.db_table} a ON a.one_id = LEAST(y.id, %s::bigint) AND a.other_id = GREATEST(y.id, %s::bigint)
WHERE y.country_code = %s AND y.party_id = %s
"""
