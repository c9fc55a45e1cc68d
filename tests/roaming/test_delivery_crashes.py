"""What must hold when a sender of ours dies, freezes or errs (faults 17, 19, 20, 36, 46)."""

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
from roaming.delivery import services
from roaming.delivery.drain import Drainer
from roaming.delivery.models import Attempt, Obligation
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
)

__all__ = ["facts", "other", "partner"]

pytestmark = pytest.mark.django_db(transaction=True)

State = Obligation.State


def posts(partner: OddPartner) -> list[str]:
    return [each.json["id"] for each in partner.received("POST", "/cdrs")]


def outcomes() -> list[str]:
    return list(Attempt.objects.order_by("id").values_list("outcome", flat=True))


# --- 17, 19, 20: the sender dies or freezes


def test_a_sender_that_is_killed_in_the_middle_loses_nothing(partner: OddPartner) -> None:
    party = a_partner(partner)
    fault = partner.fail("slow", on="POST", seconds=3, times=1)
    for key in ("CDR-1", "CDR-2"):
        owe_cdr(party, key)
    server = connection.get_connection_params()
    url = f"postgresql://{server['user']}@/{server['dbname']}?host={server['host']}"
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
    assert sorted(partner.cdrs) == ["CDR-1", "CDR-2"]
    assert {each.body for each in partner.received("POST") if each.json["id"] == "CDR-1"} == {
        FACTS.cdrs["CDR-1"]
    }
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
    told = [(each.method, each.json["status"]) for each in partner.requests]
    assert told == [("PUT", "CHARGING"), ("PUT", "AVAILABLE"), ("PUT", "CHARGING")]
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


def test_a_batch_that_cannot_be_read_at_once_is_read_one_by_one(partner: OddPartner) -> None:
    party = a_partner(partner)
    for key in ("B1", "B2"):
        FACTS.statuses[key] = "CHARGING"
        services.owe_state(
            own_party=own_party(), parties=[party], kind="test_lonely", object_key=key, now=timezone.now()
        )
    drain()
    assert (delivery("B1").state, delivery("B2").state) == ("ACKED", "ACKED")
