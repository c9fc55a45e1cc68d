"""The first page at five in the morning: everything that matters, in few questions to the database."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from access.models import Decision
from chargers.models import Station
from locations.models import EVSE, Depot
from roaming.models import Finding, Lane, Obligation
from sessions.models import Session
from tests.admin.conftest import logged_in, staff

pytestmark = pytest.mark.django_db
# Session, user, the permissions of user and groups, the operators; eleven for the page itself.
QUERIES = 16


def text_of(client: Client) -> str:
    page = client.get("/admin/")
    assert page.status_code == 200
    return page.content.decode()


def figures(client: Client) -> dict[str, int]:
    return {figure.label: figure.value for figure in client.get("/admin/").context["figures"]}


def test_it_asks_few_questions_whatever_the_number_of_rows(operator: Client, world) -> None:
    with CaptureQueriesContext(connection) as few:
        text_of(operator)
    for number in range(50, 70):
        EVSE.objects.create(
            location=world.location, evse_id=f"BE*YRD*E1{number}", station_identity=f"GENT-{number}"
        )
        Station.objects.create(depot=world.location.depot, identity=f"GENT-{number}")
    Lane.objects.update(breaker="OPEN")
    with CaptureQueriesContext(connection) as many:
        text_of(operator)
    assert (len(few), len(many)) == (QUERIES, QUERIES)


def test_it_shows_who_is_at_which_bay_until_when(operator: Client, world) -> None:
    page = operator.get("/admin/")
    (depot,) = page.context["depots"]
    (pool,) = depot.pools
    assert [(bay.name, bay.headline, bay.tone) for bay in pool.bays] == [
        ("Bay 1", "Free", "green"), ("Bay 2", "Guest is charging", "blue"),
    ]  # fmt: skip
    assert any(line.startswith("ends by ") for line in pool.bays[1].lines)
    (running,) = page.context["running"]
    assert (running["bay"], running["left"], running["tone"]) == ("2", "in 19 min", "amber")
    assert f'href="{running["url"]}"' in page.content.decode()


def test_a_session_that_should_have_ended_is_red(operator: Client, world) -> None:
    Session.objects.filter(pk=world.session.pk).update(must_end_by=timezone.now() - timedelta(minutes=5))
    page = operator.get("/admin/")
    (running,) = page.context["running"]
    assert (running["left"], running["tone"]) == ("5 min ago", "red")
    assert figures(operator)["should have ended"] == 1


def test_it_shows_what_is_open_and_what_comes_next(operator: Client, world) -> None:
    (depot,) = operator.get("/admin/").context["depots"]
    (partner,) = depot.pools[0].partners
    assert partner.access.word in ("open", "closed", "last start has passed")
    assert partner.next.partition(" ")[0] in ("opens", "closes", "last")


def test_the_kill_switch_cannot_be_overlooked(operator: Client, world) -> None:
    Depot.objects.update(is_closed_to_guests=True)
    assert "closed to all guests (kill switch)" in text_of(operator)


def test_stations_that_are_away(operator: Client, world) -> None:
    EVSE.objects.filter(pk=world.evse.pk).update(
        is_online=False, offline_since=timezone.now() - timedelta(hours=2)
    )
    Station.objects.filter(identity="GENT-01").update(
        is_online=False, last_seen_at=timezone.now() - timedelta(hours=2)
    )
    page = operator.get("/admin/")
    assert [(each["identity"], each["since"]) for each in page.context["away"]] == [("GENT-01", "2 h")]
    bay = page.context["depots"][0].pools[0].bays[0]
    assert (bay.headline, bay.tone, bay.presence) == ("Unknown, station is away", "red", "offline for 2 h")
    assert figures(operator)["stations are away"] == 1


def test_deliveries_that_are_parked_or_old(operator: Client, world) -> None:
    Obligation.objects.exclude(pk=world.parked.pk).update(state="ACKED")
    Obligation.objects.filter(kind="tariff").update(
        state="PENDING", owed_since=timezone.now() - timedelta(hours=3)
    )
    (row,) = operator.get("/admin/").context["deliveries"]
    assert (row["parked"], row["ageing"], row["age"]) == (1, 1, "1 d")
    shown = figures(operator)
    assert (shown["deliveries need a person"], shown["wait longer than 1 h"]) == (1, 1)


def test_findings_are_counted_and_an_alert_is_red(operator: Client, finance: Client, world) -> None:
    """delivery.md 4.6, 4.11: amber while it is a notice; finance sees it too."""
    for client in (operator, finance):
        (figure,) = [each for each in client.get("/admin/").context["figures"] if "finding" in each.label]
        assert (figure.value, figure.label, figure.tone) == (1, "findings, the oldest for 0 min", "amber")
        assert client.get(figure.url).status_code == 200
    Finding.objects.update(severity="ALERT", opened_at=timezone.now() - timedelta(hours=25))
    assert any(each.tone == "red" and each.label == "findings, the oldest for 1 d"
               for each in operator.get("/admin/").context["figures"])  # fmt: skip
    Finding.objects.update(closed_at=timezone.now())
    assert figures(operator)["findings"] == 0


def test_reviews_and_refusals(operator: Client, world) -> None:
    page = operator.get("/admin/")
    (refusal,) = page.context["refusals"]
    decision = Decision.objects.get()
    assert (refusal["ref"], refusal["reason"], refusal["message"]) == (
        decision.ref,
        decision.reason,
        decision.message,
    )
    assert any(figure.label.startswith("not billed, for ") for figure in page.context["figures"])


def test_finance_sees_deliveries_and_reviews_and_no_access(finance: Client) -> None:
    context = finance.get("/admin/").context
    assert [name for name in ("depots", "running", "away", "refusals") if name in context] == []
    assert "deliveries" in context


def test_who_may_see_nothing_sees_an_empty_page(world) -> None:
    page = logged_in(staff("newcomer")).get("/admin/")
    assert (page.status_code, page.context["figures"]) == (200, [])
