"""What goes over the wire, and in which order: states, CDRs, command results."""

import threading
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from demo.http import Reply, Request
from roaming.delivery import lanes, sending, services
from roaming.delivery.models import Attempt, Obligation
from roaming.models import Endpoint, Party
from tests.roaming.deliveries import (
    FACTS,
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
    own_party,
    partner,
    the_lane,
)

__all__ = ["facts", "other", "partner"]

pytestmark = pytest.mark.django_db(transaction=True)

State = Obligation.State


def owe_result(party: Party, url: str, *, key: str = "r-1", seconds: float = 30) -> None:
    services.owe_once(
        own_party=own_party(), party=party, kind="test_result", object_key=key, url=url,
        body=b'{"result":"ACCEPTED"}', expires_at=timezone.now() + timedelta(seconds=seconds),
        correlation_id="3f0c0a4e-0000-4000-8000-000000000007", now=timezone.now(),
    )  # fmt: skip


def owe_static(party: Party, kind: str, key: str) -> None:
    FACTS.statuses[key] = "x"
    services.owe_state(
        own_party=own_party(), parties=[party], kind=kind, object_key=key, whole=True, now=timezone.now()
    )


# --- on the wire


def owe_limits(party: Party, key: str = "s-1") -> int:
    return services.owe_state(
        own_party=own_party(), parties=[party], kind="test_limits", object_key=key, now=timezone.now()
    )


def test_a_push_to_a_sender_goes_to_that_side_of_the_module(partner: OddPartner) -> None:
    """CHP-14: the same module may lie elsewhere for the other side."""
    partner.offered.append(("chargingprofiles", "SENDER"))
    party = a_partner(partner)
    Endpoint.objects.create(
        platform=party.platform, module="chargingprofiles", role="RECEIVER", url=f"{partner.url}/elsewhere"
    )
    assert owe_limits(party) == 1
    drain()
    assert [str(each) for each in partner.requests] == ["PUT /ocpi/emsp/2.2.1/chargingprofiles/s-1"]


def test_a_partner_without_that_side_is_owed_nothing(partner: OddPartner) -> None:
    """SYN-02: its side as Receiver is another one."""
    party = a_partner(partner)
    Endpoint.objects.create(
        platform=party.platform, module="chargingprofiles", role="RECEIVER", url=partner.endpoint("sessions")
    )
    assert owe_limits(party) == 0
    drain()
    assert partner.requests == []


def test_a_side_that_is_gone_is_turned_off_alone(partner: OddPartner) -> None:
    """The other side of the same module goes on."""
    partner.offered.append(("chargingprofiles", "SENDER"))
    party = a_partner(partner)
    Endpoint.objects.create(
        platform=party.platform, module="chargingprofiles", role="RECEIVER", url=partner.endpoint("sessions")
    )
    partner.edit = lambda received, reply: Reply(410, 2000) if "/chargingprofiles/" in received.path else None
    owe_limits(party)
    drain()
    off = Endpoint.objects.filter(platform=party.platform, off_until__isnull=False)
    assert [(each.module, each.role) for each in off] == [("chargingprofiles", "SENDER")]


