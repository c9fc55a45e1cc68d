"""Stations that lie, cards that are copied, credentials that were taken away (security.md, W4, W8, W9, W11)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from access.models import Grant
from cdrs.models import CDR, Review
from chargers.models import Station
from chargers.stations import give_new_password
from charging import commands
from charging.models import Transaction, UnmatchedMessage
from locations.models import EVSE
from ocpi import v221
from roaming.models import Obligation, Party
from sessions.models import MeterReading, Session
from tests.chargers.conftest import CARD
from tests.chargers.gateway import RawLine, Yard, eventually
from tests.chargers.test_gateway import order
from tests.chargers.test_gateway_faults import begin, report, stop
from tests.charging.conftest import token_of
from tests.factories import OwnPartyFactory
from tokens.services import put_token

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
FAR_AHEAD = datetime(2099, 1, 1, tzinfo=UTC)
OTHER_CARD = "04FFEE11223344"


def meter(raw: RawLine, transaction_id: int | None, value: str, at: datetime, **members: Any) -> Any:
    sample = {"value": value, "measurand": "Energy.Active.Import.Register"} | members
    body: dict[str, Any] = {
        "connectorId": 1,
        "meterValue": [{"timestamp": at.isoformat(), "sampledValue": [sample]}],
    }
    if transaction_id is not None:
        body["transactionId"] = transaction_id
    return raw.ask("MeterValues", **body)


def review_codes() -> set[str]:
    return {each["code"] for each in Review.objects.get().reasons}


def is_unbilled() -> bool:
    return not CDR.objects.exists() and not Obligation.objects.filter(kind="cdr").exists()


# -- W4


def test_messages_for_the_transaction_of_another_station_are_kept_and_touch_nothing(
    yard: Yard, bay: EVSE
) -> None:
    now = timezone.now()
    with yard.raw("GENT-01") as raw, yard.raw("GENT-02") as other:
        raw.boot()
        other.boot()
        key = begin(raw, now - timedelta(minutes=10))["transactionId"]
        before = Session.objects.values().get()
        for minute in range(3):
            assert meter(other, key, "999000", now - timedelta(minutes=minute)) == {}
        for _ in range(2):
            assert stop(other, key, now, meter=999_000) == {}
    assert Session.objects.values().get() == before
    assert not MeterReading.objects.exists()
    kept = {row.action: row for row in UnmatchedMessage.objects.all()}
    assert UnmatchedMessage.objects.count() == 2
    assert {row.station_identity for row in kept.values()} == {"GENT-02"}
    assert kept["MeterValues"].payload["readings"] == 3
    assert kept["StopTransaction"].payload["meterStop"] == 999_000


@pytest.mark.parametrize("transaction_id", [0, -1, 2**31, 2**40])
def test_a_stop_of_no_transaction_is_answered_and_kept(yard: Yard, bay: EVSE, transaction_id: int) -> None:
    """Fault 41."""
    with yard.raw() as raw:
        raw.boot()
        assert stop(raw, transaction_id, timezone.now(), meter=5_000) == {}
    assert UnmatchedMessage.objects.get().payload["transactionId"] == transaction_id


def test_a_station_that_never_learned_the_number_is_understood_by_its_card(yard: Yard, bay: EVSE) -> None:
    """libocpp#495: transactionId -1 for a charge that began offline."""
    now = timezone.now()
    with yard.raw() as raw:
        raw.boot()
        begin(raw, now - timedelta(minutes=10))
        for _ in range(2):
            stop(raw, -1, now, meter=5_000, idTag=CARD)
    assert (Session.objects.get().status, CDR.objects.count()) == ("COMPLETED", 1)
    assert not UnmatchedMessage.objects.exists()


# -- W8


@pytest.mark.parametrize("at", [LONG_AGO, FAR_AHEAD], ids=["1970", "2099"])
def test_a_start_at_an_impossible_time_counts_from_its_arrival_and_is_not_billed(
    yard: Yard, bay: EVSE, at: datetime
) -> None:
    arrived = timezone.now()
    with yard.raw() as raw:
        raw.boot()
        answer = begin(raw, at)
        again = begin(raw, at)
        stop(raw, answer["transactionId"], at + timedelta(minutes=20), meter=5_000)
    assert answer == again
    assert answer["idTagInfo"]["status"] == "Accepted"
    session = Session.objects.get()
    assert session.status == "COMPLETED"
    assert arrived <= session.started_at + timedelta(milliseconds=1) <= timezone.now()
    assert "CLOCK_ANOMALY" in review_codes()
    assert is_unbilled()


