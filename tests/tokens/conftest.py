"""Randstad Taxi's platform behind a real socket, connected with us, and its party."""

from collections.abc import Iterator

import pytest

from demo.partner import Partner
from roaming.models import Party
from tests.factories import OwnPartyFactory, PartyFactory, connect


@pytest.fixture
def randstad() -> Iterator[Partner]:
    with Partner() as running:
        yield running


@pytest.fixture
def party(db: None, randstad: Partner) -> Party:
    OwnPartyFactory()
    party = PartyFactory(country_code="NL", party_id="EMS", platform__name=randstad.name)
    connect(party, url=f"{randstad.url}/ocpi/emsp/2.2.1")
    randstad.accepted.add("token-for-NL-EMS")
    return party
