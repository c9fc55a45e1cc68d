"""Pushes to the hub itself, and what it keeps of them."""

from django.http import HttpRequest, HttpResponse

from ocpi.status import OcpiError, StatusCode
from roaming.auth import Caller
from roaming.routing import Route


def answer(request: HttpRequest, route: Route, caller: Caller) -> HttpResponse:
    """Answer a push to the hub, or a GET of what it keeps. Raises OcpiError 4000: not here."""
    raise OcpiError(StatusCode.HUB_ERROR, "not here")
