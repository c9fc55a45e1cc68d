"""The OCPP-J 1.6 server: authenticated connections by identity, the newest one wins (charging.md 4.1-4.5).

No Django here: everything that needs rows goes through `Central`, which `manage.py ocpp_gateway` implements.
"""

import asyncio
import itertools
import logging
import ssl
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.frames import CloseCode
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from chargers.connection import Connection, StoreUnavailable
from chargers.frames import Payload
from chargers.handshake import (
    SUBPROTOCOL,
    Census,
    client_of,
    identity_in,
    peer_address,
    protocol_fault,
    retry_later,
    unauthorized,
)
from chargers.limits import Clock, Limits, Occurrences
from chargers.logins import Attempt, LoginGuard, LoginLimits, StationLogin, Verdict, read_basic
from chargers.outgoing import BeforeSend, CallOutcome, CallStatus, LateAnswer, Priority

logger = logging.getLogger(__name__)

# The library's debug lines hold whole handshakes, passwords included: they never reach a log.
_wire_logger = logging.getLogger("chargers.wire")
_wire_logger.setLevel(logging.INFO)

CONTESTED_CHANGES = 3
CONTESTED_SECONDS = 300
WATCHED_IDENTITIES = 20_000


class Central(Protocol):
    """What the gateway needs from the rest of the product. Every method may raise StoreUnavailable.

    One connection's `on_connect`, `handle`, `on_late` never run side by side; those of different stations do.
    """

    async def find_login(self, identity: str) -> StationLogin | None:
        """Credentials of a station, None for an unknown one; any text may be asked for.

        Never cached: a changed or removed password is effective at the next connect.
        """

    async def on_connect(self, identity: str, epoch: int, connection: Connection) -> None:
        """A station is connected; runs before its first message. `connection.call` may be awaited here."""

    async def handle(self, identity: str, epoch: int, action: str, payload: Payload) -> Payload:
        """Store one message that satisfies its schema; return the answer's payload, as the standard has it.

        Raise CallRefused for a CALLERROR, StoreUnavailable when nothing could be stored.
        """

    async def on_late(self, identity: str, epoch: int, late: LateAnswer) -> None:
        """An answer came after the deadline of its call."""

    async def on_disconnect(self, identity: str, epoch: int) -> None:
        """A connection ended.

        It may be reported after the newer one that replaced it, and without `on_connect` when it was replaced
        before its first message: compare epochs, never act on the identity alone.
        """

    async def on_contested(self, identity: str, changes: int) -> None:
        """Connections of one identity replaced each other often: a clone, or a bad line (W3)."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Settings of the listening side; seconds, bytes and sockets."""

    limits: Limits = field(default_factory=Limits)
    login_limits: LoginLimits = field(default_factory=LoginLimits)
    ping_interval_seconds: float | None = 30
    ping_timeout_seconds: float | None = 20
    open_timeout_seconds: float = 30  # handshakes queue here while a whole depot reconnects
    close_timeout_seconds: float = 1  # a peer that does not answer the close frame is cut off
    takeover_seconds: float = 5  # how long a new connection waits for the old one's handler to finish storing
    max_connections: int = 5_000
    max_connections_per_address: int = 1_000
    trusted_proxies: frozenset[str] = frozenset()


