"""The gateway's second try: when others are in the way, and when the database is away."""

import threading
from collections.abc import Callable

import pytest
from django.db import connection, transaction

from chargers.connection import StoreUnavailable
from chargers.models import Station
from chargers.store import persistently
from locations.models import EVSE
from tests.sessions.threads import in_threads

pytestmark = pytest.mark.django_db(transaction=True)


def test_two_that_wait_for_each_other_both_get_through(bay: EVSE) -> None:
    """PostgreSQL ends one of them; that one begins again and finds the way free."""
    both_hold_one = threading.Barrier(2)
    tries: list[str] = []

    def lock(first: str, second: str) -> Callable[[], None]:
        def work() -> None:
            tries.append(first)
            with transaction.atomic():
                Station.objects.select_for_update().get(identity=first)
                if len(tries) <= 2:
                    both_hold_one.wait(5)
                Station.objects.select_for_update().get(identity=second)
                Station.objects.filter(identity=first).update(vendor=f"{first} was here")

        return work

    results = in_threads(
        lambda: persistently(lock("GENT-01", "GENT-02")), lambda: persistently(lock("GENT-02", "GENT-01"))
    )
    assert results == [None, None]
    assert len(tries) == 3
    assert set(Station.objects.values_list("vendor", flat=True)) == {"GENT-01 was here", "GENT-02 was here"}


def test_a_row_that_stays_locked_is_unavailable_after_three_tries(bay: EVSE) -> None:
    holding, release = threading.Event(), threading.Event()
    tries: list[int] = []

    def hold() -> None:
        with transaction.atomic():
            Station.objects.select_for_update().get(identity="GENT-01")
            holding.set()
            release.wait(10)

    def work() -> None:
        tries.append(1)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL lock_timeout = '100ms'")
            Station.objects.select_for_update().get(identity="GENT-01")

    def try_it() -> None:
        holding.wait(5)
        try:
            persistently(work)
        finally:
            release.set()

    _, error = in_threads(hold, try_it)
    assert isinstance(error, StoreUnavailable)
    assert len(tries) == 3


def test_a_connection_that_was_ended_is_unavailable_once_and_then_made_anew(bay: EVSE) -> None:
    def ended() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")

    def work() -> int:
        with pytest.raises(StoreUnavailable):
            persistently(ended)
        return persistently(Station.objects.count)

    assert in_threads(work) == [2]


def test_what_is_wrong_with_the_work_itself_is_not_tried_again(bay: EVSE) -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise KeyError("status")

    with pytest.raises(KeyError):
        persistently(work)
    assert len(tries) == 1
