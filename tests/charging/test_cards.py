"""Cards that need no question: one that a command is for, one that is charging, one of the same group."""

from datetime import timedelta

import pytest

from charging.authorize import tap
from charging.cards import parent_of
from charging.commands import Order, start_session
from charging.models import Authorization, Command, Transaction
from charging.transactions import Begin, BeginAnswer, End, started, stopped
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from tests.charging.conftest import CLOSE, OPEN, token_of
from tests.factories import OwnPartyFactory
from tokens.models import Token
from tokens.services import put_token

pytestmark = pytest.mark.django_db

CARD = "04A2B3C4D5E680"
COLLEAGUE = "04FFEE11223344"
MINUTE = timedelta(minutes=1)


def command(order: Order, bay: EVSE, token: v221.Token) -> Command:
    request = v221.StartSession(
        response_url=order.response_url, token=token, location_id=bay.location.ocpi_id, evse_uid=bay.uid
    )
    start_session(order=order, request=request, now=OPEN)
    # created_at is stamped by the clock of the feed; the story goes by the clock of the test.
    Session.objects.update(created_at=OPEN)
    return Command.objects.get()


def begin(tag: str, *, station: str = "GENT-01", meter: int = 1000, minutes: int = 1) -> BeginAnswer:
    at = OPEN + minutes * MINUTE
    return started(begin=Begin(station, 1, tag, at, meter), now=at)


def taps(card: str, *, station: str = "GENT-01", minutes: int = 1) -> str:
    return tap(station_identity=station, id_tag=card, now=OPEN + minutes * MINUTE).status


def put_group(party: Party) -> None:
    for uid in (CARD, COLLEAGUE):
        token = token_of(party, uid, v221.TokenType.RFID, group_id="shift-3")
        put_token(own_party=OwnPartyFactory(), party=party, token=token, now=OPEN)


def test_the_card_of_a_command_starts_its_session_without_a_question(
    order: Order, bay: EVSE, taxi: Party
) -> None:
    """TOK-22: the card is not even known to us; the partner said START_SESSION for it."""
    command(order, bay, token_of(taxi, CARD, v221.TokenType.RFID))
    assert taps(CARD) == "Accepted"
    answer = begin(CARD)
    session = Session.objects.get()
    assert (answer.status, session.status, session.auth_method) == ("Accepted", "ACTIVE", "COMMAND")
    assert not Authorization.objects.exists()
    assert not Token.objects.exists()


def test_a_command_stands_for_its_card_only_there_and_for_a_quarter_of_an_hour(
    order: Order, bay: EVSE, taxi: Party
) -> None:
    command(order, bay, token_of(taxi, CARD, v221.TokenType.RFID))
    assert taps(CARD, station="GENT-02") == "Invalid"
    assert taps(CARD, minutes=16) == "Invalid"


def test_the_uid_of_an_app_token_is_no_card(order: Order, bay: EVSE, taxi: Party) -> None:
    command(order, bay, token_of(taxi, CARD, v221.TokenType.APP_USER))
    assert taps(CARD) == "Invalid"


def test_our_own_tag_is_good_at_its_station_and_for_one_charge(order: Order, bay: EVSE, taxi: Party) -> None:
    """The station has read it: it must not open a second charge on the driver's bill."""
    tag = command(order, bay, token_of(taxi)).id_tag
    assert (taps(tag), taps(tag, station="GENT-02")) == ("Accepted", "Invalid")
    assert begin(tag, station="GENT-02").status == "Invalid"
    first = begin(tag, minutes=2)
    assert first.status == "Accepted"
    stopped(end=End("GENT-01", first.transaction_id, OPEN + 5 * MINUTE, 2_000), now=OPEN + 5 * MINUTE)
    assert begin(tag, meter=2_000, minutes=6).status == "Invalid"
    assert Session.objects.count() == 1


def test_our_own_tag_is_good_for_a_quarter_of_an_hour(order: Order, bay: EVSE, taxi: Party) -> None:
    tag = command(order, bay, token_of(taxi)).id_tag
    assert begin(tag, minutes=21).status == "Invalid"
    assert Session.objects.get().status == "PENDING"


def test_one_card_of_a_group_starts_and_another_one_stops(bay: EVSE, taxi: Party) -> None:
    """TOK-23: the station compares the parentIdTag, also when the window is over."""
    put_group(taxi)
    first = tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin(CARD)
    late = tap(station_identity="GENT-01", id_tag=COLLEAGUE, now=CLOSE + MINUTE)
    assert late.status == "Accepted"
    assert first.parent_id_tag == answer.parent_id_tag == late.parent_id_tag == parent_of(taxi, "shift-3")
    assert len(late.parent_id_tag or "") == 20


def test_a_card_of_the_group_may_not_stop_at_another_station(bay: EVSE, taxi: Party) -> None:
    put_group(taxi)
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    begin(CARD)
    assert tap(station_identity="GENT-02", id_tag=COLLEAGUE, now=CLOSE + MINUTE).status == "Blocked"


def test_an_equal_group_of_another_partner_is_another_group(taxi: Party, stranger: Party) -> None:
    assert parent_of(taxi, "shift-3") != parent_of(stranger, "shift-3")
    assert parent_of(taxi, "shift-3") == parent_of(taxi, "SHIFT-3")
    assert parent_of(taxi, "") is None


def test_two_vehicles_of_a_group_charge_side_by_side(bay: EVSE, taxi: Party) -> None:
    """The group shares the right to stop, not the plug."""
    put_group(taxi)
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    begin(CARD)
    assert taps(COLLEAGUE, station="GENT-02") == "Accepted"
    assert begin(COLLEAGUE, station="GENT-02").status == "Accepted"
    assert Session.objects.filter(status="ACTIVE").count() == 2


def test_a_card_that_an_operator_blocked_is_blocked_whatever_its_owner_says(bay: EVSE, taxi: Party) -> None:
    """B18."""
    put_token(
        own_party=OwnPartyFactory(), party=taxi, token=token_of(taxi, CARD, v221.TokenType.RFID), now=OPEN
    )
    Token.objects.update(is_blocked_here=True)
    assert taps(CARD) == "Blocked"
    assert not Authorization.objects.exists()


def test_a_start_that_its_station_refused_to_show_us_is_judged_as_of_its_time(bay: EVSE, taxi: Party) -> None:
    """A start of the night that arrives by day is decided for the night, one of the day for the day."""
    put_token(
        own_party=OwnPartyFactory(), party=taxi, token=token_of(taxi, CARD, v221.TokenType.RFID), now=OPEN
    )
    by_day = CLOSE + timedelta(hours=4)
    in_the_night = Begin("GENT-01", 1, CARD, OPEN + MINUTE, 0)
    assert started(begin=in_the_night, now=by_day).status == "Accepted"
    session = Session.objects.get()
    assert (session.started_at, session.must_end_by) == (OPEN + MINUTE, CLOSE + 15 * MINUTE)
    outside = Begin("GENT-02", 1, CARD, CLOSE + timedelta(hours=1), 0)
    assert started(begin=outside, now=by_day).status == "Blocked"
    assert Transaction.objects.filter(session__isnull=True).count() == 1
