"""Stands in the place of the hub's middleware where there is none: what is addressed to the hub goes to it."""

from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path, resolve
from django.utils import timezone

from ocpi.headers import parse_routing
from ocpi.http import respond_to_error
from ocpi.status import OcpiError
from roaming.auth import CALLER, Caller
from roaming.hub import aggregate, receiver
from roaming.lookup import find_known
from roaming.routing import Ask, Case, case_of, route_of
from tests.roaming.hub_members import HUB


def _by_addressee(request: HttpRequest) -> HttpResponse:
    try:
        return _answer_of_hub(request) or _answer_of_module(request)
    except OcpiError as error:
        return respond_to_error(error)


def _answer_of_hub(request: HttpRequest) -> HttpResponse | None:
    route = route_of(request.path_info)
    known = find_known(str(request.META.get("HTTP_AUTHORIZATION", "")), timezone.now())
    routing = parse_routing(dict(request.headers))
    if route is None or CALLER in request.META or known is None or routing.to != HUB or routing.from_ is None:
        return None
    caller = Caller(
        platform=known.platform,
        token_id=known.token_id,
        token_kind=known.token_kind,
        token=known.token,
        parties=known.parties,
        party=next(each for each in known.parties if each.ocpi_id == routing.from_),
        own_party=next(each for each in known.own_parties if each.role == "HUB"),
    )
    own = [each.ocpi_id for each in known.own_parties]
    case = case_of(Ask(route, request.method or "", routing.to, routing.from_), hub=HUB, own=own)
    if case in (Case.BROADCAST, Case.KEPT):
        return receiver.answer(request, route, caller)
    return aggregate.answer(request, route, caller) if case is Case.GET_ALL else None


def _answer_of_module(request: HttpRequest) -> HttpResponse:
    view, arguments, ids = resolve(request.path_info, urlconf="tests.roaming.hub_routes")
    answer: HttpResponse = view(request, *arguments, **ids)
    return answer


urlpatterns = [re_path(r"(?s)^ocpi/2\.2\.1/.*$", _by_addressee), path("", include("config.urls"))]
