"""A card at the readers of two operators on one installation: each knows, asks and is paid for itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from charging.authorize import tap
from charging.models import Authorization
from charging.transactions import Begin, started
from config import depot_file, depots
from config.datadir import ROOT
from demo.partner import Partner
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from tests.charging.conftest import OPEN, token_of
from tests.factories import OwnPartyFactory, PartyFactory, connect
from tests.two_operators import load_antwerp
from tokens.models import Token
from tokens.services import put_token

pytestmark = pytest.mark.django_db

CARD = "04A2B3C4D5E680"


@pytest.fixture
def randstad() -> Iterator[Partner]:
    with Partner() as running:
        yield running


@pytest.fixture
def taxi(db: None, randstad: Partner, tmp_path: Path) -> Party:
    """NL-EMS behind a real socket, with the same grant at the depots of BE-YRD and BE-ANT; BE-YRD knows its card."""
    party = PartyFactory(party_id="EMS", platform__name=randstad.name)
    connect(party, url=f"{randstad.url}/ocpi/emsp/2.2.1")
    randstad.accepted.add("token-for-NL-EMS")
    depots.load(file=depot_file.read(ROOT / "examples" / "gent-noord.yaml"), now=OPEN)
    load_antwerp(tmp_path, now=OPEN)
    put_token(
        own_party=OwnPartyFactory(), party=party, token=token_of(party, CARD, v221.TokenType.RFID), now=OPEN
    )
    randstad.add_token(CARD)
    return party


def asked_by(randstad: Partner) -> list[str]:
    """In whose name the partner was asked about cards."""
    return [
        each.headers["ocpi-from-party-id"] for each in randstad.received("POST") if "authorize" in each.path
    ]


def taps(station: str) -> str:
    return tap(station_identity=station, id_tag=CARD, now=OPEN).status


def test_whoever_was_told_of_the_card_asks_nobody(taxi: Party, randstad: Partner) -> None:
    """TOK-09, HUB-06: the word of the partner to BE-YRD counts at the readers of BE-YRD."""
    assert taps("GENT-01") == "Accepted"
    assert (asked_by(randstad), Authorization.objects.get().auth_method) == ([], "WHITELIST")


def test_the_operator_of_the_depot_asks_about_a_card_that_it_was_not_told_of(
    taxi: Party, randstad: Partner
) -> None:
    """HUB-01, HUB-06: at the reader of BE-ANT it is BE-ANT that asks, and BE-ANT's session that begins."""
    assert taps("ANTW-01") == "Accepted"
    assert (asked_by(randstad), Authorization.objects.get().auth_method) == (["ANT"], "AUTH_REQUEST")
    started(begin=Begin("ANTW-01", 1, CARD, OPEN, 1000), now=OPEN)
    session = Session.objects.get()
    assert (session.own_party.party_id, session.party, session.status) == ("ANT", taxi, "ACTIVE")


def test_a_block_of_one_operator_is_no_block_of_the_other(taxi: Party, randstad: Partner) -> None:
    """B18: it is blocked where it was blocked."""
    Token.objects.update(is_blocked_here=True)
    assert (taps("GENT-01"), taps("ANTW-01")) == ("Blocked", "Accepted")
    assert asked_by(randstad) == ["ANT"]


def test_a_colleague_stops_a_charge_by_what_the_charges_own_operator_knows(
    taxi: Party, randstad: Partner
) -> None:
    """TOK-23: a group is known to whom it was told; at the other operator's bay its cards are strangers."""
    for station, own_party, uid in (("GENT-02", "YRD", "04FFEE11"), ("ANTW-02", "ANT", "04FFEE22")):
        starter = token_of(taxi, uid, v221.TokenType.RFID, group_id="shift-3")
        put_token(own_party=Party.objects.get(party_id=own_party), party=taxi, token=starter, now=OPEN)
        assert started(begin=Begin(station, 1, uid, OPEN, 1000), now=OPEN).status == "Accepted"
    # Another card of that group, of which BE-YRD alone has heard; it may not start anything itself.
    colleague = token_of(taxi, "04AABB33", v221.TokenType.RFID, group_id="shift-3")
    put_token(own_party=OwnPartyFactory(), party=taxi, token=colleague, now=OPEN)
    Token.objects.filter(uid=colleague.uid).update(is_blocked_here=True)
    answers = [
        tap(station_identity=each, id_tag=colleague.uid, now=OPEN).status for each in ("GENT-02", "ANTW-02")
    ]
    assert answers == ["Accepted", "Invalid"]
