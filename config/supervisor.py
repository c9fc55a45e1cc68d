"""Runs the processes of a stack: starts them, restarts one that dies, stops all of them."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from config.leash import leashed

log = logging.getLogger(__name__)

# What is on its way to a partner or a station is finished first: a request has 20 seconds.
STOP_SECONDS = 25
# A child that lives shorter has died at once; it is restarted later each time.
QUICK_SECONDS = 5.0
MAX_WAIT_SECONDS = 10.0


@dataclass
class Child:
    """One process of the stack and its own log file; ``restart_at`` is on the monotonic clock."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float = 0.0
    quick_deaths: int = 0


@dataclass
class Supervisor:
    """Keeps a set of children running below one data folder."""

    folder: Path
    environment: dict[str, str]
    children: list[Child] = field(default_factory=list)
    stop_seconds: float = STOP_SECONDS
    is_stopping: bool = False

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start one more child; its output goes to `logs/<name>.log`, its process id to `logs/<name>.pid`."""
        child = Child(name, command)
        self.children.append(child)
        self._spawn(child)

    def _spawn(self, child: Child) -> None:
        logs = self.folder / "logs"
        logs.mkdir(exist_ok=True)
        with (logs / f"{child.name}.log").open("ab") as out:
            child.process = subprocess.Popen(
                leashed(child.command),
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                # A group of its own: Ctrl-C reaches us alone, and we stop the children in order.
                start_new_session=True,
            )
        child.started_at = time.monotonic()
        (logs / f"{child.name}.pid").write_text(str(child.process.pid))

    def check(self) -> None:
        """Restart every child that has died; one that dies at once waits longer each time (up to 10 s)."""
        for child in self.children:
            if self.is_stopping:
                return
            if child.process is not None and child.process.poll() is not None:
                self._note_death(child, child.process)
            if child.process is None and time.monotonic() >= child.restart_at:
                self._spawn(child)

    def _note_death(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        # Its own children may live on: they would hold its port, or do its work a second time.
        kill_group(process.pid)
        lived = time.monotonic() - child.started_at
        child.quick_deaths = child.quick_deaths + 1 if lived < QUICK_SECONDS else 0
        wait = min(MAX_WAIT_SECONDS, 0.5 * 2**child.quick_deaths) if child.quick_deaths > 1 else 0.0
        child.process, child.restart_at = None, time.monotonic() + wait
        log.warning(
            "stack.child_died name=%s exit=%s restart_in_seconds=%.0f", child.name, process.returncode, wait
        )

    def stop(self) -> None:
        """Let all children end, last started first; kill whatever is left after ``stop_seconds``."""
        self.is_stopping = True
        running = [child.process for child in reversed(self.children) if child.process is not None]
        for process in running:
            # Not to its group: each knows in which order its own children end.
            process.terminate()
        deadline = time.monotonic() + self.stop_seconds
        for process in running:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("stack.child_killed pid=%s after_seconds=%s", process.pid, self.stop_seconds)
            kill_group(process.pid)
            process.wait()


def kill_group(pid: int) -> None:
    """Kill a child with all its own children; does nothing when none of them is left."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def end_leftovers(folder: Path) -> int:
    """Kill what an earlier stack of this folder has left running; returns the number of processes.

    Call it only as the one stack of the folder. A process is known by the group that its supervisor wrote
    down and by the folder in its environment, so a process id that was given out again is never hit.
    """
    pid_files = (folder / "logs").glob("*.pid")
    groups = {int(text) for each in pid_files if (text := each.read_text().strip()).isdigit()}
    ended = 0
    for pid in processes_of(folder):
        try:
            if pid != os.getpid() and os.getpgid(pid) in groups:
                os.kill(pid, signal.SIGKILL)
                ended += 1
        except ProcessLookupError:
            continue
    return ended


def processes_of(folder: Path) -> Iterator[int]:
    """Ids of the processes that were started with this folder as YARDGATE_DATA (where there is a /proc)."""
    wanted = f"YARDGATE_DATA={folder}".encode()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes()
        except OSError:
            continue  # gone by now, or somebody else's
        if wanted in environment.split(b"\0"):
            yield int(entry.name)


def manage(*arguments: str) -> list[str]:
    """The command line of one of our own management commands, run by this interpreter."""
    return [sys.executable, str(Path(__file__).resolve().parent.parent / "manage.py"), *arguments]
