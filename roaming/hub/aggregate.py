"""The lists of all parties as one (GET all)."""

from django.http import HttpRequest, HttpResponse

from ocpi.status import OcpiError, StatusCode
from roaming.auth import Caller
from roaming.routing import Route


def answer(request: HttpRequest, route: Route, caller: Caller) -> HttpResponse:
    """Answer one page of the merged list. Raises OcpiError 4000: not here."""
    raise OcpiError(StatusCode.HUB_ERROR, "not here")
