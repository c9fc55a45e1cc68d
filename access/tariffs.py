"""Which tariffs a connector names for a partner: at most one of each type at any moment (LOC-27)."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from django.db.models import QuerySet

from access.models import Grant
from locations.models import Location
from tariffs.lint import lint_together
from tariffs.models import Tariff
from tariffs.services import TariffRefused
from tariffs.wire import tariff_object


def require_distinct_tariffs(*, location: Location) -> None:
    """Check the tariffs that the connectors of a Location name, partner by partner.

    Raises TariffRefused, naming the partner and both tariffs. Call it with the Location locked.
    """
    by_party: dict[int, list[Grant]] = defaultdict(list)
    grants_here = _live(location.pk).select_related("party", "location", "tariff")
    for grant in grants_here.prefetch_related("profile_tariffs").order_by("pk"):
        by_party[grant.party_id].append(grant)
    for grants in by_party.values():
        texts = _overlaps(_named_by(grants))
        if texts:
            raise TariffRefused(f"{grants[0]}: {'; '.join(texts)}")


def overlaps_with(grant: Grant, profile_tariffs: Sequence[Tariff] = ()) -> list[str]:
    """What would be wrong with the tariffs of a partner at a Location if this grant were saved, in words."""
    if grant.status == Grant.Status.ENDED:
        return []
    others = _live(grant.location_id).filter(party=grant.party_id).exclude(pk=grant.pk)
    rows = others.select_related("tariff").prefetch_related("profile_tariffs").order_by("pk")
    return _overlaps([grant.tariff, *profile_tariffs, *_named_by(rows)])


def _named_by(grants: Iterable[Grant]) -> list[Tariff]:
    return [tariff for grant in grants for tariff in (grant.tariff, *grant.profile_tariffs.all())]


def _live(location_id: int) -> QuerySet[Grant]:
    return Grant.objects.filter(location=location_id).exclude(status=Grant.Status.ENDED)


def _overlaps(tariffs: list[Tariff]) -> list[str]:
    different = {tariff.pk: tariff for tariff in tariffs}
    return [finding.text for finding in lint_together([tariff_object(each) for each in different.values()])]
