"""Connections that are closed are kept for the next thread that needs one."""

import threading

import pytest
from django.db import connection, connections, transaction

pytestmark = pytest.mark.django_db(transaction=True)


def server_process() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        found: int = cursor.fetchone()[0]
        return found


def in_thread() -> int:
    """The server process that a thread of its own meets."""
    found: list[int] = []

    def look() -> None:
        found.append(server_process())
        connection.close()

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    return found[0]


@pytest.fixture(autouse=True)
def _nothing_kept() -> None:
    connection.close()
    connection.close_pool()


def test_a_closed_connection_serves_the_next_thread() -> None:
    mine = server_process()
    connection.close()
    assert in_thread() == mine
    assert server_process() == mine


def test_an_open_one_is_nobody_elses() -> None:
    mine = server_process()
    assert in_thread() != mine
    assert server_process() == mine


def test_a_connection_in_a_transaction_is_not_kept() -> None:
    with transaction.atomic():
        mine = server_process()
        connection.close()
    assert server_process() != mine


def test_one_that_the_server_has_ended_is_not_taken_up() -> None:
    mine = server_process()
    other = connections["default"].copy()
    with other.cursor() as cursor:
        cursor.execute("SELECT 1")
        connection.close()
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [mine])
    assert server_process() != mine
    other.close()
