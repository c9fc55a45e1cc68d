"""START_SESSION and STOP_SESSION as a partner means them."""

from datetime import datetime, timedelta

import pytest

from access.models import Decision
from chargers.models import Station, StationCall
from charging.commands import Order, Reply, answered, expire_commands, start_session, stop_session
from charging.models import Command
from charging.transactions import Begin, started
from locations.models import EVSE
from ocpi import codec, v221
from ocpi.status import StatusCode
from roaming.models import Obligation, Party
from sessions.models import Session
from tests.charging.conftest import BEFORE, CLOSE, LAST_START, OPEN, token_of

pytestmark = pytest.mark.django_db


def start(
    order: Order, bay: EVSE, now: datetime, token: v221.Token | None = None, **members: object
) -> Reply:
    request = v221.StartSession(
        response_url=order.response_url,
        token=token or token_of(order.party),
        location_id=str(members.pop("location_id", bay.location.ocpi_id)),
        evse_uid=str(members.pop("evse_uid", bay.uid)) or None,
    )
    return start_session(order=order, request=request, now=now)


def results() -> list[v221.CommandResult]:
    rows = Obligation.objects.filter(kind="command_result").order_by("pk")
    return [codec.decode_bytes(v221.CommandResult, bytes(row.body)) for row in rows]


def nothing_started() -> bool:
    return not (Session.objects.exists() or StationCall.objects.exists() or Command.objects.exists())


def test_a_millisecond_before_the_window_it_is_refused_with_opening_and_reference(
    order: Order, bay: EVSE
) -> None:
    reply = start(order, bay, BEFORE)
    receipt = Decision.objects.get()
    assert reply.response.result is v221.CommandResponseType.REJECTED
    assert reply.response.timeout == 0
    assert reply.response.message[0].text == f"Opens 20:00 (Europe/Brussels). Ref {receipt.ref}"
    assert (receipt.outcome, receipt.reason, receipt.retry_at) == ("DENY", "OUTSIDE_WINDOW", OPEN)
    assert nothing_started()
    assert results() == []


def test_at_the_opening_it_is_accepted_and_the_station_is_asked(order: Order, bay: EVSE) -> None:
    """CMD-01, CMD-02, CMD-03: no sweep, no worker has run."""
    reply = start(order, bay, OPEN)
    assert (reply.status_code, reply.response.result) == (
        StatusCode.SUCCESS,
        v221.CommandResponseType.ACCEPTED,
    )
    assert reply.response.timeout == 45
    session, call, command = Session.objects.get(), StationCall.objects.get(), Command.objects.get()
    assert (session.status, session.evse, session.auth_method) == ("PENDING", bay, "COMMAND")
    assert session.must_end_by == CLOSE + timedelta(minutes=15)
    assert (call.identity, call.action) == ("GENT-01", "RemoteStartTransaction")
    assert call.payload == {"connectorId": 1, "idTag": command.id_tag}
    assert len(command.id_tag) == 20


@pytest.mark.parametrize("now", [LAST_START, CLOSE - timedelta(seconds=1), CLOSE, CLOSE + timedelta(hours=1)])
def test_after_the_last_start_nobody_starts(order: Order, bay: EVSE, now: datetime) -> None:
    reply = start(order, bay, now)
    assert reply.response.result is v221.CommandResponseType.REJECTED
    assert nothing_started()


def test_a_party_without_a_grant_cannot_tell_a_forbidden_location_from_an_unknown_one(
    order: Order, bay: EVSE, stranger: Party
) -> None:
    """CMD-11, B16: equal answers, and nothing happens."""
    foreign = Order(stranger, order.own_party, order.response_url, "c-2")
    forbidden = start(foreign, bay, OPEN)
    unknown = start(foreign, bay, OPEN, location_id="NO-SUCH-PLACE")
    assert forbidden == unknown
    assert forbidden.status_code is StatusCode.UNKNOWN_LOCATION
    assert forbidden.response.result is v221.CommandResponseType.REJECTED
    assert nothing_started()


def test_a_token_of_another_party_is_refused(order: Order, bay: EVSE, stranger: Party) -> None:
    """CMD-15, B12."""
    reply = start(order, bay, OPEN, token=token_of(stranger))
    assert (reply.status_code, reply.response.result) == (
        StatusCode.INVALID_PARAMETERS,
        v221.CommandResponseType.REJECTED,
    )
    assert nothing_started()


def test_an_offline_station_is_refused_at_once(order: Order, bay: EVSE) -> None:
    """CMD-03: ACCEPTED only if the command can go to the station."""
    Station.objects.filter(identity="GENT-01").update(is_online=False)
    EVSE.objects.filter(pk=bay.pk).update(is_online=False)
    assert start(order, bay, OPEN).response.result is v221.CommandResponseType.REJECTED
    assert nothing_started()
    assert results() == []


