"""An alert per partner when it waits for an hour, a louder one after a day; and what its return closes."""

from datetime import timedelta

import pytest
from django.utils import timezone

from roaming.checks.ages import check_ages
from roaming.checks.models import Finding
from roaming.models import Obligation, Party, Platform
from roaming.tasks import check_delivery_ages
from tests.factories import PartyFactory, connect
from tests.roaming.deliveries import owe_bay, owe_cdr

pytestmark = pytest.mark.django_db
NOW = timezone.now()
HOUR = timedelta(hours=1)


@pytest.fixture
def taxi(db) -> Party:
    party = PartyFactory()
    connect(party)
    return party


def waiting_since(age: timedelta, **rows: object) -> None:
    Obligation.objects.filter(**rows).update(owed_since=NOW - age)


def open_ones() -> list[tuple[str, str, str]]:
    rows = Finding.objects.filter(closed_at__isnull=True).order_by("pk")
    return [(each.object_key, each.severity, each.text) for each in rows]


def test_an_hour_is_noted_once_per_partner_and_a_day_is_an_alert(taxi: Party) -> None:
    """delivery.md 4.6: per partner, not per item; one row that grows older."""
    for key in ("CDR-1", "CDR-2"):
        owe_cdr(taxi, key)
    waiting_since(HOUR - timedelta(seconds=1))
    assert (check_ages(now=NOW), open_ones()) == (0, [])
    waiting_since(HOUR + timedelta(seconds=1))
    assert check_ages(now=NOW) == 1
    key = str(taxi.platform_id)
    text = "Randstad Taxi: 2 deliveries wait for more than 1 h, the oldest for 1 h."
    assert [(each[0], each[1]) for each in open_ones()] == [(key, "NOTICE")]
    assert open_ones()[0][2].endswith(text.partition(": ")[2])
    waiting_since(24 * HOUR, object_key="CDR-1")
    assert check_ages(now=NOW) == 1
    assert [(each[0], each[1]) for each in open_ones()] == [(key, "ALERT")]
    assert "the oldest for 1 d" in open_ones()[0][2]
    assert Finding.objects.count() == 1


@pytest.mark.parametrize("state", ["PARKED", "CONTESTED"])
def test_what_needs_a_person_counts_too(taxi: Party, state: str) -> None:
    owe_cdr(taxi, "CDR-1")
    waiting_since(2 * HOUR)
    Obligation.objects.update(state=state)
    assert check_ages(now=NOW) == 1


def test_it_closes_when_the_partner_has_caught_up(taxi: Party) -> None:
    owe_cdr(taxi, "CDR-1")
    waiting_since(2 * HOUR)
    check_ages(now=NOW)
    Obligation.objects.update(state="ACKED")
    assert check_ages(now=NOW + HOUR) == 0
    assert open_ones() == []
    assert Finding.objects.get().closed_at == NOW + HOUR


def test_who_waits_rightly_is_no_news(taxi: Party) -> None:
    """A suspended partner, and the CDRs of one that only pulls; its states count."""
    owe_cdr(taxi, "CDR-1")
    owe_bay(taxi, "B1", "CHARGING")
    waiting_since(2 * HOUR)
    Platform.objects.update(status=Platform.Status.SUSPENDED)
    assert check_ages(now=NOW) == 0
    Platform.objects.update(status=Platform.Status.CONNECTED, cdr_mode="pull_only")
    assert check_ages(now=NOW) == 1
    assert "1 delivery waits" in open_ones()[0][2]


def test_the_task_looks_by_the_clock(taxi: Party) -> None:
    owe_cdr(taxi, "CDR-1")
    Obligation.objects.update(owed_since=timezone.now() - 2 * HOUR)
    check_delivery_ages()
    assert len(open_ones()) == 1
