"""What must hold when a partner, the network or we ourselves fail (delivery.md 3; the numbers are its faults)."""

import logging
import os
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from config.datadir import ROOT
from demo.http import NOTHING, Reply, Request
from roaming.delivery.drain import Drainer
from roaming.delivery.models import Attempt, Obligation
from roaming.models import Endpoint, Platform
from roaming.secrets import write_outbound_token
from tests.roaming.deliveries import (
    FACTS,
    TOKEN,
    OddPartner,
    a_partner,
    delivery,
    drain,
    facts,
    in_background,
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


def test_a_partner_that_is_down_for_three_days_gets_less_than_500_requests(partner: OddPartner) -> None:
    party = a_partner(partner)
    for number in range(200):
        owe_cdr(party, f"CDR-{number:03}")
        owe_bay(party, f"B{number}", "AVAILABLE")
    partner.fail("http", status=500)
    logging.getLogger("roaming.delivery").setLevel(logging.CRITICAL)
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


# --- 9, 10: the token is refused


def test_a_newer_token_is_used_at_once(partner: OddPartner) -> None:
    party = a_partner(partner)

    def rotate(received: Request, reply: Reply) -> None:
        if reply.http_status == 401:
            platform = Platform.objects.get(pk=party.platform_id)
            write_outbound_token(platform, "the-new-token")
            platform.save()
            connection.close()

    partner.edit = rotate
    partner.accepted = {"the-new-token"}
    owe_cdr(party, "CDR-1")
    drain()
    assert [each.token for each in partner.requests] == [TOKEN, "the-new-token"]
    assert (delivery("CDR-1").state, delivery("CDR-1").attempts) == (State.ACKED, 1)


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_stops_the_lane_until_there_is_a_new_one(
    partner: OddPartner, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    party = a_partner(partner)
    partner.fail("http", on="POST", status=status)
    for number in range(20):
        owe_cdr(party, f"CDR-{number}")
    drain()
    lane = the_lane(party, "cdr")
    assert (lane.breaker, len(partner.requests)) == ("AUTH_BLOCKED", 1)
    assert f"HTTP {status}" in lane.blocked_reason
    assert [r.levelname for r in caplog.records if "delivery.lane_stopped" in r.message] == ["ERROR"]
    assert drain() == 0
    assert set(Obligation.objects.values_list("attempts", "ambiguous")) == {(0, False)}

    partner.heal()
    platform = Platform.objects.get()
    write_outbound_token(platform, TOKEN)  # rotated: the stored bytes differ
    platform.save()
    drain()
    assert sorted(partner.cdrs) == sorted(f"CDR-{number}" for number in range(20))
    assert the_lane(party, "cdr").breaker == "CLOSED"


def test_a_token_that_is_accepted_again_after_an_hour_is_noticed(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.accepted.clear()
    owe_cdr(party, "CDR-1")
    for _ in range(30):
        drain()
        let_pass(121)
    assert the_lane(party, "cdr").breaker == "AUTH_BLOCKED"
    assert len(partner.received("POST")) == 1
    assert len(partner.received("GET")) < 12
    partner.accepted.add(TOKEN)
    let_pass(721)
    drain()
    assert delivery("CDR-1").state == State.ACKED


# --- 11: slow down


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("30", 30), ("1000000000", 3600), ("Wed, 11 Mar 2020 08:00:00 GMT", 1), ("", 10), ("later", 10)],
)
@pytest.mark.parametrize("status", [429, 503])
def test_a_request_to_wait_is_obeyed(
    partner: OddPartner, status: int, retry_after: str, seconds: int
) -> None:
    party = a_partner(partner, requests_per_second=100)
    headers = {"Retry-After": retry_after} if retry_after else {}
    partner.edit = lambda *_: Reply(status, 2000, headers=headers)
    owe_cdr(party, "CDR-1")
    owe_cdr(party, "CDR-2")
    drain()
    lane = the_lane(party, "cdr")
    wait = (lane.due_at - timezone.now()).total_seconds()
    assert seconds - 1.5 < wait <= seconds
    assert (lane.breaker, lane.failures, lane.rate) == ("CLOSED", 0, 50.0)
    assert len(partner.requests) == 1
    assert (delivery("CDR-1").attempts, delivery("CDR-1").ambiguous) == (0, False)
    partner.edit = None
    let_pass(seconds)
    drain()
    assert sorted(partner.cdrs) == ["CDR-1", "CDR-2"]


# --- 12, 13: the endpoint is gone or points elsewhere


@pytest.mark.parametrize("status", [404, 405, 410, 501])
def test_a_module_that_is_gone_is_turned_off_after_one_look_at_the_versions(
    partner: OddPartner, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    party = a_partner(partner)
    partner.fail("http", on="POST", status=status)
    for number in range(5):
        owe_cdr(party, f"CDR-{number}")
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    let_pass(200)
    drain()
    assert sorted(each.path.rpartition("/emsp/")[2] for each in partner.received("GET")) == ["2.2.1", "versions"]
    assert len(partner.received("POST")) == 1
    assert delivery("B1").state == State.ACKED
    assert set(Obligation.objects.filter(kind="test_bill").values_list("state", "attempts")) == {("PENDING", 0)}
    endpoint = Endpoint.objects.get(module="cdrs")
    assert f"HTTP {status}" in endpoint.off_reason
    assert [r.levelname for r in caplog.records if "delivery.module_off" in r.message] == ["ERROR"]

    partner.heal()
    let_pass(3700)
    drain()
    assert len(partner.cdrs) == 5
    endpoint.refresh_from_db()
    assert (endpoint.off_until, endpoint.off_reason) == (None, "")


def test_an_endpoint_that_moved_is_found_again(partner: OddPartner) -> None:
    party = a_partner(partner)
    Endpoint.objects.filter(module="cdrs").update(url=f"{partner.url}/old/cdrs")
    for number in range(3):
        owe_cdr(party, f"CDR-{number}")
    drain()
    assert [str(each) for each in partner.requests][:3] == [
        "POST /old/cdrs", "GET /ocpi/emsp/versions", "GET /ocpi/emsp/2.2.1",
    ]  # fmt: skip
    assert sorted(partner.cdrs) == ["CDR-0", "CDR-1", "CDR-2"]
    assert Endpoint.objects.get(module="cdrs").url == partner.endpoint("cdrs")


def test_a_module_that_is_off_does_not_hold_up_the_others_on_its_lane(partner: OddPartner) -> None:
    party = a_partner(partner)
    Endpoint.objects.filter(module="sessions").update(off_until=timezone.now() + timedelta(hours=1))
    FACTS.statuses |= {"B1": "AVAILABLE", "L1": "x"}
    owe_bay(party, "B1", "AVAILABLE")
    assert drain() == 1
    assert drain() == 0
    assert partner.requests == []
    Endpoint.objects.update(off_until=None)
    let_pass(61)
    drain()
    assert delivery("B1").state == State.ACKED


def test_an_object_whose_parent_is_not_known_yet_is_tried_again_later(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.fail("http", on="PUT", status=404, times=1)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    assert (delivery("B1").state, delivery("B1").attempts) == (State.PENDING, 1)
    assert partner.received("GET") == []
    let_pass(12)
    drain()
    assert delivery("B1").state == State.ACKED


def test_a_redirect_is_not_followed(partner: OddPartner, other: OddPartner) -> None:
    party = a_partner(partner)
    partner.fail("redirect", on="POST", target=f"{other.url}/steal")
    owe_cdr(party, "CDR-1")
    owe_cdr(party, "CDR-2")
    drain()
    assert other.requests == []
    assert len(partner.requests) == 1
    assert delivery("CDR-1").state == State.PENDING
    assert the_lane(party, "cdr").blocked_reason.startswith("redirect or proxy: HTTP 302")


# --- 17, 19, 20: the sender dies or freezes


def test_a_sender_that_is_killed_in_the_middle_loses_nothing(partner: OddPartner) -> None:
    party = a_partner(partner)
    fault = partner.fail("slow", on="POST", seconds=3, times=1)
    for key in ("CDR-1", "CDR-2"):
        owe_cdr(party, key)
    name = connection.settings_dict
    url = f"postgresql://{name['USER']}@/{name['NAME']}?host={name['HOST']}"
    sender = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "sweep", "--once"],
        env={**os.environ, "DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "tests.roaming.killed_settings"},
    )
    deadline = time.monotonic() + 30
    while not fault.hits and time.monotonic() < deadline:
        time.sleep(0.02)
    sender.kill()
    sender.wait()
    assert fault.hits == 1
    assert drain() == 0  # the lease of the dead sender
    let_pass(61)
    drain()
    assert posts(partner)[-2:] == ["CDR-1", "CDR-2"]
    assert {each.body for each in partner.received("POST") if each.json["id"] == "CDR-1"} == {FACTS.cdrs["CDR-1"]}
    assert set(Obligation.objects.values_list("state", "attempts")) == {("ACKED", 2), ("ACKED", 1)}
    assert outcomes() == ["UNKNOWN", "ACK", "ACK"]


def die(key: str) -> None:
    """Leave behind what a sender leaves that dies while it sends this."""
    Attempt.objects.create(obligation=delivery(key), worker="x", request_id="x", method="POST", url="x")


def test_what_kills_its_sender_three_times_is_parked(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_cdr(party, "CDR-1")
    FACTS.broken.add("CDR-1")
    Obligation.objects.update(crashes=2)
    die("CDR-1")
    drain()
    row = delivery("CDR-1")
    assert (row.state, row.crashes, row.ambiguous) == (State.PARKED, 3, True)
    assert row.last_error == "the sender ended in the middle of a try"


def test_a_state_that_was_with_a_dead_sender_is_put_as_a_whole(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    let_pass(2)
    owe_bay(party, "B1", "CHARGING")
    die("B1")
    drain()
    assert [each.method for each in partner.requests] == ["PUT", "PUT"]
    assert (delivery("B1").state, delivery("B1").crashes) == (State.ACKED, 0)


def test_a_result_that_was_with_a_dead_sender_is_not_sent_again(partner: OddPartner) -> None:
    party = a_partner(partner)
    Obligation.objects.create(
        lane_id=_lane_for(party, "result"), own_party=party, party=party, shape="SHORT_LIVED", kind="test_result",
        object_key="r-1", url=f"{partner.endpoint('commands')}/X/7", body=b"{}",
        expires_at=timezone.now() + timedelta(seconds=60),
    )  # fmt: skip
    die("r-1")
    drain()
    assert partner.requests == []
    assert delivery("r-1").state == State.EXPIRED


def _lane_for(party: object, name: str) -> int:
    return party.platform.lanes.create(name=name).pk


def frozen_sender(partner: OddPartner, owe: object) -> None:
    """A sender freezes in the middle of a request until its lease is over and another has done its work."""
    arrived, go_on = threading.Event(), threading.Event()

    def freeze(*_: object) -> None:
        if not arrived.is_set():
            arrived.set()
            go_on.wait(10)

    partner.edit = freeze
    sender = in_background()
    assert arrived.wait(5)
    let_pass(61)
    owe()
    drain()
    go_on.set()
    sender.join()


def test_a_late_put_of_a_frozen_sender_is_repaired(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    frozen_sender(partner, lambda: owe_bay(party, "B1", "CHARGING"))
    row = delivery("B1")
    assert (row.state, row.force_put) == (State.PENDING, True)
    let_pass(2)
    drain()
    assert (partner.requests[-1].method, partner.requests[-1].json["status"]) == ("PUT", "CHARGING")
    assert delivery("B1").state == State.ACKED
    assert partner.sessions["BE", "YRD", "B1"]["status"] == "CHARGING"


def test_a_late_answer_about_a_cdr_counts(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_cdr(party, "CDR-1")
    frozen_sender(partner, lambda: owe_cdr(party, "CDR-2"))
    assert set(Obligation.objects.values_list("state", flat=True)) == {State.ACKED}
    assert sorted(partner.cdrs) == ["CDR-1", "CDR-2"]
    assert partner.store.cdr_bytes.count(FACTS.cdrs["CDR-1"]) == 2


# --- 36: our clock is wrong


@pytest.mark.parametrize("hours", [-1, 24])
def test_a_wrong_clock_of_ours_moves_no_due_time(partner: OddPartner, hours: int) -> None:
    party = a_partner(partner)
    partner.fail("http", on="POST", status=500, times=1)
    owe_cdr(party, "CDR-1")
    with Drainer(clock=lambda: timezone.now() + timedelta(hours=hours), jitter=lambda: 0.0) as drainer:
        drainer.drain()
    wait = (delivery("CDR-1").next_at - timezone.now()).total_seconds()
    assert 8 < wait <= 10


# --- 46: a fault of ours


def test_what_cannot_be_rendered_is_parked_after_three_tries_and_the_lane_goes_on(
    partner: OddPartner,
) -> None:
    party = a_partner(partner)
    owe_cdr(party, "CDR-1")
    owe_cdr(party, "CDR-2")
    FACTS.broken.add("CDR-1")
    drain()
    assert posts(partner) == ["CDR-2"]
    for _ in range(3):
        let_pass(301)
        drain()
    row = delivery("CDR-1")
    assert (row.state, row.crashes, row.attempts) == (State.PARKED, 3, 0)
    assert row.last_error == "not rendered: RuntimeError: cannot be rendered"
    assert Attempt.objects.filter(obligation=row).count() == 0


def test_one_state_that_cannot_be_rendered_does_not_stop_its_batch(partner: OddPartner) -> None:
    party = a_partner(partner)
    for key in ("B1", "B2", "B3"):
        owe_bay(party, key, "AVAILABLE")
    FACTS.broken.add("B2")
    drain()
    assert sorted(key for *_, key in partner.sessions) == ["B1", "B3"]
    FACTS.broken.clear()
    let_pass(12)
    drain()
    assert delivery("B2").state == State.ACKED
