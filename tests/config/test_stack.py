"""Addresses, locks and leftovers of a stack, without starting one."""

import fcntl
import json
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from config import datadir, embedded
from config.binding import Binding
from config.stack import Stack


@pytest.mark.parametrize(
    "text", ["", "8000", ":8000", "127.0.0.1:", "127.0.0.1:http", "127.0.0.1:65536", "127.0.0.1:²"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT, for example"):
        Binding.parse(text)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an address of this machine"):
        Binding.parse("192.0.2.1:0")


def test_port_zero_is_any_free_port() -> None:
    binding = Binding.parse("127.0.0.1:0")
    assert 1024 < binding.port < 65536
    binding.require_free()
    assert not binding.is_answering()


def test_a_taken_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        binding = Binding("127.0.0.1", taken.getsockname()[1])
        assert binding.is_answering()
        with pytest.raises(RuntimeError, match=f"{binding} cannot be used .* choose another port"):
            binding.require_free()


def test_one_address_for_both_faces_is_refused_before_anything_starts(tmp_path: Path) -> None:
    binding = Binding.parse("127.0.0.1:0")
    with pytest.raises(RuntimeError, match="is given twice"):
        Stack(tmp_path, http=binding, ocpp=binding).start()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["stack.lock"]


def test_a_folder_is_refused_while_another_stack_is_just_starting_there(tmp_path: Path) -> None:
    with (tmp_path / "stack.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        stack = Stack(tmp_path, http=Binding.parse("127.0.0.1:0"), ocpp=Binding.parse("127.0.0.1:0"))
        with pytest.raises(RuntimeError, match=r"is already running \(it is just starting or stopping\)"):
            stack.start()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["stack.lock"]


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    stack = Stack(tmp_path / "file" / "data", http=Binding("127.0.0.1", 1), ocpp=Binding("127.0.0.1", 2))
    with pytest.raises(RuntimeError, match=r"cannot be started: .*Not a directory"):
        stack.start()


def test_addresses_are_published_whole_or_not_at_all(tmp_path: Path) -> None:
    addresses = datadir.Addresses(
        "postgresql://db", "redis://cache", "http://127.0.0.1:1", "ws://127.0.0.1:2", 7
    )
    datadir.write_addresses(tmp_path, addresses)
    assert datadir.read_addresses(tmp_path) == addresses
    assert json.loads((tmp_path / "stack.json").read_text())["pid"] == 7
    assert [each.name for each in tmp_path.iterdir()] == ["stack.json"]


def test_processes_that_start_at_once_agree_on_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TOKEN_PEPPER", raising=False)
    seen: list[str] = []
    threads = [
        threading.Thread(target=lambda: seen.append(datadir.secret(tmp_path, "TOKEN_PEPPER")))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    assert len(seen[0]) == 64
    (file,) = (tmp_path / "secrets").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def a_pid_file(folder: Path, pid: int) -> None:
    cluster = folder / "postgres"
    cluster.mkdir()
    lines = (pid, cluster, 1763700000, 5432, cluster, "", "8826964 65536", "ready")
    (cluster / "postmaster.pid").write_text("\n".join(str(line) for line in lines))


def test_a_stranger_with_the_process_id_of_a_dead_server_is_not_taken_for_it(tmp_path: Path) -> None:
    """In a container that starts again process ids repeat."""
    a_pid_file(tmp_path, os.getpid())
    assert not embedded.is_postgres_running(tmp_path)
    embedded.stop_postgres(tmp_path)


def test_a_folder_without_a_server_has_none_running(tmp_path: Path) -> None:
    assert not embedded.is_postgres_running(tmp_path)
    embedded.stop_postgres(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_starts_over_what_a_dead_one_has_left(test_data_dir: Path, tmp_path: Path) -> None:
    folder = test_data_dir / f"left-{os.getpid()}"
    try:
        embedded.start_postgres(folder, durable=False)
        embedded.stop_postgres(folder)
        left = folder / "postgres" / "postmaster.pid"
        a_pid_file(tmp_path, os.getpid())
        left.write_text((tmp_path / "postgres" / "postmaster.pid").read_text())
        assert embedded.start_postgres(folder, durable=False).startswith("postgresql://")
        assert embedded.is_postgres_running(folder)
    finally:
        embedded.stop_postgres(folder)
        shutil.rmtree(folder)