def test_a_push_carries_routing_headers_and_ids(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    (sent,) = partner.requests
    assert {name: value for name, value in sent.headers.items() if name.startswith("ocpi-")} == {
        "ocpi-to-country-code": "NL",
        "ocpi-to-party-id": "EMS",
        "ocpi-from-country-code": "BE",
        "ocpi-from-party-id": "YRD",
    }
    assert sent.headers["x-correlation-id"] == delivery("B1").correlation_id
    assert sent.headers["x-request-id"] == Attempt.objects.get().request_id
    assert uuid.UUID(sent.headers["x-request-id"]).version == 4


def test_every_try_has_a_new_request_id_and_the_same_correlation_id(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.fail("http", on="POST", status=500, times=2)
    owe_cdr(party, "CDR-1")
    for _ in range(3):
        drain()
        let_pass(100)
    assert delivery("CDR-1").state == State.ACKED
    requests = partner.received("POST")
    assert len({each.headers["x-request-id"] for each in requests}) == 3
    assert {each.headers["x-correlation-id"] for each in requests} == {delivery("CDR-1").correlation_id}
    assert [each.request_id for each in Attempt.objects.order_by("id")] == [
        each.headers["x-request-id"] for each in requests
    ]


def test_an_object_goes_to_its_owner_segmented_url(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B 1/ü", "AVAILABLE")
    drain()
    assert str(partner.requests[0]) == "PUT /ocpi/emsp/2.2.1/sessions/BE/YRD/B%201%2F%C3%BC"


def test_a_cdr_is_posted_to_the_endpoint_exactly_as_announced(partner: OddPartner) -> None:
    partner.ends_urls_with_slash = True
    party = a_partner(partner)
    owe_cdr(party, "CDR-1")
    drain()
    assert [str(each) for each in partner.requests] == ["POST /ocpi/emsp/2.2.1/cdrs/"]
    assert partner.requests[0].body == FACTS.cdrs["CDR-1"]


def test_a_result_is_posted_to_exactly_its_response_url(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_result(party, f"{partner.endpoint('commands')}/START_SESSION/7?id=7&x=%20y")
    drain()
    (sent,) = partner.requests
    assert (str(sent), sent.query) == (
        "POST /ocpi/emsp/2.2.1/commands/START_SESSION/7", {"id": "7", "x": " y"},
    )  # fmt: skip
    assert sent.body == b'{"result":"ACCEPTED"}'
    assert sent.headers["x-correlation-id"] == "3f0c0a4e-0000-4000-8000-000000000007"
    assert sent.headers["ocpi-to-party-id"] == "EMS"
    assert delivery("r-1").state == State.ACKED


def test_our_token_never_goes_to_a_host_that_is_not_the_partners(
    partner: OddPartner, other: OddPartner
) -> None:
    party = a_partner(partner)
    owe_result(party, f"{other.url}/steal")
    owe_bay(party, "B1", "AVAILABLE")
    Endpoint.objects.filter(module="sessions").update(url=f"{other.url}/sessions")
    drain()
    assert (partner.requests, other.requests) == ([], [])
    assert delivery("r-1").state == State.EXPIRED
    assert (delivery("B1").state, delivery("B1").attempts) == (State.PENDING, 0)
    assert the_lane(party, "live").blocked_reason.startswith("nothing can be sent")


# --- states


def test_first_the_whole_then_only_what_changed(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    let_pass(2)
    owe_bay(party, "B1", "CHARGING")
    drain()
    assert [each.method for each in partner.requests] == ["PUT", "PATCH"]
    assert set(partner.requests[1].json) == {"status", "last_updated"}
    assert partner.sessions["BE", "YRD", "B1"]["status"] == "CHARGING"
    row = delivery("B1")
    assert (row.state, row.wanted_version, row.confirmed_version) == (State.ACKED, 2, 2)
    assert (row.changed_fields, row.force_put, row.attempts) == ([], False, 0)


def test_three_changes_while_a_partner_is_down_are_one_put_of_the_present(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    let_pass(2)
    partner.stop()
    for status in ("CHARGING", "OUTOFORDER", "INOPERATIVE"):
        owe_bay(party, "B1", status)
        drain()
        let_pass(2)
    partner.start()
    partner.forget()
    let_pass(700)
    drain()
    let_pass(700)
    drain()
    assert [str(each) for each in partner.received(path="/sessions")] == [
        "PUT /ocpi/emsp/2.2.1/sessions/BE/YRD/B1"
    ]
    assert partner.sessions["BE", "YRD", "B1"]["status"] == "INOPERATIVE"


def test_50_rapid_changes_end_with_the_last_and_arrive_in_order(partner: OddPartner) -> None:
    party = a_partner(partner)
    for number in range(50):
        owe_bay(party, "B1", f"{number:02}")
        if number % 10 == 0:
            drain()
            let_pass(1)
    let_pass(2)
    drain()
    told = [each.json["status"] for each in partner.requests]
    assert told == ["00", "10", "20", "30", "40", "49"]
    assert delivery("B1").confirmed_version == 50


def test_an_object_is_told_at_most_once_a_second(partner: OddPartner) -> None:
    party = a_partner(partner)
    for number in range(20):
        owe_bay(party, "B1", str(number))
        drain()
    assert len(partner.requests) == 1
    let_pass(1)
    drain()
    assert [each.json["status"] for each in partner.requests] == ["0", "19"]


def test_a_change_while_the_push_is_on_its_way_is_told_too(partner: OddPartner) -> None:
    party = a_partner(partner)
    arrived, go_on = threading.Event(), threading.Event()

    def wait(received: Request, _: Reply) -> None:
        arrived.set()
        go_on.wait(5)

    partner.edit = wait
    owe_bay(party, "B1", "AVAILABLE")
    sender = in_background()
    assert arrived.wait(5)
    owe_bay(party, "B1", "CHARGING")
    go_on.set()
    sender.join()
    row = delivery("B1")
    assert (row.state, row.wanted_version, row.confirmed_version) == (State.PENDING, 2, 1)
    let_pass(1)
    drain()
    assert [each.json["status"] for each in partner.requests] == ["AVAILABLE", "CHARGING"]
    assert delivery("B1").state == State.ACKED


def test_nothing_left_to_tell_is_no_push(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    FACTS.statuses.clear()
    drain()
    assert partner.requests == []
    assert delivery("B1").state == State.CANCELLED


def test_an_object_that_the_partner_forgot_is_put_at_once(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    partner.sessions.clear()
    let_pass(2)
    owe_bay(party, "B1", "CHARGING")
    drain()
    assert [each.method for each in partner.requests] == ["PUT", "PATCH", "PUT"]
    assert partner.sessions["BE", "YRD", "B1"]["status"] == "CHARGING"
    assert delivery("B1").state == State.ACKED


def test_tariffs_go_before_the_locations_that_name_them(partner: OddPartner) -> None:
    party = a_partner(partner)
    for kind, key in (("test_place", "L1"), ("test_place", "L2"), ("test_price", "T1"), ("test_price", "T2")):
        owe_static(party, kind, key)
    drain()
    paths = [each.path.rpartition("/2.2.1/")[2] for each in partner.requests]
    assert paths == [
        "tariffs/BE/YRD/T1", "tariffs/BE/YRD/T2", "locations/BE/YRD/L1", "locations/BE/YRD/L2",
    ]  # fmt: skip


# --- CDRs


def test_cdrs_arrive_in_order_with_the_same_bytes_and_evidence_is_kept(partner: OddPartner) -> None:
    party = a_partner(partner)
    keys = [f"CDR-{number:03}" for number in range(120)]
    for key in keys:
        owe_cdr(party, key)
    drain()
    assert [each.json["id"] for each in partner.requests] == keys
    assert partner.store.cdr_bytes == [FACTS.cdrs[key] for key in keys]
    assert FACTS.acknowledged == keys
    row = delivery("CDR-000")
    assert (row.state, row.http_status, row.ocpi_status, row.attempts) == (State.ACKED, 201, 1000, 1)
    assert row.location_url == f"{partner.endpoint('cdrs')}/CDR-000"
    assert row.acked_at is not None


def test_a_location_on_a_foreign_host_is_dropped(partner: OddPartner) -> None:
    party = a_partner(partner)
    for url in ("http://169.254.169.254/cdr", "https://elsewhere.example/1", "/relative", "javascript:x"):
        partner.edit = lambda _, reply, url=url: Reply(reply.http_status, headers={"Location": url})
        owe_cdr(party, url)
        drain()
        assert (delivery(url).state, delivery(url).location_url) == (State.ACKED, "")


def test_a_credit_waits_for_its_original(partner: OddPartner) -> None:
    party = a_partner(partner)
    FACTS.predecessors = {"CDR-1-C": "CDR-1", "CDR-2": "CDR-1-C"}
    partner.fail("code", on="POST", status=3001, times=1)
    for key in ("CDR-1", "CDR-1-C", "CDR-2"):
        owe_cdr(party, key)
    drain()
    assert [each.json["id"] for each in partner.requests] == ["CDR-1"]
    assert delivery("CDR-2").last_error == "waits until the partner has CDR-1-C"
    for _ in range(3):
        let_pass(20)
        drain()
    assert [each.json["id"] for each in partner.requests] == ["CDR-1", "CDR-1", "CDR-1-C", "CDR-2"]


def test_bytes_that_changed_are_never_sent(partner: OddPartner) -> None:
    party = a_partner(partner)
    partner.fail("http", on="POST", status=500, times=1)
    owe_cdr(party, "CDR-1")
    drain()
    FACTS.cdrs["CDR-1"] = b'{"id":"CDR-1","total_cost":{"excl_vat":1}}'
    let_pass(60)
    drain()
    assert len(partner.received("POST")) == 1
    row = delivery("CDR-1")
    assert (row.state, row.last_error) == (
        State.PARKED, "the sealed bytes are not those that were sent before; nothing was sent",
    )  # fmt: skip


def test_a_partner_that_only_pulls_is_sent_no_cdr(partner: OddPartner) -> None:
    party = a_partner(partner, cdr_mode="pull_only")
    owe_cdr(party, "CDR-1")
    owe_bay(party, "B1", "AVAILABLE")
    drain()
    assert [each.method for each in partner.requests] == ["PUT"]
    assert delivery("CDR-1").state == State.PENDING
    assert lanes.oldest_due_seconds() == 0


# --- turns


def test_a_sender_that_renders_longer_than_its_turn_still_tells_everything(
    partner: OddPartner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine that is too slow, one message per turn is sent, and not none in all of them."""
    monkeypatch.setattr(sending, "TURN_SECONDS", 0.0)
    party = a_partner(partner)
    bays = [f"B{number}" for number in range(8)]
    for bay in bays:
        owe_bay(party, bay, "AVAILABLE")
    drain()
    assert [each.path.rpartition("/")[2] for each in partner.received("PUT")] == bays
    assert not Attempt.objects.exclude(outcome="ACK").exists()


# --- command results


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 302])
def test_a_result_that_failed_is_not_repeated(partner: OddPartner, status: int) -> None:
    party = a_partner(partner)
    partner.fail("http", status=status)
    owe_result(party, f"{partner.endpoint('commands')}/START_SESSION/7")
    for _ in range(3):
        drain()
        let_pass(9)
    assert [each.method for each in partner.received("POST")] == ["POST"]
    assert (delivery("r-1").state, delivery("r-1").attempts) == (State.EXPIRED, 1)


def test_a_result_whose_time_has_passed_is_not_sent(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_result(party, f"{partner.endpoint('commands')}/START_SESSION/7", seconds=-1)
    drain()
    assert partner.requests == []
    assert delivery("r-1").state == State.EXPIRED
