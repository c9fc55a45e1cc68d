"""Who is sent to, how fast, and by whom: pace, isolation, any number of senders."""

import threading
import time

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.utils import timezone

from roaming.delivery import lanes, services
from roaming.delivery.drain import Drainer
from roaming.delivery.models import Lane, Obligation
from roaming.models import Platform
from tests.factories import PartyFactory
from tests.roaming.deliveries import (
    FACTS,
    OddPartner,
    a_partner,
    drain,
    facts,
    in_background,
    let_pass,
    other,
    owe_bay,
    owe_cdr,
    own_party,
    partner,
)

__all__ = ["facts", "other", "partner"]

pytestmark = pytest.mark.django_db(transaction=True)

State = Obligation.State

# --- who is sent to


@pytest.mark.parametrize("status", [s for s in Platform.Status if s != Platform.Status.CONNECTED])
def test_a_partner_that_is_not_connected_is_sent_nothing(partner: OddPartner, status: str) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    owe_cdr(party, "CDR-1")
    Platform.objects.update(status=status)
    assert drain() == 0
    assert partner.requests == []
    assert set(Obligation.objects.values_list("state", flat=True)) == {State.PENDING}


def test_a_partner_that_is_suspended_in_the_middle_of_a_turn_is_sent_no_further_cdr(
    partner: OddPartner,
) -> None:
    party = a_partner(partner)

    def suspend(*_: object) -> None:
        Platform.objects.update(status=Platform.Status.SUSPENDED)
        connection.close()

    partner.edit = suspend
    for key in ("CDR-1", "CDR-2", "CDR-3"):
        owe_cdr(party, key)
    drain()
    assert [each.json["id"] for each in partner.requests] == ["CDR-1"]
    states = list(Obligation.objects.order_by("object_key").values_list("state", flat=True))
    assert states == [State.ACKED, State.PENDING, State.PENDING]


def test_two_parties_on_one_platform_are_both_told(partner: OddPartner) -> None:
    first = a_partner(partner)
    second = PartyFactory(platform=first.platform, country_code="NL", party_id="TNM")
    FACTS.statuses["B1"] = "AVAILABLE"
    services.owe_state(
        own_party=own_party(), parties=[first, second], kind="test_bay", object_key="B1", now=timezone.now()
    )
    drain()
    assert sorted(each.headers["ocpi-to-party-id"] for each in partner.requests) == ["EMS", "TNM"]


# --- pace, isolation, concurrency


def test_a_partner_gets_no_more_than_its_rate(partner: OddPartner) -> None:
    party = a_partner(partner, requests_per_second=20)
    for number in range(50):
        owe_bay(party, f"B{number}", "AVAILABLE")
    began = time.monotonic()
    drain()
    assert len(partner.requests) == 50
    assert 1.9 < time.monotonic() - began < 5


def test_the_lanes_of_a_partner_share_its_rate(partner: OddPartner) -> None:
    party = a_partner(partner, requests_per_second=20)
    for number in range(30):
        owe_bay(party, f"B{number}", "AVAILABLE")
        owe_cdr(party, f"CDR-{number}")
    began = time.monotonic()
    drain()
    while Obligation.objects.exclude(state=State.ACKED).exists():
        time.sleep(0.05)
        drain()
    # 20 of each at once, then for two seconds nothing; each for itself would rest for one.
    assert 1.3 < time.monotonic() - began < 6
    assert len(partner.requests) == 60


def test_a_partner_that_hangs_does_not_slow_the_others(
    partner: OddPartner, other: OddPartner, settings
) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 3.0
    hanging, healthy = a_partner(partner), a_partner(other)
    partner.fail("slow", seconds=10)
    for number in range(60):
        owe_bay(hanging, f"H{number}", "AVAILABLE")
        owe_cdr(hanging, f"CDR-H{number}")
        owe_bay(healthy, f"B{number}", "AVAILABLE")
    began = time.monotonic()
    sender = in_background()
    assert other.wait_until(lambda: len(other.sessions) == 60, 2.5)
    assert time.monotonic() - began < 2.5
    sender.join()
    assert Obligation.objects.filter(party=hanging, state=State.ACKED).count() == 0


