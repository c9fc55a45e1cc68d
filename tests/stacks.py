"""A whole stack as processes of its own: started by `manage.py up`, looked into, killed in parts, stopped."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from config.datadir import ROOT, Addresses, read_addresses
from config.supervisor import processes_of

START_SECONDS = 120
STOP_SECONDS = 60
MANAGE = str(ROOT / "manage.py")


@dataclass
class RunningStack:
    """One stack of one data folder; ``environment`` goes to all its processes."""

    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    out: list[str] = field(default_factory=list)
    process: subprocess.Popen[str] | None = None

    def start(self, *arguments: str) -> Addresses:
        """`manage.py up` on free ports, until it says that it is ready."""
        ports = ("--http", "127.0.0.1:0", "--ocpp", "127.0.0.1:0")
        self.process = self.launch("up", "--data", str(self.folder), *ports, *arguments)
        wait_for(lambda: self.out or self.has_ended, START_SECONDS)
        assert self.out, f"`up` was not ready within {START_SECONDS} s\n{self.story()}"
        addresses = self.addresses
        assert addresses is not None, self.story()
        return addresses

    def launch(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a management command of this stack; its lines go to ``out``, its errors to `errors.txt`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "errors.txt").open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, MANAGE, *arguments],
                env=self.child_environment, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()
        return process

    def _listen(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            self.out.extend(line.rstrip("\n") for line in lines)

    @property
    def child_environment(self) -> dict[str, str]:
        """Nothing of the servers that the tests themselves may have been given."""
        kept = {
            name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")
        }
        return kept | {"YARDGATE_DATA": str(self.folder)} | dict(self.environment)

    @property
    def has_ended(self) -> bool:
        """Whether `up` is over."""
        return self.process is None or self.process.poll() is not None

    @property
    def addresses(self) -> Addresses | None:
        """What the stack has published."""
        return read_addresses(self.folder)

    def run(self, *command: str, seconds: float = 90) -> "subprocess.CompletedProcess[str]":
        """Run a Python program against this stack to its end: a management command by its name, or `-m module`."""
        program = command if command[0] == "-m" else (MANAGE, *command)
        return subprocess.run(
            [sys.executable, *program], cwd=ROOT, env=self.child_environment, capture_output=True, text=True,
            timeout=seconds, check=False,
        )  # fmt: skip

    def output(self, *command: str, seconds: float = 90) -> str:
        """What a program that must succeed has printed."""
        done = self.run(*command, seconds=seconds)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def spawn(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a Python program against this stack, as on another machine; its output goes to `logs/more.log`."""
        python_path = {"PYTHONPATH": str(ROOT)}
        with (self.folder / "logs" / "more.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *command], cwd=self.folder / "logs", env=self.child_environment | python_path,
                stdout=log, stderr=log,
            )  # fmt: skip

    # -- looking inside

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Rows of one statement in the stack's database, on a connection of its own."""
        addresses = self.addresses
        assert addresses is not None
        with psycopg.connect(addresses.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def pid(self, name: str) -> int | None:
        """Id of one of the processes of this stack, None while it is dead."""
        text = (self.folder / "logs" / f"{name}.pid").read_text()
        return int(text) if text and int(text) in self.processes() else None

    def pool_of(self, name: str) -> list[int]:
        """Ids of the children of one of the processes."""
        parent = self.pid(name)
        return [pid for pid in self.processes() if _parent_of(pid) == parent] if parent else []

    def processes(self) -> list[int]:
        """Ids of everything alive that was started for this folder, `up` included, but its two servers."""
        apart = {os.getpid(), *self.servers()}
        return [pid for pid in processes_of(self.folder) if pid not in apart and is_alive(pid)]

    def redis(self) -> int | None:
        """Id of the Redis of this folder."""
        return next((pid for pid in _all_pids() if _works_in(pid, self.folder)), None)

    def postmaster(self) -> int | None:
        """Id of the PostgreSQL of this folder."""
        try:
            pid = int((self.folder / "postgres" / "postmaster.pid").read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None
        return pid if _works_in(pid, self.folder / "postgres") else None

    def servers(self) -> list[int]:
        """Ids of all processes of PostgreSQL and Redis of this folder."""
        folders = (self.folder, self.folder / "postgres")
        return [pid for pid in _all_pids() if any(_works_in(pid, each) for each in folders)]

    # -- the end

    def stop(self) -> int:
        """SIGTERM to `up`; returns its exit code."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"`up` did not stop within {STOP_SECONDS} s\n{self.story()}") from None

    def clear(self) -> None:
        """Leave nothing running, whatever happened."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pid in {*self.processes(), *self.servers()}:
            kill(pid)

    def story(self, lines: int = 15) -> str:
        """The last lines of everything that was logged, for the text of a failure."""
        files = [self.folder / "errors.txt", *sorted((self.folder / "logs").glob("*.log"))]
        texts = [f"--- {file.name}\n" + "\n".join(_last(file, lines)) for file in files if file.exists()]
        return "\n".join([*self.out, *texts])


@contextmanager
def a_folder(below: Path) -> Iterator[Path]:
    """A data folder for one test: removed when the test has passed, kept for whoever must look into it."""
    folder = Path(tempfile.mkdtemp(dir=below, prefix="stack-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def a_stack(below: Path, *arguments: str, **environment: str) -> Iterator[RunningStack]:
    """A running stack in a folder of its own; nothing of it is alive afterwards."""
    with a_folder(below) as folder:
        stack = RunningStack(folder, environment)
        try:
            stack.start(*arguments)
            yield stack
            assert stack.stop() == 0, stack.story()
        finally:
            stack.clear()


def wait_for(condition: Callable[[], Any], seconds: float, *, every: float = 0.1) -> Any:
    """Look until something is true, at most so long; returns the last value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(every)
    return value


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal; False when the process was gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not just waiting to be buried."""
    return _stat(pid)[:1] not in ([], ["Z"])


def _parent_of(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _stat(pid: int) -> list[str]:
    """State, parent and so on, as in proc(5)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _all_pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]


def _works_in(pid: int, folder: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == folder
    except OSError:
        return False


def _last(file: Path, lines: int) -> list[str]:
    return file.read_text(errors="replace").splitlines()[-lines:]
