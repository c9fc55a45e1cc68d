"""One whole installation on one machine: servers, web, workers, gateway (see `manage.py up`)."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from config import datadir, embedded
from config.supervisor import Supervisor, manage

READY_SECONDS = 60


@dataclass(frozen=True)
class Binding:
    """Host and port that a face of the stack listens on."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> "Binding":
        """Read `127.0.0.1:8000`; raise ValueError with what is wrong otherwise. Port 0 takes any free port."""
        host, _, port = text.rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"'{text}' is not HOST:PORT, for example 127.0.0.1:8000")
        return cls(host, int(port) or _free_port(host))

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


def _free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@dataclass
class Stack:
    """A stack of one data folder; `start` returns when every part answers."""

    folder: Path
    http: Binding
    ocpp: Binding
    workers: int = 2

    def start(self) -> datadir.Addresses:
        """Start servers and processes, apply migrations, wait until ready; publish the addresses."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._refuse_second_stack()
        for binding in (self.http, self.ocpp):
            _refuse_taken(binding)
        self.redis_process: subprocess.Popen[bytes] | None = None
        database_url, redis_url = self._servers()
        addresses = datadir.Addresses(
            database_url, redis_url, f"http://{self.http}", f"ws://{self.ocpp}/ocpp", os.getpid()
        )
        datadir.write_addresses(self.folder, addresses)
        environment = {"YARDGATE_DATA": str(self.folder), "PYTHONUNBUFFERED": "1"}
        subprocess.run(
            manage("migrate", "--verbosity", "0"), env={**os.environ, **environment}, check=True
        )
        self.supervisor = Supervisor(self.folder, environment)
        self._processes()
        self._wait_until_ready(addresses)
        return addresses

    def _servers(self) -> tuple[str, str]:
        database_url = os.environ.get("DATABASE_URL") or embedded.start_postgres(self.folder)
        redis_url = os.environ.get("REDIS_URL", "")
        if not redis_url:
            self.redis_process, redis_url = embedded.start_redis(self.folder)
        return database_url, redis_url

    def _processes(self) -> None:
        start = self.supervisor.start
        start(
            "web",
            [sys.executable, "-m", "gunicorn", "config.wsgi:application", "--bind", str(self.http),
             "--workers", str(self.workers), "--threads", "8", "--worker-class", "gthread",
             "--timeout", "30", "--keep-alive", "75", "--limit-request-line", "4094",
             "--limit-request-fields", "50", "--no-control-socket"],
        )  # fmt: skip
        start("gateway", manage("ocpp_gateway", "--bind", str(self.ocpp)))
        celery = [sys.executable, "-m", "celery", "--app", "config.celery"]
        start("worker", [*celery, "worker", "--loglevel", "INFO", "--concurrency", "2", "--without-gossip",
                         "--without-mingle"])  # fmt: skip
        schedule = str(self.folder / "beat-schedule")
        start("beat", [*celery, "beat", "--loglevel", "WARNING", "--schedule", schedule, "--pidfile="])
        # Does the same work as the Celery worker, without Redis: the stack lives when Redis does not.
        start("sweep", manage("sweep"))

    def _wait_until_ready(self, addresses: datadir.Addresses) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not (_answers_health(addresses.http) and _listens(self.ocpp)):
            if time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"the stack was not ready after {READY_SECONDS} s; see {self.folder / 'logs'}")
            self.supervisor.check()
            time.sleep(0.1)

    def watch(self) -> None:
        """Look after the children once; call it in a loop."""
        self.supervisor.check()
        if self.redis_process is not None and self.redis_process.poll() is not None:
            self.redis_process, _ = embedded.start_redis(self.folder)

    def stop(self) -> None:
        """Stop everything that this stack started; the data stays."""
        if hasattr(self, "supervisor"):
            self.supervisor.stop()
        if self.redis_process is not None:
            self.redis_process.terminate()
            self.redis_process.wait(10)
        if not os.environ.get("DATABASE_URL"):
            embedded.stop_postgres(self.folder)
        (self.folder / "stack.json").unlink(missing_ok=True)

    def _refuse_second_stack(self) -> None:
        running = datadir.read_addresses(self.folder)
        if running is not None and _is_alive(running.pid) and _answers_health(running.http):
            raise RuntimeError(
                f"a stack of {self.folder} is already running at {running.http} (process {running.pid}); "
                "stop it, or choose another folder with --data"
            )


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _refuse_taken(binding: Binding) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((binding.host, binding.port))
        except OSError as error:
            raise RuntimeError(f"{binding} cannot be used ({error.strerror}); choose another port") from error


def _answers_health(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"{http}/health", timeout=2) as answer:  # noqa: S310  # our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _listens(binding: Binding) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((binding.host, binding.port)) == 0
