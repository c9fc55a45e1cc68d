"""A station that speaks raw frames, and a central system in memory, both on real sockets."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from chargers.connection import Connection, StoreUnavailable
from chargers.frames import Payload
from chargers.logins import StationLogin
from chargers.outgoing import LateAnswer
from chargers.passwords import hash_password
from chargers.server import OcppServer, ServerOptions

PASSWORD = "5c9f2b7e1a3d4c6b8e0f"
PASSWORD_HASH = hash_password(PASSWORD)
NOW_TEXT = "2026-03-14T19:50:00Z"

ANSWERS: dict[str, Payload] = {
    "BootNotification": {"status": "Accepted", "currentTime": NOW_TEXT, "interval": 300},
    "Heartbeat": {"currentTime": NOW_TEXT},
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "StatusNotification": {},
    "MeterValues": {},
    "StopTransaction": {},
    "DataTransfer": {"status": "UnknownVendorId"},
}

Handler = Callable[[str, Payload], Awaitable[Payload]]


class MemoryCentral:
    """Stores what stations say in lists, gives transaction ids by the key of charging.md 4.4."""

    def __init__(self, *identities: str) -> None:
        self.logins = {identity: StationLogin(PASSWORD_HASH) for identity in identities}
        self.messages: list[tuple[str, str, Payload]] = []
        self.connects: list[tuple[str, int]] = []
        self.disconnects: list[tuple[str, int]] = []
        self.contested: list[tuple[str, int]] = []
        self.late: list[LateAnswer] = []
        self.transactions: dict[tuple[Any, ...], int] = {}
        self.is_store_down = False
        self.handlers: dict[str, Handler] = {}
        self.on_open: Callable[[Connection], Awaitable[None]] | None = None

    async def find_login(self, identity: str) -> StationLogin | None:
        return self.logins.get(identity)

    async def on_connect(self, identity: str, epoch: int, connection: Connection) -> None:
        self.connects.append((identity, epoch))
        if self.on_open is not None:
            await self.on_open(connection)

    async def handle(self, identity: str, epoch: int, action: str, payload: Payload) -> Payload:
        if self.is_store_down:
            raise StoreUnavailable
        if action in self.handlers:
            return await self.handlers[action](identity, payload)
        self.messages.append((identity, action, payload))
        if action == "StartTransaction":
            key = (
                identity,
                payload["connectorId"],
                payload["idTag"],
                payload["timestamp"],
                payload["meterStart"],
            )
            transaction_id = self.transactions.setdefault(key, 1001 + len(self.transactions))
            return {"transactionId": transaction_id, "idTagInfo": {"status": "Accepted"}}
        return ANSWERS[action]

    async def on_late(self, identity: str, epoch: int, late: LateAnswer) -> None:
        self.late.append(late)

    async def on_disconnect(self, identity: str, epoch: int) -> None:
        self.disconnects.append((identity, epoch))

    async def on_contested(self, identity: str, changes: int) -> None:
        self.contested.append((identity, changes))

    def actions(self, identity: str) -> list[str]:
        return [action for name, action, _ in self.messages if name == identity]

    def payloads(self, action: str) -> list[Payload]:
        return [payload for _, name, payload in self.messages if name == action]


@asynccontextmanager
async def serving(central: MemoryCentral, options: ServerOptions | None = None) -> AsyncIterator[OcppServer]:
    server = OcppServer(central, options=options)
    await server.start(host="127.0.0.1", port=0)
    try:
        yield server
    finally:
        await server.stop()


def basic(user: str, password: str | bytes) -> str:
    raw = password.encode() if isinstance(password, str) else password
    return "Basic " + base64.b64encode(user.encode() + b":" + raw).decode()


@asynccontextmanager
async def dialled(
    server: OcppServer, identity: str, *, password: str | bytes = PASSWORD, **options: Any
) -> AsyncIterator["RawStation"]:
    async with connect(
        f"ws://127.0.0.1:{server.port}/ocpp/{identity}",
        subprotocols=["ocpp1.6"],
        additional_headers={"Authorization": basic(identity, password)},
        compression=None,
        proxy=None,
        ping_interval=None,
        close_timeout=1,
        **options,
    ) as websocket:
        yield RawStation(websocket)


class RawStation:
    """Sends exactly the frames that a test spells out."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket

    async def send(self, frame: Any) -> None:
        await self.websocket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))

    async def receive(self, *, within: float = 5) -> Any:
        async with asyncio.timeout(within):
            return json.loads(await self.websocket.recv())

    async def ask(self, frame: Any) -> Any:
        await self.send(frame)
        return await self.receive()

    async def closed(self, *, within: float = 5) -> int | None:
        async with asyncio.timeout(within):
            await self.websocket.wait_closed()
        return self.websocket.close_code


async def until(condition: Callable[[], bool], *, within: float = 5) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.005)
