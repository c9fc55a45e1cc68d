import ast
import asyncio
import json
import re
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from chargers import simulator
from chargers.frames import Payload
from chargers.logins import StationLogin
from chargers.management.commands import simulate
from chargers.outgoing import CallStatus, Priority
from chargers.passwords import hash_password
from chargers.server import OcppServer
from chargers.simulator import ConnectorSpec, Fleet, Station, Timing, Traffic, Vehicle
from chargers.simulator.background import Background
from tests.chargers.support import NOW_TEXT, PASSWORD, PASSWORD_HASH, MemoryCentral, serving, until

PRODUCT = {"access", "cdrs", "chargers", "charging", "config", "locations", "ocpi", "roaming", "sessions"} | {
    "tariffs",
    "tokens",
    "django",
}
GENT = "GENT-NOORD-01"
TAG = "DELIJN042"
QUICK = Timing(tick=0.02, answer_timeout=0.3, reconnect_delays=(0.05,), ping_interval=None)


def make_station(server: OcppServer, identity: str = GENT, **options) -> Station:
    options = {
        "connectors": [ConnectorSpec(), ConnectorSpec(max_w=Decimal(50_000))],
        "timing": QUICK,
        "speed": 3_600,
        "configuration": {"MeterValueSampleInterval": "0.1", "TransactionMessageRetryInterval": "0"},
    } | options
    return Station(identity, f"ws://127.0.0.1:{server.port}/ocpp", PASSWORD, **options)


@asynccontextmanager
async def living(server: OcppServer, **options):
    station = make_station(server, **options)
    station.start()
    try:
        await station.wait_for(lambda s: s.is_registered)
        yield station
    finally:
        await station.stop()
        assert station.link.faults == []


def run(play, **options) -> None:
    """Run `play(station, server, central)` with one station that has booted."""

    async def scenario() -> None:
        central = MemoryCentral(GENT)
        async with serving(central) as server, living(server, **options) as station:
            await play(station, server, central)

    asyncio.run(scenario())


async def ask(server: OcppServer, action: str, payload: Payload | None = None) -> Payload:
    outcome = await server.call(GENT, action, payload or {}, timeout_seconds=5, priority=Priority.REST)
    assert outcome.status == CallStatus.ANSWERED, outcome
    return outcome.payload


def statuses(central: MemoryCentral, connector_id: int = 1) -> list[str]:
    return [p["status"] for p in central.payloads("StatusNotification") if p["connectorId"] == connector_id]


def limit_profile(limit_w: int, purpose: str = "TxDefaultProfile", **schedule) -> Payload:
    periods = [{"startPeriod": 0, "limit": Decimal(limit_w)}]
    return {
        "chargingProfileId": 7,
        "stackLevel": 1,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {"chargingRateUnit": "W", "chargingSchedulePeriod": periods} | schedule,
    }


async def start_charging(station: Station, connector_id: int = 1, vehicle: Vehicle | None = None) -> None:
    station.plug(connector_id, vehicle or Vehicle(capacity_kwh=Decimal(500)))
    assert await station.tap(connector_id, TAG) == "Accepted"
    await station.wait_for(lambda s: s.connectors[connector_id].transaction.transaction_id is not None)


def test_a_boot_reports_the_station_and_each_connector():
    async def play(station, server, central):
        await until(lambda: len(central.messages) == 4)
        assert central.actions(GENT) == ["BootNotification", *["StatusNotification"] * 3]
        reported = [(p["connectorId"], p["status"]) for p in central.payloads("StatusNotification")]
        assert reported == [(0, "Available"), (1, "Available"), (2, "Available")]
        assert station.configuration.number("HeartbeatInterval") == 300

    run(play)


