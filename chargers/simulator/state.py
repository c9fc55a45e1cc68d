"""What one simulated station knows and has; the parts of the station share it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from chargers.simulator.configuration import Configuration
from chargers.simulator.connector import Connector
from chargers.simulator.messages import Payload
from chargers.simulator.outbox import Outbox, TransactionMessage
from chargers.simulator.profiles import ProfileStore

Tell = Callable[[str, dict[str, Any]], None]


@dataclass(slots=True)
class Misbehaviour:
    """What this station does wrong, on purpose; change it at any time."""

    silent_to: set[str] = field(default_factory=set)  # actions that get no answer
    rejects: set[str] = field(default_factory=set)  # actions that are answered Rejected
    lacks: set[str] = field(default_factory=set)  # actions that it does not know (no such profile)
    sends_start_twice: bool = False
    ignores_limits: bool = False
    keeps_message_ids: bool = False  # a repeated message has the id of the first try


@dataclass(frozen=True, slots=True)
class Timing:
    """How fast the station lives, in seconds; tests make it quick."""

    tick: float = 1.0
    answer_timeout: float = 30
    reconnect_delays: Sequence[float] = (1, 2, 5, 10, 30, 60)
    ping_interval: float | None = 30


def wall_clock() -> datetime:
    """The station's own clock, UTC."""
    return datetime.now(UTC)


def write_time(moment: datetime) -> str:
    """An OCPP dateTime in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(slots=True)
class State:
    """Everything that the parts of one station share."""

    identity: str
    connectors: dict[int, Connector]
    configuration: Configuration
    outbox: Outbox
    timing: Timing
    speed: Decimal
    clock: Callable[[], datetime]
    tell: Tell
    misbehaviour: Misbehaviour = field(default_factory=Misbehaviour)
    profiles: ProfileStore = field(default_factory=ProfileStore)
    local_list: dict[str, Payload] = field(default_factory=dict)
    local_list_version: int = 0
    cache: dict[str, Payload] = field(default_factory=dict)
    is_online: bool = False  # the WebSocket is open
    is_registered: bool = False  # the central system accepted the BootNotification
    notices: asyncio.Queue[tuple[str, Payload]] = field(default_factory=asyncio.Queue)
    outbox_wakes: asyncio.Event = field(default_factory=asyncio.Event)
    heart_wakes: asyncio.Event = field(default_factory=asyncio.Event)
    waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = field(default_factory=list)

    @property
    def is_ready(self) -> bool:
        """Whether messages may leave: online and accepted."""
        return self.is_online and self.is_registered

    def now(self) -> float:
        """The loop's clock, seconds; for durations."""
        return asyncio.get_running_loop().time()

    def changed(self) -> None:
        """Look again at what is being waited for."""
        self.outbox_wakes.set()
        for condition, future in self.waiters:
            if not future.done() and condition():
                future.set_result(None)

    def queue(self, message: TransactionMessage) -> None:
        """Queue a transaction message; it waits for a connection, and over restarts."""
        self.outbox.put(message)
        self.outbox_wakes.set()

    def notify(self, action: str, payload: Payload) -> None:
        """Queue a message that is of no use later: nothing is queued while offline."""
        if self.is_ready:
            self.notices.put_nowait((action, payload))
