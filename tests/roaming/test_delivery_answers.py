"""Each row of the table of answers (delivery.md 4.5), and that the table is complete."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roaming.delivery.answers import Item, Lane, Meaning, Outcome, Shape, judge, retry_after_seconds

NOW = datetime(2026, 3, 11, 8, 0, tzinfo=UTC)

KINDS = ("refused", "connect", "tls", "timeout", "reset", "too_large", "guard")

outcomes = st.builds(
    Outcome,
    method=st.sampled_from(["PUT", "PATCH", "POST"]),
    http_status=st.none() | st.integers(0, 1000),
    status_code=st.none() | st.integers(0, 9999),
    failure=st.just("") | st.sampled_from(KINDS),
    may_have_been_stored=st.booleans(),
    retry_after=st.none() | st.floats(1, 3600),
    has_object_url=st.booleans(),
    tries=st.integers(0, 20),
    was_ambiguous=st.booleans(),
    was_reread=st.booleans(),
)
shapes = st.sampled_from(list(Shape))


def http(status: int, code: int | None = None, *, method: str = "PUT", **facts: object) -> Outcome:
    return Outcome(method=method, http_status=status, status_code=code, **facts)


def broken(kind: str, *, may_have_been_stored: bool) -> Outcome:
    return Outcome(method="PUT", failure=kind, may_have_been_stored=may_have_been_stored)


# outcome -> ledger item, state item, lane of both
ROWS = {
    "2xx and 1000": (http(200, 1000), Item.ACK, Item.ACK, Lane.OK),
    "201 and 1xxx": (http(201, 1999), Item.ACK, Item.ACK, Lane.OK),
    "2xx and 2001": (http(200, 2001), Item.PARK, Item.PARK, Lane.OK),
    "2xx and 2999": (http(200, 2999), Item.PARK, Item.PARK, Lane.OK),
    "2xx and 3001": (http(200, 3001), Item.AMBIGUOUS, Item.RETRY, Lane.COUNT_ITEM),
    "2xx and 3950": (http(200, 3950), Item.AMBIGUOUS, Item.RETRY, Lane.COUNT_ITEM),
    "hub timeout": (http(200, 4002), Item.AMBIGUOUS, Item.RETRY, Lane.COUNT_ITEM),
    "hub: unknown receiver": (http(200, 4001), Item.RETRY, Item.RETRY, Lane.COUNT_ITEM),
    "hub: no connection": (http(200, 4003), Item.RETRY, Item.RETRY, Lane.COUNT_ITEM),
    "2xx unreadable": (http(200, None), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "2xx with a code of no kind": (http(200, 9000), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "100": (http(100, None), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "400": (http(400, 2000), Item.PARK, Item.PARK, Lane.COUNT_ITEM),
    "409": (http(409), Item.PARK, Item.PARK, Lane.COUNT_ITEM),
    "413": (http(413), Item.PARK, Item.PARK, Lane.COUNT_ITEM),
    "422": (http(422, 2001), Item.PARK, Item.PARK, Lane.COUNT_ITEM),
    "401": (http(401, 2000), Item.UNTOUCHED, Item.UNTOUCHED, Lane.AUTH_BLOCKED),
    "403": (http(403), Item.UNTOUCHED, Item.UNTOUCHED, Lane.AUTH_BLOCKED),
    "404": (http(404), Item.UNTOUCHED, Item.UNTOUCHED, Lane.REREAD),
    "405": (http(405, 2000), Item.UNTOUCHED, Item.UNTOUCHED, Lane.REREAD),
    "501": (http(501), Item.UNTOUCHED, Item.UNTOUCHED, Lane.REREAD),
    "404 after the versions were read again": (
        http(404, was_reread=True), Item.UNTOUCHED, Item.UNTOUCHED, Lane.MODULE_OFF,
    ),
    "404 of an object by the OCPI layer": (
        http(404, 2003, has_object_url=True), Item.PARK, Item.RETRY, Lane.OK,
    ),
    "the fifth of these": (http(404, 2003, has_object_url=True, tries=4), Item.PARK, Item.PARK, Lane.OK),
    "PATCH 404": (http(404, 2000, method="PATCH"), Item.UNTOUCHED, Item.FORCE_PUT, Lane.OK),
    "PATCH 405": (http(405, method="PATCH"), Item.UNTOUCHED, Item.FORCE_PUT, Lane.OK),
    "429": (http(429), Item.UNTOUCHED, Item.UNTOUCHED, Lane.WAIT),
    "503": (http(503, retry_after=7.0), Item.UNTOUCHED, Item.UNTOUCHED, Lane.WAIT),
    "302": (http(302), Item.UNTOUCHED, Item.UNTOUCHED, Lane.CONFIG),
    "307": (http(307, 1000), Item.UNTOUCHED, Item.UNTOUCHED, Lane.CONFIG),
    "407": (http(407), Item.UNTOUCHED, Item.UNTOUCHED, Lane.CONFIG),
    "500": (http(500, 3000), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "502": (http(502), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "504": (http(504), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "408": (http(408), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "nobody listens": (broken("refused", may_have_been_stored=False), Item.UNTOUCHED, Item.UNTOUCHED, Lane.COUNT),
    "no such name": (broken("connect", may_have_been_stored=False), Item.UNTOUCHED, Item.UNTOUCHED, Lane.COUNT),
    "bad certificate": (broken("tls", may_have_been_stored=False), Item.UNTOUCHED, Item.UNTOUCHED, Lane.COUNT),
    "address refused by us": (broken("guard", may_have_been_stored=False), Item.UNTOUCHED, Item.UNTOUCHED, Lane.COUNT),
    "timeout after writing": (broken("timeout", may_have_been_stored=True), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    "reset after writing": (broken("reset", may_have_been_stored=True), Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
}  # fmt: skip


@pytest.mark.parametrize("name", ROWS)
def test_an_answer_means_the_same_as_in_the_table(name: str) -> None:
    outcome, ledger, state, lane = ROWS[name]
    of_ledger, of_state = judge(Shape.LEDGER, outcome), judge(Shape.STATE, outcome)
    assert (of_ledger.item, of_ledger.lane) == (ledger, lane)
    assert (of_state.item, of_state.lane) == (state, lane)


def test_every_row_of_the_table_is_tried() -> None:
    assert {judge(Shape.STATE, outcome).meaning for outcome, *_ in ROWS.values()} == set(Meaning)


@pytest.mark.parametrize("status", [(200, 2001), (400, None), (409, 2000), (422, 2001)])
def test_a_refusal_after_an_ambiguous_try_is_looked_into(status: tuple[int, int | None]) -> None:
    outcome = http(*status, was_ambiguous=True)
    assert judge(Shape.LEDGER, outcome).item is Item.LOOKUP
    assert judge(Shape.STATE, outcome).item is Item.FORCE_PUT


def test_a_request_to_wait_says_how_long() -> None:
    assert judge(Shape.LEDGER, http(429, retry_after=30.0)).wait_seconds == 30.0
    assert judge(Shape.LEDGER, http(429)).wait_seconds is None
    assert judge(Shape.LEDGER, http(500, retry_after=30.0)).wait_seconds is None


@given(outcomes)
def test_a_result_is_never_sent_twice(outcome: Outcome) -> None:
    verdict = judge(Shape.SHORT_LIVED, outcome)
    assert verdict.item is (Item.ACK if verdict.meaning is Meaning.ACCEPTED else Item.GIVE_UP)


@given(outcomes)
def test_a_result_never_turns_a_module_off(outcome: Outcome) -> None:
    allowed = {Lane.OK, Lane.COUNT, Lane.AUTH_BLOCKED, Lane.WAIT}
    assert judge(Shape.SHORT_LIVED, outcome).lane in allowed


@given(shapes, outcomes)
def test_only_a_readable_success_is_an_acknowledgement(shape: Shape, outcome: Outcome) -> None:
    is_success = (
        not outcome.failure
        and outcome.http_status is not None
        and 200 <= outcome.http_status < 300
        and outcome.status_code is not None
        and 1000 <= outcome.status_code < 2000
    )
    assert (judge(shape, outcome).item is Item.ACK) is is_success


@given(outcomes)
def test_a_cdr_that_may_have_been_stored_is_never_taken_for_untouched(outcome: Outcome) -> None:
    if outcome.failure and outcome.may_have_been_stored:
        assert judge(Shape.LEDGER, outcome).item is Item.AMBIGUOUS
    if outcome.failure and not outcome.may_have_been_stored:
        assert judge(Shape.LEDGER, outcome).item is Item.UNTOUCHED


@given(outcomes)
def test_a_cdr_is_never_given_up(outcome: Outcome) -> None:
    items = {Item.ACK, Item.RETRY, Item.PARK, Item.AMBIGUOUS, Item.LOOKUP, Item.UNTOUCHED}
    assert judge(Shape.LEDGER, outcome).item in items


@given(outcomes)
def test_a_state_is_never_looked_up_or_given_up(outcome: Outcome) -> None:
    items = {Item.ACK, Item.RETRY, Item.PARK, Item.FORCE_PUT, Item.UNTOUCHED}
    assert judge(Shape.STATE, outcome).item in items


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 1.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("1000000000", 3600.0),
        ("9" * 400, 3600.0),
        ("Wed, 11 Mar 2026 08:00:30 GMT", 30.0),
        ("Wed, 11 Mar 2026 07:00:00 GMT", 1.0),
        ("Wed, 11 Mar 2099 08:00:00 GMT", 3600.0),
        ("Wed, 11 Mar 2026 08:00:30 -0000", 30.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1.5", None),
        ("٧", None),
    ],
)
def test_retry_after_is_read_within_bounds(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(value, now=NOW) == seconds


@given(st.text(max_size=60))
def test_retry_after_never_raises(value: str) -> None:
    seconds = retry_after_seconds(value, now=NOW)
    assert seconds is None or 1.0 <= seconds <= 3600.0
