"""What must hold when a partner refuses our token, asks us to wait or moves its endpoints (faults 9 to 13)."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from demo.http import Reply, Request
from roaming.delivery.models import Obligation
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
    assert sorted(each.path.rpartition("/emsp/")[2] for each in partner.received("GET")) == [
        "2.2.1",
        "versions",
    ]
    assert len(partner.received("POST")) == 1
    assert delivery("B1").state == State.ACKED
    assert set(Obligation.objects.filter(kind="test_bill").values_list("state", "attempts")) == {
        ("PENDING", 0)
    }
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
