"""What must hold when stations, the gateway or the database fail in the middle (delivery.md, faults 24, 34, 40-44)."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.utils import timezone

from cdrs.corrections import Changes
from cdrs.models import CDR, Review
from cdrs.services import reseal
from chargers import calls, owning
from chargers.models import Station, StationCall
from charging import sweeps
from charging.locks import lock_bay
from charging.models import Transaction, UnmatchedMessage
from charging.orphans import ORPHAN_PATIENCE
from config.datadir import ROOT
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from tests.chargers.conftest import CARD
from tests.chargers.gateway import Gateway, Yard, eventually
from tests.chargers.test_gateway import result_of, session_is, start

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = ORPHAN_PATIENCE + timedelta(seconds=1)


# -- the station


def test_a_crash_without_a_stop_closes_the_session_from_its_last_reading(yard: Yard, bay: EVSE) -> None:
    """Fault 43: closed by rule, flagged as estimated, looked at by a person before it is billed."""
    station = yard.station()
    station.charge(CARD)
    station.draw(30)
    eventually(lambda: Session.objects.get().meter_last_wh)
    station.deliver()
    station.crash()
    eventually(lambda: Transaction.objects.get().orphaned_at is not None)
    session = Session.objects.get()
    assert (session.status, sweeps.close_orphans(now=timezone.now())) == ("ACTIVE", 0)
    assert sweeps.close_orphans(now=timezone.now() + PATIENCE) == 1
    closed = Session.objects.get()
    assert (closed.status, closed.is_estimated, closed.meter_last_wh) == (
        "COMPLETED",
        True,
        session.meter_last_wh,
    )
    assert closed.ended_at == session.meter_last_at
    assert [each["code"] for each in Review.objects.get().reasons] == ["ESTIMATED_END"]
    assert EVSE.objects.get(pk=bay.pk).serving_party is None


def test_a_stop_that_comes_after_the_estimate_is_kept_and_changes_nothing(yard: Yard, bay: EVSE) -> None:
    """The true stop of a session that was closed, and billed by a person's word, waits for a person."""
    station = yard.station()
    station.charge(CARD)
    station.deliver()
    station.go_offline()
    with yard.raw() as spare_board:
        spare_board.boot()
    assert sweeps.close_orphans(now=timezone.now() + PATIENCE) == 1
    session = Session.objects.get()
    changes = Changes(accepted=("ESTIMATED_END", "ZERO_ENERGY"))
    sealed = reseal(session=session, changes=changes, made_by="Els", reason="log lost", now=timezone.now())
    assert isinstance(sealed, CDR)
    station.draw(30)
    station.tap(CARD)
    station.go_online()
    station.deliver()
    row = Transaction.objects.get()
    assert (CDR.objects.get().sha256, Session.objects.get().meter_last_wh) == (
        sealed.sha256,
        session.meter_last_wh,
    )
    assert (row.stop_reason, Session.objects.get().last_updated) == ("PowerLoss", session.last_updated)
    kept = UnmatchedMessage.objects.get(action="StopTransaction")
    assert kept.payload["transactionId"] == row.pk
    assert kept.payload["meterStop"] == station.station.connectors[1].register_wh
    assert kept.reason == "a second stop with other values; the first one counts"


def test_a_station_that_says_hello_again_is_not_an_orphan(yard: Yard, bay: EVSE) -> None:
    """Many stations boot anew on each connect: who goes on charging keeps its session."""
    station = yard.station()
    station.charge(CARD)
    station.deliver()
    yard.run(lambda: setattr(station.station.state, "is_registered", False))
    station.go_offline()
    station.go_online()
    eventually(
        lambda: Station.objects.get(identity="GENT-01").booted_at > Transaction.objects.get().received_at
    )
    eventually(lambda: Transaction.objects.get().orphaned_at is None)
    assert sweeps.close_orphans(now=timezone.now() + PATIENCE) == 0
    station.tap(CARD)
    station.deliver()
    assert (Session.objects.get().is_estimated, CDR.objects.count()) == (False, 1)


