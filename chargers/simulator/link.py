"""The station's end of the wire: connect, reconnect with back-off, one call in flight, faults on demand."""

import asyncio
import base64
import itertools
import random
import ssl
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

from ocpp.messages import Call, CallError, CallResult, MessageType
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from chargers.simulator import messages
from chargers.simulator.messages import InvalidMessage, Payload

After = Callable[[], Awaitable[None]]
OnCall = Callable[[str, Payload], tuple[Payload, After | None] | None]


class Offline(Exception):
    """There is no connection, or it ended before the answer."""


class Unanswered(Exception):
    """No answer came in time."""


class Refused(Exception):
    """The central system answered with a CALLERROR."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(f"{code}: {description}")
        self.code = code


class NotImplementedByStation(Exception):
    """Raised by `on_call` for an action that this station does not know."""


class Link:
    """One station's connection to `{url}/{identity}`, kept up while `run` runs."""

    def __init__(
        self,
        identity: str,
        url: str,
        password: str | bytes,
        *,
        answer_timeout_seconds: float = 30,
        reconnect_delays: Sequence[float] = (1, 2, 5, 10, 30, 60),
        ping_interval_seconds: float | None = 30,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.identity = identity
        self.url = f"{url.rstrip('/')}/{identity}"
        self.password = password
        self.connects = 0
        self.refused_with: int | None = None  # HTTP status of the last refused handshake
        self.closed_with: int | None = None  # close code of the last connection
        self.sent: Counter[str] = Counter()
        self.answers_to_drop: Counter[str] = Counter()
        self.faults: list[str] = []  # what the central system sent against the standard
        self._answer_timeout_seconds = answer_timeout_seconds
        self._reconnect_delays = reconnect_delays
        self._ping_interval_seconds = ping_interval_seconds
        self._tls = tls
        self._websocket: ClientConnection | None = None
        self._turn = asyncio.Lock()
        self._pending: tuple[str, str, asyncio.Future[Payload]] | None = None
        self._network = asyncio.Event()
        self._network.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_online(self) -> bool:
        """Whether the WebSocket is open."""
        return self._websocket is not None

    async def run(
        self,
        *,
        on_call: OnCall,
        on_connected: Callable[[], Awaitable[None]],
        on_change: Callable[[bool], None],
    ) -> None:
        """Connect, serve, and connect again, until cancelled.

        `on_call(action, payload)` returns the answer and what to do after it has left, or None for silence.
        `on_connected` runs in a task of its own for each connection and is cancelled with it; `on_change` is
        told whether there is a connection.
        """
        failures = itertools.count()
        while True:
            await self._network.wait()
            try:
                async with self._dial() as websocket:
                    failures = itertools.count()
                    greeting = self._come_online(websocket, on_connected, on_change)
                    try:
                        async for text in websocket:
                            await self._receive(websocket, text, on_call)
                    finally:
                        greeting.cancel()
                        self._go_offline(websocket)
            except InvalidHandshake as error:
                self.refused_with = getattr(getattr(error, "response", None), "status_code", None)
            except (OSError, TimeoutError, ConnectionClosed):
                pass  # the network's or the server's doing; closed_with tells
            on_change(False)
            delay = self._reconnect_delays[min(next(failures), len(self._reconnect_delays) - 1)]
            await asyncio.sleep(delay * random.uniform(0.75, 1.25))

    async def call(self, action: str, payload: Payload, *, message_id: str | None = None) -> Payload:
        """Ask the central system, one call at a time.

        Raises Offline, Unanswered or Refused, and InvalidMessage when our own payload breaks the schema.
        """
        async with self._turn:
            websocket = self._websocket
            if websocket is None:
                raise Offline
            unique_id = message_id or str(uuid.uuid4())
            text = messages.write_call(unique_id, action, payload)
            answer: asyncio.Future[Payload] = asyncio.get_running_loop().create_future()
            self._pending = (unique_id, action, answer)
            try:
                self.sent[action] += 1
                async with asyncio.timeout(self._answer_timeout_seconds):
                    await websocket.send(text)
                    result = await answer
            except ConnectionClosed as error:
                raise Offline from error
            except TimeoutError as error:
                raise Unanswered(action) from error
            finally:
                self._pending = None
            try:
                messages.check(MessageType.CallResult, action, result)
            except InvalidMessage as error:
                self.faults.append(str(error))
                raise Refused("FormationViolation", str(error)) from error
            return result

    def cut(self) -> None:
        """Drop the TCP connection without a close frame, as a broken line does."""
        if self._websocket is not None:
            self._websocket.transport.abort()

    async def hang_up(self) -> None:
        """Close the connection properly; `run` connects again."""
        if self._websocket is not None:
            await self._websocket.close()

    def unplug_network(self) -> None:
        """Cut the line and stay offline until `plug_network`."""
        self._network.clear()
        self.cut()

    def plug_network(self) -> None:
        """Let `run` connect again."""
        self._network.set()

    def _dial(self) -> connect:
        password = self.password.encode() if isinstance(self.password, str) else self.password
        credentials = base64.b64encode(self.identity.encode() + b":" + password).decode()
        return connect(
            self.url,
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers={"Authorization": f"Basic {credentials}"},
            compression=None,
            proxy=None,
            open_timeout=60,
            close_timeout=2,
            ping_interval=self._ping_interval_seconds,
            ssl=self._tls,
        )

    def _come_online(
        self,
        websocket: ClientConnection,
        on_connected: Callable[[], Awaitable[None]],
        on_change: Callable[[bool], None],
    ) -> asyncio.Task[None]:
        self.connects += 1
        self._websocket = websocket
        on_change(True)
        return self._spawn(on_connected())

    def _go_offline(self, websocket: ClientConnection) -> None:
        self._websocket = None
        self.closed_with = websocket.close_code
        if self._pending is not None and not self._pending[2].done():
            self._pending[2].set_exception(Offline())
            # Looked at once here: a caller that was cancelled meanwhile will not.
            self._pending[2].exception()

    async def _receive(self, websocket: ClientConnection, text: str | bytes, on_call: OnCall) -> None:
        try:
            message = messages.read(text)
        except InvalidMessage as error:
            self.faults.append(str(error))
            return
        match message:
            case Call():
                await self._answer(websocket, message, on_call)
            case CallResult() | CallError():
                self._settle(message)

    async def _answer(self, websocket: ClientConnection, message: Any, on_call: OnCall) -> None:
        try:
            messages.check(MessageType.Call, message.action, message.payload)
            reply = on_call(message.action, message.payload)
        except InvalidMessage as error:
            self.faults.append(str(error))
            await websocket.send(messages.write_error(message.unique_id, "FormationViolation", str(error)))
            return
        except NotImplementedByStation:
            await websocket.send(messages.write_error(message.unique_id, "NotImplemented", message.action))
            return
        if reply is None:
            return
        payload, after = reply
        await websocket.send(messages.write_result(message.unique_id, message.action, payload))
        if after is not None:
            self._spawn(after())

    def _settle(self, message: Any) -> None:
        if self._pending is None or self._pending[0] != message.unique_id or self._pending[2].done():
            return
        _, action, answer = self._pending
        if self.answers_to_drop[action] > 0:
            self.answers_to_drop[action] -= 1
        elif isinstance(message, CallResult):
            answer.set_result(message.payload)
        else:
            answer.set_exception(Refused(message.error_code, message.error_description))

    def _spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        async def run() -> None:
            # A conversation that the line cut off is begun anew after the next connect.
            with suppress(Offline, Unanswered, Refused):
                await work

        task = asyncio.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
