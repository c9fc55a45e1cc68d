"""The Django side of the gateway: what the OCPP server asks of the rest of the product, run in threads."""

import asyncio
import logging

import psycopg
from django.db import connection
from django.utils import timezone
from websockets.frames import CloseCode

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
        # The rows' numbers of the connections that the server knows by numbers of its own.
        self._epochs: dict[tuple[str, int], int] = {}
        self._unreported: dict[str, int] = {}
        self._in_hand: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def find_login(self, identity: str) -> StationLogin | None:
        """The station's password hash, None for an unknown station."""
        found = await self._store.run(owning.password_hash, identity)
        return StationLogin(password_hash=found) if found else None

    async def on_connect(self, identity: str, epoch: int, connection: Connection) -> None:
        """The station is here; calls that wait for it go out."""
        number = await self._store.run(owning.connected, identity, timezone.now())
        if number is None:
            connection.close(CloseCode.POLICY_VIOLATION, "credentials revoked")
            return
        self._epochs[identity, epoch] = number

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
        """Offline, unless a newer connection has taken over meanwhile; noted later if it cannot be noted now."""
        number = self._epochs.pop((identity, epoch), None)
        if number is not None:
            self._unreported[identity] = number
            await self._report_absent()

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
                    await self._report_absent()
                    await self._disconnect_revoked(server)
                    await self._send_waiting(server)
                except StoreUnavailable:
                    log.warning("ocpp.looked_in_vain")
                await _first_of(wake, seconds=POLL_SECONDS)
        finally:
            listener.cancel()

    async def _report_absent(self) -> None:
        for identity, number in list(self._unreported.items()):
            await self._store.run(owning.disconnected, identity, number, timezone.now())
            if self._unreported.get(identity) == number:
                del self._unreported[identity]

    async def _disconnect_revoked(self, server: OcppServer) -> None:
        held = {
            line.identity: owning.Held(number, line.password_hash) for line, number in self._held_by(server)
        }
        leaving = await self._store.run(owning.review, held, now=timezone.now()) if held else {}
        for line, number in self._held_by(server):
            reason = leaving.get(line.identity)
            # Who came back with the new password meanwhile has another number, and stays.
            if reason is not None and held[line.identity].epoch == number:
                log.warning("ocpp.disconnecting station=%s reason=%s", line.identity, reason)
                line.close(CloseCode.POLICY_VIOLATION, reason)

    def _held_by(self, server: OcppServer) -> list[tuple[Connection, int]]:
        """The connections that have been noted in the rows, each with its number there."""
        lines = (server.connection(identity) for identity in sorted(server.identities))
        return [
            (line, number)
            for line in lines
            if line is not None and (number := self._epochs.get((line.identity, line.epoch))) is not None
        ]

    async def _send_waiting(self, server: OcppServer) -> None:
        held = {line.identity: (line, number) for line, number in self._held_by(server)}
        if not held:
            return
        for call in await self._store.run(calls.waiting, list(held), now=timezone.now()):
            if call.pk not in self._in_hand:
                self._in_hand.add(call.pk)
                task = asyncio.create_task(self._send(*held[call.identity], call))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _send(self, connection: Connection, number: int, call: StationCall) -> None:
        async def mark_sent() -> bool:
            return await self._store.run(calls.mark_sent, call.pk, epoch=number, now=timezone.now())

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
        except Exception:
            # A fault of ours would only repeat itself: it stays in hand, and the sweep closes the row.
            log.exception("ocpp.call_failed call=%s", call.pk)
            return
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
