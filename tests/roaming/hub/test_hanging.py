"""A target that takes requests and never answers: everybody else is served as before."""

import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from demo.http import Reply, Request
from roaming.hub.agreements import set_agreement
from roaming.hub.gates import GATES
from roaming.models import Agreement, Party
from tests.roaming.hub.peers import HUB, Hub, Peer

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
    for module in ("locations", "sessions"):
        peer.fail("slow", on=module, seconds=HANGS + 1)
    return peer


def ask_often(
    emsp: Peer, to: tuple[str, str], count: int, path: str = "sender/locations/LOC1"
) -> tuple[list[threading.Thread], list[tuple[int, float]]]:
    """So many requests at once; codes and seconds of each as they come in."""
    found: list[tuple[int, float]] = []

    def ask() -> None:
        began = time.monotonic()
        code = emsp.ask("GET", path, to=to).code
        found.append((code, time.monotonic() - began))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    return threads, found


def hits(hanging: Peer) -> int:
    """How many requests hang there, or did."""
    return sum(fault.hits for fault in hanging.faults)


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
    threads, found = ask_often(emsp, hanging.ocpi_id, 12)
    assert hanging.wait_until(lambda: hits(hanging) == 4)
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
    threads, found = ask_often(emsp, hanging.ocpi_id, 2)
    for thread in threads:
        thread.join()
    probing, probe = ask_often(emsp, hanging.ocpi_id, 1)
    assert hanging.wait_until(lambda: hits(hanging) == 3)
    others, told = ask_often(emsp, hanging.ocpi_id, 3)
    for thread in others:
        thread.join()
    assert [code for code, _ in told] == [4002] * 3
    assert max(seconds for _, seconds in told) < HANGS
    for thread in probing:
        thread.join()
    assert [code for code, _ in (*found, *probe)] == [4002] * 3
    hanging.heal()
    assert [emsp.ask("GET", "sender/locations/LOC1", to=hanging.ocpi_id).code for _ in range(2)] == [1000] * 2


SESSIONS = "sender/sessions"


def lists_nothing(*cpos: Peer) -> None:
    for peer in cpos:
        peer.on("/sessions", Reply(data=[], headers={"X-Total-Count": "0"}))


def backends(*, since: datetime) -> int:
    """Database connections of this test run that were opened since then."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_start >= %s",
            [since],
        )
        count: int = cursor.fetchone()[0]
        return count


class TestLists:
    """GET all of Sessions, for which the hub asks the CPOs themselves."""

    def test_others_are_answered_at_once(self, cpo: Peer, emsp: Peer, hanging: Peer) -> None:
        """HUB-19, HUB-22, HUB-51, H1: as many lists wait as the hanging one has places, the others are told at once."""
        lists_nothing(cpo)
        threads, found = ask_often(emsp, HUB, 10, SESSIONS)
        assert hanging.wait_until(lambda: hits(hanging) == 4)
        began = time.monotonic()
        assert [emsp.ask("GET", "sender/locations/LOC1", to=cpo.ocpi_id).code for _ in range(5)] == [1000] * 5
        assert time.monotonic() - began < HANGS
        for thread in threads:
            thread.join()
        assert sorted(code for code, _ in found) == [4002] * 4 + [4003] * 6
        assert max(seconds for code, seconds in found if code == 4003) < HANGS

    def test_a_list_waits_without_a_database_connection(self, cpo: Peer, emsp: Peer, hanging: Peer) -> None:
        """HUB-51: one connection serves one list after the other while all of them wait."""
        lists_nothing(cpo)
        connection.close_pool()
        began = timezone.now()
        waiting: list[threading.Thread] = []
        for count in (1, 2, 3, 4):
            waiting += ask_often(emsp, HUB, 1, SESSIONS)[0]
            assert hanging.wait_until(lambda: hits(hanging) == count)
        assert (backends(since=began), waiting_connections()) == (1, 0)
        for thread in waiting:
            thread.join()

    def test_a_cpo_that_was_silent_is_asked_by_one_list_at_a_time(
        self, cpo: Peer, emsp: Peer, hanging: Peer
    ) -> None:
        """HUB-19, HUB-22: 4002 at once for the others, until it answers again."""
        lists_nothing(cpo, hanging)
        for count in (2, 1):
            for thread in ask_often(emsp, HUB, count, SESSIONS)[0]:
                thread.join()
        probing, _ = ask_often(emsp, HUB, 1, SESSIONS)
        assert hanging.wait_until(lambda: hits(hanging) == 4)
        others, told = ask_often(emsp, HUB, 3, SESSIONS)
        for thread in (*others, *probing):
            thread.join()
        assert [code for code, _ in told] == [4002] * 3
        assert max(seconds for _, seconds in told) < HANGS
        hanging.heal()
        assert [emsp.ask("GET", SESSIONS, to=HUB).code for _ in range(2)] == [1000] * 2

    def test_the_lists_of_many_targets_take_one_place_of_all(
        self, hub: Hub, cpo: Peer, emsp: Peer, hanging: Peer, settings: Any
    ) -> None:
        """HUB-51: three CPOs are read in the one place that there is; a second list waits for nobody."""
        settings.HUB_FORWARDS = 1
        third = hub.join("Vlotte Kar", "BE", "VLK", "CPO")
        hub.agree(emsp, third)
        lists_nothing(cpo, third, hanging)
        threads, found = ask_often(emsp, HUB, 1, SESSIONS)
        assert hanging.wait_until(lambda: hits(hanging) == 1)
        assert emsp.ask("GET", SESSIONS, to=HUB).code == 4003
        for thread in threads:
            thread.join()
        assert [code for code, _ in found] == [4002]
        hanging.heal()
        cpo.forget()
        assert (emsp.ask("GET", SESSIONS, to=HUB).code, len(cpo.calls)) == (1000, 1)

    def test_a_platform_with_more_parties_than_places_is_read_to_the_end(
        self, cpo: Peer, emsp: Peer, settings: Any
    ) -> None:
        """HUB-51, HUB-52: one list does not crowd itself out."""
        settings.HUB_FORWARD_SECONDS = 3 * HANGS
        for number in range(10):
            party = Party.objects.create(
                platform=cpo.platform, role="CPO", country_code="NL", party_id=f"T{number:02}", name="Tank en Meer",
                presence=Party.Presence.CONNECTED,
            )  # fmt: skip
            set_agreement(one=emsp.row, other=party, status=Agreement.Status.ACTIVE, modules=())

        def slowly(_: Request) -> Reply:
            time.sleep(0.5)
            return Reply(data=[], headers={"X-Total-Count": "0"})

        cpo.on("/sessions", slowly)
        assert emsp.ask("GET", SESSIONS, to=HUB).code == 1000
        assert len(cpo.calls) == 11
