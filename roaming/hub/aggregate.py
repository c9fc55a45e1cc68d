"""GET all: the lists of all parties that the caller may see as one list (chapter "Transport and format", HUB-51 to 53).

Our own parties come first, then what was broadcast, or for sessions and CDRs the parties behind us as they answer now.
One of these that does not answer ends the call with 4002: a list that silently lacks a CPO would pass for complete.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from ocpi import v221
from ocpi.http import Page, respond
from ocpi.interfaces import interface_path
from ocpi.paging import PageQuery, link_header, next_link, parse_page
from ocpi.status import OcpiError, StatusCode, not_found
from ocpi.views import OcpiView
from roaming.approved import is_approved
from roaming.auth import CALLER, Caller
from roaming.hub import crawl, seeing
from roaming.hub.agreements import reachable_parties
from roaming.hub.fences import fence
from roaming.hub.gates import GATES, Budget, Crowded
from roaming.hub.keeping import asking_roles, owning_roles
from roaming.hub.legs import give_back_connection
from roaming.hub.sources import KeptSource, LiveSource, OwnSource, Source, named
from roaming.hub.targets import Target
from roaming.models import Endpoint, Party, Platform
from roaming.routing import SHAREABLE, Route
from roaming.secrets import SecretUnreadableError, read_outbound_token

_SENDER = v221.InterfaceRole.SENDER.value
LIVE = frozenset({v221.ModuleID.SESSIONS.value, v221.ModuleID.CDRS.value})
# Objects per page of what is read over the wire.
LIVE_LIMIT = 100
# So many parties are asked at the same time.
SIDE_BY_SIDE = 16

T = TypeVar("T")


def answer(request: HttpRequest, route: Route, caller: Caller) -> HttpResponse:
    """Answer a list asked of the hub; ``caller.own_party`` is the hub."""
    request.META[CALLER] = caller
    answered: HttpResponse = _view(request, route=route)
    return answered


class MergedListView(OcpiView):
    """GET of a merged list."""

    # Only for the limit of requests; the module is the route's.
    interface: ClassVar[tuple[str, str]] = ("hub", _SENDER)
    caller: Caller

    def get(self, request: Request, route: Route) -> HttpResponse:
        """Answer one page; ``X-Total-Count`` and ``Link`` are those of the merged list (HUB-52)."""
        now = timezone.now()
        params = request.query_params
        query = parse_page(params, cap=_cap(route.module, has_limit="limit" in params))
        sources = named(_sources(request._request, self.caller, route.module, query, now))
        text = params.get(crawl.PARAMETER)
        totals = _counted(sources.values()) if text is None else crawl.read_totals(text)
        wanted = crawl.slices(totals, offset=query.offset, limit=query.limit)
        pieces = _each(
            [_known(sources, piece.name) for piece in wanted], [_reading(piece) for piece in wanted]
        )
        documents = [document for piece in pieces for document in piece]
        total = sum(totals.values())
        return respond(
            Page(documents=documents, total=total), headers=_page_headers(route, query, totals, total)
        )


_view = MergedListView.as_view()


def _cap(module: str, *, has_limit: bool) -> int:
    cap: int = settings.OCPI_PAGE_LIMIT if has_limit else settings.OCPI_PAGE_DEFAULT
    return min(cap, LIVE_LIMIT) if module in LIVE else cap


def _page_headers(route: Route, query: PageQuery, totals: Mapping[str, int], total: int) -> dict[str, str]:
    headers = {"X-Total-Count": str(total), "X-Limit": str(query.limit)}
    url = settings.OCPI_PUBLIC_URL + interface_path(route.module, _SENDER)
    following = next_link(url, query, total=total, extra={crawl.PARAMETER: crawl.write_totals(totals)})
    if following is not None:
        headers["Link"] = link_header(following)
    return headers


def _sources(
    request: HttpRequest, caller: Caller, module: str, query: PageQuery, now: datetime
) -> list[Source]:
    """Return the lists in their fixed order. Raises OcpiError 404 for a module without lists."""
    if module not in SHAREABLE | LIVE or caller.own_party is None:
        raise not_found()
    asker = seeing.asking_party(caller, asking_roles(module))
    seen, asked = seeing.visible_roles(asker), frozenset[str]()
    if asker.role in asking_roles(module):
        asked = frozenset(owning_roles(module))
    reachable = reachable_parties(asker, module=module, roles=seen | asked)
    sources: list[Source] = []
    if (module, _SENDER) in settings.OCPI_INTERFACES:
        acting = replace(caller, party=asker)
        own = [party for party in reachable if party.is_own and party.role in asked & {v221.Role.CPO.value}]
        sources += [OwnSource(party, (module, _SENDER), request, acting, query) for party in own]
    if module in LIVE:
        there = [party for party in reachable if party.role in asked and not party.is_own]
        return [*sources, *_live_sources(request, asker, module, there, query)]
    owners = [party.pk for party in reachable if party.role in seen]
    is_fenced = module == v221.ModuleID.LOCATIONS
    hidden = list(fence().hidden_locations(party=asker, now=now)) if is_fenced else []
    return [*sources, KeptSource(caller.own_party, module, owners, hidden, query)]


def _live_sources(
    request: HttpRequest, asker: Party, module: str, parties: Sequence[Party], query: PageQuery
) -> Iterable[Source]:
    """The parties that are there; whoever is known to be away is left out."""
    budget = Budget(settings.HUB_FORWARD_SECONDS)
    platforms = {party.platform_id for party in parties}
    served = Endpoint.objects.filter(module=module, role=_SENDER, platform__in=platforms)
    connected = served.filter(platform__status=Platform.Status.CONNECTED).select_related("platform")
    endpoints = {endpoint.platform_id: endpoint for endpoint in connected}
    for party in parties:
        endpoint = endpoints.get(party.platform_id or 0)
        if endpoint is None or party.presence != Party.Presence.CONNECTED:
            continue
        yield LiveSource(
            target=_target(party, endpoint.platform, endpoint.url),
            asker=asker,
            query=query,
            correlation_id=request.META.get("ocpi.correlation_id", ""),
            sees_own_tokens_only=asker.role != v221.Role.SCSP,
            budget=budget,
        )


def _target(party: Party, platform: Platform, url: str) -> Target:
    if not is_approved(
        url, approved_hosts=platform.approved_hosts, require_https=settings.OUTBOUND_REQUIRE_HTTPS
    ):
        raise OcpiError(
            StatusCode.HUB_ERROR, f"{party.ocpi_id}: its endpoint lies on a host that is not agreed"
        )
    try:
        return Target(party, platform, url, read_outbound_token(platform))
    except SecretUnreadableError:
        raise OcpiError(StatusCode.HUB_ERROR, f"{party.ocpi_id}: cannot be called by us") from None


def _counted(sources: Iterable[Source]) -> dict[str, int]:
    listed = list(sources)
    totals = _each(listed, [lambda source: source.total()] * len(listed))
    return {source.name: total for source, total in zip(listed, totals, strict=True)}


def _reading(piece: crawl.Slice) -> Callable[[Source], Sequence[bytes]]:
    return lambda source: source.read(offset=piece.offset, limit=piece.limit)


def _known(sources: Mapping[str, Source], name: str) -> Source:
    if name not in sources:
        raise OcpiError(
            StatusCode.TIMEOUT, f"{name[:16]} was there when this list began, and is not any more"
        )
    return sources[name]


def _each(sources: Sequence[Source], works: Sequence[Callable[[Source], T]]) -> list[T]:
    """Do something with each source, in order; with those that are read over the wire side by side, after the others.

    While it waits for them it holds no database connection and one place of all. Raises OcpiError 4003 when there is
    none, and what the sources raise.
    """
    pairs = list(zip(sources, works, strict=True))
    done = {position: work(source) for position, (source, work) in enumerate(pairs) if source.lane is None}
    rows = _rows(
        {position: source.lane for position, source in enumerate(sources) if source.lane is not None}
    )
    if not rows:
        return [done[position] for position in range(len(pairs))]

    def worked_through(row: Sequence[int]) -> dict[int, T]:
        return {position: pairs[position][1](pairs[position][0]) for position in row}

    give_back_connection()
    with _a_place(), ThreadPoolExecutor(max_workers=min(len(rows), SIDE_BY_SIDE)) as pool:
        for answered in pool.map(worked_through, rows):
            done |= answered
    return [done[position] for position in range(len(pairs))]


def _rows(lanes: Mapping[int, Hashable]) -> list[list[int]]:
    """What is asked one after the other: of a platform with many parties one call takes half the places at most."""
    positions: dict[Hashable, list[int]] = defaultdict(list)
    for position, lane in lanes.items():
        positions[lane].append(position)
    width = max(1, settings.HUB_FORWARDS_PER_TARGET // 2)
    return [each[start::width] for each in positions.values() for start in range(min(width, len(each)))]


@contextmanager
def _a_place() -> Iterator[None]:
    try:
        with GATES.together():
            yield
    except Crowded:
        raise OcpiError(
            StatusCode.CONNECTION_PROBLEM, "too many requests are waiting, try again later"
        ) from None