@pytest.mark.parametrize("at", [LONG_AGO, FAR_AHEAD], ids=["1970", "2099"])
def test_a_stop_at_an_impossible_time_ends_the_session_and_is_not_billed(
    yard: Yard, bay: EVSE, at: datetime
) -> None:
    with yard.raw() as raw:
        raw.boot()
        answer = begin(raw, timezone.now() - timedelta(minutes=10))
        assert stop(raw, answer["transactionId"], at, meter=5_000) == {}
    session = Session.objects.get()
    assert session.status == "COMPLETED"
    assert session.started_at <= session.ended_at <= timezone.now()
    assert "CLOCK_ANOMALY" in review_codes()
    assert is_unbilled()


@pytest.mark.parametrize(
    "value",
    ["NaN", "-Infinity", "1e400", "9" * 30, "ten", "", "1e18", "-5"],
    ids=lambda value: value[:8] or "empty",
)
def test_a_meter_value_that_is_none_is_answered_and_reviewed(yard: Yard, bay: EVSE, value: str) -> None:
    now = timezone.now()
    with yard.raw() as raw:
        raw.boot()
        key = begin(raw, now - timedelta(minutes=10), meter=100)["transactionId"]
        assert meter(raw, key, value, now - timedelta(minutes=5)) == {}
        data = [{"timestamp": now.isoformat(), "sampledValue": [{"value": value}]}]
        assert stop(raw, key, now, meter=5_000, transactionData=data) == {}
    assert Session.objects.get().status == "COMPLETED"
    assert review_codes() == {"METER_ANOMALY"}
    assert is_unbilled()
    assert not UnmatchedMessage.objects.exists()


@pytest.mark.parametrize("meter_stop", [-1, 10_000_000, 10**15], ids=["backwards", "10 MWh", "10^15 Wh"])
def test_an_impossible_register_at_the_stop_is_reviewed(yard: Yard, bay: EVSE, meter_stop: int) -> None:
    now = timezone.now()
    with yard.raw() as raw:
        raw.boot()
        key = begin(raw, now - timedelta(minutes=10), meter=100)["transactionId"]
        assert stop(raw, key, now, meter=meter_stop) == {}
    assert Session.objects.get().status == "COMPLETED"
    assert is_unbilled()
    assert Review.objects.count() == 1


def test_a_power_that_no_column_holds_is_left_out(yard: Yard, bay: EVSE) -> None:
    now = timezone.now()
    with yard.raw() as raw:
        raw.boot()
        key = begin(raw, now - timedelta(minutes=10))["transactionId"]
        sampled = [{"value": "500"}, {"value": "1e15", "measurand": "Power.Active.Import", "unit": "kW"}]
        values = [{"timestamp": (now - timedelta(minutes=5)).isoformat(), "sampledValue": sampled}]
        assert raw.ask("MeterValues", connectorId=1, transactionId=key, meterValue=values) == {}
    reading = MeterReading.objects.get()
    assert (reading.energy_wh, reading.power_w) == (500, None)


def test_a_clock_that_was_lost_does_not_make_a_station_deaf(yard: Yard, bay: EVSE) -> None:
    with yard.raw() as raw:
        raw.boot()
        report(raw, "Available", timezone.now())
        raw.boot()
        report(raw, "Faulted", LONG_AGO)
        report(raw, "Available", LONG_AGO + timedelta(seconds=5))
    assert EVSE.objects.get(pk=bay.pk).ocpp_status == "Available"
    assert Station.objects.get(identity="GENT-01").clock_skew_seconds < -1_000_000_000


# -- W9


def test_an_id_tag_beyond_the_standard_is_refused_before_anything_is_looked_up(yard: Yard, bay: EVSE) -> None:
    with yard.raw() as raw:
        raw.boot()
        tags = ("0" * 21, "0" * 10_000, "04\u0000A2", "04\nA2")
        answers = [raw.ask("Authorize", idTag=tag) for tag in tags]
        started = begin(raw, timezone.now(), card="0" * 21)
    assert [(answer[0], answer[2]) for answer in answers] == [
        (4, "TypeConstraintViolation"),
        (4, "TypeConstraintViolation"),
        (4, "PropertyConstraintViolation"),
        (4, "PropertyConstraintViolation"),
    ]
    assert started[2] == "TypeConstraintViolation"
    assert not Transaction.objects.exists()