def test_an_rfid_session_from_tap_to_tap():
    async def play(station, server, central):
        await start_charging(station)
        await until(lambda: len(central.payloads("MeterValues")) >= 3)
        assert await station.tap(1, TAG) == "Accepted"
        await station.wait_for(lambda s: not s.outbox.messages)
        station.unplug(1)
        await until(lambda: statuses(central)[-1:] == ["Available"] and "Finishing" in statuses(central))

        start, stop = central.payloads("StartTransaction")[0], central.payloads("StopTransaction")[0]
        registers = [
            int(value["value"])
            for payload in central.payloads("MeterValues")
            for value in payload["meterValue"][0]["sampledValue"]
            if value["measurand"] == "Energy.Active.Import.Register"
        ]
        assert statuses(central) == ["Available", "Preparing", "Charging", "Finishing", "Available"]
        assert (start["connectorId"], start["idTag"], start["meterStart"]) == (1, TAG, 0)
        assert (stop["transactionId"], stop["reason"], stop["idTag"]) == (1001, "Local", TAG)
        assert registers == sorted(registers)
        assert 0 < registers[0] <= registers[-1] <= stop["meterStop"]
        assert stop["meterStop"] == station.connectors[1].register_wh
        assert {payload["transactionId"] for payload in central.payloads("MeterValues")} == {1001}
        assert stop["transactionData"][0]["sampledValue"][0]["value"] == str(stop["meterStop"])

    run(play)


def test_the_meter_goes_on_where_the_last_session_ended():
    async def play(station, server, central):
        for _ in range(2):
            await start_charging(station)
            await station.wait_for(lambda s: s.connectors[1].power_w > 0)
            await station.tap(1, TAG)
            await station.wait_for(lambda s: not s.outbox.messages)
        first, second = central.payloads("StartTransaction")
        assert first["meterStart"] == 120_500
        assert second["meterStart"] == central.payloads("StopTransaction")[0]["meterStop"] > 120_500

    run(play, connectors=[ConnectorSpec(meter_wh=Decimal(120_500))])


def test_energy_is_power_times_time_times_speed():
    async def play(station, server, central):
        began = time.monotonic()
        await start_charging(station, vehicle=Vehicle(capacity_kwh=Decimal(1_000), max_w=Decimal(11_000)))
        await asyncio.sleep(0.5)
        hours = Decimal(str(time.monotonic() - began))  # at speed 3,600 a second is an hour
        assert Decimal("0.2") * 11_000 < station.connectors[1].meter_wh <= hours * 11_000
        assert station.connectors[1].power_w == 11_000

    run(play)


def test_a_battery_tapers_and_fills():
    whole, parts = Vehicle(soc_percent=Decimal(70)), Vehicle(soc_percent=Decimal(70))
    at_once = whole.charge(offered_w=Decimal(22_000), seconds=Decimal(5_400))
    piecewise = sum(parts.charge(offered_w=Decimal(22_000), seconds=Decimal(30)) for _ in range(180))
    assert abs(at_once - piecewise) < 20
    assert whole.demand_w() < whole.max_w
    assert whole.charge(offered_w=Decimal(22_000), seconds=Decimal(10**6)) + at_once == pytest.approx(
        Decimal(18_000), abs=1
    )
    assert whole.is_full
    assert whole.charge(offered_w=Decimal(22_000), seconds=Decimal(3_600)) == 0
    slow = Vehicle()
    assert slow.charge(offered_w=Decimal(4_000), seconds=Decimal(3_600)) == Decimal(4_000)


def test_a_full_vehicle_is_suspended_ev():
    async def play(station, server, central):
        await start_charging(station, vehicle=Vehicle(capacity_kwh=Decimal(1), soc_percent=Decimal(99)))
        await station.wait_for(lambda s: s.connectors[1].status == "SuspendedEV")
        assert station.connectors[1].meter_wh == Decimal(10)

    run(play)


