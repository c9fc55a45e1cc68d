"""The tariffs that a connector names: one of a type at any moment, and a free one by its own tariff."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from access.models import Grant
from access.services import change_grant, set_grant_status
from config import depot_file, depots
from config.datadir import ROOT
from locations.models import Location, PartnerView
from ocpi import codec, v221
from roaming.models import Obligation, Party
from tariffs.models import Tariff
from tariffs.services import TariffRefused, put_tariff
from tests.admin.world import changed_tables, everything
from tests.charging.conftest import OPEN, gent, stranger, taxi  # noqa: F401  # fixtures
from tests.factories import tariff_object
from tests.sessions.threads import in_threads

pytestmark = pytest.mark.django_db
NEW_YEAR = datetime(2027, 1, 1, tzinfo=UTC)


def a_tariff(location: Location, tariff_id: str, **members: Any) -> Tariff:
    operator = location.depot.operator
    tariff = tariff_object(
        country_code=operator.country_code, party_id=operator.party_id, id=tariff_id, **members
    )
    put_tariff(party=operator, tariff=tariff, now=OPEN, time_zone="Europe/Brussels")
    return Tariff.objects.get(ocpi_id=tariff_id)


def another_grant(tariff: Tariff, *groups: str) -> Grant:
    """A second grant of the same partner at the same pool, for a group of its customers."""
    grant = Grant.objects.order_by("pk")[0]
    grant.pk, grant.version, grant.tariff, grant.token_groups = None, 1, tariff, list(groups)
    return grant


def tariff_ids(party: Party) -> set[tuple[str, ...]]:
    shown = codec.decode_bytes(v221.Location, bytes(PartnerView.objects.get(party=party).document))
    return {connector.tariff_ids for evse in shown.evses for connector in evse.connectors}


def test_two_tariffs_of_one_type_at_a_connector_are_refused(gent: Location, taxi: Party) -> None:
    """LOC-27: the error names the partner, the pool and both tariffs; nothing changes, nobody is told."""
    night = a_tariff(gent, "NIGHT")
    before, owed = everything(), Obligation.objects.count()
    with pytest.raises(TariffRefused) as refusal:
        change_grant(grant=another_grant(night, "TAXI-B"), now=OPEN)
    for word in ("NL-EMS", "guest bays", "GENT-TAXI", "NIGHT", "without type"):
        assert word in str(refusal.value)
    assert changed_tables(before) == set()
    assert (Obligation.objects.count(), tariff_ids(taxi)) == (owed, {("GENT-TAXI",)})


def test_tariffs_of_different_types_or_times_stand_together(gent: Location, taxi: Party) -> None:
    """LOC-27: at most one of a type at any moment, not one in all."""
    change_grant(
        grant=another_grant(a_tariff(gent, "GREEN", type=v221.TariffType.PROFILE_GREEN), "TAXI-B"), now=OPEN
    )
    assert tariff_ids(taxi) == {("GENT-TAXI", "GREEN")}


def test_back_to_back_tariffs_of_one_type_are_no_overlap(gent: Location, taxi: Party) -> None:
    """LOC-27, TAR-26: the end of one is the start of the other."""
    ad_hoc = v221.TariffType.AD_HOC_PAYMENT
    old = a_tariff(gent, "OLD", type=ad_hoc, end_date_time=NEW_YEAR)
    new = a_tariff(gent, "NEW", type=ad_hoc, start_date_time=NEW_YEAR)
    change_grant(grant=another_grant(old, "TAXI-B"), now=OPEN)
    change_grant(grant=another_grant(new, "TAXI-C"), now=OPEN)
    assert tariff_ids(taxi) == {("GENT-TAXI", "NEW", "OLD")}


def test_other_partners_and_ended_grants_do_not_count(gent: Location, taxi: Party, stranger: Party) -> None:
    """LOC-27 is about what one partner is shown."""
    night = a_tariff(gent, "NIGHT")
    theirs = another_grant(night)
    theirs.party = stranger
    change_grant(grant=theirs, now=OPEN)
    set_grant_status(grant=Grant.objects.get(party=taxi), status=Grant.Status.ENDED, now=OPEN)
    grant = Grant.objects.get(party=taxi)
    grant.pk, grant.version, grant.status, grant.tariff = None, 1, "ACTIVE", night
    change_grant(grant=grant, now=OPEN)
    assert tariff_ids(taxi) == tariff_ids(stranger) == {("NIGHT",)}


def test_a_grant_may_change_its_own_tariff(gent: Location, taxi: Party) -> None:
    grant = Grant.objects.get()
    grant.tariff = a_tariff(gent, "NIGHT")
    change_grant(grant=grant, now=OPEN)
    assert tariff_ids(taxi) == {("NIGHT",)}


def test_a_free_bay_refers_to_a_free_tariff(gent: Location, taxi: Party) -> None:
    """LOC-27: not to an empty list."""
    free = v221.PriceComponent(type=v221.TariffDimensionType.ENERGY, price=Decimal(0), step_size=1)
    grant = Grant.objects.get()
    grant.tariff = a_tariff(gent, "FREE", elements=(v221.TariffElement(price_components=(free,)),))
    change_grant(grant=grant, now=OPEN)
    assert tariff_ids(taxi) == {("FREE",)}
    view = grant.tariff.views.get(party=taxi)
    assert codec.decode_bytes(v221.Tariff, bytes(view.document)).elements[0].price_components == (free,)


@pytest.mark.django_db(transaction=True)
def test_two_grants_at_once_cannot_pass_each_other(gent: Location, taxi: Party) -> None:
    """LOC-27: two operators on two connections; one of them is refused."""
    kinds = {"type": v221.TariffType.PROFILE_CHEAP}
    grants = [another_grant(a_tariff(gent, name, **kinds), name) for name in ("DAWN", "DUSK")]
    results = in_threads(*(lambda grant=grant: change_grant(grant=grant, now=OPEN) for grant in grants))
    assert sorted(type(each).__name__ for each in results) == ["Grant", "TariffRefused"], results
    assert Grant.objects.count() == 2


SECOND = """
  - party: NL-EMS
    location: guest
    schedule: night
    tariff: {tariff}
    token_groups: [TAXI-B]
