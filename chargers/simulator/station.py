"""An OCPP 1.6-J charge point in software: the other side of the wire, with real energy and real faults.

Energy is simulated power x elapsed time x `speed`; timestamps stay wall time. Hundreds fit in a process.
"""

import asyncio
import ssl
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from chargers.simulator.charging import Charging
from chargers.simulator.configuration import Configuration
from chargers.simulator.connector import NO_ERROR, Connector, ConnectorSpec
from chargers.simulator.conversation import Conversation
from chargers.simulator.link import Link
from chargers.simulator.outbox import Outbox
from chargers.simulator.requests import Requests
from chargers.simulator.state import Misbehaviour, State, Timing, wall_clock
from chargers.simulator.vehicle import Vehicle

OnEvent = Callable[["Station", str, dict[str, Any]], None]


class Station:
    """One simulated charge point; connectors are numbered from 1.

        station = Station("GENT-NOORD-01", "ws://127.0.0.1:9000/ocpp", password, connectors=[ConnectorSpec()])
        station.start()
        await station.wait_for(lambda s: s.is_registered, timeout=10)
        station.plug(1, Vehicle())
        await station.tap(1, "DELIJN042")
        await station.stop()

    `speed` makes a simulated hour of charging last 3,600 / speed seconds. With `state_path` the queue of
    transaction messages, the meters and open transactions outlive the process. `on_event(station, event,
    details)` hears what happens, for people to watch.
    """

    def __init__(
        self,
        identity: str,
        url: str,
        password: str | bytes,
        *,
        connectors: Sequence[ConnectorSpec] = (ConnectorSpec(),),
        configuration: dict[str, str] | None = None,
        speed: Decimal | int = 1,
        timing: Timing | None = None,
        state_path: Path | None = None,
        model: str = "Simulator",
        on_event: OnEvent | None = None,
        clock: Callable[[], datetime] = wall_clock,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.identity = identity
        self._on_event = on_event
        timing = timing or Timing()
        numbered = {
            number: Connector(number, spec, meter_wh=spec.meter_wh)
            for number, spec in enumerate(connectors, 1)
        }
        self.state = State(
            identity=identity,
            connectors=numbered,
            configuration=Configuration(len(numbered), dict(configuration or {})),
            outbox=Outbox(state_path),
            timing=timing,
            speed=Decimal(speed),
            clock=clock,
            tell=self._tell,
        )
        self.link = _link(identity, url, password, timing=timing, tls=tls)
        self._charging = Charging(self.state)
        self._conversation = Conversation(self.state, self._charging, self.link, model=model)
        self._requests = Requests(self.state, self._charging, self._conversation, self.link, tap=self.tap)
        self._runner: asyncio.Task[None] | None = None
        self._charging.recover()

    @property
    def connectors(self) -> dict[int, Connector]:
        """Connectors by number, with their status, meter and transaction."""
        return self.state.connectors

    @property
    def configuration(self) -> Configuration:
        """Configuration keys."""
        return self.state.configuration

    @property
    def misbehaviour(self) -> Misbehaviour:
        """What the station does wrong on purpose; change it at any time."""
        return self.state.misbehaviour

    @property
    def outbox(self) -> Outbox:
        """Transaction messages that wait for their answer."""
        return self.state.outbox

    @property
    def is_online(self) -> bool:
        """Whether the WebSocket is open."""
        return self.state.is_online

    @property
    def is_registered(self) -> bool:
        """Whether the central system accepted the BootNotification."""
        return self.state.is_registered

    async def run(self) -> None:
        """Live until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                self.link.run(
                    on_call=self._requests.answer,
                    on_connected=self._conversation.greet,
                    on_change=self._line_changed,
                )
            )
            tasks.create_task(self._charging.run())
            tasks.create_task(self._conversation.beat())
            tasks.create_task(self._conversation.send_outbox())
            tasks.create_task(self._conversation.send_notices())

    def start(self) -> None:
        """Live in a task of its own; `stop` ends it."""
        self._runner = asyncio.create_task(self.run())

    async def stop(self) -> None:
        """Switch the station off; what waits in the outbox stays there. Raises what `run` raised."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        await self.link.hang_up()
        runner.cancel()
        try:
            await runner
        except asyncio.CancelledError:
            self._line_changed(False)
            self.state.is_registered = False

    async def wait_for(self, condition: Callable[["Station"], bool], *, timeout: float = 10) -> None:
        """Wait until `condition(station)` holds. Raises TimeoutError after `timeout` seconds."""
        if condition(self):
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter = (lambda: condition(self), future)
        self.state.waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout):
                await future
        except TimeoutError:
            raise TimeoutError(f"{self.identity}: {self.describe()}") from None
        finally:
            self.state.waiters.remove(waiter)

    def describe(self) -> str:
        """One line about the state, for people."""
        parts = [
            f"{number}:{connector.status} {connector.register_wh} Wh"
            for number, connector in self.connectors.items()
        ]
        line = "online" if self.is_online else "offline"
        return f"{line}, {', '.join(parts)}, {len(self.outbox.messages)} waiting"

    def plug(self, connector_id: int, vehicle: Vehicle | None = None) -> None:
        """Put a cable in; charging begins when somebody has permission here."""
        connector = self.connectors[connector_id]
        connector.vehicle = vehicle or Vehicle()
        connector.has_ended = False
        self._charging.begin_if_ready(connector)
        self._charging.refresh(connector)

    def unplug(self, connector_id: int) -> None:
        """Pull the cable; a running transaction ends with EVDisconnected."""
        connector = self.connectors[connector_id]
        self._charging.end_transaction(connector, reason="EVDisconnected")
        connector.vehicle = None
        connector.has_ended = False
        self._charging.refresh(connector)

    async def tap(self, connector_id: int, id_tag: str) -> str:
        """Present an RFID card; returns the AuthorizationStatus that the reader shows.

        The card that began the transaction ends it. Another card may end it when both have one parent.
        """
        connector = self.connectors[connector_id]
        running = connector.transaction
        if running is not None and running.id_tag == id_tag:
            self._charging.end_transaction(connector, reason="Local", id_tag=id_tag)
            return "Accepted"
        info = await self._conversation.authorize(id_tag)
        status, parent = str(info["status"]), info.get("parentIdTag")
        if status != "Accepted":
            return status
        if connector.transaction is not None:
            if parent is None or connector.transaction.parent_id_tag != parent:
                return "Invalid"
            self._charging.end_transaction(connector, reason="Local", id_tag=id_tag)
            return status
        is_closed = connector.status in ("Faulted", "Unavailable")
        if is_closed or connector.is_kept_from(id_tag, parent_id_tag=parent):
            return "Blocked"
        self._charging.permit(connector, id_tag, parent_id_tag=parent)
        return status

    def fail(self, connector_id: int, error_code: str = "GroundFailure") -> None:
        """Break a connector; a running transaction ends."""
        connector = self.connectors[connector_id]
        connector.error_code = error_code
        self._charging.end_transaction(connector, reason="Other")

    def repair(self, connector_id: int) -> None:
        """Make a broken connector whole."""
        self.connectors[connector_id].error_code = NO_ERROR
        self._charging.refresh(self.connectors[connector_id])

    def crash(self) -> None:
        """Lose power and memory: no StopTransaction, transactions forgotten, a new boot on reconnecting."""
        for connector in self.connectors.values():
            connector.transaction = None
            connector.permission = None
        self.state.is_registered = False
        self.link.cut()
        self._charging.note_facts()

    def go_offline(self) -> None:
        """Lose the network until `go_online`; charging goes on."""
        self.link.unplug_network()

    def go_online(self) -> None:
        """Get the network back."""
        self.link.plug_network()

    def drop_next_answer(self, action: str, *, times: int = 1) -> None:
        """Lose the next answers to `action` on the way, so that the station sends the message again."""
        self.link.answers_to_drop[action] += times

    def _line_changed(self, is_online: bool) -> None:  # noqa: FBT001 a callback with one fact
        self.state.is_online = is_online
        self.state.changed()

    def _tell(self, event: str, details: dict[str, Any]) -> None:
        if self._on_event is not None:
            self._on_event(self, event, details)


def _link(
    identity: str, url: str, password: str | bytes, *, timing: Timing, tls: ssl.SSLContext | None
) -> Link:
    return Link(
        identity,
        url,
        password,
        answer_timeout_seconds=timing.answer_timeout,
        reconnect_delays=timing.reconnect_delays,
        ping_interval_seconds=timing.ping_interval,
        tls=tls,
    )
