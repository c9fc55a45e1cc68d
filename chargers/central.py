"""The Django side of the gateway: what the OCPP server asks of the rest of the product, run in threads."""

import asyncio
import logging

import psycopg
from django.db import connection
from django.utils import timezone

from chargers import calls, owning, v16
from chargers.bus import CHANNEL
from chargers.connection import Connection, StoreUnavailable
from chargers.frames import Payload
from chargers.logins import StationLogin
from chargers.models import StationCall
from chargers.outgoing import LateAnswer, Priority
from chargers.server import OcppServer
from chargers.store import Store

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0


class DjangoCentral:
    """Implements `chargers.server.Central` over our rows, and sends the calls that wait for stations.

    A station has `answer_seconds` for its answer.
    """

    def __init__(self, *, answer_seconds: float = calls.ANSWER_SECONDS) -> None:
        self._answer_seconds = answer_seconds
        self._store = Store()
        self._in_hand: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def find_login(self, identity: str) -> StationLogin | None:
        """The station's password hash, None for an unknown station."""
        found = await self._store.run(owning.password_hash, identity)
        return StationLogin(password_hash=found) if found else None

    async def on_connect(self, identity: str, epoch: int, connection: Connection) -> None:
        """The station is here; calls that wait for it go out."""
        del connection
        await self._store.run(owning.connected, identity, epoch, timezone.now())

    async def handle(self, identity: str, epoch: int, action: str, payload: Payload) -> Payload:
        """Store one message and return its answer."""
        del epoch
        return await self._store.run(v16.handle, identity, action, payload, timezone.now())

    async def on_late(self, identity: str, epoch: int, late: LateAnswer) -> None:
        """A late answer is reality all the same; its command has had its result, so it is only kept in the log."""
        log.warning(
            "ocpp.late_answer station=%s epoch=%s action=%s status=%s",
            identity,
            epoch,
            late.action,
            late.outcome.status,
        )

    async def on_disconnect(self, identity: str, epoch: int) -> None:
        """Offline, unless a newer connection has taken over meanwhile."""
        await self._store.run(owning.disconnected, identity, epoch, timezone.now())

    async def on_contested(self, identity: str, changes: int) -> None:
        """Two boxes claim one identity; the log tells the operator."""
        log.error("ocpp.contested_identity station=%s changes=%s", identity, changes)

    def close(self) -> None:
        """Finish what is being stored and close the database connections; blocks, so call it outside the loop."""
        self._store.close()

    async def look_after(self, server: OcppServer) -> None:
        """Send waiting calls and end connections that may not be there any more, until cancelled.

        Looks whenever PostgreSQL says so, and every second in case a word was lost.
        """
        wake = asyncio.Event()
        listener = asyncio.create_task(_listen(wake))
        try:
            while True:
                wake.clear()
                try:
                    await self._disconnect_revoked(server)
                    await self._send_waiting(server)
                except StoreUnavailable:
                    log.warning("ocpp.looked_in_vain")
                await _first_of(wake, seconds=POLL_SECONDS)
        finally:
            listener.cancel()

    async def _disconnect_revoked(self, server: OcppServer) -> None:
        held = {
            identity: owning.Held(connection.epoch, connection.password_hash)
            for identity in server.identities
            if (connection := server.connection(identity)) is not None
        }
        leaving = await self._store.run(owning.review, held, now=timezone.now()) if held else {}
        for identity, reason in leaving.items():
            connection = server.connection(identity)
            # Who came back with the new password meanwhile stays.
            if connection is not None and connection.epoch == held[identity].epoch:
                log.warning("ocpp.disconnecting station=%s reason=%s", identity, reason)
                server.disconnect(identity, reason=reason)

    async def _send_waiting(self, server: OcppServer) -> None:
        if not server.identities:
            return
        due = await self._store.run(calls.waiting, sorted(server.identities), now=timezone.now())
        for call in due:
            connection = server.connection(call.identity)
            if connection is not None and call.pk not in self._in_hand:
                self._in_hand.add(call.pk)
                task = asyncio.create_task(self._send(connection, call))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send(self, connection: Connection, call: StationCall) -> None:
        async def mark_sent() -> bool:
            return await self._store.run(calls.mark_sent, call.pk, epoch=connection.epoch, now=timezone.now())

        try:
            outcome = await connection.call(
                call.action,
                call.payload,
                timeout_seconds=self._answer_seconds,
                priority=Priority(call.priority),
                before_send=mark_sent,
            )
            await self._store.run(calls.close, call.pk, outcome, now=timezone.now())
        except StoreUnavailable:
            # The sweep closes the row when its time is over.
            log.warning("ocpp.outcome_not_stored call=%s", call.pk)
        finally:
            self._in_hand.discard(call.pk)


async def _first_of(wake: asyncio.Event, *, seconds: float) -> None:
    try:
        await asyncio.wait_for(wake.wait(), seconds)
    except TimeoutError:
        return


async def _listen(wake: asyncio.Event) -> None:
    parameters = connection.get_connection_params()
    for ours in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(ours, None)
    while True:
        try:
            listener = await psycopg.AsyncConnection.connect(**parameters, autocommit=True)
            async with listener:
                await listener.execute(f"LISTEN {CHANNEL}")
                wake.set()
                async for _ in listener.notifies():
                    wake.set()
        except psycopg.OperationalError:
            # The poll goes on meanwhile.
            await asyncio.sleep(POLL_SECONDS)
