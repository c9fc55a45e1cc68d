"""The whole OCPP side on real sockets: the gateway over PostgreSQL in one thread, stations in another."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from django.utils import timezone

from chargers import owning
from chargers.central import DjangoCentral
from chargers.logins import LoginLimits
from chargers.server import OcppServer, ServerOptions
from chargers.simulator import ConnectorSpec, Station, Timing, Vehicle
from chargers.simulator.background import Background
from tests.chargers.support import RawStation, dialled

PASSWORDS = {"GENT-01": "example-only-01", "GENT-02": "example-only-02"}
QUICK = Timing(tick=0.02, answer_timeout=2, reconnect_delays=(0.1,), ping_interval=None)
FAST = Decimal(150_000)


class Gateway:
    """What `manage.py ocpp_gateway` runs, in a loop of this process; `port` 0 takes a free one."""

    def __init__(self, *, answer_seconds: float = 10, port: int = 0) -> None:
        self._answer_seconds = answer_seconds
        self._background = Background()
        self.port = port

    def __enter__(self) -> Self:
        self._background.__enter__()
        owning.everybody_offline(timezone.now())
        self.central = DjangoCentral(answer_seconds=self._answer_seconds)
        options = ServerOptions(login_limits=LoginLimits(failures_per_minute=10_000))
        self.server = OcppServer(self.central, options=options)
        self._background.do(self._start())
        self.port = self.server.port
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._background.do(self._stop())
        self._background.__exit__(kind, error, trace)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ocpp"

    async def _start(self) -> None:
        await self.server.start(host="127.0.0.1", port=self.port)
        self._looking = asyncio.create_task(self.central.look_after(self.server))

    async def _stop(self) -> None:
        await self.server.stop()
        self._looking.cancel()
        await asyncio.to_thread(self.central.close)
        if self._looking.done() and not self._looking.cancelled():
            self._looking.result()


class Yard:
    """The stations' side, driven from a test that is not asynchronous."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._background = Background()
        self._stack = ExitStack()
        self._stations: list[Station] = []

    def __enter__(self) -> Self:
        self._stack.enter_context(self._background)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for station in self._stations:
            self.do(station.stop())
        self._stack.close()
        assert [fault for station in self._stations for fault in station.link.faults] == []

    @property
    def port(self) -> int:
        return int(self.url.split(":")[2].split("/")[0])

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._background.do(work)

    def run(self, work: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return work()

        return self.do(call())

    def station(self, identity: str = "GENT-01", *, boots: bool = True, **options: Any) -> "LiveStation":
        """A station that has booted, one 150 kW plug, a meter value every 0.3 s; its clock is right."""
        given: dict[str, Any] = {
            "connectors": [ConnectorSpec(max_w=FAST)],
            "configuration": {"MeterValueSampleInterval": "0.3", "TransactionMessageRetryInterval": "0"},
            "timing": QUICK,
        }

        async def make() -> Station:
            station = Station(identity, self.url, PASSWORDS[identity], **(given | options))
            station.start()
            if boots:
                await station.wait_for(lambda each: each.is_registered)
            return station

        station = self.do(make())
        self._stations.append(station)
        return LiveStation(self, station)

    @contextmanager
    def raw(self, identity: str = "GENT-01") -> Iterator["RawLine"]:
        """A line on which a test spells out every frame."""

        opening = dialled(self, identity, password=PASSWORDS[identity])  # type: ignore[arg-type]  # has a port
        raw = self.do(opening.__aenter__())
        try:
            yield RawLine(self, raw)
        finally:
            self.do(opening.__aexit__(None, None, None))


class LiveStation:
    """One simulated station with one connector."""

    def __init__(self, yard: Yard, station: Station) -> None:
        self.yard = yard
        self.station = station

    def wait(self, condition: Callable[[Station], bool], seconds: float = 10) -> None:
        self.yard.do(self.station.wait_for(condition, timeout=seconds))

    def plug(self) -> None:
        self.yard.run(lambda: self.station.plug(1, Vehicle(max_w=FAST)))

    def unplug(self) -> None:
        self.yard.run(lambda: self.station.unplug(1))

    def tap(self, card: str) -> str:
        return str(self.yard.do(self.station.tap(1, card)))

    def charge(self, card: str) -> None:
        """Plug in, show the card, and charge until a kilometre or so is in the battery."""
        self.plug()
        assert self.tap(card) == "Accepted"
        self.draw()

    def draw(self, watt_hours: int = 20) -> None:
        start = self.station.connectors[1].register_wh
        self.wait(lambda each: each.connectors[1].register_wh >= start + watt_hours)

    def deliver(self) -> None:
        """Wait until nothing waits in the station's queue."""
        self.wait(lambda each: not each.outbox.messages)

    def go_offline(self) -> None:
        self.yard.run(self.station.go_offline)
        self.wait(lambda each: not each.is_online)

    def go_online(self) -> None:
        self.yard.run(self.station.go_online)
        self.wait(lambda each: each.is_online)

    def crash(self) -> None:
        self.yard.run(self.station.crash)

    @property
    def status(self) -> str:
        return self.station.connectors[1].status


class RawLine:
    """Sends exactly the frames that a test spells out, and reads the answers."""

    def __init__(self, yard: Yard, raw: RawStation) -> None:
        self._yard = yard
        self._raw = raw
        self._number = 0

    def ask(self, action: str, *, within: float = 5, **payload: Any) -> Any:
        """Payload of the answer; the whole frame when it is a CALLERROR. Calls of the gateway are passed over."""
        self._number += 1
        message_id = f"m-{self._number}"
        self._yard.do(self._raw.send([2, message_id, action, payload]))
        while True:
            frame = self._yard.do(self._raw.receive(within=within))
            if frame[1] == message_id:
                return frame[2] if frame[0] == 3 else frame

    def hear(self, action: str, *, within: float = 5) -> Any:
        """Payload of the gateway's next call of that action; it is left without an answer."""
        return self._next(action, within=within)[1]

    def overhear(self, *, seconds: float) -> list[str]:
        """Actions of all calls that the gateway makes in that time; none is answered."""
        deadline, heard = time.monotonic() + seconds, []
        while (left := deadline - time.monotonic()) > 0:
            try:
                frame = self._yard.do(self._raw.receive(within=left))
            except TimeoutError:
                break
            if frame[0] == 2:
                heard.append(frame[2])
        return heard

    def answer_configuration(self, **values: str) -> None:
        """Answer the gateway's question after a boot, so that the line is free for other calls."""
        message_id, asked = self._next("GetConfiguration")
        keys = [{"key": key, "readonly": True, "value": values.get(key, "")} for key in asked["key"]]
        self._yard.do(self._raw.send([3, message_id, {"configurationKey": keys}]))

    def refuse(self, action: str, code: str) -> None:
        """Answer the gateway's next call of that action with a CALLERROR."""
        message_id, _ = self._next(action)
        self._yard.do(self._raw.send([4, message_id, code, "", {}]))

    def _next(self, action: str, *, within: float = 5) -> tuple[str, Any]:
        while True:
            frame = self._yard.do(self._raw.receive(within=within))
            if frame[0] == 2 and frame[2] == action:
                return frame[1], frame[3]

    def boot(self) -> Any:
        return self.ask("BootNotification", chargePointVendor="Vendor", chargePointModel="Model")

    def closed(self) -> int | None:
        code: int | None = self._yard.do(self._raw.closed())
        return code


def eventually(condition: Callable[[], Any], seconds: float = 5) -> Any:
    """Look every 10 ms until something is true, and return it; fails with the last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {value!r}"
        time.sleep(0.01)
    return value