class OcppServer:
    """Listens, authenticates, and holds one Connection per identity.

    server = OcppServer(central)
    await server.start(host="0.0.0.0", port=9000)
    outcome = await server.call("NL-EMS-01", "Reset", {"type": "Soft"}, timeout_seconds=15)
    await server.stop()
    """

    def __init__(
        self, central: Central, *, options: ServerOptions | None = None, clock: Clock = time.monotonic
    ) -> None:
        self.options = options or ServerOptions()
        self.logins = LoginGuard(central.find_login, limits=self.options.login_limits, clock=clock)
        self.census = Census(
            total=self.options.max_connections,
            per_address=self.options.max_connections_per_address,
            uncapped=self.options.trusted_proxies,
        )
        self._central = central
        self._clock = clock
        self._connections: dict[str, Connection] = {}
        self._admitted_with: WeakKeyDictionary[ServerConnection, str] = WeakKeyDictionary()
        self._takeovers: OrderedDict[str, Occurrences] = OrderedDict()
        # Microseconds at start: epochs stay unique and rising over restarts and over several gateways.
        self._epochs = itertools.count(time.time_ns() // 1_000)
        self._server: Server | None = None

    @property
    def port(self) -> int:
        """The port that is listened on; of use when it was given as 0."""
        if self._server is None:
            raise RuntimeError("the server is not started")
        return int(next(iter(self._server.sockets)).getsockname()[1])

    @property
    def identities(self) -> frozenset[str]:
        """Stations that are connected now."""
        return frozenset(self._connections)

    async def start(self, *, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        """Listen; returns once the port is open."""
        options = self.options
        self._server = await serve(
            self._serve_station,
            host,
            port,
            ssl=tls,
            subprotocols=[Subprotocol(SUBPROTOCOL)],
            compression=None,  # a kilobyte of deflate can mean a megabyte of memory
            max_size=options.limits.max_frame_bytes,
            process_request=self._admit,
            server_header=None,
            ping_interval=options.ping_interval_seconds,
            ping_timeout=options.ping_timeout_seconds,
            open_timeout=options.open_timeout_seconds,
            close_timeout=options.close_timeout_seconds,
            create_connection=_counted_by(self.census),
            logger=_wire_logger,
        )

    async def stop(self) -> None:
        """Stop listening, let running handlers finish, close every connection with 1001."""
        if self._server is None:
            return
        for connection in self._connections.values():
            connection.close(CloseCode.GOING_AWAY, "gateway stops")
        # Not `close_connections`: that would cut off the answers of handlers that are about to finish.
        self._server.close(close_connections=False)
        self.census.abort_handshakes()
        await self._server.wait_closed()

    def connection(self, identity: str) -> Connection | None:
        """The live connection of a station, None when it is offline."""
        return self._connections.get(identity)

    async def call(
        self,
        identity: str,
        action: str,
        payload: Payload,
        *,
        timeout_seconds: float,
        priority: Priority = Priority.REST,
        before_send: BeforeSend | None = None,
    ) -> CallOutcome:
        """Ask a station; NOT_SENT when it is offline. Raises SchemaViolation for a wrong payload of ours."""
        connection = self._connections.get(identity)
        if connection is None:
            return CallOutcome(CallStatus.NOT_SENT)
        return await connection.call(
            action, payload, timeout_seconds=timeout_seconds, priority=priority, before_send=before_send
        )

    def disconnect(self, identity: str, *, reason: str) -> bool:
        """Close a station's connection with 1008, as after a revocation; false when it is offline."""
        connection = self._connections.get(identity)
        if connection is None:
            return False
        connection.close(CloseCode.POLICY_VIOLATION, reason)
        return True

    async def _admit(self, websocket: ServerConnection, request: Request) -> Response | None:
        identity = identity_in(request.path)
        if identity is None:
            return websocket.respond(HTTPStatus.NOT_FOUND, "Not found.\n")
        fault = protocol_fault(websocket, request)
        if fault is not None:
            return fault
        client = client_of(websocket, request, trusted_proxies=self.options.trusted_proxies)
        user, password = read_basic(request.headers.get_all("Authorization"))
        attempt = Attempt(identity, user, password, client.address, client.is_tls)
        try:
            admission = await self.logins.admit(attempt)
        except StoreUnavailable:
            return retry_later(websocket, HTTPStatus.SERVICE_UNAVAILABLE, seconds=30)
        match admission.verdict:
            case Verdict.ACCEPTED:
                websocket.username = identity
                self._admitted_with[websocket] = admission.password_hash
                return None
            case Verdict.TOO_MANY:
                logger.warning("ocpp.login_too_many station=%r address=%s", identity, client.address)
                return retry_later(websocket, HTTPStatus.TOO_MANY_REQUESTS, seconds=10)
            case Verdict.REFUSED:
                logger.warning("ocpp.login_refused station=%r address=%s", identity, client.address)
                return unauthorized(websocket)

    async def _serve_station(self, websocket: ServerConnection) -> None:
        identity = websocket.username
        epoch = next(self._epochs)
        connection = Connection(
            websocket,
            identity=identity,
            epoch=epoch,
            handle=partial(self._central.handle, identity, epoch),
            on_late=partial(self._central.on_late, identity, epoch),
            limits=self.options.limits,
            clock=self._clock,
        )
        connection.password_hash = self._admitted_with.pop(websocket, "")
        connection.on_open = partial(self._central.on_connect, identity, epoch, connection)
        previous = self._connections.get(identity)
        self._connections[identity] = connection
        logger.info("ocpp.connected station=%s epoch=%d", identity, epoch)
        try:
            if previous is not None:
                await self._replace(previous)
            await connection.run()
        finally:
            if self._connections.get(identity) is connection:
                del self._connections[identity]
            logger.info(
                "ocpp.disconnected station=%s epoch=%d code=%s", identity, epoch, connection.close_code
            )
            await self._report(self._central.on_disconnect(identity, epoch), identity)

    async def _replace(self, previous: Connection) -> None:
        # Refusing the new one would lock a charger out behind a dead socket; keeping both would be shadowing.
        identity = previous.identity
        previous.close(CloseCode.POLICY_VIOLATION, "replaced by a newer connection")
        try:
            # What the old connection is still storing comes before anything that the new one says.
            async with asyncio.timeout(self.options.takeover_seconds):
                await previous.drained()
        except TimeoutError:
            logger.warning("ocpp.takeover_did_not_wait station=%s", identity)
        takeovers = self._takeovers.pop(identity, None) or Occurrences(
            seconds=CONTESTED_SECONDS, clock=self._clock
        )
        self._takeovers[identity] = takeovers
        if len(self._takeovers) > WATCHED_IDENTITIES:
            self._takeovers.popitem(last=False)
        changes = takeovers.add()
        if changes >= CONTESTED_CHANGES:
            logger.warning("ocpp.contested station=%s changes=%d", identity, changes)
            await self._report(self._central.on_contested(identity, changes), identity)

    async def _report(self, report: Any, identity: str) -> None:
        try:
            await report
        except Exception:
            # The connection is over either way; whoever counts on the report also sweeps by epoch.
            logger.exception("ocpp.report_failed station=%s", identity)


def _counted_by(census: Census) -> type[ServerConnection]:
    """Sockets that the census counts from their first moment, before any handshake was read."""

    class CountedConnection(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            self.counted_address = peer_address(transport.get_extra_info("peername"))
            if not census.enter(self.counted_address, self):
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            census.leave(self.counted_address, self)
            super().connection_lost(exc)

    return CountedConnection
