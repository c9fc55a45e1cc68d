"""When something is tried again: items, breaker, ramp; and whether a partner's copy is ours."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roaming.delivery.answers import Lane
from roaming.delivery.compare import is_same_object
from roaming.delivery.schedule import (
    Breaker,
    Health,
    Step,
    after_delivery,
    after_failed_probe,
    after_failure,
    after_refused_token,
    after_verdict,
    after_wait,
    batch_size,
    item_seconds,
    pace_seconds,
)

HOUR = 3600.0
healths = st.builds(
    Health,
    breaker=st.sampled_from(list(Breaker)),
    failures=st.integers(0, 10_000),
    setbacks=st.integers(0, 10_000),
    rate=st.none() | st.floats(1, 1000),
    last_failed=st.none() | st.integers(1, 5),
)
jitters = st.floats(-1, 1)


def test_an_item_is_tried_again_by_the_schedule() -> None:
    waits = [item_seconds(attempts=tries, is_state=False, jitter=0) for tries in range(10)]
    assert waits == [0, 10, 60, 300, 900, HOUR, 3 * HOUR, 6 * HOUR, 6 * HOUR, 6 * HOUR]


def test_a_state_never_waits_longer_than_15_minutes() -> None:
    waits = [item_seconds(attempts=tries, is_state=True, jitter=0) for tries in range(8)]
    assert waits == [0, 10, 60, 300, 900, 900, 900, 900]


def test_18_tries_at_most_in_72_hours() -> None:
    waited, tries = 0.0, 0
    while waited <= 72 * HOUR:
        tries += 1
        waited += item_seconds(attempts=tries, is_state=False, jitter=0)
    assert tries == 18


@given(st.integers(0, 10_000), st.booleans(), jitters)
def test_chance_moves_a_wait_by_a_fifth_at_most(attempts: int, is_state: bool, jitter: float) -> None:
    exact = item_seconds(attempts=attempts, is_state=is_state, jitter=0)
    wait = item_seconds(attempts=attempts, is_state=is_state, jitter=jitter)
    assert exact * 0.8 - 1e-6 <= wait <= exact * 1.2 + 1e-6


def test_the_fifth_failure_in_a_row_opens_the_breaker() -> None:
    step, rests = Step(Health()), []
    for _ in range(5):
        step = after_failure(step.health, item=None, jitter=0)
        rests.append((step.health.breaker.value, step.rest_seconds))
    assert rests == [("CLOSED", 1.0), ("CLOSED", 2.0), ("CLOSED", 4.0), ("CLOSED", 8.0), ("OPEN", 30.0)]


def test_five_different_items_open_the_breaker_one_alone_does_not() -> None:
    alone = Step(Health())
    for _ in range(20):
        alone = after_failure(alone.health, item=7, jitter=0)
    assert alone == Step(Health(failures=1, last_failed=7))

    step = Step(Health())
    for item in (1, 2, 3, 4):
        step = after_failure(step.health, item=item, jitter=0)
    assert step == Step(Health(failures=4, last_failed=4))
    assert after_failure(step.health, item=5, jitter=0).health.breaker is Breaker.OPEN


def test_probes_come_after_30_seconds_doubling_to_10_minutes() -> None:
    step, rests = after_failure(Health(failures=4), item=None, jitter=0), []
    for _ in range(6):
        rests.append(step.rest_seconds)
        step = after_failed_probe(step.health, jitter=0)
    assert rests == [30, 60, 120, 240, 480, 600]


def test_a_partner_that_is_down_for_three_days_gets_less_than_450_requests() -> None:
    health, waited, requests = Health(), 0.0, 0
    while waited < 72 * HOUR:
        requests += 1
        step = after_failure(health, item=None, jitter=0)
        health, waited = step.health, waited + step.rest_seconds
    assert 400 < requests < 450


def test_a_lane_that_was_open_begins_slowly_and_doubles_up_to_the_partners_rate() -> None:
    health, rates = Health(breaker=Breaker.OPEN, failures=9, setbacks=4, last_failed=3), []
    for _ in range(6):
        health = after_delivery(health, full_rate=10, slowest_seconds=0.1).health
        rates.append(health.rate)
    assert rates == [1.0, 2.0, 4.0, 8.0, None, None]
    assert health == Health()


def test_slow_answers_halve_the_rate() -> None:
    assert after_delivery(Health(), full_rate=10, slowest_seconds=5.1) == Step(Health(rate=5.0))
    assert after_delivery(Health(rate=1.0), full_rate=10, slowest_seconds=9) == Step(Health(rate=1.0))


def test_a_request_to_wait_is_obeyed_and_halves_the_rate() -> None:
    step = after_wait(Health(), asked_seconds=77.0, full_rate=10, jitter=1)
    assert step == Step(Health(setbacks=1, rate=5.0), 77.0)


def test_without_a_time_each_wait_is_longer_up_to_an_hour() -> None:
    health, rests = Health(), []
    for _ in range(12):
        step = after_wait(health, asked_seconds=None, full_rate=10, jitter=0)
        health, rests = step.health, [*rests, step.rest_seconds]
    assert rests[:4] == [10, 20, 40, 80]
    assert rests[-1] == HOUR
    assert health.failures == 0


def test_a_refused_token_blocks_the_lane() -> None:
    step = after_refused_token(Health(failures=2), jitter=0)
    assert step == Step(Health(breaker=Breaker.AUTH_BLOCKED, failures=2, setbacks=1), 30.0)


VERDICTS = {
    Lane.OK: Step(Health(rate=2.0)),
    Lane.COUNT: Step(Health(failures=3, setbacks=1, rate=2.0), 4.0, is_over=True),
    Lane.COUNT_ITEM: Step(Health(failures=3, setbacks=1, rate=2.0, last_failed=9)),
    Lane.AUTH_BLOCKED: Step(
        Health(breaker=Breaker.AUTH_BLOCKED, failures=2, setbacks=2, rate=2.0, last_failed=8),
        60.0,
        is_over=True,
    ),
    Lane.WAIT: Step(Health(failures=2, setbacks=2, rate=1.0, last_failed=8), 5.0, is_over=True),
    Lane.CONFIG: Step(Health(failures=2, setbacks=1, rate=2.0, last_failed=8), 900.0, is_over=True),
    Lane.REREAD: Step(Health(failures=2, setbacks=1, rate=2.0, last_failed=8)),
    Lane.MODULE_OFF: Step(Health(failures=2, setbacks=1, rate=2.0, last_failed=8)),
}


@pytest.mark.parametrize("lane", list(Lane))
def test_a_lane_remembers_each_verdict(lane: Lane) -> None:
    before = Health(failures=2, setbacks=1, rate=2.0, last_failed=8)
    step = after_verdict(before, lane, item=9, asked_seconds=5.0, full_rate=10, jitter=0)
    assert step == VERDICTS[lane]


def test_the_fifth_failing_item_ends_the_turn() -> None:
    before = Health(failures=4, last_failed=8)
    step = after_verdict(before, Lane.COUNT_ITEM, item=9, asked_seconds=None, full_rate=10, jitter=0)
    assert (step.health.breaker, step.is_over) == (Breaker.OPEN, True)


@given(healths, st.sampled_from(list(Lane)), st.integers(1, 5), jitters)
def test_no_verdict_makes_a_lane_rest_longer_than_its_cap(
    health: Health, lane: Lane, item: int, jitter: float
) -> None:
    step = after_verdict(health, lane, item=item, asked_seconds=None, full_rate=10, jitter=jitter)
    assert 0 <= step.rest_seconds <= HOUR * 1.2


@given(healths, st.sampled_from(list(Lane)), st.integers(1, 5), jitters)
def test_only_a_delivery_closes_an_open_lane(health: Health, lane: Lane, item: int, jitter: float) -> None:
    step = after_verdict(health, lane, item=item, asked_seconds=None, full_rate=10, jitter=jitter)
    if health.breaker is not Breaker.CLOSED:
        assert step.health.breaker is not Breaker.CLOSED


@given(healths, st.floats(0, 40_000))
def test_a_batch_is_a_seconds_worth_and_never_more_than_50(health: Health, full_rate: float) -> None:
    size = batch_size(health, full_rate=full_rate)
    assert 1 <= size <= 50
    if health.breaker is not Breaker.CLOSED:
        assert size == 1


def test_a_lane_keeps_the_partners_pace() -> None:
    assert batch_size(Health(), full_rate=10) == 10
    assert pace_seconds(Health(), full_rate=10, sent=10, took_seconds=0.25) == 0.75
    assert pace_seconds(Health(), full_rate=10, sent=10, took_seconds=3) == 0
    assert batch_size(Health(rate=2.0), full_rate=10) == 2
    assert pace_seconds(Health(rate=2.0), full_rate=10, sent=2, took_seconds=0) == 1


CDR = {
    "id": "CDR-1",
    "start_date_time": "2026-03-11T08:00:00Z",
    "total_cost": {"excl_vat": Decimal("12.10")},
    "charging_periods": [{"dimensions": [{"type": "ENERGY", "volume": Decimal("1.5")}]}],
    "credit": False,
}


def test_the_same_in_another_notation_is_the_same() -> None:
    theirs = CDR | {
        "start_date_time": "2026-03-11T09:00:00.000+01:00",
        "total_cost": {"excl_vat": Decimal("12.1000")},
        "remark": None,
        "received_at": "2026-03-12T00:00:00Z",
    }
    assert is_same_object(CDR, theirs)


def test_members_that_the_partner_left_out_do_not_count() -> None:
    assert is_same_object(CDR, {"id": "CDR-1", "total_cost": {"excl_vat": Decimal("12.1")}})


@pytest.mark.parametrize(
    "theirs",
    [
        None,
        [],
        {},
        {"total_cost": {"excl_vat": Decimal("12.10")}},
        CDR | {"id": "CDR-2"},
        CDR | {"total_cost": {"excl_vat": Decimal("12.11")}},
        CDR | {"total_cost": Decimal("12.10")},
        CDR | {"start_date_time": "2026-03-11T08:00:01Z"},
        CDR | {"start_date_time": "2026-03-11"},
        CDR | {"charging_periods": []},
        CDR | {"credit": True},
        CDR | {"credit": 0},
    ],
)
def test_anything_else_is_not_the_same(theirs: object) -> None:
    assert not is_same_object(CDR, theirs)
