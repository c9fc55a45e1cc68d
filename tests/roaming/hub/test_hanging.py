"""A target that takes requests and never answers: everybody else is served as before."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from roaming.hub.gates import GATES
from tests.roaming.hub.peers import Hub, Peer

HANGS = 3.0


@pytest.fixture(autouse=True)
def few_places(settings: Any) -> Iterator[None]:
    """Four places at a target and as many to wait for one, twelve in all; a target has three seconds."""
    settings.HUB_FORWARDS_PER_TARGET = 4
    settings.HUB_FORWARDS = 12
    settings.HUB_FORWARD_SECONDS = HANGS
    GATES._targets.clear()
    yield
    GATES._targets.clear()


@pytest.fixture
def hanging(hub: Hub, emsp: Peer) -> Peer:
    """The CPO Elbstrom (DE-ELB), which hangs."""
    peer = hub.join("Elbstrom", "DE", "ELB", "CPO")
    hub.agree(emsp, peer)
    peer.fail("slow", on="locations", seconds=HANGS + 1)
    return peer


def ask_often(emsp: Peer, target: Peer, count: int) -> tuple[list[threading.Thread], list[tuple[int, float]]]:
    """So many requests at once; codes and seconds of each as they come in."""
    found: list[tuple[int, float]] = []

    def ask() -> None:
        began = time.monotonic()
        code = emsp.ask("GET", "sender/locations/LOC1", to=target.ocpi_id).code
        found.append((code, time.monotonic() - began))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, found


def waiting_connections() -> int:
    """Database connections of this test run that belong to a transaction or a statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND state <> 'idle' AND pid <> pg_backend_pid()"
        )
        count: int = cursor.fetchone()[0]
        return count


def test_others_are_answered_at_once(cpo: Peer, emsp: Peer, hanging: Peer) -> None:
    """HUB-19, HUB-22, H1: the places of the hanging one are its own; more than it has are told so at once."""
    threads, found = ask_often(emsp, hanging, 12)
    assert hanging.wait_until(lambda: sum(fault.hits for fault in hanging.faults) == 4)
    began = time.monotonic()
    assert [emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id).code for _ in range(5)] == [1000] * 5
    assert time.monotonic() - began < HANGS
    assert waiting_connections() == 0
    for thread in threads:
        thread.join()
    assert sorted(code for code, _ in found) == [4002] * 4 + [4003] * 8
    assert max(seconds for code, seconds in found if code == 4003) < HANGS


def test_it_is_asked_by_one_at_a_time_until_it_answers(emsp: Peer, hanging: Peer) -> None:
    """HUB-19: after two silences in a row nobody else waits; the first answer opens it again."""
    threads, found = ask_often(emsp, hanging, 2)
    for thread in threads:
        thread.join()
    probing, probe = ask_often(emsp, hanging, 1)
    assert hanging.wait_until(lambda: sum(fault.hits for fault in hanging.faults) == 3)
    others, told = ask_often(emsp, hanging, 3)
    for thread in others:
        thread.join()
    assert [code for code, _ in told] == [4002] * 3
    assert max(seconds for _, seconds in told) < HANGS
    for thread in probing:
        thread.join()
    assert [code for code, _ in (*found, *probe)] == [4002] * 3
    hanging.heal()
    assert [emsp.ask("GET", "sender/locations/LOC1", to=hanging.ocpi_id).code for _ in range(2)] == [1000] * 2
