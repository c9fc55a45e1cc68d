"""The Django side of the gateway: what the OCPP server asks of the rest of the product, run in threads."""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import psycopg
from django.db import InterfaceError, OperationalError, close_old_connections, connection
from django.utils import timezone

from chargers import calls, v16
from chargers.bus import CHANNEL
from chargers.connection import Connection, StoreUnavailable
from chargers.frames import Payload
from chargers.logins import StationLogin
from chargers.models import Station, StationCall
from chargers.outgoing import LateAnswer, Priority
from chargers.server import OcppServer
from charging import stations

log = logging.getLogger(__name__)

CALL_TIMEOUT_SECONDS = 10.0
POLL_SECONDS = 1.0
THREADS = 16


class DjangoCentral:
    """Implements `chargers.server.Central` over our rows, and sends the calls that wait for stations."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._in_hand: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def find_login(self, identity: str) -> StationLogin | None:
        """The station's password hash, None for an unknown station."""
        found = await self._store(_password_hash, identity)
        return StationLogin(password_hash=found) if found else None

    async def on_connect(self, identity: str, epoch: int, connection: Connection) -> None:  # noqa: ARG002
        """The station is here; calls that wait for it go out."""
        await self._store(_connected, identity, epoch, timezone.now())

    async def handle(self, identity: str, epoch: int, action: str, payload: Payload) -> Payload:  # noqa: ARG002
        """Store one message and return its answer."""
        return await self._store(v16.handle, identity, action, payload, timezone.now())

    async def on_late(self, identity: str, epoch: int, late: LateAnswer) -> None:  # noqa: ARG002
        """A late answer is reality all the same; its command has had its result, so it is only kept in the log."""
        log.warning("ocpp.late_answer station=%s action=%s status=%s", identity, late.action, late.outcome.status)

    async def on_disconnect(self, identity: str, epoch: int) -> None:
        """Offline, unless a newer connection has taken over meanwhile."""
        await self._store(_disconnected, identity, epoch, timezone.now())

    async def on_contested(self, identity: str, changes: int) -> None:
        """Two boxes claim one identity; the log tells the operator."""
        log.error("ocpp.contested_identity station=%s changes=%s", identity, changes)

    async def send_calls(self, server: OcppServer) -> None:
        """Send waiting calls whenever PostgreSQL says so, and look every second in case a word was lost."""
        wake = asyncio.Event()
        listener = asyncio.create_task(_listen(wake))
        try:
            while True:
                await self._send_waiting(server)
                try:
                    await asyncio.wait_for(wake.wait(), POLL_SECONDS)
                except TimeoutError:
                    continue
                finally:
                    wake.clear()
        finally:
            listener.cancel()

    async def _send_waiting(self, server: OcppServer) -> None:
        try:
            due = await self._store(calls.waiting, server.identities, now=timezone.now())
        except StoreUnavailable:
            return
        for call in due:
            if call.pk not in self._in_hand:
                self._in_hand.add(call.pk)
                task = asyncio.create_task(self._send(server, call))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send(self, server: OcppServer, call: StationCall) -> None:
        try:
            outcome = await server.call(
                call.identity,
                call.action,
                call.payload,
                timeout_seconds=CALL_TIMEOUT_SECONDS,
                priority=Priority(call.priority),
                before_send=lambda: self._store(calls.mark_sent, call.pk, now=timezone.now()),
            )
            await self._store(calls.close, call.pk, outcome, now=timezone.now())
        except StoreUnavailable:
            # The sweep closes the row when its time is over.
            log.warning("ocpp.outcome_not_stored call=%s", call.pk)
        finally:
            self._in_hand.discard(call.pk)

    async def _store(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, lambda: _with_database(work, *args, **kwargs)
        )


def _with_database(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    close_old_connections()
    try:
        return work(*args, **kwargs)
    except (OperationalError, InterfaceError) as error:
        connection.close()
        log.error("ocpp.store_unavailable error=%s", error)
        raise StoreUnavailable from error


def _password_hash(identity: str) -> str:
    return str(Station.objects.filter(identity=identity).values_list("password_hash", flat=True).first() or "")


def _connected(identity: str, epoch: int, now: datetime) -> None:
    Station.objects.filter(identity=identity).update(
        is_online=True, epoch=epoch, connected_at=now, last_seen_at=now
    )
    stations.connected(station_identity=identity, now=now)


def _disconnected(identity: str, epoch: int, now: datetime) -> None:
    if Station.objects.filter(identity=identity, epoch__lte=epoch).update(is_online=False):
        stations.disconnected(station_identity=identity, now=now)


def everybody_offline(now: datetime) -> None:
    """A gateway that starts holds no connection yet, whatever the rows of its predecessor say."""
    for identity in Station.objects.filter(is_online=True).values_list("identity", flat=True):
        Station.objects.filter(identity=identity).update(is_online=False)
        stations.disconnected(station_identity=identity, now=now)


async def _listen(wake: asyncio.Event) -> None:
    parameters = connection.get_connection_params()
    for ours in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(ours, None)
    while True:
        try:
            listener = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            async with listener:
                await listener.execute(f"LISTEN {CHANNEL}")
                async for _ in listener.notifies():
                    wake.set()
        except psycopg.OperationalError:
            # The poll goes on meanwhile.
            await asyncio.sleep(POLL_SECONDS)
