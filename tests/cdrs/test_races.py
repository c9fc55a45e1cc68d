"""Sealing beside itself: real connections, and a death in the middle."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from cdrs.models import CDR, Review
from cdrs.sealing import FIRST_LINK
from cdrs.services import seal
from sessions.models import Session
from tests.cdrs.rows import STATION_KEY, everything, ledger
from tests.sessions.material import START
from tests.sessions.rows import bay, completed, partner
from tests.sessions.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)
LATER = START + timedelta(days=1)


def test_a_seal_race_makes_one_cdr() -> None:
    """I13, delivery.md 4.10 (i): four callers on four connections; one CDR, one delivery, one answer."""
    session = completed(party=partner(), evse=bay())
    results = in_threads(
        *(lambda: seal(session=session, station_key=STATION_KEY, now=LATER) for _ in range(4))
    )
    assert [type(each) for each in results] == [CDR] * 4, results
    assert len({each.key for each in results}) == 1
    assert len({bytes(each.body) for each in results}) == 1
    assert (CDR.objects.count(), len(ledger())) == (1, 1)


def test_a_race_of_seals_of_many_sessions_keeps_one_chain_in_commit_order() -> None:
    """delivery.md 4.3: a reader that follows the feed by number or stamp never misses a CDR."""
    taxi = partner()
    sessions = [
        completed(party=taxi, evse=bay(number), started_at=START + timedelta(minutes=number))
        for number in range(1, 13)
    ]
    seen: list[Any] = []
    stop = threading.Event()

    def follow() -> None:
        newest = 0
        while not stop.is_set():
            rows = list(
                CDR.objects.filter(feed_seq__gt=newest).order_by("feed_seq").values_list("feed_seq", "key")
            )
            seen.extend(rows)
            newest = rows[-1][0] if rows else newest
        connection.close()

    follower = threading.Thread(target=follow)
    follower.start()

    def work(some: list[Session]) -> list[CDR | Review]:
        return [seal(session=each, station_key=STATION_KEY, now=LATER) for each in some]

    results = in_threads(*(lambda part=part: work(sessions[part::4]) for part in range(4)))
    stop.set()
    follower.join(timeout=10)
    assert all(isinstance(each, list) for each in results), results
    seen.extend(
        CDR.objects.filter(feed_seq__gt=seen[-1][0] if seen else 0)
        .order_by("feed_seq")
        .values_list("feed_seq", "key")
    )
    rows = list(CDR.objects.order_by("feed_seq"))
    assert seen == [(each.feed_seq, each.key) for each in rows]
    assert len(rows) == 12
    links = [FIRST_LINK, *(bytes(each.chain_sha256) for each in rows)]
    assert [bytes(each.previous_sha256) for each in rows] == links[:-1]
    stamps = [each.last_updated for each in rows]
    assert stamps == sorted(set(stamps))


def test_a_crash_before_the_commit_leaves_neither_cdr_nor_delivery() -> None:
    """Seal and ledger are one transaction: whoever dies in between has done nothing."""
    session = completed(party=partner(), evse=bay())
    before = everything()

    class Died(Exception):
        pass

    def die() -> None:
        with transaction.atomic():
            seal(session=session, station_key=STATION_KEY, now=LATER)
            raise Died

    with pytest.raises(Died):
        die()
    assert everything() == before
    cdr = seal(session=session, station_key=STATION_KEY, now=LATER)
    assert isinstance(cdr, CDR)
    assert bytes(cdr.previous_sha256) == FIRST_LINK
