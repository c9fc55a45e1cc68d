"""The fast way to the database: the same values, errors and transactions as Django's own cursors."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import DataError, IntegrityError, OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from roaming import rawsql
from roaming.models import Party
from tests.factories import OwnPartyFactory

VALUES = {
    "text": "Gent Noord; '\\x00' \"…\"",
    "bytes": b"\x00\xff'\\",
    "whole": 7,
    "large": 2**40,
    "number": Decimal("12.3450"),
    "at": datetime(2026, 11, 21, 10, 0, 0, 123_456, tzinfo=UTC),
    "key": UUID("6b1f5f0e-6c1e-5d0a-9a55-6d1a8c0c7d11"),
    "many": ["status", "NULL"],
    "nothing": None,
    "yes": True,
}
SELECT = (
    "SELECT %(text)s::text, %(bytes)s::bytea, %(whole)s::int, %(large)s::bigint, %(number)s::numeric,"
    " %(at)s::timestamptz, %(key)s::uuid, %(many)s::text[], %(nothing)s::text, %(yes)s::bool"
)


@pytest.mark.django_db
def test_values_come_back_as_they_went() -> None:
    assert rawsql.fetch(SELECT, VALUES) == [tuple(VALUES.values())]


@pytest.mark.django_db
def test_who_counts_statements_gets_the_same_rows() -> None:
    quick = rawsql.fetch(SELECT, VALUES)
    with CaptureQueriesContext(connection) as captured:
        watched = rawsql.fetch(SELECT, VALUES)
    assert (watched, len(captured)) == (quick, 1)
    assert captured[0]["sql"].startswith("SELECT ")


@pytest.mark.django_db
def test_a_statement_is_prepared_once_per_connection() -> None:
    for number in range(5):
        assert rawsql.fetch_one("SELECT %s::int + 1", [number]) == (number + 1,)
    rows = rawsql.fetch(
        "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["SELECT $1::int + 1"]
    )
    assert rows == [(1,)]


@pytest.mark.django_db
def test_without_prepared_statements_all_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    connection.ensure_connection()
    monkeypatch.setattr(connection.connection, "prepare_threshold", None)
    assert rawsql.fetch("SELECT %s::int + 2", [1]) == [(3,)]
    assert rawsql.fetch(
        "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s", ["SELECT $1::int + 2"]
    ) == [(0,)]


@pytest.mark.django_db
def test_more_statements_than_are_kept_still_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rawsql, "MAX_PREPARED", 0)
    assert rawsql.fetch("SELECT %s::int + 3", [1]) == [(4,)]


@pytest.mark.django_db
def test_execute_tells_how_many_rows_it_wrote() -> None:
    party = OwnPartyFactory()
    table = Party._meta.db_table
    assert (
        rawsql.execute(f"UPDATE {table} SET name = %s WHERE id = ANY(%b::bigint[])", ["A", [party.pk]]) == 1
    )
    assert rawsql.execute(f"UPDATE {table} SET name = %s WHERE id = %s", ["B", -1]) == 0
    party.refresh_from_db()
    assert party.name == "A"


@pytest.mark.django_db
def test_errors_are_those_of_django() -> None:
    party = OwnPartyFactory()
    table = Party._meta.db_table
    with pytest.raises(DataError), transaction.atomic():
        rawsql.fetch("SELECT 1 / %s::int", [0])
    with pytest.raises(IntegrityError), transaction.atomic():
        rawsql.execute(
            f"INSERT INTO {table} (role, country_code, party_id, name, website, is_active)"
            " SELECT role, country_code, party_id, name, website, is_active FROM roaming_party WHERE id = %s",
            [party.pk],
        )
    assert rawsql.fetch("SELECT count(*) FROM roaming_party WHERE id = %s", [party.pk]) == [(1,)]


@pytest.mark.django_db
def test_nothing_runs_in_a_transaction_that_is_broken() -> None:
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            rawsql.fetch("SELECT %s", ["1"])


@pytest.mark.django_db(transaction=True)
def test_it_is_part_of_the_transaction_around_it() -> None:
    party = OwnPartyFactory()

    def rename(name: str) -> None:
        assert rawsql.execute("UPDATE roaming_party SET name = %s WHERE id = %s", [name, party.pk]) == 1

    with transaction.atomic():
        # The first statement: it must open the transaction itself.
        rename("rolled back")
        transaction.set_rollback(True)
    party.refresh_from_db()
    assert party.name == "Yardgate Depots"
    with transaction.atomic():
        rename("kept")
    party.refresh_from_db()
    assert party.name == "kept"


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_closed_is_replaced() -> None:
    """What a request finds after the database was restarted: Django checks kept connections at its beginning."""
    assert rawsql.fetch("SELECT %s::int", [1]) == [(1,)]
    backend = connections["default"]
    backend.settings_dict["CONN_HEALTH_CHECKS"] = True
    try:
        backend.close()
        [(old,)] = rawsql.fetch("SELECT pg_backend_pid() WHERE %s", [True])
        other = backend.copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [old])
        other.close()
        backend.close_if_unusable_or_obsolete()
        [(new,)] = rawsql.fetch("SELECT pg_backend_pid() WHERE %s", [True])
        assert new != old
    finally:
        backend.settings_dict["CONN_HEALTH_CHECKS"] = False
        backend.close()


@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_in_the_middle_is_an_operational_error() -> None:
    backend = connections["default"]
    with pytest.raises(OperationalError):
        rawsql.fetch("SELECT pg_terminate_backend(pg_backend_pid()) WHERE %s", [True])
    assert backend.errors_occurred
    backend.close()
    assert rawsql.fetch("SELECT %s::int", [1]) == [(1,)]


@pytest.mark.django_db(transaction=True)
def test_a_statement_whose_table_has_changed_is_answered_all_the_same() -> None:
    """A migration beside running workers: the server refuses the plan that it kept."""
    sql = "SELECT * FROM changing WHERE %s"
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE changing AS SELECT 1 AS one")
        assert rawsql.fetch(sql, [True]) == [(1,)]
        cursor.execute("ALTER TABLE changing ADD COLUMN two int DEFAULT 2")
        assert rawsql.fetch(sql, [True]) == [(1, 2)]
        cursor.execute("DROP TABLE changing")


@pytest.mark.django_db(transaction=True)
def test_a_server_that_knows_the_statement_already_is_no_fault() -> None:
    """Behind a pooler another process of ours has prepared it: a name stands for one statement everywhere."""
    assert rawsql.fetch("SELECT %s::int + 5", [1]) == [(6,)]
    rawsql._prepared.clear()
    with transaction.atomic():
        assert rawsql.fetch("SELECT %s::int + 5", [1]) == [(6,)]
        assert rawsql.fetch("SELECT %s::int + 5", [2]) == [(7,)]
    rawsql._prepared.clear()
    assert [rawsql.fetch("SELECT %s::int + 5", [1]), rawsql.fetch("SELECT %s::int + 6", [1])] == [
        [(6,)],
        [(7,)],
    ]
