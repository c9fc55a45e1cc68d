"""What is measured against each other: one PostgreSQL and three web servers of the same make."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from config import embedded
from config.datadir import ROOT

WORKERS = 2
# As the stack starts them (config/stack.py).
GUNICORN = ("--workers", str(WORKERS), "--threads", "32", "--worker-class", "gthread", "--keep-alive", "75",
            "--timeout", "120", "--no-control-socket", "--log-level", "warning")  # fmt: skip
READY_SECONDS = 30.0
_TICKS = os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def installation(folder: Path) -> Iterator[None]:
    """A database and a Redis of their own; this process and its children are pointed at them by environment.

    The database does not wait for the disk: a commit would cost what this machine's disk costs at that moment,
    on all sides the same.
    """
    url = embedded.start_postgres(folder, durable=False)
    redis, redis_url = embedded.start_redis(folder)
    os.environ |= {
        "YARDGATE_DATA": str(folder),
        "DATABASE_URL": url,
        "REDIS_URL": redis_url,
        "DJANGO_SETTINGS_MODULE": "config.settings",
        "OCPI_PUBLIC_URL": "http://127.0.0.1:8000",
        "TOKEN_PEPPER": "bench",
        "LOG_LEVEL": "ERROR",
    }
    try:
        yield
    finally:
        redis.terminate()
        redis.wait(10)
        embedded.stop_postgres(folder)


@dataclass(frozen=True)
class Server:
    """One gunicorn under test."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def cpu_seconds(self) -> float:
        """CPU time that its worker processes and the database's processes have used so far."""
        return sum(cpu_seconds(pid) for pid in (*_children(self.process.pid), *_children(_postmaster())))


@contextlib.contextmanager
def serving(name: str, application: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run one WSGI application, with the same settings as every other one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", application, "--bind", f"127.0.0.1:{port}", *GUNICORN],
        cwd=ROOT,
        env=os.environ | (environment or {}),
    )
    try:
        _wait_for(port, process, name)
        yield Server(name, port, process)
    finally:
        process.terminate()
        process.wait(30)


def _postmaster() -> int:
    file = Path(os.environ["YARDGATE_DATA"]) / "postgres" / "postmaster.pid"
    return int(file.read_text().split("\n", 1)[0])


def _wait_for(port: int, process: subprocess.Popen[bytes], name: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0 and len(_children(process.pid)) == WORKERS:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the server '{name}' did not start")
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far."""
    # Fields 14 and 15 of proc(5), counted after the name in parentheses.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