def test_one_card_does_not_charge_at_two_stations_at_once(yard: Yard, bay: EVSE) -> None:
    first, second = yard.station("GENT-01"), yard.station("GENT-02")
    first.charge(CARD)
    first.deliver()
    second.plug()
    assert second.tap(CARD) == "ConcurrentTx"
    with yard.raw("GENT-02") as stubborn:
        assert begin(stubborn, timezone.now())["idTagInfo"]["status"] == "ConcurrentTx"
    assert Session.objects.get().evse == bay
    first.tap(CARD)
    first.deliver()
    # The stubborn box had replaced the station for a moment (W3); now the card is free again.
    eventually(lambda: second.tap(CARD) == "Accepted")


def test_a_card_is_not_locked_out_by_a_station_that_has_vanished(yard: Yard, bay: EVSE) -> None:
    first, second = yard.station("GENT-01"), yard.station("GENT-02")
    first.charge(CARD)
    first.deliver()
    first.go_offline()
    eventually(lambda: not EVSE.objects.get(pk=bay.pk).is_online)
    second.plug()
    assert second.tap(CARD) == "Accepted"
    eventually(lambda: Session.objects.filter(status="ACTIVE").count() == 2)


def test_the_grants_limit_of_charges_at_once_is_told_as_concurrent(
    yard: Yard, bay: EVSE, taxi: Party
) -> None:
    Grant.objects.update(max_concurrent=1)
    put_token(
        own_party=OwnPartyFactory(),
        party=taxi,
        token=token_of(taxi, OTHER_CARD, v221.TokenType.RFID),
        now=timezone.now(),
    )
    first, second = yard.station("GENT-01"), yard.station("GENT-02")
    first.charge(CARD)
    first.deliver()
    second.plug()
    assert second.tap(OTHER_CARD) == "ConcurrentTx"
    request = v221.StartSession(
        response_url="https://partner.example/results/1",
        token=token_of(taxi),
        location_id=bay.location.ocpi_id,
    )
    reply = commands.start_session(order=order(taxi, bay), request=request, now=timezone.now())
    assert reply.response.result is v221.CommandResponseType.REJECTED


# -- W11


def test_a_new_password_ends_the_connection_that_the_old_one_opened(yard: Yard, bay: EVSE) -> None:
    station = yard.station()
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    changed_at = timezone.now()
    give_new_password(station=Station.objects.get(identity="GENT-01"))
    station.wait(lambda each: each.link.closed_with == 1008, seconds=2)
    assert timezone.now() - changed_at < timedelta(seconds=1)
    station.wait(lambda each: each.link.refused_with == 401)
    eventually(lambda: not Station.objects.get(identity="GENT-01").is_online)


def test_a_password_changed_in_any_way_counts_within_a_second_or_so(yard: Yard, bay: EVSE) -> None:
    """No word is sent: the row decides."""
    station = yard.station()
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    Station.objects.filter(identity="GENT-01").update(password_hash="")
    station.wait(lambda each: each.link.closed_with == 1008, seconds=2)


def test_a_station_that_was_removed_is_disconnected(yard: Yard, bay: EVSE) -> None:
    station = yard.station()
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    Station.objects.filter(identity="GENT-01").delete()
    station.wait(lambda each: each.link.closed_with == 1008, seconds=2)
    station.wait(lambda each: each.link.refused_with == 401)


def test_who_comes_back_with_the_new_password_stays(yard: Yard, bay: EVSE) -> None:
    station = yard.station()
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    new = give_new_password(station=Station.objects.get(identity="GENT-01"))
    yard.run(lambda: setattr(station.station.link, "password", new))
    station.wait(lambda each: each.link.connects == 2)
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    with pytest.raises(TimeoutError):
        station.wait(lambda each: each.link.connects > 2, seconds=2.5)


# -- what breaks us


def test_a_message_that_cannot_be_processed_is_kept_before_it_is_refused(yard: Yard, bay: EVSE) -> None:
    """A station gives a message up after a few CALLERRORs; what is billed must not be lost with it."""
    with yard.raw() as raw:
        raw.boot()
        key = begin(raw, timezone.now())["transactionId"]
        refused = raw.ask("StopTransaction", transactionId=key, meterStop=5_000, timestamp="yesterday")
        assert refused[:3] == [4, refused[1], "PropertyConstraintViolation"]
        refused = raw.ask(
            "StartTransaction",
            connectorId=70_000,
            idTag=CARD,
            meterStart=0,
            timestamp=timezone.now().isoformat(),
        )
        assert refused[2] == "PropertyConstraintViolation"
    kept = UnmatchedMessage.objects.get(action="StopTransaction")
    assert json.loads(json.dumps(kept.payload)) == {
        "transactionId": key,
        "meterStop": 5_000,
        "timestamp": "yesterday",
    }
    assert UnmatchedMessage.objects.filter(action="StartTransaction").count() == 1
