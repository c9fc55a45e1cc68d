"""Publishing, edges and receipts: what the rows say follows from the grants and the clock."""

from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from access import edges, services
from access.decisions import Allow, StartRequest
from access.models import Decision, Edge, Grant
from locations.models import EVSE, Location, PartnerView
from ocpi import codec, v221
from roaming.models import Obligation, Party
from tests.charging.conftest import (  # noqa: F401  # fixtures
    BEFORE,
    CLOSE,
    LAST_START,
    OPEN,
    gent,
    stranger,
    taxi,
)

pytestmark = pytest.mark.django_db


def shown(party: Party) -> v221.Location:
    return codec.decode_bytes(v221.Location, bytes(PartnerView.objects.get(party=party).document))


def statuses(party: Party) -> set[v221.Status]:
    return {evse.status for evse in shown(party).evses}


def ask(party: Party, location: Location, now: datetime) -> services.Verdict:
    request = StartRequest(source="PREVIEW", party=str(party.ocpi_id), location_id=location.ocpi_id)
    return services.decide_start(request=request, party=party, location=location, now=now)


def test_edges_are_planned_two_weeks_ahead_at_local_hours(gent: Location, taxi: Party) -> None:
    planned = list(Edge.objects.order_by("at").values_list("kind", "at")[:3])
    assert planned == [("open", OPEN), ("last_start", LAST_START), ("close", CLOSE)]
    assert Edge.objects.filter(kind="open").count() >= 14


def test_a_sweep_at_the_edge_tells_the_partner_and_a_second_one_nothing(gent: Location, taxi: Party) -> None:
    assert edges.sweep(now=BEFORE) == 0
    assert statuses(taxi) == {v221.Status.INOPERATIVE}
    Obligation.objects.update(state="ACKED", confirmed_version=1_000)
    assert edges.sweep(now=OPEN) == 1
    assert statuses(taxi) == {v221.Status.AVAILABLE}
    told = set(Obligation.objects.filter(state="PENDING").values_list("kind", flat=True))
    assert told == {"evse"}
    assert edges.sweep(now=OPEN) == 0


def test_a_late_sweep_catches_up(gent: Location, taxi: Party) -> None:
    """A stopped worker makes pushes late, never answers wrong."""
    assert edges.sweep(now=CLOSE + timedelta(hours=1)) == 3
    assert statuses(taxi) == {v221.Status.INOPERATIVE}


def test_every_answer_leaves_a_receipt_with_its_rules(gent: Location, taxi: Party) -> None:
    refused = ask(taxi, gent, BEFORE).receipt
    allowed = ask(taxi, gent, OPEN)
    assert isinstance(allowed.outcome, Allow)
    assert Decision.objects.count() == 2
    assert [step[0] for step in refused.trace] == [
        "location", "group_fence", "grant_status", "grant_rules", "time_fence",
    ]  # fmt: skip
    assert refused.inputs["grants"][0]["version"] == Grant.objects.get().version
    assert allowed.receipt.grant_ref == f"{Grant.objects.get().pk}/v1"


def test_a_grant_for_one_partner_changes_no_byte_of_another(
    gent: Location, taxi: Party, stranger: Party
) -> None:
    """Invariant 8."""
    before = bytes(PartnerView.objects.get(party=taxi).document)
    grant = Grant.objects.get()
    grant.pk, grant.party, grant.version = None, stranger, 1
    services.change_grant(grant=grant, now=OPEN - timedelta(hours=1))
    assert bytes(PartnerView.objects.get(party=taxi).document) == before
    assert PartnerView.objects.filter(party=stranger).count() == 1


def test_a_suspended_grant_shows_closed_and_refuses(gent: Location, taxi: Party) -> None:
    services.set_grant_status(grant=Grant.objects.get(), status=Grant.Status.SUSPENDED, now=OPEN)
    assert statuses(taxi) == {v221.Status.INOPERATIVE}
    assert ask(taxi, gent, OPEN).receipt.reason == "SUSPENDED"
    services.set_grant_status(grant=Grant.objects.get(), status=Grant.Status.ACTIVE, now=OPEN)
    assert statuses(taxi) == {v221.Status.AVAILABLE}


def test_an_ended_grant_shows_removed_bays_for_good(gent: Location, taxi: Party) -> None:
    services.set_grant_status(grant=Grant.objects.get(), status=Grant.Status.ENDED, now=OPEN)
    assert statuses(taxi) == {v221.Status.REMOVED}
    with pytest.raises(ValueError, match="ended for good"):
        services.set_grant_status(grant=Grant.objects.get(), status=Grant.Status.ACTIVE, now=OPEN)
    assert Grant.objects.get().status == "ENDED"


def test_the_kill_switch_closes_the_site_at_once(gent: Location, taxi: Party) -> None:
    services.set_kill_switch(depot=gent.depot, is_closed=True, now=OPEN)
    gent.refresh_from_db()
    assert statuses(taxi) == {v221.Status.INOPERATIVE}
    gent = Location.objects.select_related("depot").get(pk=gent.pk)
    assert ask(taxi, gent, OPEN).receipt.reason == "DEPOT_FLEET_ONLY"


def test_publishing_unchanged_rules_again_pushes_nothing(gent: Location, taxi: Party) -> None:
    """LOC-05."""
    view = PartnerView.objects.get(party=taxi)
    versions = list(Obligation.objects.order_by("pk").values_list("wanted_version", flat=True))
    services.republish(location=gent, now=OPEN - timedelta(hours=1, minutes=30))
    again = PartnerView.objects.get(party=taxi)
    assert (bytes(again.document), again.last_updated) == (bytes(view.document), view.last_updated)
    assert list(Obligation.objects.order_by("pk").values_list("wanted_version", flat=True)) == versions


def test_the_view_is_right_without_any_sweep(gent: Location, taxi: Party) -> None:
    """Invariant 2: `decide` reads the clock; so do the masks when a bay reports."""
    assert isinstance(ask(taxi, gent, OPEN).outcome, Allow)
    assert not isinstance(ask(taxi, gent, BEFORE).outcome, Allow)
    assert Edge.objects.filter(swept_at__isnull=False).count() == 0
    assert EVSE.objects.filter(location=gent, device_status="AVAILABLE").count() == 2
    assert timezone.is_aware(PartnerView.objects.get(party=taxi).last_updated)
