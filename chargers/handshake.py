"""The opening handshake: what is refused there, and with which bytes (charging.md 4.5, security.md W1)."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response
from websockets.protocol import State

SUBPROTOCOL = "ocpp1.6"
PATH_PREFIX = "/ocpp/"

_IDENTITY = re.compile(r"[A-Za-z0-9*_=:+|@.\-]{1,48}")


@dataclass(frozen=True, slots=True)
class Client:
    """Where a connection comes from, as seen behind the proxies that we trust."""

    address: str
    is_tls: bool


def identity_in(path: str) -> str | None:
    """Identity in `/ocpp/{identity}`; "" for one that no station can have, None for another path."""
    bare = path.partition("?")[0]
    if not bare.startswith(PATH_PREFIX):
        return None
    identity = unquote(bare.removeprefix(PATH_PREFIX))
    return identity if _IDENTITY.fullmatch(identity) else ""


def client_of(connection: ServerConnection, request: Request, *, trusted_proxies: frozenset[str]) -> Client:
    """Address and transport of the station; a forwarding header counts only when a trusted proxy sent it."""
    address = peer_address(connection.remote_address)
    is_tls = connection.transport.get_extra_info("ssl_object") is not None
    if address not in trusted_proxies:
        return Client(address, is_tls)
    forwarded = ",".join(request.headers.get_all("X-Forwarded-For")).rpartition(",")[2].strip()
    protocols = [value.strip().lower() for value in request.headers.get_all("X-Forwarded-Proto")]
    return Client(forwarded or address, is_tls or protocols in (["https"], ["wss"]))


def peer_address(peername: object) -> str:
    """Host part of a socket's peer name; "unix" for a socket without one."""
    return str(peername[0]) if isinstance(peername, tuple) and peername else "unix"


def protocol_fault(connection: ServerConnection, request: Request) -> Response | None:
    """Refusal of a request that is no OCPP 1.6 handshake, before anything about identities is looked at."""
    if not _has_token(request.headers.get_all("Upgrade"), "websocket"):
        response = connection.respond(
            HTTPStatus.UPGRADE_REQUIRED, "This is an OCPP-J endpoint: use WebSocket.\n"
        )
        response.headers["Upgrade"] = "websocket"
        return response
    if not _has_token(request.headers.get_all("Sec-WebSocket-Protocol"), SUBPROTOCOL):
        return connection.respond(HTTPStatus.BAD_REQUEST, f"Subprotocol {SUBPROTOCOL} is required.\n")
    return None


def unauthorized(connection: ServerConnection) -> Response:
    """The one 401, whatever was wrong."""
    response = connection.respond(HTTPStatus.UNAUTHORIZED, "Unauthorized.\n")
    response.headers["WWW-Authenticate"] = 'Basic realm="ocpp", charset="UTF-8"'
    return response


def retry_later(connection: ServerConnection, status: HTTPStatus, *, seconds: int) -> Response:
    """A refusal that says when to come back."""
    response = connection.respond(status, "Try again later.\n")
    response.headers["Retry-After"] = str(seconds)
    return response


def _has_token(values: Iterable[str], token: str) -> bool:
    return any(part.strip().lower() == token for value in values for part in value.split(","))


class Census:
    """Open sockets, in total and per address, from the first TCP segment on; too many are dropped."""

    def __init__(self, *, total: int, per_address: int, uncapped: frozenset[str]) -> None:
        self._total = total
        self._per_address = per_address
        self._uncapped = uncapped
        self._open: Counter[str] = Counter()
        self.refused = 0
        self.sockets: set[ServerConnection] = set()

    def abort_handshakes(self) -> None:
        """Drop the sockets that have not finished their handshake."""
        for socket in list(self.sockets):
            if socket.state is State.CONNECTING:
                socket.transport.abort()

    def enter(self, address: str, socket: ServerConnection) -> bool:
        """Count one socket in; false when there is no room. Every `enter` is followed by one `leave`."""
        self.sockets.add(socket)
        self._open[address] += 1
        is_crowded = self._open[address] > self._per_address and address not in self._uncapped
        if is_crowded or self._open.total() > self._total:
            self.refused += 1
            return False
        return True

    def leave(self, address: str, socket: ServerConnection) -> None:
        """Count one socket out."""
        self.sockets.discard(socket)
        self._open[address] -= 1
        if self._open[address] <= 0:
            del self._open[address]
