"""From the socket to the row and back: what stations say, and what partners make them do."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from access.services import republish
from cdrs.models import CDR, Review
from chargers.models import Station, StationCall
from charging import commands
from charging.commands import Order
from charging.models import Authorization, Command, Transaction
from locations.models import EVSE, PartnerView
from ocpi import codec, v221
from roaming.models import Obligation, Party
from sessions.models import MeterReading, Session
from tests.chargers.conftest import CARD
from tests.chargers.gateway import Gateway, Yard, eventually
from tests.charging.conftest import token_of

pytestmark = pytest.mark.django_db(transaction=True)

ACCEPTED = v221.CommandResponseType.ACCEPTED


def order(party: Party, bay: EVSE) -> Order:
    return Order(party, bay.location.depot.operator, "https://partner.example/results/1", "c-1")


def start(party: Party, bay: EVSE) -> Command:
    request = v221.StartSession(
        response_url="https://partner.example/results/1",
        token=token_of(party),
        location_id=bay.location.ocpi_id,
        evse_uid=bay.uid,
    )
    reply = commands.start_session(order=order(party, bay), request=request, now=timezone.now())
    assert reply.response.result is ACCEPTED
    return Command.objects.get(type="START_SESSION", state="SENT")


def result_of(command: Command) -> v221.CommandResultType:
    body = eventually(
        lambda: Obligation.objects.filter(kind="command_result", object_key=str(command.pk)).first()
    ).body
    return codec.decode_bytes(v221.CommandResult, bytes(body)).result


def shown(party: Party, bay: EVSE) -> v221.Status:
    republish(location=bay.location, now=timezone.now())
    view = PartnerView.objects.get(party=party, location=bay.location)
    document = codec.decode_bytes(v221.Location, bytes(view.document))
    return next(evse.status for evse in document.evses if evse.uid == bay.uid)


def session_is(status: str) -> bool:
    return Session.objects.filter(status=status).exists()


def test_a_station_that_boots_is_known_and_its_bay_is_shown(yard: Yard, bay: EVSE, taxi: Party) -> None:
    assert shown(taxi, bay) is v221.Status.UNKNOWN
    yard.station()
    eventually(lambda: shown(taxi, bay) is v221.Status.AVAILABLE)
    station = Station.objects.get(identity="GENT-01")
    assert (station.is_online, station.vendor, station.model) == (True, "Yardgate", "Simulator")
    assert station.booted_at is not None
    assert not Station.objects.get(identity="GENT-02").is_online


def test_a_station_that_leaves_is_offline_and_back_online(yard: Yard, bay: EVSE) -> None:
    station = yard.station()
    station.go_offline()
    eventually(lambda: not Station.objects.get(identity="GENT-01").is_online)
    bay.refresh_from_db()
    assert not bay.is_online
    assert bay.offline_since is not None
    station.go_online()
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    eventually(lambda: EVSE.objects.get(pk=bay.pk).is_online)


def test_a_whitelisted_card_charges_from_tap_to_sealed_cdr(yard: Yard, bay: EVSE, taxi: Party) -> None:
    station = yard.station()
    station.charge(CARD)
    eventually(lambda: MeterReading.objects.count() >= 2)
    assert shown(taxi, bay) is v221.Status.CHARGING
    assert station.tap(CARD) == "Accepted"
    station.deliver()
    session, row, cdr = Session.objects.get(), Transaction.objects.get(), CDR.objects.get()
    register = station.station.connectors[1].register_wh
    assert (session.status, session.auth_method, session.anomalies) == ("COMPLETED", "WHITELIST", [])
    assert (row.meter_start_wh, row.meter_stop_wh, row.stop_reason) == (0, register, "Local")
    assert cdr.energy_kwh == Decimal(register) / 1000
    assert EVSE.objects.get(pk=bay.pk).serving_party is None
    eventually(lambda: shown(taxi, bay) is v221.Status.BLOCKED)
    station.unplug()
    eventually(lambda: shown(taxi, bay) is v221.Status.AVAILABLE)


def test_a_command_starts_and_another_one_stops(yard: Yard, bay: EVSE, taxi: Party) -> None:
    """CMD-16: START_SESSION, RemoteStartTransaction, StartTransaction, STOP_SESSION, StopTransaction, CDR."""
    station = yard.station()
    station.plug()
    command = start(taxi, bay)
    assert result_of(command) is v221.CommandResultType.ACCEPTED
    call = StationCall.objects.get(action="RemoteStartTransaction")
    assert (call.state, call.answer) == ("DONE", {"status": "Accepted"})
    assert call.sent_at is not None
    eventually(lambda: session_is("ACTIVE"))
    station.draw()
    request = v221.StopSession(
        response_url="https://partner.example/results/2", session_id=str(Session.objects.get().pk)
    )
    reply = commands.stop_session(order=order(taxi, bay), request=request, now=timezone.now())
    assert reply.response.result is ACCEPTED
    assert result_of(Command.objects.get(type="STOP_SESSION")) is v221.CommandResultType.ACCEPTED
    eventually(lambda: CDR.objects.count() == 1)
    session = Session.objects.get()
    assert (session.status, session.auth_method, session.end_reason) == (
        "COMPLETED",
        "COMMAND",
        "stopped by partner",
    )


def test_a_call_leaves_at_once_without_waiting_for_the_next_look(yard: Yard, bay: EVSE, taxi: Party) -> None:
    """NOTIFY wakes the gateway: three starts in a row, none of them waits for the poll of every second."""
    station = yard.station()
    eventually(lambda: StationCall.objects.filter(action="GetConfiguration", state="DONE").exists())
    station.station.misbehaviour.rejects.add("RemoteStartTransaction")
    for _ in range(3):
        assert result_of(start(taxi, bay)) is v221.CommandResultType.REJECTED
    waits = [
        call.sent_at - call.created_at for call in StationCall.objects.filter(action="RemoteStartTransaction")
    ]
    assert len(waits) == 3
    assert max(waits) < timedelta(seconds=0.5)


def test_a_refusing_station_gives_rejected_and_the_bay_is_free(yard: Yard, bay: EVSE, taxi: Party) -> None:
    """CMD-24."""
    yard.station().station.misbehaviour.rejects.add("RemoteStartTransaction")
    assert result_of(start(taxi, bay)) is v221.CommandResultType.REJECTED
    bay.refresh_from_db()
    assert (Session.objects.get().status, bay.serving_party) == ("INVALID", None)


def test_a_silent_station_gives_timeout_and_may_still_start(bay: EVSE, taxi: Party) -> None:
    """CMD-07, CMD-26: it had heard us all the same, and the driver is there."""
    with Gateway(answer_seconds=0.5) as gateway, Yard(gateway.url) as yard, yard.raw() as raw:
        raw.boot()
        raw.answer_configuration()
        command = start(taxi, bay)
        asked = raw.hear("RemoteStartTransaction")
        assert result_of(command) is v221.CommandResultType.TIMEOUT
        call = StationCall.objects.get(action="RemoteStartTransaction")
        assert (call.state, call.error) == ("FAILED", "The station did not answer in time.")
        assert Session.objects.get().status == "PENDING"
        begun = timezone.now()
        answer = raw.ask("StartTransaction", **asked, meterStart=1000, timestamp=begun.isoformat())
    assert answer["idTagInfo"]["status"] == "Accepted"
    session = Session.objects.get()
    assert (session.status, session.meter_start_wh, session.auth_method) == ("ACTIVE", 1000, "COMMAND")


def test_a_station_that_goes_away_before_its_answer_gives_failed(yard: Yard, bay: EVSE, taxi: Party) -> None:
    station = yard.station()
    station.station.misbehaviour.silent_to.add("RemoteStartTransaction")
    command = start(taxi, bay)
    eventually(lambda: StationCall.objects.filter(action="RemoteStartTransaction", state="SENT").exists())
    station.go_offline()
    assert result_of(command) is v221.CommandResultType.FAILED
    call = StationCall.objects.get(action="RemoteStartTransaction")
    assert (call.state, call.error) == ("FAILED", "The station went away before it answered.")
    assert Session.objects.get().status == "INVALID"


def test_a_station_that_cannot_be_reached_at_this_moment_is_asked_when_it_is_back(
    yard: Yard, bay: EVSE, taxi: Party
) -> None:
    """The order is a row, not a message on a socket: it leaves through the next connection, while it is valid."""
    station = yard.station()
    station.plug()
    station.go_offline()
    eventually(lambda: not Station.objects.get(identity="GENT-01").is_online)
    # The station has gone in the very moment in which the partner was told that it is there.
    Station.objects.filter(identity="GENT-01").update(is_online=True)
    EVSE.objects.filter(pk=bay.pk).update(is_online=True)
    command = start(taxi, bay)
    station.go_online()
    assert result_of(command) is v221.CommandResultType.ACCEPTED
    eventually(lambda: session_is("ACTIVE"))


def test_a_start_that_is_sent_twice_is_one_transaction(yard: Yard, bay: EVSE) -> None:
    """W10: the station repeats it on its own, and because the answers were lost."""
    station = yard.station()
    station.station.misbehaviour.sends_start_twice = True
    yard.run(lambda: station.station.drop_next_answer("StartTransaction", times=2))
    station.charge(CARD)
    station.deliver()
    assert station.station.link.sent["StartTransaction"] == 4
    assert (Transaction.objects.count(), Session.objects.count()) == (1, 1)
    station.tap(CARD)
    station.deliver()
    assert (Session.objects.get().status, CDR.objects.count()) == ("COMPLETED", 1)


def test_a_stop_whose_answer_is_lost_is_one_cdr(yard: Yard, bay: EVSE) -> None:
    station = yard.station()
    station.charge(CARD)
    yard.run(lambda: station.station.drop_next_answer("StopTransaction", times=2))
    station.tap(CARD)
    station.deliver()
    assert station.station.link.sent["StopTransaction"] == 3
    assert (CDR.objects.count(), Review.objects.count()) == (1, 0)
    assert Obligation.objects.filter(kind="cdr").count() == 1


def test_a_session_that_ends_offline_is_billed_by_its_own_times(yard: Yard, bay: EVSE) -> None:
    """The station's queue is our buffer: stop and readings arrive late, the CDR is about when it was."""
    station = yard.station()
    station.charge(CARD)
    station.deliver()
    station.go_offline()
    station.draw()
    assert station.tap(CARD) == "Accepted"
    stopped_before = timezone.now()
    eventually(lambda: timezone.now() > stopped_before + timedelta(seconds=1.5))
    station.go_online()
    station.deliver()
    session, cdr = Session.objects.get(), CDR.objects.get()
    assert session.status == "COMPLETED"
    assert session.ended_at == cdr.ended_at
    assert cdr.ended_at <= stopped_before
    assert cdr.energy_kwh == Decimal(station.station.connectors[1].register_wh) / 1000
    assert Transaction.objects.count() == 1


def test_a_charge_that_began_and_ended_offline_is_a_session_afterwards(yard: Yard, bay: EVSE) -> None:
    """A driver on the station's own list starts while the line is down: legal history, billed (fault 40)."""
    station = yard.station()
    station.station.state.local_list[CARD] = {"status": "Accepted"}
    station.go_offline()
    station.charge(CARD)
    station.tap(CARD)
    ended = timezone.now()
    eventually(lambda: timezone.now() > ended + timedelta(seconds=1))
    station.go_online()
    station.deliver()
    session = Session.objects.get()
    assert (session.status, session.auth_method) == ("COMPLETED", "WHITELIST")
    assert session.ended_at is not None
    assert session.ended_at <= ended
    assert CDR.objects.count() == 1
    assert Authorization.objects.get().created_at <= ended
