"""`manage.py up` as an operator meets it: one line when ready, two side by side, clear refusals, a clean end."""

import json
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.datadir import Addresses
from tests.stacks import RunningStack, a_folder, a_stack, is_alive, kill, wait_for

pytestmark = pytest.mark.journey

BACK_SECONDS = 60


@pytest.fixture(scope="module")
def first(test_data_dir: Path) -> Iterator[RunningStack]:
    """A stack that runs while all tests of this file come and go."""
    with a_stack(test_data_dir) as stack:
        yield stack


def addresses_of(stack: RunningStack) -> Addresses:
    addresses = stack.addresses
    assert addresses is not None
    return addresses


def is_healthy(stack: RunningStack) -> bool:
    try:
        with urllib.request.urlopen(f"{addresses_of(stack).http}/health", timeout=5) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def test_up_prints_exactly_one_line(first: RunningStack) -> None:
    at = addresses_of(first)
    assert first.out == [f"ready: OCPI {at.http}/ocpi/versions  admin {at.http}/admin/  OCPP {at.ocpp}"]
    assert is_healthy(first)


def test_management_commands_find_the_stack_of_their_folder(first: RunningStack) -> None:
    first.output("add_party", "--country", "BE", "--party", "YRD", "--name", "Yardgate Depots")
    invitation = json.loads(
        first.output(
            "invite_partner", "--country", "NL", "--party", "EMS", "--name", "Randstad Taxi", "--json"
        )
    )
    assert first.rows("SELECT country_code, party_id, name FROM roaming_party") == [
        ("BE", "YRD", "Yardgate Depots")
    ]
    assert invitation["versions_url"] == f"{addresses_of(first).http}/ocpi/versions"


def test_a_second_up_on_the_same_folder_is_refused(first: RunningStack) -> None:
    published, running = (first.folder / "stack.json").read_bytes(), set(first.processes())
    second = first.run("up", "--data", str(first.folder), "--http", "127.0.0.1:0", "--ocpp", "127.0.0.1:0")
    at = addresses_of(first)
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == (
        f"CommandError: a stack of {first.folder} is already running at {at.http} (process {at.pid}); "
        "stop it, or choose another folder with --data\n"
    )
    assert ((first.folder / "stack.json").read_bytes(), set(first.processes())) == (published, running)
    assert is_healthy(first)


@pytest.mark.parametrize("face", ["http", "ocpp"])
def test_up_on_a_taken_port_is_refused(first: RunningStack, test_data_dir: Path, face: str) -> None:
    taken = getattr(addresses_of(first), face).split("/")[2]
    ports = {"http": "127.0.0.1:0", "ocpp": "127.0.0.1:0"} | {face: taken}
    with a_folder(test_data_dir) as folder:
        other = RunningStack(folder)
        done = other.run("up", "--data", str(folder), "--http", ports["http"], "--ocpp", ports["ocpp"])
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"CommandError: {taken} cannot be used (Address already in use); choose another port\n"
        )
        assert (other.processes(), other.servers(), other.addresses) == ([], [], None)
    assert is_healthy(first)


@pytest.mark.parametrize("name", ["web", "gateway", "worker", "beat", "sweep"])
def test_a_process_that_dies_is_started_again(first: RunningStack, name: str) -> None:
    before = first.pid(name)
    assert before is not None
    family = [before, *first.pool_of(name)]
    kill(before)
    assert wait_for(lambda: first.pid(name) not in (None, before), BACK_SECONDS), first.story()
    assert wait_for(lambda: not any(is_alive(pid) for pid in family), 10), "its own children live on"
    assert wait_for(lambda: is_healthy(first), BACK_SECONDS), first.story()


def test_embedded_servers_that_die_are_started_again(first: RunningStack) -> None:
    """Fault 24: PostgreSQL recovers what was committed; web answers 503 meanwhile, and then again."""
    redis, postmaster = first.redis(), first.postmaster()
    assert redis is not None
    assert postmaster is not None
    kill(redis)
    kill(postmaster)
    assert wait_for(lambda: first.redis() not in (None, redis), BACK_SECONDS), first.story()
    assert wait_for(lambda: first.postmaster() not in (None, postmaster), BACK_SECONDS), first.story()
    assert wait_for(lambda: is_healthy(first), BACK_SECONDS), first.story()
    assert first.rows("SELECT party_id FROM roaming_party WHERE platform_id IS NULL") == [("YRD",)]


def test_a_second_stack_lives_and_ends_beside_the_first(first: RunningStack, test_data_dir: Path) -> None:
    with a_folder(test_data_dir) as folder:
        second = RunningStack(folder)
        try:
            at = second.start()
            assert {at.http, at.ocpp}.isdisjoint({addresses_of(first).http, addresses_of(first).ocpp})
            assert second.rows("SELECT count(*) FROM roaming_party") == [(0,)]
            assert is_healthy(second)
            assert second.stop() == 0
            assert (second.processes(), second.servers(), second.addresses) == ([], [], None)
        finally:
            second.clear()
    assert is_healthy(first)


def test_a_killed_up_takes_everything_with_it_but_postgresql(test_data_dir: Path) -> None:
    """Nothing of it does any more work; the database goes on, and the next `up` takes it over as it is."""
    with a_folder(test_data_dir) as folder:
        stack = RunningStack(folder)
        try:
            stack.start()
            stack.output("add_party", "--country", "BE", "--party", "YRD", "--name", "Yardgate Depots")
            postmaster, before = stack.postmaster(), addresses_of(stack)
            assert stack.process is not None
            stack.process.send_signal(signal.SIGKILL)
            stack.process.wait()
            assert wait_for(lambda: not stack.processes(), 10), stack.processes()
            assert (stack.redis(), stack.postmaster()) == (None, postmaster)
            stack.out.clear()
            assert stack.start() != before
            assert stack.postmaster() == postmaster
            assert stack.rows("SELECT party_id FROM roaming_party") == [("YRD",)]
            assert stack.stop() == 0
            assert (stack.processes(), stack.servers()) == ([], [])
        finally:
            stack.clear()


def test_up_that_is_stopped_while_it_starts_leaves_nothing(test_data_dir: Path) -> None:
    with a_folder(test_data_dir) as folder:
        stack = RunningStack(folder)
        try:
            ports = ("--http", "127.0.0.1:0", "--ocpp", "127.0.0.1:0")
            stack.process = stack.launch("up", "--data", str(folder), *ports)
            assert wait_for(lambda: stack.addresses or stack.has_ended, 60), stack.story()
            assert stack.stop() == 0
            assert stack.out == []
            assert (stack.processes(), stack.servers(), stack.addresses) == ([], [], None)
        finally:
            stack.clear()
