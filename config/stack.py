"""One whole installation on one machine: servers, web, workers, gateway (see `manage.py up`)."""

import fcntl
import logging
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from config import datadir, embedded
from config.binding import Binding
from config.leash import leashed
from config.supervisor import Supervisor, end_leftovers, manage

log = logging.getLogger(__name__)

READY_SECONDS = 60
# A server that does not start again is tried again after this time.
SERVER_RETRY_SECONDS = 5.0

PROCESSES = ("web", "gateway", "worker", "beat", "sweep")


class Cancelled(Exception):
    """The stack was told to stop while it was starting; everything it had started is stopped."""


@dataclass
class Stack:
    """A stack of one data folder; `start` returns when every part answers.

    ``without`` names processes that run elsewhere or not at all; ``is_cancelled`` is asked while it starts.
    """

    folder: Path
    http: Binding
    ocpp: Binding
    workers: int = 2
    without: frozenset[str] = frozenset()
    is_cancelled: Callable[[], bool] = lambda: False

    def __post_init__(self) -> None:
        self._lock: IO[str] | None = None
        self._redis: subprocess.Popen[bytes] | None = None
        self._redis_url = ""
        self._has_postgres = False
        self._retry_at = 0.0
        self._environment = {"YARDGATE_DATA": str(self.folder), "PYTHONUNBUFFERED": "1"}
        self.supervisor = Supervisor(self.folder, self._environment)

    def start(self) -> datadir.Addresses:
        """Start servers and processes, apply migrations, wait until ready; publish the addresses.

        Raises RuntimeError when that is not possible, and Cancelled; then nothing of it is left running.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.folder)
            self._require_free_addresses()
            return self._start()
        except OSError as error:
            self.stop()
            raise RuntimeError(f"the stack of {self.folder} cannot be started: {error}") from error
        except BaseException:
            self.stop()
            raise

    def _start(self) -> datadir.Addresses:
        database_url = self._start_servers()
        self._go_on()
        addresses = datadir.Addresses(
            database_url, self._redis_url, f"http://{self.http}", f"ws://{self.ocpp}/ocpp", os.getpid()
        )
        datadir.write_addresses(self.folder, addresses)
        self._migrate()
        self._go_on()
        self._start_processes()
        self._wait_until_ready(addresses)
        return addresses

    def _require_free_addresses(self) -> None:
        if count := end_leftovers(self.folder):
            log.warning("stack.leftovers_ended processes=%s", count)
        if self.http == self.ocpp:
            raise RuntimeError(f"{self.http} is given twice; web and stations need a port each")
        for binding in (self.http, self.ocpp):
            binding.require_free()

    def _go_on(self) -> None:
        if self.is_cancelled():
            raise Cancelled

    def _start_servers(self) -> str:
        database_url = os.environ.get("DATABASE_URL", "")
        if not database_url:
            self._has_postgres = True
            database_url = embedded.start_postgres(self.folder)
        self._redis_url = os.environ.get("REDIS_URL", "")
        if not self._redis_url:
            self._redis, self._redis_url = embedded.start_redis(self.folder)
        return database_url

    def _migrate(self) -> None:
        done = subprocess.run(
            leashed(manage("migrate", "--verbosity", "0")),
            env={**os.environ, **self._environment},
            check=False,
        )
        if done.returncode:
            self._go_on()
            raise RuntimeError("the migrations could not be applied; see above")

    def _start_processes(self) -> None:
        for name, command in self._commands().items():
            if name not in self.without:
                self.supervisor.start(name, command)

    def _commands(self) -> dict[str, list[str]]:
        celery = [sys.executable, "-m", "celery", "--app", "config.celery"]
        return {
            "web": [
                sys.executable, "-m", "gunicorn", "config.wsgi:application", "--bind", str(self.http),
                "--workers", str(self.workers), "--threads", "32", "--worker-class", "gthread",
                "--timeout", "30", "--keep-alive", "75", "--limit-request-line", "4094",
                # Imported once, before it forks: half the time to get ready, and less memory.
                "--limit-request-fields", "50", "--no-control-socket", "--preload",
                # No header of a request says where in the site it points: by default SCRIPT_NAME and PATH_INFO may.
                "--forwarder-headers", "",
            ],
            "gateway": manage("ocpp_gateway", "--bind", str(self.ocpp)),
            "worker": [
                *celery, "worker", "--loglevel", "INFO", "--concurrency", "2", "--without-gossip",
                "--without-mingle",
            ],
            "beat": [
                *celery, "beat", "--loglevel", "WARNING", "--schedule", str(self.folder / "beat-schedule"),
                "--pidfile=",
            ],
            # Does the same work as the Celery worker, without Redis: the stack lives when Redis does not.
            "sweep": manage("sweep"),
        }  # fmt: skip

    def _wait_until_ready(self, addresses: datadir.Addresses) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready(addresses):
            self._go_on()
            if time.monotonic() > deadline:
                silent = "web" if self.ocpp.is_answering() or "gateway" in self.without else "the gateway"
                raise RuntimeError(
                    f"the stack was not ready after {READY_SECONDS} s: {silent} does not answer; "
                    f"see {self.folder / 'logs'}"
                )
            self.supervisor.check()
            time.sleep(0.1)

    def _is_ready(self, addresses: datadir.Addresses) -> bool:
        return ("web" in self.without or _answers_health(addresses.http)) and (
            "gateway" in self.without or self.ocpp.is_answering()
        )

    def watch(self) -> None:
        """Look after the children and the embedded servers once; call it in a loop."""
        self.supervisor.check()
        if time.monotonic() < self._retry_at:
            return
        try:
            if self._redis is not None and self._redis.poll() is not None:
                log.warning("stack.redis_died exit=%s", self._redis.returncode)
                self._redis, _ = embedded.start_redis(self.folder)
            if self._has_postgres and not embedded.is_postgres_running(self.folder):
                log.warning("stack.postgres_died")
                embedded.start_postgres(self.folder)
        except RuntimeError as error:
            # Everything else lives without it for a while, and goes on by itself when it is back.
            log.error("stack.server_not_restarted reason=%s", error)
            self._retry_at = time.monotonic() + SERVER_RETRY_SECONDS

    def stop(self) -> None:
        """Stop everything that this stack started; the data stays. Safe to repeat."""
        if self._lock is None:
            return
        self.supervisor.stop()
        if self._redis is not None:
            self._redis.terminate()
            self._redis.wait(10)
        if self._has_postgres:
            embedded.stop_postgres(self.folder)
        published = datadir.read_addresses(self.folder)
        if published is not None and published.pid == os.getpid():
            (self.folder / "stack.json").unlink()
        self._lock.close()
        self._lock = None


def _lock(folder: Path) -> IO[str]:
    """Be the one stack of a folder for as long as the file is open. Raises RuntimeError when there is one.

    The kernel gives the lock back when its holder dies, so there is no such thing as a stale one.
    """
    file = (folder / "stack.lock").open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        running = datadir.read_addresses(folder)
        where = (
            f"at {running.http} (process {running.pid})" if running else "(it is just starting or stopping)"
        )
        raise RuntimeError(
            f"a stack of {folder} is already running {where}; stop it, or choose another folder with --data"
        ) from None
    return file


def _answers_health(http: str) -> bool:
    try:
        with urllib.request.urlopen(f"{http}/health", timeout=2) as answer:  # noqa: S310  # our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
