"""The outermost layer of the OCPI face: paths, message ids, headers, and JSON for every error."""

import logging
import re
import uuid
from collections.abc import Callable
from functools import lru_cache

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import Resolver404, ResolverMatch, URLResolver, get_resolver
from django.utils.module_loading import import_string

from ocpi.http import error_for_http_status
from ocpi.interfaces import ROOT

log = logging.getLogger(__name__)

Answerer = Callable[[HttpRequest], HttpResponseBase]
"""What answers a request: the views, or a layer around them."""

_MESSAGE_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_MESSAGE_ID_HEADERS = {"X-Request-ID": "HTTP_X_REQUEST_ID", "X-Correlation-ID": "HTTP_X_CORRELATION_ID"}
_MAX_KEPT_CHARS = 36
_FIXED_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class OcpiMiddleware:
    """Serves everything below ``/ocpi`` by itself and passes all other paths on.

    Sessions, cookies, CSRF and messages are the admin's; a partner's call goes straight to its view, through the
    layers that the setting OCPI_MIDDLEWARE names, the outermost first.
    """

    def __init__(self, get_response: Answerer) -> None:
        self._get_response = get_response
        self._answer: Answerer = dispatched
        for path in reversed(settings.OCPI_MIDDLEWARE):
            self._answer = import_string(path)(self._answer)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        path = request.path_info
        if not path.startswith(ROOT + "/") and path != ROOT:
            return self._get_response(request)
        # Both forms are one resource, and nobody is redirected (HTP-07).
        request.path_info = path.removesuffix("/")
        ids = {name: _message_id(request.META.get(key)) for name, key in _MESSAGE_ID_HEADERS.items()}
        request.META["ocpi.message_ids"] = ids
        # An asynchronous result repeats the correlation id of its command (MID-07); what is longer than the
        # UUID that it should be is echoed, but not kept.
        correlation_id = ids["X-Correlation-ID"]
        request.META["ocpi.correlation_id"] = (
            correlation_id if len(correlation_id) <= _MAX_KEPT_CHARS else str(uuid.uuid4())
        )
        response = self._answered(request)
        for name, value in ids.items():
            response[name] = value
        for name, value in _FIXED_HEADERS.items():
            response[name] = value
        if isinstance(response, HttpResponse):
            response["Content-Length"] = str(len(response.content))
            if request.method == "HEAD":
                response.content = b""
        return response

    def _answered(self, request: HttpRequest) -> HttpResponseBase:
        try:
            request.get_host()
            return self._answer(request)
        except DisallowedHost:
            return error_for_http_status(400)
        except Exception:
            log.exception("http.unforeseen path=%s", request.path_info)
            return error_for_http_status(500)


def dispatched(request: HttpRequest) -> HttpResponseBase:
    """Answer a request by the view of its path: HTTP 404 where there is none."""
    try:
        match = _resolved(get_resolver(), request.path_info)
    except Resolver404:
        return error_for_http_status(404)
    request.resolver_match = match
    response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
    render = getattr(response, "render", None)
    return render() if render else response


@lru_cache(maxsize=1024)
def _resolved(resolver: URLResolver, path: str) -> ResolverMatch:
    # Lists are asked for again and again, and a resolver tries its patterns one after the other. What is not there is
    # not remembered: a caller could invent as much of it as it likes.
    return resolver.resolve(path)


def _message_id(given: str | None) -> str:
    """Return the caller's own id, or a new one when there is none that can be repeated (MID-02, MID-04)."""
    return given if given and _MESSAGE_ID.fullmatch(given) else str(uuid.uuid4())
