"""Senders that freeze, end in order, or come twice (delivery.md 3: faults 19, 31, 33, 45)."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.http import Fault
from tests.faults.produce import PARTNERS
from tests.faults.rig import LEASE_SECONDS, PRODUCE, Rig, a_rig
from tests.stacks import MANAGE, RunningStack, kill, wait_for

pytestmark = pytest.mark.faults

TAXI = PARTNERS[0][1]
SWEEP_ONLY = ("--without", "worker", "--without", "beat")
SWEEP = (MANAGE, "sweep")
CELERY = ("-m", "celery", "--app", "config.celery")


def sender_of(stack: RunningStack, kind: str) -> int | None:
    """The process that has a request of this kind on its way."""
    open_tries = stack.rows(
        "SELECT a.worker FROM roaming_attempt a JOIN roaming_obligation o ON o.id = a.obligation_id"
        " WHERE a.ended_at IS NULL AND o.kind = %s ORDER BY a.id DESC LIMIT 1",
        [kind],
    )
    return int(open_tries[0][0].split(":")[1]) if open_tries else None


def status_at_partner(rig: Rig) -> str:
    sessions = rig.partners[TAXI].sessions.values()
    return next((str(each["status"]) for each in sessions), "")


@contextmanager
def more(rig: Rig, *commands: tuple[str, ...]) -> Iterator[None]:
    """Further processes of a stack, as on a second machine."""
    processes = [rig.stack.spawn(*command) for command in commands]
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(40)


@contextmanager
def frozen(rig: Rig, kind: str, slow: Fault) -> Iterator[None]:
    """Stop the process that sends something of this kind while the partner is slow with it; it goes on at the end."""
    charging = rig.stack.spawn(*PRODUCE, "charge", "--until", "ACTIVE" if kind == "session" else "COMPLETED")
    assert wait_for(lambda: slow.hits, 60), f"nothing reached the partner\n{rig.stack.story()}"
    sender = sender_of(rig.stack, kind)
    assert sender in rig.stack.processes(), rig.stack.story()
    kill(sender, signal.SIGSTOP)
    try:
        assert charging.wait(60) == 0, rig.stack.story()
        yield
    finally:
        kill(sender, signal.SIGCONT)


def test_a_frozen_sender(test_data_dir: Path) -> None:
    """Fault 19: a sender stops in the middle of a PUT and wakes up long after its lease.

    The partner takes so long that it stores the old state after the new one that another sender has brought
    meanwhile; nobody can prevent that. The frozen sender finds that its lease is gone, and makes it good.
    """
    with a_rig(test_data_dir, *SWEEP_ONLY) as rig, more(rig, SWEEP):
        taxi = rig.partners[TAXI]
        slow = taxi.fail("slow", on="/sessions/", seconds=3 * LEASE_SECONDS, times=1)
        with frozen(rig, "session", slow):
            rig.charge(1)
            told = wait_for(lambda: status_at_partner(rig) == "COMPLETED", 3 * LEASE_SECONDS)
            assert told, f"no other sender took over: {rig.open_deliveries()}\n{rig.stack.story()}"
            stored = wait_for(lambda: status_at_partner(rig) == "ACTIVE", 4 * LEASE_SECONDS)
            assert stored, "the partner did not store the old state late"
        made_good = wait_for(lambda: status_at_partner(rig) == "COMPLETED", 4 * LEASE_SECONDS)
        assert made_good, f"the old state stayed: {rig.open_deliveries()}\n{rig.stack.story()}"
        rig.wait_until_all_is_told(60, passing=0)
        rig.require_exactly_once(1)
        rig.require_present_states(1)
        rig.require_no_lease_is_held()


def test_a_sender_that_freezes_with_a_cdr_doubles_nothing(test_data_dir: Path) -> None:
    """Fault 19, ledger: the other sender's repeat has the same id and the same bytes, and there is only one."""
    with a_rig(test_data_dir, *SWEEP_ONLY) as rig, more(rig, SWEEP):
        taxi = rig.partners[TAXI]
        slow = taxi.fail("slow", on="POST /ocpi/emsp/2.2.1/cdrs", seconds=2, times=1)
        with frozen(rig, "cdr", slow):
            again = wait_for(lambda: len(rig.posted(TAXI)) >= 2, 4 * LEASE_SECONDS)
            assert again, f"no other sender took over: {rig.open_deliveries()}\n{rig.stack.story()}"
        rig.wait_until_all_is_told(60, passing=0)
        rig.require_exactly_once(1)
        assert len(rig.posted(TAXI)) == 2
        rig.require_no_lease_is_held()


def test_a_stop_in_order_finishes_what_is_on_its_way(test_data_dir: Path) -> None:
    """Fault 45: SIGTERM in the middle of a request leaves no try of unknown outcome, and nothing to repeat."""
    with a_rig(test_data_dir) as rig:
        taxi = rig.partners[TAXI]
        taxi.fail("slow", on="POST /ocpi/emsp/2.2.1/cdrs", seconds=3, times=1)
        rig.charge(1)
        assert wait_for(lambda: sender_of(rig.stack, "cdr"), 30), rig.stack.story()
        assert rig.stack.stop() == 0
        assert len(rig.posted(TAXI)) == 1
        rig.stack.out.clear()
        rig.stack.start()
        rig.wait_until_all_is_told(60, passing=0)
        assert rig.stack.rows("SELECT outcome, count(*) FROM roaming_attempt a JOIN roaming_obligation o"
                              " ON o.id = a.obligation_id WHERE o.kind = 'cdr' GROUP BY 1") == [("ACK", 1)]  # fmt: skip
        assert len(rig.posted(TAXI)) == 1


def test_more_senders_than_needed_send_everything_once(test_data_dir: Path) -> None:
    """Faults 31, 32, 33: two beats, two sweeps and two workers; never two requests for one thing."""
    count = 60
    beat_files = ("--schedule", "beat-2", "--pidfile=")
    # The deadline of a request is long, so that a busy machine alone causes no repeat.
    with (
        a_rig(test_data_dir, DELIVERY_LEASE_SECONDS="30") as rig,
        more(rig, SWEEP, (*CELERY, "beat", *beat_files), (*CELERY, "worker", "--concurrency", "2")),
    ):
        rig.charge(count)
        rig.wait_until_all_is_told(90, passing=0)
        assert [len(rig.posted(party_id)) for _, party_id, _ in PARTNERS] == [36, 12, 12]
        rig.require_exactly_once(count)
        rig.require_present_states(count)
