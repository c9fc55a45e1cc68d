"""OCPI over HTTP: the envelope, what DRF needs to read and write it, and errors as partners see them
(chapters "Transport and format" and "Status codes")."""

import contextlib
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import IO, Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from ocpi import codec, slow
from ocpi.scalars import write_datetime
from ocpi.status import OcpiError, StatusCode, method_not_allowed, not_found, unauthorized

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/json"
# Longer than a megabyte needs on a poor line; a thread that waits for a body serves nobody else.
BODY_SECONDS = 5.0
BODY = "ocpi.body"
"""Where ``read_body`` keeps what it has read, in ``request.META``; no header of a request has such a name."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_JSON_TYPE = re.compile(r"application/(?:[a-z0-9.-]+\+)?json", re.ASCII)
_UTF8 = frozenset({"utf-8", "utf8", "us-ascii"})


@dataclass(frozen=True)
class Page:
    """One page of a list: the JSON bytes of each object, and the number of matches over all pages."""

    documents: Sequence[bytes]
    total: int


def respond(
    data: Any = None,
    *,
    status_code: int = StatusCode.SUCCESS,
    message: str = "",
    http_status: int = 200,
    headers: Mapping[str, str] = _NO_HEADERS,
) -> HttpResponse:
    """Return an answer in the envelope (ENV-01).

    ``data`` is JSON bytes, inserted as they are; a Page, whose documents are joined; any other object, which
    is encoded; or None for an answer without data (ENV-04).
    """
    if data is None:
        opening: tuple[bytes, ...] = (b"{",)
    elif isinstance(data, Page):
        opening = (b'{"data":[', *_listed(data.documents), b"],")
    else:
        opening = (b'{"data":', data if isinstance(data, bytes) else codec.encode(data), b",")
    shown = b'"status_message":' + codec.encode(message) + b"," if message else b""
    timestamp = write_datetime(datetime.now(UTC)).encode("ascii")
    content = b"".join(
        (*opening, b'"status_code":%d,' % int(status_code), shown, b'"timestamp":"', timestamp, b'"}')
    )
    return HttpResponse(content, status=http_status, content_type=CONTENT_TYPE, headers=dict(headers))


def _listed(documents: Sequence[bytes]) -> Sequence[bytes]:
    """The documents with commas in between, to be joined once: a page may be megabytes."""
    pieces = [b","] * (2 * len(documents) - 1)
    pieces[::2] = documents
    return pieces


def respond_to_error(error: OcpiError) -> HttpResponse:
    """Return a refusal or fault in the envelope."""
    return respond(
        error.data,
        status_code=error.status_code,
        message=error.message,
        http_status=error.http_status,
        headers=error.headers,
    )


def read_json(request: HttpRequest) -> Any:
    """Return the parsed body of a request. Raises what ``read_body`` raises, and MalformedJson."""
    return codec.parse(read_body(request))


def read_body(request: HttpRequest) -> bytes:
    """Return the bytes of a JSON body, read once and remembered with the request.

    Raises MalformedJson for a body that broke off, OcpiError with HTTP 413 (too long) or 415 (another type or encoding
    than JSON).
    """
    body = request.META.get(BODY)
    if body is None:
        body = request.META[BODY] = _received(request)
    return bytes(body)


def has_body(request: HttpRequest) -> bool:
    """Whether a request carries a body, by its headers. Raises MalformedJson for a length that is none."""
    return _body(request)[1] != 0


def _received(request: HttpRequest) -> bytes:
    _require_json_type(request)
    stream, length = _body(request)
    if length > codec.MAX_BYTES:
        raise _too_long()
    try:
        with _in_time(request):
            body = stream.read(length if length >= 0 else codec.MAX_BYTES + 1)
    except UnreadablePostError:
        raise codec.MalformedJson("the body broke off") from None
    if len(body) < length:
        raise codec.MalformedJson(f"the body broke off, or took longer than {BODY_SECONDS:g} seconds")
    if len(body) > codec.MAX_BYTES:
        raise _too_long()
    return body


def _in_time(request: HttpRequest) -> contextlib.AbstractContextManager[None]:
    """Bound the time of the whole body where the server lets us reach the connection (gunicorn does)."""
    client = request.META.get("gunicorn.socket")
    if client is None:
        return contextlib.nullcontext()
    return slow.watch.reading(client, seconds=BODY_SECONDS)


def _require_json_type(request: HttpRequest) -> None:
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise OcpiError(StatusCode.CLIENT_ERROR, "Content-Encoding: send the body plain", http_status=415)
    # A missing type is read as JSON: no other body can be meant here.
    if request.content_type and not _JSON_TYPE.fullmatch(request.content_type.lower()):
        raise OcpiError(StatusCode.CLIENT_ERROR, "Content-Type: must be application/json", http_status=415)
    charset = (request.content_params or {}).get("charset", "utf-8")
    if charset.lower() not in _UTF8:
        raise codec.MalformedJson("Content-Type: the charset of JSON is UTF-8")


def _body(request: HttpRequest) -> tuple[IO[bytes], int]:
    """Return the stream of the body and its length, -1 when the body comes in chunks."""
    chunked = request.META.get("HTTP_TRANSFER_ENCODING", "").strip().lower() == "chunked"
    if chunked and request.META.get("wsgi.input_terminated"):
        return request.META["wsgi.input"], -1
    try:
        length = int(request.META.get("CONTENT_LENGTH") or 0)
    except ValueError:
        raise codec.MalformedJson("Content-Length: must be a number") from None
    if length < 0:
        raise codec.MalformedJson("Content-Length: must not be negative")
    # HttpRequest reads like a file.
    return request, length  # type: ignore[return-value]


def _too_long() -> OcpiError:
    return OcpiError(StatusCode.CLIENT_ERROR, f"body is longer than {codec.MAX_BYTES} bytes", http_status=413)


class OcpiParser(BaseParser):
    """Hands every body to the codec, whatever its label; DRF's own parsers know none of our limits."""

    media_type = "*/*"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return the parsed JSON value. Raises what ``read_json`` raises."""
        request: Request = (parser_context or {})["request"]
        return read_json(request._request)


class OcpiRenderer(BaseRenderer):
    """Writes what is not yet an answer of ours, such as DRF's own responses, into an envelope."""

    media_type = CONTENT_TYPE
    format = "json"
    charset = None
    render_style = "binary"

    def render(
        self,
        data: Any,
        accepted_media_type: str | None = None,
        renderer_context: Mapping[str, Any] | None = None,
    ) -> bytes:
        """Return the envelope bytes."""
        response = (renderer_context or {}).get("response")
        if response is not None and response.status_code >= 400:
            return error_for_http_status(response.status_code).content
        return respond(data).content


