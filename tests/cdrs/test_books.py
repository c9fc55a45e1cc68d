"""The books: every ended session is sealed or in review, and every CDR is on its way or delivered."""

import json
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from cdrs.books import Books, check_books
from cdrs.services import waive
from roaming.models import Obligation
from tests.cdrs.rows import in_review, sealed
from tests.sessions.material import START
from tests.sessions.rows import active, bay, completed, partner

pytestmark = pytest.mark.django_db


def books(**figures: int) -> Books:
    names = [
        "sessions_ended",
        "sealed",
        "in_review",
        "waived",
        "cdrs",
        "credits",
        "acked",
        "pending",
        "parked",
        "contested",
        "served",
        "cancelled",
    ]
    return Books(**{**dict.fromkeys(names, 0), **figures}, faults=())


def test_empty_books_balance() -> None:
    assert check_books() == books()
    assert check_books().is_balanced


def test_each_state_is_counted_once_and_the_books_balance() -> None:
    """delivery.md 4.11: both identities."""
    taxi = partner()
    states = ["ACKED", "PARKED", "CONTESTED", "SERVED", "PENDING"]
    for number, state in enumerate(states, start=1):
        cdr = sealed(party=taxi, evse=bay(number))
        Obligation.objects.filter(kind="cdr", object_key=str(cdr.key)).update(state=state)
    in_review(party=taxi, evse=bay(11))
    waived = in_review(party=taxi, evse=bay(12))
    waive(session=waived.session, made_by="an.peeters", reason="test charge", now=START + timedelta(days=1))
    active(party=taxi, evse=bay(13))
    found = check_books()
    assert found == books(
        sessions_ended=7,
        sealed=5,
        in_review=2,
        waived=1,
        cdrs=5,
        acked=1,
        pending=1,
        parked=1,
        contested=1,
        served=1,
    )
    assert found.is_balanced


def test_an_ended_session_without_cdr_and_review_is_named() -> None:
    session = completed(party=partner(), evse=bay())
    found = check_books()
    assert (found.sessions_ended, found.sealed, found.in_review) == (1, 0, 0)
    assert found.faults == (f"session {session.pk} has ended, but is neither sealed nor in review",)
    assert not found.is_balanced


def test_a_cdr_that_is_owed_to_nobody_is_named() -> None:
    cdr = sealed(party=partner(), evse=bay())
    Obligation.objects.filter(kind="cdr").delete()
    found = check_books()
    assert found.faults == (f"CDR {cdr.ocpi_id}: it is owed to nobody",)
    assert not found.is_balanced


def test_other_bytes_than_the_sealed_ones_are_noticed() -> None:
    cdr = sealed(party=partner(), evse=bay())
    Obligation.objects.filter(kind="cdr").update(sent_sha256=bytes(32))
    assert check_books().faults == (f"CDR {cdr.ocpi_id}: other bytes were sent than were sealed",)
    Obligation.objects.filter(kind="cdr").update(sent_sha256=bytes(cdr.sha256))
    assert check_books().is_balanced


def test_a_cdr_that_was_removed_breaks_the_chain() -> None:
    """Tampering behind the triggers: the next CDR no longer finds the one before it."""
    taxi = partner()
    first, second = sealed(party=taxi, evse=bay(1)), sealed(party=taxi, evse=bay(2))
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE cdrs_cdr DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM cdrs_cdr WHERE key = %s", [first.key])
        cursor.execute("ALTER TABLE cdrs_cdr ENABLE TRIGGER USER")
    broken = f"CDR {second.ocpi_id}: the chain is broken here; a CDR was altered, removed or inserted"
    assert broken in check_books().faults


@pytest.mark.django_db(transaction=True)
def test_the_command_prints_the_figures(capsys: pytest.CaptureFixture[str]) -> None:
    sealed(party=partner(), evse=bay())
    call_command("check_books")
    assert capsys.readouterr().out.splitlines() == [
        "sessions ended 1 = sealed 1 + in review 0 (waived 0)",
        "CDRs 1 (0 credits) = acknowledged 0 + pending 1 + parked 0 + contested 0 + served 0 + cancelled 0",
    ]
    call_command("check_books", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["sealed"], told["pending"], told["is_balanced"]) == (1, 1, True)


@pytest.mark.django_db(transaction=True)
def test_the_command_fails_when_the_books_do_not_balance() -> None:
    completed(party=partner(), evse=bay())
    with pytest.raises(CommandError, match="do not balance"):
        call_command("check_books")
