"""The statement by hand and the query of the ORM are one rule."""

from itertools import product

import pytest

from ocpi import v221
from roaming.hub.agreements import parties_for, reachable_parties, set_agreement
from roaming.models import Agreement, Party
from tests.factories import OwnPartyFactory, PartyFactory

pytestmark = pytest.mark.django_db


def test_both_ways_to_ask_who_is_reachable_agree() -> None:
    """HUB-53: for every status, with and without modules, in both directions, own and given-up parties included."""
    asker = PartyFactory(country_code="NL", party_id="EMS")
    OwnPartyFactory()
    states = [*product(Agreement.Status, ([], ["locations"], ["tokens", "tariffs"])), None]
    others = [PartyFactory(role="CPO", party_id=f"C{number:02}") for number in range(len(states))]
    for other, state in zip(others, states, strict=True):
        if state is not None:
            set_agreement(one=other, other=asker, status=state[0], modules=state[1])
    Party.objects.filter(party_id="C03").update(is_active=False)
    for party, module, roles in product(
        [asker, *others], ["locations", "tokens"], [["CPO"], ["EMSP"], [role.value for role in v221.Role], []]
    ):
        expected = list(parties_for(party, module=module, roles=roles))
        found = reachable_parties(party, module=module, roles=roles)
        assert [(each.pk, each.party_id, each.token_prefixes) for each in found] == [
            (each.pk, each.party_id, each.token_prefixes) for each in expected
        ]
    named = [each.party_id for each in reachable_parties(asker, module="locations", roles=["CPO"])]
    # Active, for all modules (C03, given up) or for this one (C04); and BE-YRD of ours.
    assert sorted(named) == ["C04", "YRD"]