def test_a_new_start_at_the_connector_ends_a_charge_that_the_station_forgot(yard: Yard, bay: EVSE) -> None:
    """One connector, one transaction: the guest at the plug is not refused for what the station has lost."""
    with yard.raw() as raw:
        raw.boot()
        first = begin(raw, timezone.now() - timedelta(minutes=10))
        second = begin(raw, timezone.now(), meter=5_000)
    assert (first["idTagInfo"]["status"], second["idTagInfo"]["status"]) == ("Accepted", "Accepted")
    old = Transaction.objects.get(pk=first["transactionId"])
    assert (old.stop_reason, old.session.status, old.session.is_estimated) == ("PowerLoss", "COMPLETED", True)
    assert Session.objects.get(status="ACTIVE").transaction.pk == second["transactionId"]


def test_older_statuses_change_nothing(yard: Yard, bay: EVSE) -> None:
    """Fault 34: a station that sends its offline buffer in any order."""
    now = timezone.now()
    with yard.raw() as raw:
        raw.boot()
        for seconds, status in ((30, "Available"), (10, "Faulted"), (20, "Charging"), (60, "Unavailable")):
            report(raw, status, now - timedelta(seconds=seconds))
    bay.refresh_from_db()
    assert (bay.ocpp_status, bay.device_status) == ("Faulted", "OUTOFORDER")
    assert bay.device_status_at == (now - timedelta(seconds=10)).replace(
        microsecond=bay.device_status_at.microsecond
    )


def test_three_days_of_offline_charges_are_all_billed_by_their_own_times(yard: Yard, bay: EVSE) -> None:
    """Fault 40: 50 charges in the queue, each decided and priced as of its own start."""
    begun = timezone.now().replace(microsecond=0) - timedelta(days=3)
    with yard.raw() as raw:
        raw.boot()
        for number in range(50):
            at = begun + timedelta(hours=number)
            answer = begin(raw, at, meter=10_000 * number)
            assert answer["idTagInfo"]["status"] == "Accepted"
            stop(raw, answer["transactionId"], at + timedelta(minutes=30), meter=10_000 * number + 10_000)
    cdrs = list(CDR.objects.order_by("feed_seq"))
    assert [cdr.started_at for cdr in cdrs] == [begun + timedelta(hours=number) for number in range(50)]
    assert {cdr.energy_kwh for cdr in cdrs} == {Decimal(10)}
    assert {cdr.total_excl_vat for cdr in cdrs} == {Decimal("4.40")}
    assert not Review.objects.exists()


# -- the gateway


@contextmanager
def gateway_process() -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`manage.py ocpp_gateway` on the test's database."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = connection.get_connection_params()
    url = f"postgresql://{database['user']}@/{database['dbname']}?host={database['host']}"
    environment = {**os.environ, "DATABASE_URL": url, "OCPP_METER_INTERVAL_SECONDS": "60"}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), "ocpp_gateway", "--bind", f"127.0.0.1:{port}"],
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: answers(port), seconds=30)
        yield process, f"ws://127.0.0.1:{port}/ocpp"
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_start_that_was_sent_is_never_sent_again(bay: EVSE, taxi: Party) -> None:
    """The gateway is killed between the first byte and the answer: nobody knows whether the car charges."""
    with gateway_process() as (process, url), Yard(url) as yard:
        with yard.raw() as raw:
            raw.boot()
            raw.answer_configuration()
            command = start(taxi, bay)
            raw.hear("RemoteStartTransaction")
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert StationCall.objects.get(action="RemoteStartTransaction").state == "SENT"
        with Gateway(port=yard.port), yard.raw() as raw:
            raw.boot()
            raw.answer_configuration()
            assert raw.overhear(seconds=1.5) == []
            assert calls.expire(now=timezone.now() + calls.GIVEN_UP) == 1
            assert result_of(command) is v221.CommandResultType.TIMEOUT
            assert Session.objects.get().status == "PENDING"
            assert raw.overhear(seconds=1.2) == []


@pytest.mark.parametrize("moves_to", ["the gateway that started last", "the gateway that started first"])
def test_the_newest_connection_owns_the_station_also_at_another_gateway(
    bay: EVSE, taxi: Party, moves_to: str
) -> None:
    """Fault 44: exactly one owner; the older connection ends, and commands reach the newer one."""
    with Gateway() as first, Gateway() as last:
        old, new = (first, last) if moves_to.endswith("last") else (last, first)
        with Yard(old.url) as old_line, old_line.raw() as clone, Yard(new.url) as new_line:
            clone.boot()
            station = new_line.station()
            station.plug()
            assert clone.closed() == 1008
            eventually(lambda: old.server.identities == frozenset())
            assert result_of(start(taxi, bay)) is v221.CommandResultType.ACCEPTED
            eventually(lambda: session_is("ACTIVE"))
            assert Station.objects.get(identity="GENT-01").is_online
            assert EVSE.objects.get(pk=bay.pk).is_online


