"""Places at a target: bounded, given back, and few where nobody answers."""

import threading
import time
from contextlib import ExitStack

import pytest

from ocpi.client import CallFailed
from roaming.hub.gates import Budget, Crowded, Gates, Silent


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
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(gates.together())
        with pytest.raises(Crowded), gates.together():
            pass
    with gates.together():
        pass


def test_who_asks_several_targets_takes_one_place_of_all(gates: Gates, clock: Clock) -> None:
    budget = Budget(15, clock=clock)
    with ExitStack() as held:
        held.enter_context(gates.together())
        for key in ("a", "b", "c", "d"):
            held.enter_context(gates.asking(key, budget))
        for _ in range(2):
            held.enter_context(gates.together())


class Asked:
    """Requests with 15 seconds for all, at a target that hangs until they are over."""

    def __init__(self, gates: Gates, clock: Clock) -> None:
        self.gates, self.clock = gates, clock

    def times_out(self, budget: Budget) -> float:
        """Ask once; returns the seconds that it had."""
        began = self.clock.now
        with pytest.raises(CallFailed):
            self._hang(budget)
        return self.clock.now - began

    def _hang(self, budget: Budget) -> None:
        with self.gates.asking("hanging", budget) as seconds:
            self.clock.now += seconds
            raise CallFailed("timeout", "no complete answer within the time allowed")

    def is_taken_for_silent(self) -> bool:
        with self.gates.asking("hanging", Budget(15, clock=self.clock)):
            try:
                self.gates.enter("hanging")
            except Silent:
                return True
            self.gates.leave("hanging", was_answered=None)
        return False


@pytest.mark.parametrize(
    ("spent", "is_silent"), [(0.0, True), (1.0, True), (1.6, False), (14.0, False), (16.0, False)]
)
def test_who_was_given_a_short_rest_of_the_time_was_not_silent(
    gates: Gates, clock: Clock, spent: float, is_silent: bool
) -> None:
    """HUB-19: 4002 for this request, but nothing against the target."""
    asked = Asked(gates, clock)
    for _ in range(2):
        budget = Budget(15, clock=clock)
        clock.now += spent
        assert asked.times_out(budget) == pytest.approx(max(0.0, 15 - spent))
    assert asked.is_taken_for_silent() == is_silent


def test_a_request_takes_no_more_than_its_own_part_of_the_time(gates: Gates, clock: Clock) -> None:
    asked, budget = Asked(gates, clock), Budget(10, each=4, clock=clock)
    assert [asked.times_out(budget) for _ in range(3)] == [4, 4, 2]
    assert asked.is_taken_for_silent()


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
