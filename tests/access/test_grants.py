"""The spans that a grant opens, which `decide` and the published view share."""

from typing import Any

import pytest

from access.grants import ends_at, fault, next_start, open_spans, start_spans
from access.intervals import Interval
from tests.access.cases import grant, local, nightly, terms, utc

NOON, NEXT_NOON = local("2026-11-23 12:00"), local("2026-11-24 12:00")
OPENS, CLOSES = local("2026-11-23 20:00"), local("2026-11-24 05:00")


def test_an_active_grant_opens_its_calendar_and_starts_end_earlier() -> None:
    assert open_spans(grant(), NOON, NEXT_NOON) == (Interval(OPENS, CLOSES),)
    assert start_spans(grant(), NOON, NEXT_NOON) == (Interval(OPENS, local("2026-11-24 04:40")),)


@pytest.mark.parametrize(
    "changes",
    [
        {"status": "SUSPENDED"},
        {"status": "ENDED"},
        {"calendar": nightly(time_zone="Europe/Atlantis")},
        {"terms": terms(grace_minutes=-1)},
        {"valid_to": NOON},
        {"valid_from": NEXT_NOON},
    ],
)
def test_any_other_grant_opens_nothing(changes: dict[str, Any]) -> None:
    assert open_spans(grant(**changes), NOON, NEXT_NOON) == ()
    assert start_spans(grant(**changes), NOON, NEXT_NOON) == ()


def test_the_end_of_the_asked_range_is_no_closing() -> None:
    middle = local("2026-11-24 01:00")
    assert start_spans(grant(), NOON, middle) == (Interval(OPENS, middle),)


def test_validity_cuts_an_opening_and_its_last_start() -> None:
    until_one = grant(valid_to=local("2026-11-24 01:00"))
    assert ends_at(until_one, OPENS) == local("2026-11-24 01:00")
    assert start_spans(until_one, NOON, NEXT_NOON) == (Interval(OPENS, local("2026-11-24 00:40")),)


def test_the_next_start_is_later_than_the_instant_and_none_when_nothing_opens_any_more() -> None:
    assert next_start(grant(), NOON) == OPENS
    assert next_start(grant(), OPENS) == local("2026-11-24 20:00")
    assert next_start(grant(valid_to=OPENS), NOON) is None
    assert next_start(grant(terms=terms(min_useful_minutes=9 * 60)), NOON) == local("2027-10-30 20:00")


def test_a_fault_names_the_field_the_rule_and_the_value() -> None:
    assert fault(grant()) is None
    broken = grant(terms=terms(end_policy="FOREVER"))
    assert fault(broken) == "end_policy: one of STOP, GRACE, FINISH (given 'FOREVER')"
    assert (
        fault(grant(terms=terms(min_useful_minutes=-1)))
        == "min_useful_minutes: must not be negative (given -1)"
    )
    naive = utc("2026-11-23").replace(tzinfo=None)
    assert fault(grant(valid_from=naive)) == (
        "valid_from: an instant with its offset (given 2026-11-23 00:00:00)"
    )