def test_a_gateway_that_starts_does_not_make_the_stations_of_another_one_absent(
    yard: Yard, bay: EVSE
) -> None:
    yard.station()
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    owning.everybody_offline(timezone.now())
    assert not Station.objects.get(identity="GENT-01").is_online
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    assert EVSE.objects.get(pk=bay.pk).is_online


# -- the database


@contextmanager
def database_away() -> Iterator[None]:
    """Nobody but this thread can use the test's database: connections end, and no new one is let in."""
    connection.ensure_connection()
    ours, database = connection.connection.info.backend_pid, connection.get_connection_params()
    name = database["dbname"]
    admin = psycopg.connect(host=database["host"], user=database["user"], dbname="postgres", autocommit=True)
    with admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> %s"
        admin.execute(others, [name, ours])
        try:
            yield
        finally:
            admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def test_without_the_database_nothing_is_acknowledged_and_nothing_is_lost(yard: Yard, bay: EVSE) -> None:
    """Fault 24, P7: no CALLRESULT, the connection ends with 1013, the station keeps its queue and delivers later."""
    events: list[str] = []
    station = yard.station(on_event=lambda _, event, __: events.append(event))
    station.charge(CARD)
    station.deliver()
    with database_away():
        assert station.tap(CARD) == "Accepted"
        station.wait(lambda each: each.link.closed_with == 1013)
        station.wait(lambda each: each.link.refused_with == 503)
        assert "StopTransaction" in [message.action for message in station.station.outbox.messages]
        assert "StopTransaction" not in events
        assert Session.objects.get().status == "ACTIVE"
    station.deliver()
    assert events.count("StopTransaction") == 1
    session, cdr = Session.objects.get(), CDR.objects.get()
    assert (session.status, cdr.energy_kwh) == (
        "COMPLETED",
        Decimal(station.station.connectors[1].register_wh) / 1000,
    )


def test_a_station_that_leaves_while_the_database_is_away_is_shown_as_offline_afterwards(
    yard: Yard, bay: EVSE
) -> None:
    station = yard.station()
    eventually(lambda: Station.objects.get(identity="GENT-01").is_online)
    with database_away():
        station.go_offline()
        time.sleep(0.5)
        assert Station.objects.get(identity="GENT-01").is_online
    eventually(lambda: not Station.objects.get(identity="GENT-01").is_online)
    assert not EVSE.objects.get(pk=bay.pk).is_online


def test_a_bay_that_others_hold_for_a_moment_delays_and_loses_nothing(yard: Yard, bay: EVSE) -> None:
    """Fault 26: the handler tries again by itself; the station waits and sees one answer."""
    holding, release = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            lock_bay(location_id=bay.location_id)
            holding.set()
            release.wait(20)
        connection.close()

    with yard.raw() as raw:
        raw.boot()
        answer = begin(raw, timezone.now() - timedelta(minutes=10))
        holder = threading.Thread(target=hold)
        holder.start()
        holding.wait(5)
        # Longer than one lock timeout of five seconds, shorter than three of them.
        threading.Timer(6, release.set).start()
        stop(raw, answer["transactionId"], timezone.now(), meter=1_000, within=15)
        holder.join()
    assert (Session.objects.get().status, CDR.objects.count()) == ("COMPLETED", 1)


# -- frames


def begin(raw: Any, at: datetime, *, meter: int = 0, card: str = CARD, connector: int = 1) -> Any:
    return raw.ask(
        "StartTransaction", connectorId=connector, idTag=card, meterStart=meter, timestamp=at.isoformat()
    )


def stop(
    raw: Any, transaction_id: int, at: datetime, *, meter: int, within: float = 5, **members: Any
) -> Any:
    return raw.ask(
        "StopTransaction",
        transactionId=transaction_id,
        meterStop=meter,
        timestamp=at.isoformat(),
        within=within,
        **members,
    )


def report(raw: Any, status: str, at: datetime, *, connector: int = 1) -> Any:
    return raw.ask(
        "StatusNotification",
        connectorId=connector,
        status=status,
        errorCode="NoError",
        timestamp=at.isoformat(),
    )