def test_remote_start_waits_for_the_cable_and_remote_stop_ends_it():
    async def play(station, server, central):
        payload = {"connectorId": 2, "idTag": TAG}
        assert await ask(server, "RemoteStartTransaction", payload) == {"status": "Accepted"}
        await station.wait_for(lambda s: s.connectors[2].status == "Preparing")
        assert central.payloads("StartTransaction") == []
        station.plug(2)
        await station.wait_for(lambda s: s.connectors[2].status == "Charging")
        assert await ask(server, "RemoteStartTransaction", payload) == {"status": "Rejected"}
        await station.wait_for(lambda s: not s.outbox.messages)
        assert await ask(server, "RemoteStopTransaction", {"transactionId": 1}) == {"status": "Rejected"}
        assert await ask(server, "RemoteStopTransaction", {"transactionId": 1001}) == {"status": "Accepted"}
        await until(lambda: len(central.payloads("StopTransaction")) == 1)
        assert central.payloads("StopTransaction")[0]["reason"] == "Remote"
        assert central.payloads("Authorize") == []

    run(play)


def test_a_remote_start_without_a_cable_silently_ends_after_connection_timeout():
    async def play(station, server, central):
        assert await ask(server, "RemoteStartTransaction", {"idTag": TAG}) == {"status": "Accepted"}
        await until(lambda: statuses(central) == ["Available", "Preparing", "Available"])
        assert central.payloads("StartTransaction") == []

    run(play, configuration={"ConnectionTimeOut": "0.1"})


def test_a_refused_card_starts_nothing():
    async def play(station, server, central):
        async def blocked(identity: str, payload: Payload) -> Payload:
            return {"idTagInfo": {"status": "Blocked"}}

        central.handlers["Authorize"] = blocked
        station.plug(1)
        assert await station.tap(1, TAG) == "Blocked"
        assert station.connectors[1].status == "Preparing"
        assert central.payloads("StartTransaction") == []

    run(play)


def test_a_transaction_that_the_central_system_refuses_is_stopped():
    async def play(station, server, central):
        async def refuse(identity: str, payload: Payload) -> Payload:
            return {"transactionId": 9, "idTagInfo": {"status": "Blocked"}}

        central.handlers["StartTransaction"] = refuse
        station.plug(1)
        await station.tap(1, TAG)
        await until(lambda: len(central.payloads("StopTransaction")) == 1)
        stop = central.payloads("StopTransaction")[0]
        assert (stop["transactionId"], stop["reason"]) == (9, "DeAuthorized")

    run(play)


def test_unplugging_ends_with_ev_disconnected_and_a_fault_with_other():
    async def play(station, server, central):
        await start_charging(station)
        station.unplug(1)
        await start_charging(station, 2)
        station.fail(2)
        await until(lambda: len(central.payloads("StopTransaction")) == 2)
        assert [p["reason"] for p in central.payloads("StopTransaction")] == ["EVDisconnected", "Other"]
        await until(lambda: statuses(central, 2)[-1:] == ["Faulted"])
        assert await station.tap(2, TAG) == "Blocked"
        station.repair(2)
        assert station.connectors[2].status == "Finishing"

    run(play)


def test_messages_of_an_offline_station_come_in_order_after_it_is_back():
    async def play(station, server, central):
        station.configuration.values["AllowOfflineTxForUnknownId"] = "true"
        station.go_offline()
        await station.wait_for(lambda s: not s.is_online)
        station.plug(1, Vehicle(capacity_kwh=Decimal(500)))
        assert await station.tap(1, TAG) == "Accepted"
        await station.wait_for(lambda s: len(s.outbox.messages) >= 4)
        await station.tap(1, TAG)
        assert central.payloads("StartTransaction") == []
        station.go_online()
        await station.wait_for(lambda s: s.is_online and not s.outbox.messages)
        sent = [
            action
            for action in central.actions(GENT)
            if action in ("StartTransaction", "MeterValues", "StopTransaction")
        ]
        assert sent[0] == "StartTransaction"
        assert sent[-1] == "StopTransaction"
        assert set(sent[1:-1]) == {"MeterValues"}
        assert central.payloads("StopTransaction")[0]["transactionId"] == 1001
        assert central.actions(GENT).count("BootNotification") == 1

    run(play)


