"""Places at a target: bounded, given back, and few where nobody answers."""

import threading
import time

import pytest

from roaming.hub.gates import Crowded, Gates, Silent


class Clock:
    """Time that passes when a test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gates(clock: Clock) -> Gates:
    """Three places in all, two per target."""
    return Gates(lambda: 3, lambda: 2, clock)


def test_one_target_cannot_take_all_places(gates: Gates, clock: Clock) -> None:
    gates.enter("hanging")
    gates.enter("hanging")
    clock.now += 2
    with pytest.raises(Crowded):
        gates.enter("hanging")
    gates.enter("lively")


def test_all_places_together_are_bounded(gates: Gates) -> None:
    for key in ("a", "b", "c"):
        gates.enter(key)
    with pytest.raises(Crowded):
        gates.enter("d")
    gates.leave("a", was_answered=True)
    gates.enter("d")


def test_a_refusal_takes_no_place(gates: Gates, clock: Clock) -> None:
    gates.enter("a")
    gates.enter("a")
    clock.now += 2
    for _ in range(5):
        with pytest.raises(Crowded):
            gates.enter("a")
    gates.enter("b")


def test_who_lets_two_in_a_row_wait_in_vain_is_asked_by_one_at_a_time(gates: Gates) -> None:
    for _ in range(2):
        gates.enter("hanging")
        gates.leave("hanging", was_answered=False)
    gates.enter("hanging")
    with pytest.raises(Silent):
        gates.enter("hanging")
    gates.leave("hanging", was_answered=True)
    gates.enter("hanging")
    gates.enter("hanging")


def test_one_late_answer_is_no_silence(gates: Gates) -> None:
    for was_answered in (False, True, False):
        gates.enter("slow")
        gates.leave("slow", was_answered=was_answered)
    gates.enter("slow")
    gates.enter("slow")


def test_a_connection_that_was_refused_says_nothing_about_silence(gates: Gates) -> None:
    for _ in range(3):
        gates.enter("gone")
        gates.leave("gone", was_answered=None)
    gates.enter("gone")
    gates.enter("gone")


def test_a_burst_waits_where_places_become_free() -> None:
    """More requests at once than there are places, at a target that answers: all get through."""
    gates, done = Gates(lambda: 20, lambda: 2), []

    def pass_through(number: int) -> None:
        gates.enter("busy")
        time.sleep(0.02)
        gates.leave("busy", was_answered=True)
        done.append(number)

    threads = [threading.Thread(target=pass_through, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [0, 1, 2, 3]


def test_no_more_than_as_many_again_wait() -> None:
    gates = Gates(lambda: 20, lambda: 1)
    gates.enter("busy")
    waiter = threading.Thread(target=gates.enter, args=("busy",))
    waiter.start()
    time.sleep(0.1)
    with pytest.raises(Crowded):
        gates.enter("busy")
    gates.leave("busy", was_answered=True)
    waiter.join()
