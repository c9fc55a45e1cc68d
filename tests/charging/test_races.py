"""Everything that may happen at one bay at the same moment, on connections of their own: nobody waits for ever.

The functions are called without the gateway's second try (chargers/store.py), so that a deadlock would be seen.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from access.models import Grant
from access.services import republish
from cdrs.models import CDR, Review
from chargers.models import StationCall
from charging import stations, sweeps
from charging.answers import Outcome, station_answered
from charging.authorize import tap
from charging.commands import Order, start_session, stop_session
from charging.models import Command, Transaction
from charging.transactions import Begin, BeginAnswer, End, Metering, metered, started, stopped
from locations.models import EVSE, Location
from ocpi import v221
from roaming.models import Obligation, Party
from sessions.models import MeterReading, Session
from sessions.services import Reading
from tests.charging.conftest import OPEN, token_of
from tests.factories import OwnPartyFactory
from tests.sessions.threads import in_threads
from tokens.services import put_token

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 12
CARD = "04A2B3C4D5E680"
SECOND = timedelta(seconds=1)


@pytest.fixture
def card(taxi: Party, gent: Location) -> str:
    put_token(
        own_party=OwnPartyFactory(), party=taxi, token=token_of(taxi, CARD, v221.TokenType.RFID), now=OPEN
    )
    return CARD


def all_at_once(*actions: Callable[[], Any]) -> list[Any]:
    results = in_threads(*actions)
    assert [each for each in results if isinstance(each, Exception)] == []
    return results


def begin(at: datetime, *, station: str = "GENT-01", tag: str = CARD, meter: int = 0) -> BeginAnswer:
    return started(begin=Begin(station, 1, tag, at, meter), now=at)


def test_statuses_readings_stops_and_answers_of_one_bay_at_the_same_moment(
    bay: EVSE, card: str, order: Order, taxi: Party
) -> None:
    """delivery.md, fault 26: whatever comes first, one session, one CDR, every Wh of it, and no deadlock."""
    for number in range(ROUNDS):
        at = OPEN + timedelta(minutes=20 * number)
        register = 10_000 * number
        tap(station_identity="GENT-01", id_tag=CARD, now=at)
        key = begin(at, meter=register).transaction_id
        session = Session.objects.get(transaction=key)
        stop = v221.StopSession(response_url=order.response_url, session_id=str(session.pk))
        stop_session(order=order, request=stop, now=at + SECOND)
        command = Command.objects.get(session=session, type="STOP_SESSION")
        end = at + timedelta(minutes=10)
        all_at_once(
            lambda: report("Charging", end - 9 * SECOND),
            lambda: report("SuspendedEV", end - 5 * SECOND),
            lambda: report("Finishing", end + SECOND),
            lambda: meter(key, [Reading(at + timedelta(minutes=3), register + 3_000)], end),
            lambda: meter(key, [Reading(at + timedelta(minutes=6), register + 6_000)], end),
            lambda: stopped(end=ending(key, end, register + 9_000), now=end + SECOND),
            lambda: stopped(end=ending(key, end, register + 9_000), now=end + SECOND),
            lambda: station_answered(purpose=f"command:{command.pk}", outcome=Outcome("Accepted"), now=end),
            lambda: stop_session(order=order, request=stop, now=end),
            lambda: republish(location=bay.location, now=end),
            lambda: sweeps.sweep(now=end),
        )
        session.refresh_from_db()
        assert (session.status, session.kwh, session.anomalies) == ("COMPLETED", Decimal(9), [])
        assert CDR.objects.get(session=session).energy_kwh == Decimal(9)
        bay.refresh_from_db()
        assert (bay.ocpp_status, bay.serving_party) == ("Finishing", None)
    assert (CDR.objects.count(), Review.objects.count()) == (ROUNDS, 0)
    assert Obligation.objects.filter(kind="cdr").count() == ROUNDS


def report(status: str, at: datetime) -> None:
    stations.connector_status(station_identity="GENT-01", ocpp_connector=1, status=status, at=at, now=at)


def meter(key: int, readings: list[Reading], now: datetime) -> None:
    metered(metering=Metering("GENT-01", 1, key, readings), now=now)


def ending(key: int, at: datetime, meter_wh: int) -> End:
    data = [Reading(at - 2 * SECOND, meter_wh - 100), Reading(at, meter_wh)]
    return End("GENT-01", key, at, meter_wh, readings=data)


def test_the_last_place_of_a_grant_is_given_once(bay: EVSE, card: str, order: Order, taxi: Party) -> None:
    """Two bays are free, one charge is allowed: an app and a card at the same moment, while an operator edits."""
    Grant.objects.update(max_concurrent=1)
    for number in range(ROUNDS):
        at = OPEN + timedelta(minutes=5 * number)
        tap(station_identity="GENT-02", id_tag=CARD, now=at)
        request = v221.StartSession(
            response_url=order.response_url,
            token=token_of(taxi),
            location_id=bay.location.ocpi_id,
            evse_uid=bay.uid,
        )
        reply, answer, *_ = all_at_once(
            lambda: start_session(order=order, request=request, now=at),
            lambda: begin(at, station="GENT-02"),
            lambda: republish(location=bay.location, now=at),
        )
        by_app = reply.response.result is v221.CommandResponseType.ACCEPTED
        assert {by_app, answer.status == "Accepted"} == {True, False}
        assert answer.status in ("Accepted", "ConcurrentTx")
        [session] = Session.objects.filter(status__in=["PENDING", "ACTIVE"])
        if by_app:
            station_answered(
                purpose=f"command:{Command.objects.get(session=session).pk}",
                outcome=Outcome("Rejected"),
                now=at + SECOND,
            )
        else:
            end = End("GENT-02", answer.transaction_id, at + timedelta(minutes=2), 1_000)
            stopped(end=end, now=at + timedelta(minutes=2))


def test_one_card_at_two_stations_at_the_same_moment_charges_at_one(bay: EVSE, card: str) -> None:
    """W9: also when the stations belong to different pools, whose starts do not follow each other."""
    elsewhere = Location.objects.create(depot=bay.location.depot, name="Gent Noord - street side")
    EVSE.objects.filter(station_identity="GENT-02").update(location=elsewhere)
    grant = Grant.objects.get()
    grant.pk, grant.location = None, elsewhere
    grant.save()
    for number in range(ROUNDS):
        at = OPEN + timedelta(minutes=5 * number)
        for station in ("GENT-01", "GENT-02"):
            tap(station_identity=station, id_tag=CARD, now=at)
        answers = all_at_once(
            lambda: begin(at, station="GENT-01"),
            lambda: begin(at, station="GENT-02"),
        )
        assert sorted(answer.status for answer in answers) == ["Accepted", "ConcurrentTx"]
        for row in Transaction.objects.filter(stopped_at__isnull=True):
            end = at + timedelta(minutes=2)
            stopped(end=End(row.station_identity, row.pk, end, 1_000), now=end)
    assert Session.objects.count() == ROUNDS


def test_a_start_that_the_station_refuses_and_makes_at_the_same_moment(
    bay: EVSE, order: Order, taxi: Party
) -> None:
    """Whichever is heard first: what charges has a session that is ACTIVE, and the bay is its own."""
    for number in range(ROUNDS):
        at = OPEN + timedelta(minutes=5 * number)
        request = v221.StartSession(
            response_url=order.response_url,
            token=token_of(taxi),
            location_id=bay.location.ocpi_id,
            evse_uid=bay.uid,
        )
        start_session(order=order, request=request, now=at)
        command = Command.objects.get(created_at=at)
        head_start = 0.01 * (number % 4)

        def refuse(command: Command = command, at: datetime = at, seconds: float = head_start) -> None:
            time.sleep(seconds)
            station_answered(purpose=f"command:{command.pk}", outcome=Outcome("Rejected"), now=at + SECOND)

        answer, *_ = all_at_once(lambda: begin(at + SECOND, tag=command.id_tag), refuse)
        row = Transaction.objects.select_related("session").get(pk=answer.transaction_id)
        bay.refresh_from_db()
        assert (answer.status, row.session.status, bay.serving_party) == ("Accepted", "ACTIVE", taxi)
        end = at + timedelta(minutes=2)
        stopped(end=End("GENT-01", row.pk, end, 1_000), now=end)
    assert CDR.objects.count() == ROUNDS


def test_one_message_on_two_lines_at_the_same_moment_counts_once(bay: EVSE, card: str) -> None:
    """A station that was taken over in the middle of its start sends it again on the new line."""
    for number in range(ROUNDS):
        at = OPEN + timedelta(minutes=5 * number)
        tap(station_identity="GENT-01", id_tag=CARD, now=at)
        first, second = all_at_once(lambda: begin(at), lambda: begin(at))
        assert first == second
        reading = [Reading(at + timedelta(minutes=1), 500)]
        key = first.transaction_id
        all_at_once(lambda: meter(key, reading, at), lambda: meter(key, reading, at))
        end = End("GENT-01", key, at + timedelta(minutes=2), 1_000)
        all_at_once(lambda: stopped(end=end, now=end.at), lambda: stopped(end=end, now=end.at))
    counts = (Transaction.objects.count(), Session.objects.count(), CDR.objects.count())
    assert counts == (ROUNDS, ROUNDS, ROUNDS)
    assert MeterReading.objects.count() == ROUNDS
    assert not StationCall.objects.exists()
