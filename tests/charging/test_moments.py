"""What a station's clock can be believed."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charging.moments import HISTORY, TOLERANCE, is_possible, observed_skew, possible, without_skew

NOW = datetime(2026, 11, 24, 19, 0, tzinfo=UTC)
TICK = timedelta(microseconds=1)
instants = st.datetimes(timezones=st.just(UTC))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (NOW, True),
        (NOW + TOLERANCE, True),
        (NOW + TOLERANCE + TICK, False),
        (NOW - HISTORY, True),
        (NOW - HISTORY - TICK, False),
    ],
)
def test_the_bounds_belong_to_what_is_possible(said: datetime, expected: bool) -> None:
    assert is_possible(said, now=NOW) is expected


def test_nothing_comes_before_its_permission() -> None:
    tapped_at = NOW - timedelta(minutes=2)
    assert is_possible(tapped_at - TOLERANCE, now=NOW, not_before=tapped_at)
    assert not is_possible(tapped_at - TOLERANCE - TICK, now=NOW, not_before=tapped_at)


@given(said=instants)
def test_what_counts_is_never_ahead_of_us_nor_older_than_any_queue(said: datetime) -> None:
    at = possible(said, now=NOW)
    assert NOW - HISTORY <= at <= NOW
    assert at in (said, NOW)


@given(said=instants, skew=st.none() | st.integers(-(10**11), 10**11))
def test_no_clock_breaks_us(said: datetime, skew: int | None) -> None:
    seconds = observed_skew(known=skew, said=said, now=NOW)
    assert NOW - HISTORY <= possible(without_skew(said, skew_seconds=seconds), now=NOW) <= NOW


@given(lags=st.lists(st.integers(0, 10**6), min_size=1), ahead=st.integers(61, 10**6))
def test_waiting_messages_never_make_a_clock_look_further_ahead_than_it_is(
    lags: list[int], ahead: int
) -> None:
    known = None
    for lag in [*lags, 0]:
        known = observed_skew(known=known, said=NOW + timedelta(seconds=ahead - lag), now=NOW)
        assert known <= ahead
    assert known == ahead or abs(known) <= 60


def test_a_clock_that_was_put_right_is_believed_at_once() -> None:
    assert observed_skew(known=3_600, said=NOW + timedelta(seconds=2), now=NOW) == 2
    assert observed_skew(known=-3_600, said=NOW - timedelta(seconds=2), now=NOW) == -2


def test_a_clock_that_is_about_right_is_left_alone() -> None:
    assert without_skew(NOW, skew_seconds=60) == NOW
    assert without_skew(NOW, skew_seconds=61) == NOW - timedelta(seconds=61)
    assert without_skew(NOW, skew_seconds=None) == NOW
