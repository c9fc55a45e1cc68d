"""A card that nobody knows here: its partner is asked in real time, over HTTP, while the driver stands there."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest

from cdrs.models import CDR
from chargers.models import StationCall
from charging.models import Authorization
from sessions.models import Session
from tests.chargers.conftest import load_open_depot
from tests.chargers.gateway import QUICK, Gateway, LiveStation, Yard, eventually
from tests.partner_platform import Partner, connect, partner, yardgate  # noqa: F401  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "04AABBCCDDEE80"


@pytest.fixture
def station(yardgate: str, partner: Partner) -> Iterator[LiveStation]:
    """GENT-01, booted; Randstad Taxi is connected and has the run of the depot at any hour."""
    connect(partner, yardgate)
    load_open_depot()
    with Gateway() as gateway, Yard(gateway.url) as yard:
        # A driver's patience is longer than ours.
        yield yard.station(timing=replace(QUICK, answer_timeout=10))


def asked(partner: Partner) -> list[str]:
    return [each.path.split("/")[-2] for each in partner.received("POST", "/authorize")]


def test_an_unknown_card_that_its_partner_allows_charges_in_its_name(
    station: LiveStation,
    partner: Partner,
) -> None:
    """TOK-20, TOK-21."""
    partner.add_token(CARD, contract_id="NL-EMS-C777")
    partner.authorizations[CARD] = {"authorization_reference": "ref-17"}
    station.charge(CARD)
    eventually(lambda: Session.objects.filter(status="ACTIVE").exists())
    question = partner.received("POST", "/authorize")[0].json
    assert (asked(partner), len(question["evse_uids"])) == ([CARD], 1)
    station.tap(CARD)
    station.deliver()
    session = Session.objects.get()
    assert (session.auth_method, session.authorization_reference) == ("AUTH_REQUEST", "ref-17")
    assert eventually(lambda: CDR.objects.get().session) == session
    assert asked(partner) == [CARD]


@pytest.mark.parametrize(
    ("verdict", "word"),
    [("BLOCKED", "Blocked"), ("EXPIRED", "Expired"), ("NO_CREDIT", "Blocked"), ("NOT_ALLOWED", "Blocked")],
)
def test_the_partners_no_is_told_in_the_stations_words(
    station: LiveStation,
    partner: Partner,
    verdict: str,
    word: str,
) -> None:
    """charging.md 4.9."""
    partner.add_token(CARD)
    partner.authorizations[CARD] = {"allowed": verdict}
    station.plug()
    assert station.tap(CARD) == word
    assert not Authorization.objects.exists()
    assert not Session.objects.exists()


def test_a_card_that_nobody_knows_is_invalid(station: LiveStation, partner: Partner) -> None:
    station.plug()
    assert station.tap(CARD) == "Invalid"
    assert asked(partner) == [CARD]


def test_the_driver_gets_an_answer_within_five_seconds_whatever_the_partner_does(
    station: LiveStation,
    partner: Partner,
) -> None:
    """O10: and the gateway goes on serving the others."""
    partner.add_token(CARD)
    partner.fail("slow", on="/authorize", seconds=8)
    station.plug()
    begun = time.monotonic()
    assert station.tap(CARD) == "Invalid"
    assert time.monotonic() - begun < 5
    assert not StationCall.objects.filter(action="RemoteStartTransaction").exists()