"""


def a_file(tmp_path: Path, *, second_tariff: str, grant_tariff: str) -> Path:
    """The example with a second tariff like the first, and a second grant that names one of the two."""
    text = (ROOT / "examples" / "gent-noord.yaml").read_text()
    begins, ends = text.index("  - id: GENT-TAXI"), text.index("locations:\n")
    first = text[begins:ends].rstrip() + "\n"
    second = first.replace("id: GENT-TAXI", f"id: {second_tariff}")
    text = text[:begins] + first + second + "\n" + text[ends:].rstrip() + SECOND.format(tariff=grant_tariff)
    path = tmp_path / "depot.yaml"
    path.write_text(text)
    return path


def load(path: Path) -> depots.Report:
    return depots.load(file=depot_file.read(path), now=OPEN)


def test_a_depot_file_with_overlapping_tariffs_is_refused_whole(
    gent: Location, taxi: Party, tmp_path: Path
) -> None:
    """LOC-27."""
    before = everything()
    with pytest.raises(depots.NotHere, match=r"grants: NL-EMS.*GENT-TAXI and NIGHT are both without type"):
        load(a_file(tmp_path, second_tariff="NIGHT", grant_tariff="NIGHT"))
    assert changed_tables(before) == set()


def test_a_depot_file_may_move_all_grants_to_another_tariff_at_once(
    gent: Location, taxi: Party, tmp_path: Path
) -> None:
    """LOC-27 is asked when all grants are written, not half way."""
    load(a_file(tmp_path, second_tariff="NIGHT", grant_tariff="GENT-TAXI"))
    path = a_file(tmp_path, second_tariff="NIGHT", grant_tariff="NIGHT")
    path.write_text(path.read_text().replace("    tariff: GENT-TAXI", "    tariff: NIGHT"))
    load(path)
    assert tariff_ids(taxi) == {("NIGHT",)}


def test_a_new_type_that_makes_tariffs_overlap_is_refused(
    gent: Location, taxi: Party, tmp_path: Path
) -> None:
    """LOC-27: the grants stay as they are, but the tariff would lose its type."""
    green = a_tariff(gent, "GREEN", type=v221.TariffType.PROFILE_GREEN)
    change_grant(grant=another_grant(green, "TAXI-B"), now=OPEN)
    assert tariff_ids(taxi) == {("GENT-TAXI", "GREEN")}
    before = everything()
    with pytest.raises(depots.NotHere, match="GENT-TAXI and GREEN are both without type"):
        load(a_file(tmp_path, second_tariff="GREEN", grant_tariff="GREEN"))
    assert changed_tables(before) == set()
