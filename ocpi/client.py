"""The one outbound HTTP client: total deadline, guarded addresses, no redirects, bounded answers."""

import functools
import os
import random
import re
import ssl
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpcore
from django.conf import settings
from django.utils.datastructures import CaseInsensitiveMapping

from ocpi import codec
from ocpi.addresses import Origin, origin
from ocpi.headers import authorization
from ocpi.network import CallFailed, Exchange, GuardedBackend, current_exchange
from ocpi.status import is_success

MAX_BYTES = 2_000_000
MAX_PAGES = 10_000
MAX_HOSTS = 256
MAX_CONNECTIONS_PER_HOST = 50
# Below the idle time after which common servers hang up (Node.js: 5 s), so that we are the first to.
KEEPALIVE_SECONDS = 4.0

_MESSAGE_IDS = ("X-Request-ID", "X-Correlation-ID")
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_OFFSET = re.compile(r"([?&]offset=)([0-9]{1,9})(?![0-9])")
_NEXT = re.compile(r'<([^<>]{1,4096})>[^<>]*;\s*rel="?next"?', re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What a peer answered, read leniently (ENV-05, ENV-09).

    ``headers`` ignore case; ``status_code`` is the OCPI code, None when the body is no envelope; ``data`` is
    None when absent, null or unreadable.
    """

    http_status: int
    headers: Mapping[str, str]
    body: bytes
    status_code: int | None
    status_message: str
    data: Any

    @property
    def is_success(self) -> bool:
        """Whether the peer accepted: HTTP 2xx with a code of 1xxx (ENV-07)."""
        return 200 <= self.http_status < 300 and self.status_code is not None and is_success(self.status_code)


def call(
    method: str,
    url: str,
    *,
    token: str,
    timeout_seconds: float,
    body: bytes | None = None,
    headers: Mapping[str, str] = _NO_HEADERS,
    raw_token: bool = False,
    max_bytes: int = MAX_BYTES,
) -> Answer:
    """Make one request with a credentials token, and return whatever HTTP answer comes.

    ``timeout_seconds`` covers name, connection, request and the whole answer. ``headers`` are added; a
    missing X-Request-ID or X-Correlation-ID is made up (MID-01). Redirects are answers like any other.
    Raises CallFailed when no answer came, came too late, or was longer than ``max_bytes``.
    """
    target = _checked(url)
    exchange = Exchange.lasting(timeout_seconds)
    reset = current_exchange.set(exchange)
    try:
        return _exchanged(
            exchange,
            _pool(target),
            httpcore.Request(
                method,
                _core_url(url, target),
                headers=_request_headers(target, token, body, headers, raw=raw_token),
                content=body or b"",
                extensions={"timeout": {"pool": timeout_seconds}},
            ),
            max_bytes,
        )
    finally:
        current_exchange.reset(reset)


def paged(
    url: str,
    *,
    token: str,
    timeout_seconds: float,
    headers: Mapping[str, str] = _NO_HEADERS,
    raw_token: bool = False,
    max_pages: int = MAX_PAGES,
) -> Iterator[Answer]:
    """Yield the answers of a paginated list, following the opaque ``Link`` of each (PAG-12).

    Objects that leave the list meanwhile (with ``date_to``: those that change) pull the others forward: when
    ``X-Total-Count`` shrinks by n, reading goes on n objects before the page that said so (PAG-13), and some
    objects come twice. Ends after the first answer that is no success, which is yielded too. Raises CallFailed
    of kind ``guard`` for a link to another host (our token never goes there), one seen before, or more than
    ``max_pages``.
    """
    seen: set[str] = set()
    home = _checked(url)
    pages, total = 0, None
    following: str | None = url
    while following is not None:
        if following in seen or pages >= max_pages:
            raise CallFailed("guard", f"the list does not end: stopped after {pages} pages")
        if _checked(following) != home:
            raise CallFailed("guard", "the link to the next page points to another host")
        seen.add(following)
        pages += 1
        answer = call(
            "GET",
            following,
            token=token,
            timeout_seconds=timeout_seconds,
            headers=headers,
            raw_token=raw_token,
        )
        yield answer
        if not answer.is_success:
            return
        before, total = total, _total(answer)
        again = _moved_back(following, before, total)
        if again is not None:
            # It can shrink only so often: the pages from here on may be new ones under old links.
            seen.clear()
        following = again or next_page(answer, following)


def _total(answer: Answer) -> int | None:
    text = answer.headers.get("X-Total-Count", "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _moved_back(url: str, before: int | None, total: int | None) -> str | None:
    """The page at ``url`` from so many objects earlier as the list has shrunk; None when it has not, or when the
    link is opaque."""
    match = _OFFSET.search(url)
    if before is None or total is None or total >= before or match is None or match.group(2) == "0":
        return None
    offset = max(0, int(match.group(2)) - (before - total))
    return f"{url[: match.start()]}{match.group(1)}{offset}{url[match.end() :]}"


def next_page(answer: Answer, url: str) -> str | None:
    """Return the absolute URL of the page after the one at ``url``, or None on the last page."""
    match = _NEXT.search(answer.headers.get("Link", ""))
    return urljoin(url, match.group(1)) if match else None


def _checked(url: str) -> Origin:
    try:
        target = origin(url)
    except ValueError as error:
        raise CallFailed("guard", f"the URL {error}") from None
    if target.scheme != "https" and settings.OUTBOUND_REQUIRE_HTTPS:
        raise CallFailed("guard", "the URL must be https")
    return target


def new_message_id() -> str:
    """Return a UUID for a request or a correlation (MID-03); it names a message and keeps no secret.

    Not uuid4: the system's random numbers let go of the interpreter lock, and with 20 sending threads getting
    it back three times per request costs as much as the request.
    """
    return str(uuid.UUID(int=random.getrandbits(128), version=4))


def _core_url(url: str, target: Origin) -> httpcore.URL:
    parts = urlsplit(url)
    path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=path)


def _request_headers(
    target: Origin, token: str, body: bytes | None, headers: Mapping[str, str], *, raw: bool
) -> list[tuple[str, str]]:
    own = {
        "Host": str(target),
        "Authorization": authorization(token, raw=raw),
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "Yardgate",
    }
    if body is not None:
        own |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    given = {name.lower() for name in headers}
    own |= {name: new_message_id() for name in _MESSAGE_IDS if name.lower() not in given}
    return [*((name, value) for name, value in own.items() if name.lower() not in given), *headers.items()]


def _exchanged(
    exchange: Exchange, pool: httpcore.ConnectionPool, request: httpcore.Request, max_bytes: int
) -> Answer:
    try:
        response = pool.handle_request(request)
        try:
            body = _bounded_body(exchange, response, max_bytes)
        finally:
            response.close()
    except httpcore.TimeoutException as error:
        raise exchange.failure("timeout", str(error) or "no free connection") from None
    except httpcore.LocalProtocolError as error:
        raise exchange.failure("guard", f"the request cannot be written: {error}") from None
    except (httpcore.ProtocolError, httpcore.NetworkError) as error:
        raise exchange.failure("reset", str(error)) from None
    return _read(response, body)


def _bounded_body(exchange: Exchange, response: httpcore.Response, max_bytes: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    for chunk in response.iter_stream():
        size += len(chunk)
        if size > max_bytes:
            raise exchange.failure("too_large", f"the answer is longer than {max_bytes} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _read(response: httpcore.Response, body: bytes) -> Answer:
    headers: dict[str, str] = {}
    for name_bytes, value_bytes in response.headers:
        name, value = name_bytes.decode("latin-1").lower(), value_bytes.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    # We ask for no encoding: a body that comes compressed all the same is never unpacked.
    is_plain = headers.get("content-encoding", "identity").lower() in ("", "identity")
    envelope = _envelope(body) if is_plain else {}
    message = envelope.get("status_message")
    return Answer(
        http_status=response.status,
        headers=CaseInsensitiveMapping(headers),
        body=body,
        status_code=_status_code(envelope.get("status_code")),
        status_message=message[:500] if isinstance(message, str) else "",
        data=envelope.get("data"),
    )


def _envelope(body: bytes) -> dict[str, Any]:
    try:
        # Its length was limited while it came in.
        envelope = codec.parse(body, max_bytes=len(body))
    except codec.MalformedJson:
        return {}
    return envelope if isinstance(envelope, dict) else {}


def _status_code(value: Any) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]{3}", value, re.ASCII):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value % 1:
        return None
    return int(value) if 1000 <= value <= 9999 else None


@functools.lru_cache(maxsize=MAX_HOSTS)
def _pool(_target: Origin) -> httpcore.ConnectionPool:
    """The connections of this process to one host; threads share them.

    A pool per host, because httpcore looks at every connection of a pool, under one lock, twice per request:
    with one pool for 20 hosts and 20 threads a call costs half as much again.
    """
    return httpcore.ConnectionPool(
        ssl_context=_tls(settings.OUTBOUND_CA_FILE),
        max_connections=MAX_CONNECTIONS_PER_HOST,
        keepalive_expiry=KEEPALIVE_SECONDS,
        http1=True,
        http2=False,
        network_backend=GuardedBackend(lambda: bool(settings.OUTBOUND_ALLOW_PRIVATE)),
    )


@functools.cache
def _tls(ca_file: str) -> ssl.SSLContext:
    # An empty name means the authorities that the system trusts. Reading them takes a while: once is enough.
    context = ssl.create_default_context(cafile=ca_file or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


# Two processes must never write into one connection.
os.register_at_fork(after_in_child=_pool.cache_clear)

__all__ = ["Answer", "CallFailed", "call", "new_message_id", "next_page", "paged"]
