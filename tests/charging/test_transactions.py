"""Transactions of stations: stored once, numbered, turned into sessions and sealed CDRs."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from cdrs.models import CDR, Review
from chargers.models import Station, StationCall
from charging import stations, sweeps
from charging.answers import Outcome, station_answered
from charging.authorize import tap
from charging.models import Authorization, Transaction, UnmatchedMessage
from charging.transactions import Begin, BeginAnswer, End, Metering, metered, started, stopped
from locations.models import EVSE
from ocpi import codec, v221
from roaming.models import Obligation, Party
from sessions.models import MeterReading, Session
from sessions.services import Reading
from tests.charging.conftest import BEFORE, CLOSE, OPEN, token_of
from tests.factories import OwnPartyFactory
from tokens.services import put_token

pytestmark = pytest.mark.django_db
CARD = "04A2B3C4D5E680"


@pytest.fixture
def card(taxi: Party) -> v221.Token:
    token = token_of(taxi, CARD, v221.TokenType.RFID)
    put_token(own_party=OwnPartyFactory(), party=taxi, token=token, now=OPEN)
    return token


def begin(
    at: datetime = OPEN, *, station: str = "GENT-01", tag: str = CARD, meter: int = 1000
) -> BeginAnswer:
    return started(begin=Begin(station, 1, tag, at, meter), now=at)


def end(answer: BeginAnswer, at: datetime, *, meter: int = 11_000, station: str = "GENT-01") -> None:
    stopped(end=End(station, answer.transaction_id, at, meter), now=at)


def test_a_known_card_is_accepted_in_the_window_without_asking_the_partner(
    bay: EVSE, card: v221.Token
) -> None:
    """TOK-09."""
    answer = tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    assert (answer.status, answer.expires_at) == ("Accepted", CLOSE + timedelta(minutes=15))
    assert Authorization.objects.get().auth_method == "WHITELIST"


def test_before_the_window_a_card_is_refused_whatever_its_whitelist(bay: EVSE, card: v221.Token) -> None:
    """The fence stands above whitelist = ALWAYS."""
    assert tap(station_identity="GENT-01", id_tag=CARD, now=BEFORE).status == "Blocked"
    assert not Authorization.objects.exists()


def test_a_uid_that_two_partners_claim_is_refused(bay: EVSE, card: v221.Token, stranger: Party) -> None:
    """B11: never guess who pays."""
    put_token(
        own_party=OwnPartyFactory(),
        party=stranger,
        token=token_of(stranger, CARD, v221.TokenType.RFID),
        now=OPEN,
    )
    assert tap(station_identity="GENT-01", id_tag=CARD, now=OPEN).status == "Invalid"
    assert not Authorization.objects.exists()


def test_a_card_of_a_partner_without_grant_is_refused(bay: EVSE, stranger: Party) -> None:
    put_token(
        own_party=OwnPartyFactory(),
        party=stranger,
        token=token_of(stranger, "04FF", v221.TokenType.RFID),
        now=OPEN,
    )
    assert tap(station_identity="GENT-01", id_tag="04FF", now=OPEN).status == "Blocked"
    assert begin(tag="04FF").status == "Blocked"
    assert Transaction.objects.get().session is None


def test_a_whole_charge_by_card_ends_as_one_sealed_cdr(bay: EVSE, card: v221.Token) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    half = OPEN + timedelta(minutes=10)
    metered(metering=Metering("GENT-01", 1, answer.transaction_id, [Reading(half, 6_000)]), now=half)
    end(answer, OPEN + timedelta(minutes=20))
    session, cdr = Session.objects.get(), CDR.objects.get()
    assert (session.status, session.kwh, session.auth_method) == ("COMPLETED", Decimal(10), "WHITELIST")
    assert (cdr.total_excl_vat, cdr.total_incl_vat) == (Decimal("4.40"), Decimal("5.32"))
    document = codec.decode_bytes(v221.CDR, bytes(cdr.body))
    assert (document.cdr_token.uid, document.session_id) == (CARD, str(session.pk))
    assert Obligation.objects.filter(kind="cdr", party=cdr.party).count() == 1


def test_a_clock_with_microseconds_is_no_reason_for_review(bay: EVSE, card: v221.Token) -> None:
    answer = begin(OPEN + timedelta(microseconds=123_456))
    end(answer, OPEN + timedelta(minutes=20, microseconds=654_321))
    assert CDR.objects.count() == 1
    assert not Review.objects.exists()


def test_every_message_may_come_twice(bay: EVSE, card: v221.Token) -> None:
    """W10, I13: the same answer, one transaction, one session, one CDR."""
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    first, second = begin(), begin()
    assert first == second
    reading = [Reading(OPEN + timedelta(minutes=5), 3_000)]
    for _ in range(2):
        metered(
            metering=Metering("GENT-01", 1, first.transaction_id, reading), now=OPEN + timedelta(minutes=5)
        )
    for _ in range(2):
        end(first, OPEN + timedelta(minutes=20))
    counts = (
        Transaction.objects.count(),
        Session.objects.count(),
        MeterReading.objects.count(),
        CDR.objects.count(),
    )
    assert counts == (1, 1, 1, 1)
    assert not UnmatchedMessage.objects.exists()


def test_a_second_stop_with_other_values_is_kept_for_a_person_and_changes_nothing(
    bay: EVSE, card: v221.Token
) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    end(answer, OPEN + timedelta(minutes=20))
    body = bytes(CDR.objects.get().body)
    end(answer, OPEN + timedelta(minutes=30), meter=99_000)
    assert bytes(CDR.objects.get().body) == body
    assert UnmatchedMessage.objects.get().action == "StopTransaction"


def test_messages_for_another_stations_transaction_touch_nothing(bay: EVSE, card: v221.Token) -> None:
    """W4."""
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    end(answer, OPEN + timedelta(minutes=20), station="GENT-02")
    metered(metering=Metering("GENT-02", 1, answer.transaction_id, [Reading(OPEN, 5)]), now=OPEN)
    assert Session.objects.get().status == "ACTIVE"
    assert MeterReading.objects.count() == 0
    assert sorted(UnmatchedMessage.objects.values_list("action", flat=True)) == [
        "MeterValues",
        "StopTransaction",
    ]


def test_a_register_that_runs_backwards_goes_to_review_and_is_not_billed(bay: EVSE, card: v221.Token) -> None:
    """W8."""
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin(meter=50_000)
    end(answer, OPEN + timedelta(minutes=20), meter=1_000)
    assert Session.objects.get().status == "COMPLETED"
    assert not CDR.objects.exists()
    assert Review.objects.get().reasons != []
    assert not Obligation.objects.filter(kind="cdr").exists()


def test_a_start_without_authorize_is_decided_at_the_start(bay: EVSE, card: v221.Token) -> None:
    answer = begin()
    assert answer.status == "Accepted"
    assert Session.objects.get().status == "ACTIVE"


def test_the_driver_may_stop_with_the_card_after_the_window(bay: EVSE, card: v221.Token) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    begin()
    assert tap(station_identity="GENT-01", id_tag=CARD, now=CLOSE + timedelta(minutes=5)).status == "Accepted"


def test_at_the_end_of_grace_the_station_is_asked_to_stop_until_it_does(bay: EVSE, card: v221.Token) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    bound = CLOSE + timedelta(minutes=15)
    assert sweeps.stop_sessions_that_must_end(now=bound - timedelta(seconds=1)) == 0
    assert sweeps.stop_sessions_that_must_end(now=bound) == 1
    assert sweeps.stop_sessions_that_must_end(now=bound + timedelta(seconds=5)) == 0
    assert sweeps.stop_sessions_that_must_end(now=bound + timedelta(seconds=31)) == 1
    assert StationCall.objects.filter(action="RemoteStopTransaction").count() == 2
    end(answer, bound + timedelta(seconds=40), meter=2_000)
    document = codec.decode_bytes(v221.CDR, bytes(CDR.objects.get().body))
    assert "end of the charging window" in (document.remark or "")
    assert Session.objects.get().decision_ref in (document.remark or "")


def test_a_car_that_never_comes_frees_the_bay(bay: EVSE, card: v221.Token, order, taxi: Party) -> None:
    from tests.charging.test_commands import start

    start(order, bay, OPEN)
    assert (
        sweeps.drop_starts_that_never_came(now=Session.objects.get().created_at + timedelta(seconds=130)) == 0
    )
    assert (
        sweeps.drop_starts_that_never_came(now=Session.objects.get().created_at + timedelta(seconds=140)) == 1
    )
    bay.refresh_from_db()
    assert (Session.objects.get().status, bay.serving_party) == ("INVALID", None)


def test_a_transaction_that_a_reboot_lost_is_closed_from_its_last_reading(
    bay: EVSE, card: v221.Token
) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    at = OPEN + timedelta(minutes=10)
    metered(metering=Metering("GENT-01", 1, answer.transaction_id, [Reading(at, 6_000)]), now=at)
    stations.booted(station_identity="GENT-01", now=at + timedelta(minutes=1))
    assert sweeps.close_orphans(now=at + timedelta(minutes=2)) == 0
    assert sweeps.close_orphans(now=at + timedelta(minutes=4)) == 1
    session = Session.objects.get()
    assert (session.status, session.ended_at, session.kwh, session.is_estimated) == (
        "COMPLETED",
        at,
        Decimal(5),
        True,
    )


def test_a_stop_that_arrives_after_a_reboot_is_the_truth(bay: EVSE, card: v221.Token) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    stations.booted(station_identity="GENT-01", now=OPEN + timedelta(minutes=11))
    end(answer, OPEN + timedelta(minutes=10), meter=9_000)
    assert sweeps.close_orphans(now=OPEN + timedelta(hours=1)) == 0
    assert (Session.objects.get().kwh, Session.objects.get().is_estimated) == (Decimal(8), False)


def test_while_a_guest_charges_the_partner_sees_charging_and_others_do_not(
    bay: EVSE, card: v221.Token
) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    begin()
    bay.refresh_from_db()
    assert bay.serving_party is not None
    assert bay.serving_party.party_id == "EMS"


def test_a_station_that_is_away_is_asked_to_stop_when_it_is_back(bay: EVSE, card: v221.Token) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    begin()
    bound = CLOSE + timedelta(minutes=15)
    Station.objects.update(is_online=False)
    assert sweeps.stop_sessions_that_must_end(now=bound) == 0
    assert not StationCall.objects.exists()
    Station.objects.update(is_online=True)
    assert sweeps.stop_sessions_that_must_end(now=bound + timedelta(hours=1)) == 1


def test_a_stop_that_happened_before_we_asked_is_not_ours(bay: EVSE, card: v221.Token) -> None:
    """It was in the station's queue while we asked: the driver left at nine, our order is of five."""
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    bound = CLOSE + timedelta(minutes=15)
    assert sweeps.stop_sessions_that_must_end(now=bound) == 1
    stopped(end=End("GENT-01", answer.transaction_id, OPEN + timedelta(hours=1), 9_000), now=bound)
    assert Session.objects.get().end_reason == "Local"


