"""Where a party is reached: its row, its platform, the endpoint, our token; or why it is not (HUB-18 to HUB-21)."""

from dataclasses import dataclass

from django.conf import settings
from django.db.models import OuterRef, Q, QuerySet, Subquery

from ocpi.headers import PartyId
from ocpi.status import OcpiError, StatusCode
from roaming.approved import is_on_approved_host
from roaming.hub.agreements import standing
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


def find_target(to: PartyId, *, route: Route, caller: Party) -> Target:
    """Return the target that TO names for an endpoint.

    Raises OcpiError 4001 when nobody is named so or nothing is agreed with the caller, and what ``reach`` raises.
    """
    named = Q(country_code=to.country_code, party_id=to.party_id)
    rows = parties_at(route).filter(named)
    party = min(rows, key=lambda row: _rank(row, route), default=None)
    if party is None:
        raise unknown(to)
    return reach(party, route=route, caller=caller)


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


def reach(party: Party, *, route: Route, caller: Party) -> Target:
    """Return a party of ``parties_at`` as a target of the caller.

    Raises OcpiError 4001 when nothing is agreed, 4003 when the party is not connected, 4000 when it does not offer
    this endpoint, or its way leads back to where the call came from.
    """
    _require_agreement(party, route=route, caller=caller)
    endpoint = endpoint_of(party)
    if party.role not in addressed_roles(route) or not endpoint:
        raise OcpiError(
            StatusCode.HUB_ERROR, f"{party.ocpi_id} offers no endpoint for {route.module} {route.role}"
        )
    return _connected(party, endpoint)


def reach_again(party: Party, *, module: str, caller: Party) -> Target:
    """Return the target of a relay: no endpoint is needed. Raises OcpiError as ``reach``."""
    _require_agreement(party, route=Route(module, ""), caller=caller)
    return _connected(party, "")


def unknown(to: PartyId) -> OcpiError:
    """4001, with one text whether nobody is named so or nothing is agreed with it (HUB-18)."""
    return OcpiError(
        StatusCode.UNKNOWN_RECEIVER, f"{to} is unknown to this hub, or has no agreement with you"
    )


def not_connected(party: Party) -> OcpiError:
    """4003 (HUB-20)."""
    return OcpiError(StatusCode.CONNECTION_PROBLEM, f"{party.ocpi_id} is not connected")


def _require_agreement(party: Party, *, route: Route, caller: Party) -> None:
    status = standing(caller, party, module=route.module)
    if status == Agreement.Status.ENDED:
        raise unknown(party.ocpi_id)
    if status == Agreement.Status.PLANNED:
        raise not_connected(party)
    # A hub that asks for a party behind itself would get its own question back.
    if party.platform_id == caller.platform_id and (party.is_behind_hub or caller.is_behind_hub):
        raise OcpiError(StatusCode.HUB_ERROR, f"{party.ocpi_id} is reached by the hub that asks for it")


def _connected(party: Party, endpoint: str) -> Target:
    platform = party.platform
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
    return Target(party, platform, endpoint, token)


def _rank(party: Party, route: Route) -> tuple[int, bool, bool]:
    """Who of several roles of one party is meant: the one that serves this, is there, and has the endpoint."""
    roles = addressed_roles(route)
    place = roles.index(party.role) if party.role in roles else len(roles)
    return place, not party.is_active, not endpoint_of(party)