def test_offline_cards_follow_the_local_list():
    async def play(station, server, central):
        entries = [
            {"idTag": "FLEET1", "idTagInfo": {"status": "Accepted"}},
            {"idTag": "GONE", "idTagInfo": {"status": "Accepted", "expiryDate": "2020-01-01T00:00:00Z"}},
        ]
        payload = {"listVersion": 3, "updateType": "Full", "localAuthorizationList": entries}
        assert await ask(server, "SendLocalList", payload) == {"status": "Accepted"}
        assert await ask(server, "GetLocalListVersion") == {"listVersion": 3}
        old = {"listVersion": 3, "updateType": "Differential", "localAuthorizationList": []}
        assert await ask(server, "SendLocalList", old) == {"status": "VersionMismatch"}
        station.go_offline()
        await station.wait_for(lambda s: not s.is_online)
        assert [await station.tap(1, tag) for tag in ("GUEST", "GONE", "FLEET1")] == [
            "Invalid",
            "Expired",
            "Accepted",
        ]

    run(play)


def test_a_store_that_was_down_gets_the_message_after_the_reconnect():
    async def play(station, server, central):
        central.is_store_down = True
        station.plug(1)
        station.connectors[1].permission = None
        station.state.local_list[TAG] = {"status": "Accepted"}
        station.configuration.values["LocalPreAuthorize"] = "true"
        assert await station.tap(1, TAG) == "Accepted"
        await station.wait_for(lambda s: s.link.closed_with == 1013)
        assert len(station.outbox.messages) >= 1
        assert central.payloads("StartTransaction") == []
        central.is_store_down = False
        await station.wait_for(lambda s: not s.outbox.messages)
        assert len(central.payloads("StartTransaction")) == 1
        assert station.connectors[1].transaction.transaction_id == 1001

    run(play, configuration={"MeterValueSampleInterval": "0"})


@pytest.mark.parametrize("keeps_message_ids", [False, True])
def test_lost_answers_make_the_station_send_again_and_give_one_transaction(keeps_message_ids):
    async def play(station, server, central):
        station.misbehaviour.keeps_message_ids = keeps_message_ids
        station.drop_next_answer("StartTransaction", times=4)
        station.plug(1)
        await station.tap(1, TAG)
        await station.wait_for(lambda s: s.connectors[1].transaction.transaction_id == 1001)
        assert station.link.sent["StartTransaction"] == 5
        handled = central.payloads("StartTransaction")
        assert len(handled) == (1 if keeps_message_ids else 5)
        assert all(payload == handled[0] for payload in handled)
        assert server.connection(GENT).counters["replays"] == (4 if keeps_message_ids else 0)
        assert len(central.transactions) == 1

    run(play, timing=Timing(tick=0.02, answer_timeout=0.1, reconnect_delays=(0.05,)))


def test_a_message_that_is_refused_three_times_is_given_up():
    async def play(station, server, central):
        async def fail(identity: str, payload: Payload) -> Payload:
            raise KeyError("bug")

        central.handlers["StartTransaction"] = fail
        station.plug(1)
        await station.tap(1, TAG)
        await station.wait_for(lambda s: len(s.outbox.dropped) >= 1)
        assert station.link.sent["StartTransaction"] == 3
        await station.tap(1, TAG)
        await station.wait_for(lambda s: not s.outbox.messages)
        assert central.payloads("StopTransaction") == []

    run(play)


