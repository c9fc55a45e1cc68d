"""What must hold when a partner is away, fails or refuses (delivery.md 3; the numbers are its faults)."""

import logging
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from demo.http import NOTHING, Reply, Request
from roaming.delivery.drain import Drainer
from roaming.delivery.models import Attempt, Obligation
from tests.roaming.deliveries import (
    FACTS,
    OddPartner,
    a_partner,
    delivery,
    drain,
    facts,
    let_pass,
    other,
    owe_bay,
    owe_cdr,
    partner,
    the_lane,
)

__all__ = ["facts", "other", "partner"]

pytestmark = pytest.mark.django_db(transaction=True)

State = Obligation.State

RAW = {
    "no body": b"",
    "not JSON": b'{"data": [',
    "a page": b"<html>Please log in</html>",
    "no status_code": b'{"data": null, "timestamp": "2026-03-11T08:00:00Z"}',
    "a list": b"[]",
}


class RawReply(Reply):
    """An answer with exactly these bytes."""

    def __init__(self, content: bytes, http_status: int = 200) -> None:
        super().__init__(http_status)
        self._content = content

    def content(self) -> bytes:
        return self._content


def posts(partner: OddPartner) -> list[str]:
    return [each.json["id"] for each in partner.received("POST", "/cdrs")]


def outcomes() -> list[str]:
    return list(Attempt.objects.order_by("id").values_list("outcome", flat=True))


# --- 1: away for days


def test_a_partner_that_is_down_for_three_days_gets_less_than_500_requests(
    partner: OddPartner, caplog: pytest.LogCaptureFixture
) -> None:
    party = a_partner(partner)
    for number in range(200):
        owe_cdr(party, f"CDR-{number:03}")
        owe_bay(party, f"B{number}", "AVAILABLE")
    partner.fail("http", status=500)
    caplog.set_level(logging.CRITICAL, "roaming.delivery")
    gone = timedelta(0)
    with Drainer(clock=timezone.now, jitter=lambda: 0.0) as drainer:
        while gone < timedelta(days=3):
            drainer.drain()
            with connection.cursor() as cursor:
                cursor.execute("SELECT greatest(min(due_at) - now(), interval '1 second') FROM roaming_lane")
                (wait,) = cursor.fetchone()
            let_pass(wait.total_seconds())
            gone += wait
    assert 400 < len(partner.requests) < 500
    assert Obligation.objects.filter(state=State.PENDING).count() == 400
    partner.heal()
    partner.forget()
    let_pass(6 * 3600 * 1.3)
    drain()
    for _ in range(12):
        let_pass(700)
        drain()
    assert len(partner.cdrs) == 200
    assert len(partner.sessions) == 200
    assert Obligation.objects.exclude(state=State.ACKED).count() == 0


# --- 2, 3, 16: no answer, or none that arrives


@pytest.mark.parametrize("kind", ["slow", "drop", "drop_after_storing", "drip"])
def test_a_cdr_without_an_answer_is_sent_again_with_the_same_bytes(
    partner: OddPartner, settings, kind: str
) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 0.5
    party = a_partner(partner)
    partner.fail(kind, on="POST", times=1, seconds=0.7)
    owe_cdr(party, "CDR-1")
    drain()
    row = delivery("CDR-1")
    assert (row.state, row.ambiguous, row.attempts, row.http_status) == (State.PENDING, True, 1, None)
    assert the_lane(party, "cdr").failures == 1
    let_pass(12)
    drain()
    row = delivery("CDR-1")
    assert (row.state, row.ambiguous, row.attempts) == (State.ACKED, False, 2)
    assert list(partner.cdrs) == ["CDR-1"]
    assert {each.body for each in partner.received("POST")} == {FACTS.cdrs["CDR-1"]}
    assert outcomes() == ["AMBIGUOUS", "ACK"]


