"""Sessions beside themselves: two connections, one bay, one row, one feed."""

import threading
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from locations.models import EVSE
from ocpi import v221
from sessions.models import Session
from sessions.services import (
    EvseTaken,
    Reading,
    add_readings,
    complete_session,
    invalidate_session,
    open_session,
)
from sessions.wire import session_document
from tests.sessions.material import START, energy_of
from tests.sessions.rows import active, bay, facts, partner, pending
from tests.sessions.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)
COMPLETED = v221.SessionStatus.COMPLETED.value


def test_of_two_starts_at_one_bay_at_once_exactly_one_wins() -> None:
    """I1, C11: two connections, no lock held by us: the unique index is what decides."""
    taxi, other, evse = partner(), partner("TNM", "Vlaamse Koeriers"), bay()
    for _ in range(5):
        results = in_threads(
            lambda: open_session(facts=facts(party=taxi, evse=evse), now=START),
            lambda: open_session(facts=facts(party=other, evse=evse), now=START),
        )
        winners = [each for each in results if isinstance(each, Session)]
        losers = [each for each in results if isinstance(each, EvseTaken)]
        assert (len(winners), len(losers)) == (1, 1)
        assert Session.objects.filter(status="PENDING").count() == 1
        invalidate_session(session=winners[0], reason="test", now=START)


def test_readings_and_the_stop_at_once_leave_one_final_state() -> None:
    """Every verb locks the row: whichever comes second finds the session as the first one left it."""
    taxi, evse = partner(), bay()
    session = active(party=taxi, evse=evse)
    end = START + timedelta(hours=1)
    in_threads(
        *(
            lambda minute=minute: add_readings(
                session=session,
                readings=[Reading(START + minute * MINUTE, 1_000_000 + 100 * minute)],
                now=end,
            )
            for minute in (10, 20, 30)
        ),
        lambda: complete_session(
            session=session, ended_at=end, meter_stop_wh=1_010_000, end_reason="Local", now=end
        ),
    )
    stored = Session.objects.select_related("own_party").get(pk=session.pk)
    document = session_document(stored)
    assert (stored.status, document.kwh, stored.anomalies) == (COMPLETED, Decimal(10), [])
    assert energy_of(document.charging_periods) == Decimal(10)


def test_stamps_follow_the_order_of_commits() -> None:
    """delivery.md 4.3: a partner that asks for everything after the newest stamp it saw misses nothing."""
    taxi = partner()
    bays = [bay(number) for number in range(1, 5)]
    seen: set[Any] = set()
    newest = START - timedelta(days=1)
    stop = threading.Event()

    def pull() -> None:
        nonlocal newest
        while not stop.is_set():
            rows = list(
                Session.objects.filter(last_updated__gt=newest)
                .order_by("last_updated")
                .values_list("pk", "last_updated")
            )
            seen.update(rows)
            newest = max([newest, *(at for _, at in rows)])
        connection.close()

    puller = threading.Thread(target=pull)
    puller.start()

    def work(evse: EVSE) -> list[Any]:
        stamps = []
        for _ in range(10):
            session = pending(party=taxi, evse=evse)
            stamps.append((session.pk, session.last_updated))
            ended = invalidate_session(session=session, reason="test", now=START)
            stamps.append((ended.pk, ended.last_updated))
        return stamps

    results = in_threads(*(lambda evse=evse: work(evse) for evse in bays))
    stop.set()
    puller.join(timeout=10)
    seen.update(Session.objects.filter(last_updated__gt=newest).values_list("pk", "last_updated"))
    final = {(pk, at) for pk, at in Session.objects.values_list("pk", "last_updated")}
    assert all(isinstance(each, list) for each in results), results
    assert len({at for each in results for _, at in each}) == 80
    # Whatever its state when it was pulled, no session was skipped in its last state.
    assert final - seen == set()