class JsonOnlyNegotiation(BaseContentNegotiation):
    """There is one language here: an Accept header never brings about a 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser:
        """Return the only parser."""
        return next(iter(parsers))

    def select_renderer(
        self,
        request: Request,
        renderers: Iterable[BaseRenderer],
        format_suffix: str | None = None,
    ) -> tuple[BaseRenderer, str]:
        """Return the only renderer."""
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


def error_for_http_status(http_status: int) -> HttpResponse:
    """Return an envelope for an error that was found before the OCPI layer (ENV-06)."""
    if http_status >= 500:
        return respond(status_code=StatusCode.SERVER_ERROR, message="internal error", http_status=http_status)
    message = {400: "bad request", 404: "not found"}.get(http_status, "refused")
    return respond(status_code=StatusCode.CLIENT_ERROR, message=message, http_status=http_status)


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Return the answer for whatever a view raised; nothing reaches Django's HTML pages.

    What nobody foresaw is logged and becomes HTTP 500 with 3000 (STS-06), without a word about its cause.
    """
    known = _as_ocpi_error(exc, context)
    if known is not None:
        return respond_to_error(known)
    log.error("http.unforeseen view=%s", type(context.get("view")).__name__, exc_info=exc)
    return error_for_http_status(500)


def _as_ocpi_error(exc: Exception, context: Mapping[str, Any]) -> OcpiError | None:
    if isinstance(exc, OcpiError):
        return exc
    if isinstance(exc, codec.Invalid):
        return OcpiError(StatusCode.INVALID_PARAMETERS, str(exc))
    if isinstance(exc, codec.MalformedJson):
        return OcpiError(StatusCode.CLIENT_ERROR, str(exc), http_status=400)
    if isinstance(exc, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
        return unauthorized()
    if isinstance(exc, exceptions.MethodNotAllowed):
        return method_not_allowed(context["view"].allowed_methods)
    if isinstance(exc, exceptions.Throttled):
        return _throttled(exc)
    if isinstance(exc, Http404 | exceptions.NotFound | PermissionDenied):
        return not_found()
    if isinstance(exc, exceptions.APIException) and exc.status_code < 500:
        return OcpiError(StatusCode.CLIENT_ERROR, str(exc.detail), http_status=exc.status_code)
    return None


def _throttled(exc: exceptions.Throttled) -> OcpiError:
    seconds = str(max(1, getattr(exc, "wait", None) or 1))
    return OcpiError(
        StatusCode.CLIENT_ERROR,
        f"too many requests, wait {seconds} s",
        http_status=429,
        headers={"Retry-After": seconds},
    )


__all__ = [
    "JsonOnlyNegotiation",
    "OcpiParser",
    "OcpiRenderer",
    "Page",
    "error_for_http_status",
    "exception_handler",
    "has_body",
    "read_body",
    "read_json",
    "respond",
    "respond_to_error",
]