def test_a_station_switched_off_continues_from_its_file(tmp_path: Path):
    async def scenario():
        central = MemoryCentral(GENT)
        path = tmp_path / "station.json"
        async with serving(central) as server:
            async with living(server, state_path=path) as station:
                await start_charging(station)
                await station.wait_for(lambda s: s.connectors[1].meter_wh > 1_000)
                await until(lambda: len(central.payloads("MeterValues")) >= 1)
            kept = json.loads(path.read_text())
            async with living(server, state_path=path) as station:
                await station.wait_for(lambda s: not s.outbox.messages)
                assert station.connectors[1].meter_wh == Decimal(kept["notes"]["meters"]["1"])
        assert [p["reason"] for p in central.payloads("StopTransaction")] == ["PowerLoss"]
        assert central.payloads("StopTransaction")[0]["transactionId"] == 1001

    asyncio.run(scenario())


def test_misbehaviours():
    async def play(station, server, central):
        station.misbehaviour.silent_to.add("RemoteStartTransaction")
        outcome = await server.call(GENT, "RemoteStartTransaction", {"idTag": TAG}, timeout_seconds=0.1)
        assert outcome.status == CallStatus.TIMEOUT
        station.misbehaviour.silent_to.clear()
        station.misbehaviour.rejects.add("RemoteStartTransaction")
        assert await ask(server, "RemoteStartTransaction", {"idTag": TAG}) == {"status": "Rejected"}
        station.misbehaviour.rejects.clear()

        station.misbehaviour.sends_start_twice = True
        await start_charging(station)
        await until(lambda: len(central.payloads("StartTransaction")) == 2)
        first, second = central.payloads("StartTransaction")
        assert first == second

        await station.wait_for(lambda s: not s.outbox.messages)
        station.crash()
        await station.wait_for(lambda s: s.is_registered)
        await until(lambda: len(central.connects) == 2)
        await until(lambda: statuses(central)[-1:] == ["Preparing"])
        assert central.actions(GENT).count("BootNotification") == 2
        assert central.payloads("StopTransaction") == []

    run(play)


