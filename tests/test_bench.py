"""What `make bench` measures on is made by the product's own verbs, so it follows them."""

import pytest
from django.utils import timezone

from bench import seed
from charging.authorize import tap
from locations.models import EVSE, PartnerView
from sessions.models import Session


@pytest.mark.django_db(transaction=True)
def test_what_the_bench_measures_on_can_be_planted() -> None:
    planted = seed.plant(seed.Size(locations=3, shared=2, sessions=2), now=timezone.now())
    again = seed.found()
    assert again is not None
    assert (again.locations, again.shared, again.partners) == (3, planted.shared, planted.partners)
    assert PartnerView.objects.count() == 2 * len(planted.partners) + 1
    assert Session.objects.filter(status="COMPLETED", cdrs=None).count() == 2
    station = EVSE.objects.filter(location=planted.shared[0]).order_by("id")[0].station_identity
    answer = tap(station_identity=station, id_tag=seed.CARD, now=timezone.now())
    assert answer.status == "Accepted"
