"""A small HTTP/1.1 server and client for the partner platform: standard library only, nothing hidden.

The server keeps connections open, answers each request in one write (no delayed acknowledgements), and can
misbehave on purpose: see ``Misbehaviour``.
"""

import base64
import http.client
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

Misbehaviour = Literal[
    "drop",  # close the connection without doing anything
    "drop_after_storing",  # do everything, then close the connection without an answer
    "slow",  # wait `seconds`, then answer
    "drip",  # answer one byte every `seconds`
    "huge",  # a body without end
    "endless_headers",  # headers without end
    "bad_json",  # HTTP 200 with a text that is no JSON
    "html",  # HTTP 200 with a page for people
    "redirect",  # HTTP 302 to `target`
    "http",  # HTTP `status` with an envelope, nothing stored
    "code",  # HTTP 200 with the OCPI code `status`, nothing stored
    "code_after_storing",  # the same, but it was stored
]
NOTHING = object()


@dataclass(frozen=True)
class Request:
    """One request as it came over the wire; header names are in lower case, ``target`` is path and query as written."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    at: float
    target: str = ""

    @property
    def token(self) -> str | None:
        """The credentials token, decoded."""
        scheme, _, value = self.headers.get("authorization", "").partition(" ")
        try:
            return base64.b64decode(value, validate=True).decode() if scheme == "Token" else None
        except ValueError:
            return None

    @property
    def raw_token(self) -> str:
        """The token as it stands, of peers that do not encode."""
        return self.headers.get("authorization", "").partition(" ")[2]

    @property
    def json(self) -> Any:
        """The parsed body; numbers with decimals are Decimal."""
        return json.loads(self.body, parse_float=Decimal)

    @property
    def segments(self) -> list[str]:
        """The decoded path segments."""
        return [unquote(segment) for segment in self.path.strip("/").split("/")]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass
class Reply:
    """An answer; ``data`` of NOTHING leaves the member out."""

    http_status: int = 200
    code: int = 1000
    data: Any = NOTHING
    message: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        """Return the envelope."""
        envelope: dict[str, Any] = {} if self.data is NOTHING else {"data": self.data}
        envelope |= {"status_code": self.code, "status_message": self.message, "timestamp": timestamp()}
        return to_json(envelope)


@dataclass
class Fault:
    """A switch: requests whose ``METHOD /path`` contains ``on`` meet a misbehaviour.

    ``times`` counts down (None: for ever); ``rate`` is the share of requests that are hit.
    """

    kind: Misbehaviour
    on: str = ""
    times: int | None = None
    rate: float = 1.0
    seconds: float = 1.0
    status: int = 500
    target: str = ""
    hits: int = 0


@dataclass(frozen=True)
class Answer:
    """What somebody answered to a request of the partner platform; header names are in lower case."""

    http_status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed envelope."""
        return json.loads(self.body, parse_float=Decimal)

    @property
    def code(self) -> int:
        """The OCPI status code."""
        return int(self.json["status_code"])

    @property
    def data(self) -> Any:
        """The payload, None when there is none."""
        return self.json.get("data")


def to_json(value: Any) -> bytes:
    """Return compact JSON bytes."""
    return json.dumps(value, separators=(",", ":"), default=float).encode()


def timestamp(seconds: float | None = None) -> str:
    """Return a moment (by default now) as OCPI writes it."""
    moment = time.time() if seconds is None else seconds
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{text}.{int(moment * 1000) % 1000:03d}Z"


def authorization(token: str) -> str:
    """Return the Authorization header for a credentials token."""
    return f"Token {base64.b64encode(token.encode()).decode()}"


def request(
    method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str], seconds: float = 15
) -> Answer:
    """Make one request on a connection of its own."""
    parts = urlsplit(url)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=seconds)
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, received, response.read())
    finally:
        connection.close()


class Server(socketserver.ThreadingTCPServer):
    """Listens, hands each request to ``handle``, and writes what it returns."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        handle: Callable[[Request], Reply],
        misbehave: Callable[[Request], Fault | None],
    ) -> None:
        self.handle = handle
        self.misbehave = misbehave
        self.open_sockets: set[socket.socket] = set()
        self.lock = threading.Lock()
        super().__init__(address, _Connection)

    def hang_up(self) -> None:
        """Close every open connection at once, as a crash would."""
        with self.lock:
            for each in self.open_sockets:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the other side was faster

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that break are part of the game."""


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True
    server: Server

    def setup(self) -> None:
        super().setup()
        with self.server.lock:
            self.server.open_sockets.add(self.connection)

    def finish(self) -> None:
        with self.server.lock:
            self.server.open_sockets.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        while (received := self._read()) is not None:
            fault = self.server.misbehave(received)
            if fault is None:
                self._write(self.server.handle(received), received)
            elif not self._misbehave(fault, received):
                return

    def _read(self) -> Request | None:
        first = self.rfile.peek(1)[:1]  # type: ignore[attr-defined]  # the stub knows no buffered reader
        if first and not first.isalpha() and first not in b"\r\n":
            # Like other web servers to who begins a handshake of TLS.
            self.wfile.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return None
        line = self.rfile.readline(65_537)
        if not line.strip():
            return None
        method, target, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (header := self.rfile.readline(65_537)) not in (b"\r\n", b"\n", b""):
            name, _, value = header.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        parts = urlsplit(target)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        return Request(method, parts.path, query, headers, body, time.monotonic(), target)

    def _write(self, reply: Reply, received: Request) -> None:
        self.wfile.write(_wire_form(reply, received))

    def _misbehave(self, fault: Fault, received: Request) -> bool:
        """Do what the fault says; return whether the connection lives on."""
        if fault.kind == "slow":
            time.sleep(fault.seconds)
            self._write(self.server.handle(received), received)
        elif fault.kind == "http":
            self._write(Reply(fault.status, 3000 if fault.status >= 500 else 2000), received)
        elif fault.kind == "code":
            self._write(Reply(code=fault.status, message="refused on purpose"), received)
        elif fault.kind == "code_after_storing":
            self.server.handle(received)
            self._write(Reply(code=fault.status, message="failed on purpose"), received)
        elif fault.kind == "redirect":
            self._write(Reply(302, headers={"Location": fault.target}), received)
        else:
            self._break(fault, received)
            return False
        return True

    def _break(self, fault: Fault, received: Request) -> None:
        if fault.kind == "drop_after_storing":
            self.server.handle(received)
        elif fault.kind == "drip":
            self._drip(_wire_form(Reply(), received), fault.seconds)
        elif fault.kind == "huge":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[")
            while True:
                self.wfile.write(b'"more",' * 10_000)
        elif fault.kind == "endless_headers":
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                self.wfile.write(b"X-More: and more\r\n" * 1_000)
        elif fault.kind in ("bad_json", "html"):
            text = b'{"data": [' if fault.kind == "bad_json" else b"<html>Please log in</html>"
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text))

    def _drip(self, content: bytes, seconds: float) -> None:
        for position in range(len(content)):
            self.wfile.write(content[position : position + 1])
            time.sleep(seconds)


def _wire_form(reply: Reply, received: Request) -> bytes:
    content = reply.content()
    lines = [f"HTTP/1.1 {reply.http_status} {http.client.responses.get(reply.http_status, '')}"]
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    for name in ("x-request-id", "x-correlation-id"):
        if name in received.headers:
            headers[name] = received.headers[name]
    lines += [f"{name}: {value}" for name, value in (headers | reply.headers).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content