def test_an_order_to_stop_that_the_station_refused_did_not_end_the_charge(
    bay: EVSE, card: v221.Token
) -> None:
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    bound = CLOSE + timedelta(minutes=15)
    assert sweeps.stop_sessions_that_must_end(now=bound) == 1
    refused = Outcome(status="Rejected")
    station_answered(purpose=f"stop:{answer.transaction_id}", outcome=refused, now=bound)
    assert sweeps.stop_sessions_that_must_end(now=bound + timedelta(seconds=5)) == 0
    end(answer, bound + timedelta(seconds=10))
    assert Session.objects.get().end_reason == "Local"


def test_readings_after_the_end_are_kept_for_a_person(bay: EVSE, card: v221.Token) -> None:
    """A charge that goes on after its stop, or after we took it for lost, is somebody's energy."""
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = begin()
    over = OPEN + timedelta(minutes=20)
    end(answer, over)
    for minutes in (-5, 5, 10):
        at = over + timedelta(minutes=minutes)
        reading = [Reading(at, 12_000)]
        metered(metering=Metering("GENT-01", 1, answer.transaction_id, reading), now=over)
    kept = UnmatchedMessage.objects.get()
    assert (kept.action, kept.payload["readings"]) == ("MeterValues", 2)


def test_readings_without_a_transaction_id_belong_to_what_runs_at_the_connector(
    bay: EVSE, card: v221.Token
) -> None:
    """charging.md 5.4: stations that send clock-aligned values outside of their transaction."""
    at = OPEN + timedelta(minutes=5)
    metered(metering=Metering("GENT-01", 1, None, [Reading(at, 3_000)]), now=at)
    assert not UnmatchedMessage.objects.exists()
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    begin()
    metered(metering=Metering("GENT-01", 1, None, [Reading(at, 3_000)]), now=at)
    metered(metering=Metering("GENT-01", 0, None, [Reading(at, 999_000)]), now=at)
    assert [row.energy_wh for row in MeterReading.objects.all()] == [3_000]
