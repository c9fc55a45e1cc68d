"""What the story plays on: the management commands of a running stack, the stations, the table of checks."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from chargers.simulator import ConnectorSpec, Station, Timing

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Checks:
    """What was checked, in order; `expect` never raises, so that the story goes on to its end."""

    rows: list[tuple[bool, str, str]] = field(default_factory=list)
    tell: Callable[[str], None] = print

    def expect(self, holds: object, claim: str, seen: object = "") -> bool:
        """Note one claim, whether it holds, and what was seen."""
        self.rows.append((bool(holds), claim, str(seen)))
        self.tell(f"  {'PASS' if holds else 'FAIL'}  {claim}" + (f"  ({seen})" if seen != "" else ""))
        return bool(holds)

    @property
    def is_passed(self) -> bool:
        """Whether everything held, and something was checked at all."""
        return bool(self.rows) and all(row[0] for row in self.rows)

    def table(self) -> str:
        """The whole table."""
        width = max(len(claim) for _, claim, _ in self.rows)
        lines = [
            f"{'PASS' if ok else 'FAIL'}  {claim:<{width}}  {seen}".rstrip() for ok, claim, seen in self.rows
        ]
        passed = sum(ok for ok, _, _ in self.rows)
        return "\n".join([*lines, "", f"{passed} passed, {len(self.rows) - passed} failed"])


class CommandFailed(Exception):
    """A management command ended with an error; its words."""


@dataclass(frozen=True)
class Manage:
    """Runs management commands against the stack of a data folder, as an operator would."""

    folder: Path

    def __call__(self, *arguments: str, stdin: str = "") -> str:
        """Run one and return what it printed. Errors: CommandFailed."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env={**os.environ, "YARDGATE_DATA": str(self.folder)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise CommandFailed(done.stderr.strip() or done.stdout.strip())
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run one with --json and return what it handed over, numbers exact."""
        return json.loads(self(*arguments, "--json"), parse_float=Decimal)


class Stations:
    """The two stations of the depot, in an event loop of their own."""

    def __init__(self, url: str) -> None:
        timing = Timing(tick=0.25, answer_timeout=10, reconnect_delays=(0.5, 1, 2))
        quick = {"MeterValueSampleInterval": "2"}
        self.fast = Station("GENT-01", url, "example-only-01", configuration=dict(quick), timing=timing,
                            connectors=[ConnectorSpec(max_w=Decimal(150_000))])  # fmt: skip
        self.slow = Station("GENT-02", url, "example-only-02", configuration=dict(quick), timing=timing,
                            connectors=[ConnectorSpec(max_w=Decimal(22_000))])  # fmt: skip
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def do(self, work: Coroutine[Any, Any, Any], seconds: float = 20) -> Any:
        """Run a coroutine in the stations' loop and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(seconds)

    def run(self, work: Callable[[], Any]) -> Any:
        """Run plain code in the stations' loop."""

        async def call() -> Any:
            return work()

        return self.do(call())

    def start(self) -> None:
        """Switch both on and wait until they have booted."""
        for station in (self.fast, self.slow):
            self.run(station.start)
            self.do(station.wait_for(lambda each: each.is_registered, timeout=15))

    def stop(self) -> None:
        """Switch both off."""
        for station in (self.fast, self.slow):
            self.do(station.stop())


def wait_for(condition: Callable[[], Any], seconds: float = 10) -> Any:
    """Look every 50 ms until something is true; return the last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value