def test_partners_that_hang_never_take_all_threads(other: OddPartner, settings) -> None:
    settings.OUTBOUND_TIMEOUT_SECONDS = 2.0
    healthy = a_partner(other)
    owe_bay(healthy, "B0", "AVAILABLE")
    drain()
    with OddPartner("Slow Fleet", "FR", "SLW") as slow:
        slow.fail("slow", seconds=10)
        party = a_partner(slow)
        owe_bay(party, "H", "AVAILABLE")
        owe_cdr(party, "CDR-H")
        # Two threads, two hanging lanes with a failure each: one thread stays for the others.
        Lane.objects.filter(platform=party.platform).update(failures=1)
        let_pass(2)
        owe_bay(healthy, "B1", "AVAILABLE")
        began = time.monotonic()
        sender = in_background(concurrency=2)
        assert other.wait_until(lambda: ("BE", "YRD", "B1") in other.sessions, 1.5)
        assert time.monotonic() - began < 1.5
        sender.join()


def test_any_number_of_senders_send_each_thing_once_and_in_order(partner: OddPartner) -> None:
    party = a_partner(partner)
    in_flight, most, lock = 0, 0, threading.Lock()

    def count(*_: object) -> None:
        nonlocal in_flight, most
        with lock:
            in_flight += 1
            most = max(most, in_flight)
        time.sleep(0.002)
        with lock:
            in_flight -= 1

    partner.edit = count
    keys = [f"CDR-{number:02}" for number in range(80)]
    for key in keys:
        owe_cdr(party, key)
    senders = [in_background() for _ in range(4)]
    for sender in senders:
        sender.join()
    drain()
    assert [each.json["id"] for each in partner.requests] == keys
    assert most == 1


def test_a_claimed_lane_is_nobody_elses(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    (lease,) = lanes.claim(limit=10, with_failing=True)
    assert lanes.claim(limit=10, with_failing=True) == []
    assert drain() == 0
    let_pass(61)
    (second,) = lanes.claim(limit=10, with_failing=True)
    assert lanes.renew(second) is True
    assert lanes.renew(lease) is False


def test_a_writer_with_an_open_transaction_holds_nobody_up(partner: OddPartner) -> None:
    party = a_partner(partner)
    owe_bay(party, "B1", "AVAILABLE")
    with transaction.atomic():
        owe_bay(party, "B2", "AVAILABLE")
        sender = in_background()
        sender.join(5)
        assert not sender.is_alive()
    assert [each.segments[-1] for each in partner.requests] == ["B1"]


def test_writers_and_senders_at_the_same_time_end_with_the_truth(partner: OddPartner) -> None:
    party = a_partner(partner)
    keys = [f"B{number}" for number in range(8)]
    errors: list[Exception] = []

    def write(order: list[str], offset: int) -> None:
        try:
            for number in range(15):
                with transaction.atomic():
                    for key in order:
                        owe_bay(party, key, f"{offset + number}")
        except Exception as error:
            errors.append(error)
        finally:
            connection.close()

    with Drainer(clock=timezone.now, jitter=lambda: 0.0) as drainer:
        sender = in_background(drainer.drain_forever)
        write(keys, 0)
        write(keys, 100)
        deadline = time.monotonic() + 15
        while Obligation.objects.exclude(state=State.ACKED).exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        drainer.stop()
        sender.join()
    assert errors == []
    assert {each["status"] for each in partner.sessions.values()} == {"114"}
    assert set(Obligation.objects.values_list("confirmed_version", flat=True)) == {30}


def test_sweep_once_sends_what_is_due(partner: OddPartner, capsys: pytest.CaptureFixture[str]) -> None:
    owe_bay(a_partner(partner), "B1", "AVAILABLE")
    call_command("sweep", "--once")
    assert len(partner.requests) == 1
    assert capsys.readouterr().out == "turns taken: 1\n"


def test_the_oldest_due_delivery_tells_whether_anybody_sends(partner: OddPartner) -> None:
    party = a_partner(partner)
    assert lanes.oldest_due_seconds() == 0
    owe_bay(party, "B1", "AVAILABLE")
    let_pass(300)
    assert 300 <= lanes.oldest_due_seconds() < 310
    drain()
    assert lanes.oldest_due_seconds() == 0