def test_a_state_without_an_answer_is_put_as_a_whole(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    let_pass(2)
    partner.fail("drop_after_storing", on="PATCH", times=1)
    owe_bay(party, "B1", "CHARGING")
    drain()
    assert (delivery("B1").force_put, delivery("B1").ambiguous) == (True, True)
    let_pass(12)
    drain()
    assert [each.method for each in partner.requests] == ["PUT", "PATCH", "PUT"]
    assert delivery("B1").state == State.ACKED


# --- 4, 5, 6: the partner refuses or is unable


def test_an_item_that_the_partner_cannot_process_is_tried_again_and_the_lane_goes_on(
    partner: OddPartner,
) -> None:
    party = a_partner(partner)
    partner.fail("code", on="POST", status=3001, times=1)
    owe_cdr(party, "CDR-1")
    owe_cdr(party, "CDR-2")
    drain()
    assert posts(partner) == ["CDR-1", "CDR-2"]
    assert (delivery("CDR-1").state, delivery("CDR-1").ambiguous) == (State.PENDING, True)
    assert (the_lane(party, "cdr").breaker, the_lane(party, "cdr").failures) == ("CLOSED", 0)
    let_pass(12)
    drain()
    assert delivery("CDR-1").state == State.ACKED


def test_five_different_items_in_a_row_open_the_breaker_and_a_probe_closes_it(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.fail("code", on="POST", status=3001)
    for number in range(9):
        owe_cdr(party, f"CDR-{number}")
    drain()
    lane = the_lane(party, "cdr")
    assert (len(posts(partner)), lane.breaker, lane.setbacks) == (5, "OPEN", 1)
    assert "OCPI 3001" in lane.blocked_reason
    let_pass(29)
    assert drain() == 0
    let_pass(2)
    drain()  # a probe, then one real item, which fails
    assert [str(each) for each in partner.requests[5:]] == [
        "GET /ocpi/emsp/versions", "POST /ocpi/emsp/2.2.1/cdrs",
    ]  # fmt: skip
    partner.heal()
    partner.forget()
    let_pass(61)
    drain()
    assert [each.method for each in partner.requests[:3]] == ["GET", "POST", "POST"]
    lane = the_lane(party, "cdr")
    assert (lane.breaker, lane.failures, lane.blocked_reason) == ("CLOSED", 0, "")
    let_pass(60)
    drain()
    assert sorted(partner.cdrs) == [f"CDR-{number}" for number in range(9)]


def test_a_refused_cdr_is_parked_and_the_next_ones_flow(
    partner: OddPartner, caplog: pytest.LogCaptureFixture
) -> None:
    party = a_partner(partner)
    partner.fail("code", on="POST", status=2001, times=1)
    for key in ("CDR-1", "CDR-2", "CDR-3"):
        owe_cdr(party, key)
    drain()
    let_pass(7 * 3600)
    drain()
    assert posts(partner) == ["CDR-1", "CDR-2", "CDR-3"]
    row = delivery("CDR-1")
    assert (row.state, row.last_error) == (State.PARKED, "refused: HTTP 200, OCPI 2001: refused on purpose")
    assert [each.levelname for each in caplog.records if "delivery.parked" in each.message] == ["ERROR"]


def test_a_refused_state_is_parked_until_the_object_changes(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.fail("code", status=2001, times=1)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    let_pass(3600)
    assert drain() == 0
    assert delivery("B1").state == State.PARKED
    owe_bay(party, "B1", "CHARGING")
    drain()
    assert delivery("B1").state == State.ACKED
    assert partner.sessions["BE", "YRD", "B1"]["status"] == "CHARGING"


def refused_as_known(partner: OddPartner, *, can_look: bool = True) -> Obligation:
    """The answer to a stored CDR is lost, and the partner refuses the second POST of it."""
    party = a_partner(partner)
    partner.store.refuses_repeated_cdrs = True
    partner.fail("drop_after_storing", on="POST", times=1)
    if can_look:
        FACTS.lookups["CDR-1"] = ("CDR-1",)
    owe_cdr(party, "CDR-1")
    drain()
    let_pass(12)
    drain()
    return delivery("CDR-1")


def test_already_there_after_a_lost_answer_is_delivered_when_the_copy_is_ours(partner: OddPartner) -> None:
    row = refused_as_known(partner)
    assert (row.state, row.last_error) == (State.ACKED, "")
    assert [each.method for each in partner.requests] == ["POST", "POST", "GET"]


def test_already_there_with_another_content_is_contested(partner: OddPartner) -> None:
    def alter(received: Request, reply: Reply) -> Reply | None:
        if received.method != "GET" or reply.data is NOTHING:
            return None
        return Reply(data=reply.data | {"total_cost": {"excl_vat": 99}})

    partner.edit = alter
    row = refused_as_known(partner)
    assert row.state == State.CONTESTED
    assert row.last_error.startswith("the partner holds something else under this id")


def test_already_there_without_a_place_to_look_is_contested_and_never_silently_dead(
    partner: OddPartner,
) -> None:
    row = refused_as_known(partner, can_look=False)
    assert row.state == State.CONTESTED
    assert "named no Location" in row.last_error


def ambiguous_cdr(partner: OddPartner, kind: str, policy: str) -> None:
    party = a_partner(partner, on_ambiguous=policy)
    FACTS.lookups["CDR-1"] = ("CDR-1",)
    partner.fail(kind, on="POST", times=1)
    owe_cdr(party, "CDR-1")
    drain()
    let_pass(12)
    drain()


def test_look_up_first_finds_what_was_stored(partner: OddPartner) -> None:
    ambiguous_cdr(partner, "drop_after_storing", "lookup_then_resend")
    assert [each.method for each in partner.requests] == ["POST", "GET"]
    assert delivery("CDR-1").state == State.ACKED


def test_look_up_first_sends_again_what_was_not_stored(partner: OddPartner) -> None:
    ambiguous_cdr(partner, "drop", "lookup_then_resend")
    assert [each.method for each in partner.requests] == ["POST", "GET", "POST"]
    assert delivery("CDR-1").state == State.ACKED


def test_a_partner_that_bills_twice_is_never_sent_an_ambiguous_cdr_again(partner: OddPartner) -> None:
    ambiguous_cdr(partner, "drop_after_storing", "hold")
    assert posts(partner) == ["CDR-1"]
    assert delivery("CDR-1").state == State.PARKED


# --- 7, 8: strange answers


@pytest.mark.parametrize("name", RAW)
def test_an_unreadable_success_is_no_success(partner: OddPartner, name: str) -> None:
    party = a_partner(partner)
    partner.edit = lambda *_: RawReply(RAW[name])
    owe_cdr(party, "CDR-1")
    drain()
    row = delivery("CDR-1")
    assert (row.state, row.ambiguous, row.http_status, row.ocpi_status) == (State.PENDING, True, 200, None)


def test_a_cdr_without_a_location_counts_as_delivered(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.edit = lambda _, reply: Reply(reply.http_status)
    owe_cdr(party, "CDR-1")
    drain()
    assert (delivery("CDR-1").state, delivery("CDR-1").location_url) == (State.ACKED, "")


def test_text_that_no_column_takes_does_not_stop_the_lane(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.edit = lambda *_: RawReply(b'{"status_code": 2001, "status_message": "a\\u0000b\\ud800c"}')
    owe_cdr(party, "CDR-1")
    drain()
    assert (delivery("CDR-1").state, delivery("CDR-1").last_error) == (
        State.PARKED, "refused: HTTP 200, OCPI 2001: ab?c",
    )  # fmt: skip
