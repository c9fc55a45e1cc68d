"""The order of locks (charging/locks.py), seen from outside: who waits for one holds nothing that comes after it."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet

from charging import stations, sweeps
from charging.answers import Outcome, station_answered
from charging.authorize import tap
from charging.commands import Order, start_session, stop_session
from charging.models import Command, Transaction
from charging.orphans import close_orphans
from charging.transactions import Begin, End, Metering, metered, started, stopped
from locations.models import EVSE, Location
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from sessions.services import Reading
from tests.charging.conftest import CLOSE, OPEN, token_of
from tests.factories import OwnPartyFactory
from tokens.services import put_token

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "04A2B3C4D5E680"
LATER = OPEN + timedelta(minutes=10)
Act = Callable[[], object]
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"


def holds_while_waiting_for(rows: QuerySet, act: Act, *, then: Act = lambda: None) -> list[str]:
    """Run `act` while we hold these rows; names of the tables further right whose rows it has locked by then."""
    further = [Transaction, Command, Location, Session]
    further = further[further.index(rows.model) + 1 :]
    faults: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except Exception as error:
            faults.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        list(rows.select_for_update())
        thread = threading.Thread(target=run)
        thread.start()
        wait_until_somebody_waits()
        held = [model.__name__ for model in further if is_locked(model.objects.all())]
        then()
    thread.join(20)
    assert faults == []
    return held


def wait_until_somebody_waits() -> None:
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(WAITING)
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for what we hold")


def is_locked(rows: QuerySet, *, no_key: bool = False) -> bool:
    try:
        with transaction.atomic():
            list(rows.order_by("pk").select_for_update(nowait=True, no_key=no_key))
    except OperationalError:
        return True
    return False


@pytest.fixture
def charge(bay: EVSE, taxi: Party) -> Transaction:
    """A charge by card that runs at bay 1."""
    put_token(
        own_party=OwnPartyFactory(), party=taxi, token=token_of(taxi, CARD, v221.TokenType.RFID), now=OPEN
    )
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = started(begin=Begin("GENT-01", 1, CARD, OPEN, 0), now=OPEN)
    return Transaction.objects.get(pk=answer.transaction_id)


@pytest.fixture
def waiting(bay: EVSE, order: Order) -> Command:
    """A START_SESSION whose car is not there yet."""
    request = v221.StartSession(
        response_url=order.response_url,
        token=token_of(order.party),
        location_id=bay.location.ocpi_id,
        evse_uid=bay.uid,
    )
    start_session(order=order, request=request, now=OPEN)
    return Command.objects.get()


def end_of(charge: Transaction) -> End:
    return End("GENT-01", charge.pk, LATER, 5_000, readings=[Reading(LATER, 5_000)])


def stop_order(order: Order, charge: Transaction) -> Act:
    request = v221.StopSession(response_url=order.response_url, session_id=str(charge.session_id))
    return lambda: stop_session(order=order, request=request, now=LATER)


def test_who_waits_for_a_transaction_holds_nothing_else(charge: Transaction, order: Order) -> None:
    stop_order(order, charge)()
    command = Command.objects.get(type="STOP_SESSION")
    Transaction.objects.update(orphaned_at=OPEN, stop_cause="PARTNER")
    rows = Transaction.objects.filter(pk=charge.pk)
    acts: list[Act] = [
        stop_order(order, charge),
        lambda: metered(metering=Metering("GENT-01", 1, charge.pk, [Reading(LATER, 4_000)]), now=LATER),
        lambda: station_answered(purpose=f"command:{command.pk}", outcome=Outcome("Rejected"), now=LATER),
        lambda: report("SuspendedEV"),
        lambda: sweeps.stop_sessions_that_must_end(now=CLOSE + timedelta(hours=1)),
        lambda: stopped(end=end_of(charge), now=LATER),
        lambda: close_orphans(now=LATER),
    ]
    assert [holds_while_waiting_for(rows, act) for act in acts[:-1]] == [[]] * (len(acts) - 1)


def report(status: str) -> None:
    stations.connector_status(
        station_identity="GENT-01", ocpp_connector=1, status=status, at=LATER, now=LATER
    )


def test_an_orphan_is_closed_in_the_same_order(charge: Transaction) -> None:
    Transaction.objects.update(orphaned_at=OPEN)
    rows = Transaction.objects.filter(pk=charge.pk)
    assert holds_while_waiting_for(rows, lambda: close_orphans(now=LATER)) == []


def test_a_stop_that_waits_for_the_bay_does_not_hold_the_session(charge: Transaction, bay: EVSE) -> None:
    rows = Location.objects.filter(pk=bay.location_id)
    assert holds_while_waiting_for(rows, lambda: stopped(end=end_of(charge), now=LATER)) == []


def test_a_start_that_waits_for_the_bay_does_not_hold_the_session(waiting: Command, bay: EVSE) -> None:
    rows = Location.objects.filter(pk=bay.location_id)
    begin = Begin("GENT-01", 1, waiting.id_tag, LATER, 0)
    assert holds_while_waiting_for(rows, lambda: started(begin=begin, now=LATER)) == []


def test_a_refused_start_that_waits_for_the_bay_does_not_hold_the_session(
    waiting: Command, bay: EVSE
) -> None:
    rows = Location.objects.filter(pk=bay.location_id)
    answer = Outcome("Rejected")
    act = lambda: station_answered(purpose=f"command:{waiting.pk}", outcome=answer, now=LATER)  # noqa: E731
    assert holds_while_waiting_for(rows, act) == []
    assert Session.objects.get().status == "INVALID"


def test_a_start_that_is_given_up_waits_for_the_bay_first(waiting: Command, bay: EVSE) -> None:
    rows = Location.objects.filter(pk=bay.location_id)
    created_at = Session.objects.get().created_at
    act = lambda: sweeps.drop_starts_that_never_came(now=created_at + timedelta(minutes=3))  # noqa: E731
    assert holds_while_waiting_for(rows, act) == []
    assert Session.objects.get().status == "INVALID"


def test_a_result_that_waits_does_not_hold_up_what_is_written_for_its_parties(waiting: Command) -> None:
    rows = Session.objects.filter(pk=waiting.session_id)
    answer = Outcome("Rejected")
    held: list[bool] = []

    def refuse() -> None:
        station_answered(purpose=f"command:{waiting.pk}", outcome=answer, now=LATER)

    with_party = Party.objects.filter(pk__in=[waiting.party_id, waiting.own_party_id])
    assert (
        holds_while_waiting_for(rows, refuse, then=lambda: held.append(is_locked(with_party, no_key=True)))
        == []
    )
    assert held == [False]
