"""Runs the processes of a stack: starts them, restarts one that dies, stops all of them."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

log = logging.getLogger(__name__)

STOP_SECONDS = 15


@dataclass
class Child:
    """One process of the stack and its own log file."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    quick_deaths: int = 0


@dataclass
class Supervisor:
    """Keeps a set of children running below one data folder."""

    folder: Path
    environment: dict[str, str]
    children: list[Child] = field(default_factory=list)
    is_stopping: bool = False

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start one more child; its output goes to `logs/<name>.log` in the data folder."""
        child = Child(name, command)
        self.children.append(child)
        self._spawn(child)

    def _spawn(self, child: Child) -> None:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{child.name}.log").open("ab") as out:
            child.process = subprocess.Popen(
                child.command,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                # A group of its own: Ctrl-C reaches us alone, and we stop the children in order.
                start_new_session=True,
            )
        child.started_at = time.monotonic()
        (self.folder / "logs" / f"{child.name}.pid").write_text(str(child.process.pid))

    def check(self) -> None:
        """Restart every child that has died; a child that dies at once waits longer each time (up to 10 s)."""
        for child in self.children:
            if self.is_stopping or child.process is None or child.process.poll() is None:
                continue
            lived = time.monotonic() - child.started_at
            child.quick_deaths = child.quick_deaths + 1 if lived < 5 else 0
            if lived < min(10.0, 0.5 * 2**child.quick_deaths) and child.quick_deaths > 1:
                continue
            log.warning("stack.child_restarted name=%s exit=%s", child.name, child.process.returncode)
            self._spawn(child)

    def stop(self) -> None:
        """Stop all children, last started first; kill whatever is left after 15 seconds."""
        self.is_stopping = True
        for child in reversed(self.children):
            _signal_group(child.process, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        for child in reversed(self.children):
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal_group(child.process, signal.SIGKILL)
                child.process.wait()


def _signal_group(process: subprocess.Popen[bytes] | None, number: signal.Signals) -> None:
    if process is None or process.poll() is not None:
        return
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        return


def manage(*arguments: str) -> list[str]:
    """The command line of one of our own management commands, run by this interpreter."""
    return [sys.executable, str(Path(__file__).resolve().parent.parent / "manage.py"), *arguments]