def test_an_occupied_bay_is_told_in_the_result(order: Order, bay: EVSE) -> None:
    """CMD-24."""
    start(order, bay, OPEN)
    reply = start(order, bay, OPEN, token=token_of(order.party, "driver-18"))
    assert reply.response.result is v221.CommandResponseType.ACCEPTED
    assert [each.result for each in results()] == [v221.CommandResultType.EVSE_OCCUPIED]
    assert (Session.objects.count(), StationCall.objects.count()) == (1, 1)


def test_without_a_bay_named_a_free_one_is_chosen(order: Order, bay: EVSE) -> None:
    """CMD-13."""
    start(order, bay, OPEN)
    reply = start(order, bay, OPEN, token=token_of(order.party, "driver-18"), evse_uid="")
    assert reply.response.result is v221.CommandResponseType.ACCEPTED
    assert set(Session.objects.values_list("evse__station_identity", flat=True)) == {"GENT-01", "GENT-02"}


def test_exactly_one_result_is_owed_whatever_the_station_says_later(order: Order, bay: EVSE) -> None:
    """CMD-04, CMD-06, MID-07."""
    start(order, bay, OPEN)
    command = Command.objects.get()
    answered(command_id=command.id, result=v221.CommandResultType.ACCEPTED, now=OPEN)
    answered(command_id=command.id, result=v221.CommandResultType.REJECTED, now=OPEN)
    expire_commands(now=OPEN + timedelta(minutes=5))
    [owed] = Obligation.objects.filter(kind="command_result")
    assert (owed.url, owed.correlation_id, bytes(owed.body)) == (
        "https://partner.example/results/1?id=7",
        "c-1",
        b'{"result":"ACCEPTED"}',
    )


def test_a_silent_station_gives_timeout_within_the_promise(order: Order, bay: EVSE) -> None:
    """CMD-07."""
    start(order, bay, OPEN)
    assert expire_commands(now=OPEN + timedelta(seconds=39)) == 0
    assert expire_commands(now=OPEN + timedelta(seconds=41)) == 1
    assert [each.result for each in results()] == [v221.CommandResultType.TIMEOUT]
    assert Session.objects.get().status == "PENDING"


def test_a_refusal_of_the_station_ends_the_session_as_invalid_and_frees_the_bay(
    order: Order, bay: EVSE
) -> None:
    start(order, bay, OPEN)
    answered(command_id=Command.objects.get().id, result=v221.CommandResultType.REJECTED, now=OPEN)
    bay.refresh_from_db()
    assert (Session.objects.get().status, bay.serving_party) == ("INVALID", None)
    assert start(order, bay, OPEN).response.result is v221.CommandResponseType.ACCEPTED


def begin(command: Command, now: datetime) -> Session:
    started(begin=Begin("GENT-01", 1, command.id_tag, now, 1000), now=now)
    return Session.objects.get(status="ACTIVE")


def test_a_late_start_after_timeout_is_charged_all_the_same(order: Order, bay: EVSE) -> None:
    """CMD-26."""
    start(order, bay, OPEN)
    expire_commands(now=OPEN + timedelta(minutes=1))
    session = begin(Command.objects.get(), OPEN + timedelta(seconds=61))
    assert (session.auth_method, session.meter_start_wh) == ("COMMAND", 1000)


def stop(order: Order, session_id: object, now: datetime) -> Reply:
    request = v221.StopSession(response_url=order.response_url, session_id=str(session_id))
    return stop_session(order=order, request=request, now=now)


def test_the_owner_may_stop_also_after_the_window(order: Order, bay: EVSE) -> None:
    start(order, bay, OPEN)
    session = begin(Command.objects.get(), OPEN)
    reply = stop(order, session.pk, CLOSE + timedelta(minutes=5))
    assert reply.response.result is v221.CommandResponseType.ACCEPTED
    call = StationCall.objects.get(action="RemoteStopTransaction")
    assert call.payload == {"transactionId": session.transaction.pk}


def test_a_foreign_session_and_an_unknown_one_answer_alike(order: Order, bay: EVSE, stranger: Party) -> None:
    """CMD-18, B13."""
    start(order, bay, OPEN)
    session = begin(Command.objects.get(), OPEN)
    foreign = Order(stranger, order.own_party, order.response_url, "c-2")
    expected = v221.CommandResponseType.UNKNOWN_SESSION
    assert stop(foreign, session.pk, OPEN) == stop(foreign, "5c6a2c6e-0000-4000-8000-000000000000", OPEN)
    assert stop(foreign, session.pk, OPEN).response.result is expected
    assert stop(order, "not-a-uuid", OPEN).response.result is expected
    assert not StationCall.objects.filter(action="RemoteStopTransaction").exists()
