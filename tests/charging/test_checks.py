"""Charges without an end, ends without a bill: found, told in plain words, and closed when they are over."""

from datetime import timedelta

import pytest

from cdrs.models import CDR, Review
from charging.checks import check_transactions
from charging.models import Transaction
from charging.tasks import check_transactions as task
from roaming.checks.models import Finding
from sessions.models import Session
from tests.cdrs.rows import in_review, sealed
from tests.sessions.material import START
from tests.sessions.rows import STATION, active, bay, completed, partner

pytestmark = pytest.mark.django_db
END = START + timedelta(hours=2)
LATE = END + timedelta(minutes=15, seconds=1)
DAY = timedelta(hours=24)


def transaction_of(session: Session, **values: object) -> Transaction:
    given = {"started_at": session.started_at, "meter_start_wh": 1_000_000, "stopped_at": session.ended_at}
    return Transaction.objects.create(
        station_identity=STATION, ocpp_connector=session.evse.ocpp_connector, id_tag="04A2B3C4D5E680",
        id_tag_status="Accepted", session=session, **(given | values),
    )  # fmt: skip


def open_ones() -> list[tuple[str, str, str]]:
    rows = Finding.objects.filter(closed_at__isnull=True).order_by("pk")
    return [(each.kind, each.object_key, each.severity) for each in rows]


def test_a_charge_without_an_end_is_found_after_a_day() -> None:
    """delivery.md 4.11."""
    row = transaction_of(active(party=partner(), evse=bay()))
    assert check_transactions(now=START + DAY) == 0
    now = START + DAY + timedelta(seconds=1)
    assert check_transactions(now=now) == 1
    assert open_ones() == [("no_stop", str(row.pk), "NOTICE")]
    finding = Finding.objects.get()
    assert finding.text == (
        f"Station {STATION}, connector 1: a charge began 1 d ago and no end was reported."
    )
    assert finding.remedy.startswith("Look whether the vehicle still charges.")
    assert check_transactions(now=now + timedelta(hours=1)) == 1
    assert (Finding.objects.count(), Finding.objects.get().opened_at) == (1, now)
    Transaction.objects.update(stopped_at=now, session=None)
    assert (check_transactions(now=now + timedelta(hours=2)), open_ones()) == (0, [])


def test_an_end_without_a_bill_is_an_alert_after_a_quarter_of_an_hour() -> None:
    """delivery.md 4.11."""
    session = completed(party=partner(), evse=bay())
    row = transaction_of(session)
    assert check_transactions(now=END + timedelta(minutes=15)) == 0
    assert check_transactions(now=LATE) == 1
    assert open_ones() == [("no_cdr", str(row.pk), "ALERT")]
    assert "ended 15 min ago and is neither billed nor in review" in Finding.objects.get().text


def test_a_session_that_never_ended_although_its_charge_did_is_found_too() -> None:
    row = transaction_of(active(party=partner(), evse=bay()), stopped_at=END)
    assert check_transactions(now=LATE) == 1
    assert open_ones() == [("no_cdr", str(row.pk), "ALERT")]


def test_what_is_billed_in_review_void_or_nobodys_is_no_finding() -> None:
    taxi = partner()
    transaction_of(sealed(party=taxi, evse=bay(1)).session)
    transaction_of(in_review(party=taxi, evse=bay(2)).session)
    void = transaction_of(active(party=taxi, evse=bay(3)), stopped_at=END)
    Session.objects.filter(pk=void.session_id).update(status="INVALID")
    other = transaction_of(completed(party=taxi, evse=bay(4)))
    Transaction.objects.filter(pk=other.pk).update(session=None)
    assert (check_transactions(now=LATE), open_ones()) == (0, [])
    assert (CDR.objects.count(), Review.objects.count()) == (1, 1)


def test_the_task_looks_by_the_clock() -> None:
    transaction_of(active(party=partner(), evse=bay()))
    task()
    assert [kind for kind, _, _ in open_ones()] == ["no_stop"]
