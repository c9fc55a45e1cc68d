"""Headers of the pages that people open."""

from collections.abc import Callable

from django.http import HttpRequest
from django.http.response import HttpResponseBase

# The admin's framework evaluates expressions in its own attributes, so scripts cannot be pinned down further; but
# nothing is loaded from or sent to anywhere else.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class PageHeaders:
    """Adds a content security policy to every answer that has none."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        response = self._get_response(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response
