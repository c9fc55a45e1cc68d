"""The OpenAPI document of what this installation serves, generated from the types and the interface table."""

from functools import cache

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from ocpi import codec
from ocpi.http import respond_to_error
from ocpi.interfaces import V221_INTERFACES
from ocpi.openapi import document
from ocpi.status import method_not_allowed
from roaming import own


def openapi(request: HttpRequest) -> HttpResponse:
    """Answer the document; it is public, as the protocol is."""
    if request.method != "GET":
        return respond_to_error(method_not_allowed(["GET"]))
    return HttpResponse(described(tuple(own.interfaces())), content_type="application/json")


@cache
def described(interfaces: tuple[tuple[str, str], ...]) -> bytes:
    """Return the document of these (module, role) as JSON."""
    served = {
        key: V221_INTERFACES[key] for key in (("versions", "SENDER"), *interfaces) if key in V221_INTERFACES
    }
    return codec.encode(
        document(served, base_url=settings.OCPI_PUBLIC_URL, title="Yardgate", version="2.2.1")
    )
