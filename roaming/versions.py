"""Our face of the Versions module; open to every kind of token (VER)."""

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from ocpi.http import respond
from ocpi.interfaces import VERSIONS
from ocpi.views import OcpiView
from roaming import own


class VersionsView(OcpiView):
    """`GET /ocpi/versions`."""

    interface = (VERSIONS, "SENDER")
    open_to: ClassVar[frozenset[str]] = frozenset("ABC")
    is_functional = False

    def get(self, request: Request) -> HttpResponse:
        """Answer the versions that we serve."""
        return respond(own.versions())


class DetailsView(OcpiView):
    """`GET /ocpi/2.2.1`."""

    interface = (VERSIONS, "SENDER")
    open_to: ClassVar[frozenset[str]] = frozenset("ABC")
    is_functional = False

    def get(self, request: Request) -> HttpResponse:
        """Answer the endpoints of this installation."""
        return respond(own.details())