def test_a_charging_profile_limits_and_zero_suspends():
    async def play(station, server, central):
        await start_charging(station, vehicle=Vehicle(capacity_kwh=Decimal(500), max_w=Decimal(20_000)))
        for limit_w, status in ((6_000, "Charging"), (0, "SuspendedEVSE")):
            payload = {"connectorId": 1, "csChargingProfiles": limit_profile(limit_w, "TxProfile")}
            assert await ask(server, "SetChargingProfile", payload) == {"status": "Accepted"}
            await station.wait_for(lambda s, w=limit_w: s.connectors[1].power_w == w)
            assert station.connectors[1].status == status
        composite = await ask(server, "GetCompositeSchedule", {"connectorId": 1, "duration": 600})
        assert composite["chargingSchedule"]["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 0}]
        assert await ask(server, "ClearChargingProfile", {"id": 8}) == {"status": "Unknown"}
        assert await ask(server, "ClearChargingProfile", {"id": 7}) == {"status": "Accepted"}
        await station.wait_for(lambda s: s.connectors[1].power_w == 20_000)

        station.misbehaviour.ignores_limits = True
        payload = {"connectorId": 0, "csChargingProfiles": limit_profile(1_000, "ChargePointMaxProfile")}
        assert await ask(server, "SetChargingProfile", payload) == {"status": "Accepted"}
        await asyncio.sleep(0.1)
        assert station.connectors[1].power_w == 20_000
        wrong = {"connectorId": 2, "csChargingProfiles": limit_profile(1_000, "TxProfile")}
        assert await ask(server, "SetChargingProfile", wrong) == {"status": "Rejected"}

    run(play)


def test_profiles_know_periods_amperes_and_validity():
    station = Station(GENT, "ws://127.0.0.1:1/ocpp", PASSWORD)
    store = station.state.profiles
    began = datetime(2026, 3, 14, 19, 0, tzinfo=UTC)
    profile = limit_profile(0) | {"validTo": "2026-03-14T21:00:00Z"}
    profile["chargingSchedule"] = {
        "chargingRateUnit": "A",
        "duration": 7_000,
        "chargingSchedulePeriod": [
            {"startPeriod": 0, "limit": Decimal(16)},
            {"startPeriod": 3_600, "limit": Decimal("6.5"), "numberPhases": 1},
        ],
    }
    store.put(0, profile)

    def limit(seconds: int) -> Decimal | None:
        return store.limit_w(1, now=began + timedelta(seconds=seconds), started_at=began)

    assert [limit(0), limit(3_599), limit(3_600), limit(6_999)] == [11_040, 11_040, 1_495, 1_495]
    assert [limit(7_000), limit(7_200)] == [None, None]
    assert store.changes_within(now=began, seconds=7_200, started_at=began) == [0, 3_600, 7_000]
    daily = limit_profile(5_000) | {"chargingProfileKind": "Recurring", "recurrencyKind": "Daily"}
    daily["chargingSchedule"] |= {"startSchedule": "2026-03-01T18:00:00Z", "duration": 7_200}
    store.put(1, daily)
    assert [limit(0), limit(3_600)] == [5_000, None]


def test_availability_reservation_and_unlock():
    async def play(station, server, central):
        await start_charging(station)
        off = {"connectorId": 0, "type": "Inoperative"}
        assert await ask(server, "ChangeAvailability", off) == {"status": "Scheduled"}
        await until(lambda: statuses(central, 2)[-1:] == ["Unavailable"])
        assert station.connectors[1].status == "Charging"
        reserve = {"connectorId": 2, "expiryDate": "2099-01-01T00:00:00Z", "idTag": "A", "reservationId": 5}
        assert await ask(server, "ReserveNow", reserve) == {"status": "Unavailable"}
        assert await ask(server, "UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
        await until(lambda: len(central.payloads("StopTransaction")) == 1)
        assert central.payloads("StopTransaction")[0]["reason"] == "UnlockCommand"
        await station.wait_for(lambda s: s.connectors[1].status == "Unavailable")
        assert await ask(server, "ChangeAvailability", {"connectorId": 0, "type": "Operative"}) == {
            "status": "Accepted"
        }

        assert await ask(server, "ReserveNow", reserve) == {"status": "Accepted"}
        await until(lambda: statuses(central, 2)[-1:] == ["Reserved"])
        assert await station.tap(2, TAG) == "Blocked"
        start = {"connectorId": 2, "idTag": TAG}
        assert await ask(server, "RemoteStartTransaction", start) == {"status": "Rejected"}
        assert await ask(server, "CancelReservation", {"reservationId": 4}) == {"status": "Rejected"}
        assert await ask(server, "CancelReservation", {"reservationId": 5}) == {"status": "Accepted"}
        soon = datetime.now(UTC) + timedelta(seconds=0.2)
        assert await ask(server, "ReserveNow", reserve | {"expiryDate": soon.isoformat()}) == {
            "status": "Accepted"
        }
        await station.wait_for(lambda s: s.connectors[2].status == "Available")
        assert await ask(server, "ReserveNow", reserve) == {"status": "Accepted"}
        station.plug(2)
        assert await station.tap(2, "A") == "Accepted"
        await until(lambda: central.payloads("StartTransaction")[-1].get("reservationId") == 5)

    run(play)


def test_configuration_is_read_and_changed():
    async def play(station, server, central):
        asked = await ask(server, "GetConfiguration", {"key": ["NumberOfConnectors", "Mood"]})
        assert asked == {
            "configurationKey": [{"key": "NumberOfConnectors", "readonly": True, "value": "2"}],
            "unknownKey": ["Mood"],
        }
        assert len((await ask(server, "GetConfiguration"))["configurationKey"]) == len(
            station.configuration.values
        )
        changes = {
            ("NumberOfConnectors", "9"): "Rejected",
            ("HeartbeatInterval", "often"): "Rejected",
            ("MeterValuesSampledData", "Energy.Active.Import.Register,Mood"): "Rejected",
            ("MeterValuesSampledData", "Energy.Active.Import.Register"): "Accepted",
            ("AuthorizationCacheEnabled", "perhaps"): "Rejected",
            ("Mood", "good"): "NotSupported",
            ("HeartbeatInterval", "1"): "Accepted",
        }
        for (key, value), status in changes.items():
            assert await ask(server, "ChangeConfiguration", {"key": key, "value": value}) == {
                "status": status
            }
        await until(lambda: len(central.payloads("Heartbeat")) == 1)
        outcome = await server.call(GENT, "GetLog", {"logType": "SecurityLog", "requestId": 1, "log": {
            "remoteLocation": "ftp://127.0.0.1/"}}, timeout_seconds=5)  # fmt: skip
        assert (outcome.status, outcome.error_code) == (CallStatus.REFUSED, "NotImplemented")

    run(play)


def test_a_new_authorization_key_is_used_from_the_next_connection_on():
    async def play(station, server, central):
        key = "0123456789ABCDEF0123"
        central.logins[GENT] = StationLogin(hash_password(key))
        change = {"key": "AuthorizationKey", "value": key}
        assert await ask(server, "ChangeConfiguration", change) == {"status": "Accepted"}
        await until(lambda: len(central.connects) == 2)
        assert station.link.refused_with is None

    run(play)


def test_triggers_and_resets():
    async def play(station, server, central):
        await start_charging(station)
        wanted = {
            "Heartbeat": "Accepted",
            "MeterValues": "Accepted",
            "StatusNotification": "Accepted",
            "BootNotification": "Accepted",
            "FirmwareStatusNotification": "NotImplemented",
        }
        before = len(central.messages)
        for message, status in wanted.items():
            assert await ask(server, "TriggerMessage", {"requestedMessage": message}) == {"status": status}
        nowhere = {"requestedMessage": "StatusNotification", "connectorId": 9}
        assert await ask(server, "TriggerMessage", nowhere) == {"status": "Rejected"}
        triggered = {"Heartbeat", "MeterValues", "StatusNotification", "BootNotification"}
        await until(lambda: {action for _, action, _ in central.messages[before:]} >= triggered)

        assert await ask(server, "Reset", {"type": "Soft"}) == {"status": "Accepted"}
        await until(lambda: len(central.payloads("StopTransaction")) == 1)
        assert central.payloads("StopTransaction")[0]["reason"] == "SoftReset"
        await until(lambda: central.actions(GENT).count("BootNotification") == 3)
        assert len(central.connects) == 1
        assert await ask(server, "Reset", {"type": "Hard"}) == {"status": "Accepted"}
        await until(lambda: len(central.connects) == 2)
        await until(lambda: central.actions(GENT).count("BootNotification") == 4)

    run(play, configuration={"MeterValueSampleInterval": "0"})


def test_a_pending_boot_is_repeated_until_it_is_accepted():
    async def scenario():
        central = MemoryCentral(GENT)
        boots = []

        async def pending(identity: str, payload: Payload) -> Payload:
            boots.append(payload)
            status = "Accepted" if len(boots) == 2 else "Pending"
            return {"status": status, "currentTime": NOW_TEXT, "interval": 1}

        central.handlers["BootNotification"] = pending
        async with serving(central) as server, living(server):
            assert len(boots) == 2

    asyncio.run(scenario())


def test_a_wrong_password_is_refused_and_tried_again_later():
    async def scenario():
        central = MemoryCentral()
        async with serving(central) as server:
            station = make_station(server)
            station.start()
            await station.wait_for(lambda s: s.link.refused_with == 401)
            central.logins[GENT] = StationLogin(PASSWORD_HASH)
            await station.wait_for(lambda s: s.is_registered)
            await station.stop()

    asyncio.run(scenario())


def test_a_program_without_a_loop_can_have_stations():
    async def begin() -> tuple[MemoryCentral, OcppServer, Station]:
        central = MemoryCentral(GENT)
        server = OcppServer(central)
        await server.start(host="127.0.0.1", port=0)
        station = make_station(server)
        station.start()
        return central, server, station

    async def tap(station: Station) -> str:
        station.plug(1)
        return await station.tap(1, TAG)

    with Background() as background:
        central, server, station = background.do(begin())
        background.do(station.wait_for(lambda s: s.is_registered))
        assert background.do(tap(station)) == "Accepted"
        background.do(
            station.wait_for(lambda s: s.connectors[1].status == "Charging" and not s.outbox.messages)
        )
        background.do(station.stop())
        background.do(server.stop())
    assert central.payloads("StartTransaction")[0]["idTag"] == TAG


def test_two_hundred_stations_boot_in_one_process_and_carry_traffic():
    async def scenario() -> tuple[float, Decimal]:
        identities = [f"DEPOT-{number:03}" for number in range(200)]
        central = MemoryCentral(*identities)
        async with serving(central) as server:
            timing = Timing(tick=0.25, answer_timeout=20, reconnect_delays=(1,))
            fleet = Fleet([make_station(server, name, timing=timing, speed=36_000) for name in identities])
            began = time.monotonic()
            await fleet.start()
            await fleet.wait_for_all(lambda s: s.is_registered)
            seconds = time.monotonic() - began
            assert server.identities == set(identities)
            assert len(central.payloads("BootNotification")) == 200
            drivers = asyncio.create_task(Traffic([TAG], arrivals_per_hour=0.5).run(fleet))
            await until(lambda: len(central.payloads("StopTransaction")) >= 20, within=30)
            drivers.cancel()
            await asyncio.gather(drivers, return_exceptions=True)
            energy_wh = fleet.energy_wh()
            assert fleet.statuses().total() == 400
            await fleet.stop()
            assert all(station.link.faults == [] for station in fleet.stations.values())
            return seconds, energy_wh

    seconds, energy_wh = asyncio.run(scenario())
    assert seconds < 60
    assert energy_wh > 0


def test_the_command_runs_a_fleet_for_a_while(monkeypatch, tmp_path: Path):
    async def begin() -> tuple[MemoryCentral, OcppServer]:
        central = MemoryCentral("YARD-001", "YARD-002")
        server = OcppServer(central)
        await server.start(host="127.0.0.1", port=0)
        return central, server

    out = StringIO()
    with Background() as background:
        central, server = background.do(begin())
        arguments = (
            f"--url=ws://127.0.0.1:{server.port}/ocpp --stations=2 --prefix=YARD --speed=36000 --id-tag={TAG}"
        )
        with pytest.raises(CommandError, match="SIMULATOR_PASSWORD"):
            call_command(simulate.Command(), *arguments.split())
        monkeypatch.setenv("SIMULATOR_PASSWORD", PASSWORD)
        options = [*arguments.split(), "--arrivals-per-hour=10", "--duration=2.5", f"--state-dir={tmp_path}"]
        call_command(simulate.Command(), *options, stdout=out)
        background.do(server.stop())
    assert len(central.payloads("BootNotification")) == 2
    assert len(central.payloads("StartTransaction")) >= 2
    assert "YARD-001 boot status=Accepted" in out.getvalue()
    assert re.search(r"delivered [1-9][0-9]*\.[0-9] kWh", out.getvalue())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["YARD-001.json", "YARD-002.json"]


def test_the_simulator_imports_nothing_of_the_product_but_itself():
    folder = Path(simulator.__file__).parent
    imported = {
        name
        for path in folder.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in imported_names(node)
        if name.split(".")[0] in PRODUCT
    }
    assert imported == {name for name in imported if name.startswith("chargers.simulator")}


def imported_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
