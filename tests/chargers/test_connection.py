import asyncio
import json
import random
from contextlib import suppress
from decimal import Decimal

import pytest
from websockets.exceptions import ConnectionClosed

from chargers.connection import CallRefused, Connection
from chargers.frames import ErrorCode, Payload
from chargers.limits import Limits
from chargers.outgoing import CallStatus, Priority
from chargers.schemas import SchemaViolation
from chargers.server import OcppServer, ServerOptions
from tests.chargers.support import NOW_TEXT, MemoryCentral, RawStation, dialled, serving, until

GENT = "GENT-NOORD-01"
START = {"connectorId": 1, "idTag": "DELIJN042", "meterStart": 120_500, "timestamp": NOW_TEXT}


def scenario(play, *, central: MemoryCentral | None = None, limits: Limits | None = None):
    """Run `play(server, station, central)` with one connected station."""

    async def run() -> None:
        store = central or MemoryCentral(GENT)
        async with (
            serving(store, ServerOptions(limits=limits or Limits())) as server,
            dialled(server, GENT) as station,
        ):
            await until(lambda: server.connection(GENT) is not None)
            await play(server, station, store)

    asyncio.run(run())


def meter_values(wh: int) -> Payload:
    sample = {"timestamp": NOW_TEXT, "sampledValue": [{"value": str(wh)}]}
    return {"connectorId": 1, "transactionId": 1001, "meterValue": [sample]}


def test_messages_of_a_station_are_handled_in_the_order_they_came():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        running, most = 0, 0

        async def slow(identity: str, payload: Payload) -> Payload:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(random.uniform(0, 0.01))
            central.messages.append((identity, "MeterValues", payload))
            running -= 1
            return {}

        central.handlers["MeterValues"] = slow
        for number in range(20):
            await station.send([2, f"m{number}", "MeterValues", meter_values(number)])
        answers = [await station.receive() for _ in range(20)]

        assert answers == [[3, f"m{number}", {}] for number in range(20)]
        values = [p["meterValue"][0]["sampledValue"][0]["value"] for p in central.payloads("MeterValues")]
        assert values == [str(number) for number in range(20)]
        assert most == 1

    scenario(play)


def test_the_answer_leaves_only_after_the_handler_has_stored():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        stored = asyncio.Event()

        async def storing(identity: str, payload: Payload) -> Payload:
            await stored.wait()
            return {"transactionId": 77, "idTagInfo": {"status": "Accepted"}}

        central.handlers["StartTransaction"] = storing
        await station.send([2, "s1", "StartTransaction", START])
        with pytest.raises(TimeoutError):
            await station.receive(within=0.15)
        stored.set()

        assert await station.receive() == [
            3,
            "s1",
            {"transactionId": 77, "idTagInfo": {"status": "Accepted"}},
        ]

    scenario(play)


def test_a_store_that_is_down_gives_no_answer_and_closes_1013():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        central.is_store_down = True
        await station.send([2, "s1", "StartTransaction", START])
        await station.send([2, "s2", "Heartbeat", {}])
        with pytest.raises(ConnectionClosed):
            await station.receive()

        assert station.websocket.close_code == 1013
        assert central.messages == []

    scenario(play)


def test_a_handler_that_refuses_or_breaks_is_answered_with_callerror():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        async def refuse(identity: str, payload: Payload) -> Payload:
            raise CallRefused(ErrorCode.SECURITY_ERROR, "not for this station")

        async def fail(identity: str, payload: Payload) -> Payload:
            raise KeyError("tariff")

        async def answer_nonsense(identity: str, payload: Payload) -> Payload:
            return {"currentTime": 7}

        central.handlers = {"Authorize": refuse, "DataTransfer": fail, "Heartbeat": answer_nonsense}
        broken = "the message could not be processed"

        assert await station.ask([2, "a", "Authorize", {"idTag": "A"}]) == [
            4, "a", "SecurityError", "not for this station", {},
        ]  # fmt: skip
        assert await station.ask([2, "b", "DataTransfer", {"vendorId": "be.x"}]) == [
            4,
            "b",
            "InternalError",
            broken,
            {},
        ]
        assert await station.ask([2, "c", "Heartbeat", {}]) == [4, "c", "InternalError", broken, {}]

    scenario(play)


def test_one_call_is_in_flight_and_the_most_urgent_leaves_next():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        def call(tag: str, priority: Priority) -> asyncio.Task:
            payload = {"vendorId": tag}
            return asyncio.create_task(
                server.call(GENT, "DataTransfer", payload, timeout_seconds=5, priority=priority)
            )

        tasks = [call("first", Priority.REST)]
        first = await station.receive()
        tasks += [
            call("rest", Priority.REST),
            call("start", Priority.START),
            call("safety", Priority.SAFETY),
            call("stop", Priority.STOP),
        ]
        with pytest.raises(TimeoutError):
            await station.receive(within=0.1)
        seen = [first[3]["vendorId"]]
        frame = first
        for _ in range(4):
            await station.send([3, frame[1], {"status": "Accepted"}])
            frame = await station.receive()
            seen.append(frame[3]["vendorId"])
        await station.send([3, frame[1], {"status": "Accepted"}])
        outcomes = await asyncio.gather(*tasks)

        assert seen == ["first", "safety", "stop", "start", "rest"]
        assert [outcome.status for outcome in outcomes] == [CallStatus.ANSWERED] * 5

    scenario(play)


def test_a_handler_may_await_a_call_to_the_same_station():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        outcomes = []

        async def boot(identity: str, payload: Payload) -> Payload:
            connection = server.connection(identity)
            assert connection is not None
            outcomes.append(await connection.call("GetConfiguration", {}, timeout_seconds=5))
            return {"status": "Accepted", "currentTime": NOW_TEXT, "interval": 60}

        central.handlers["BootNotification"] = boot
        await station.send(
            [2, "b", "BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "M1"}]
        )
        question = await station.receive(within=1)
        await station.send([3, question[1], {"unknownKey": ["Depth"]}])

        assert question[2:] == ["GetConfiguration", {}]
        assert (await station.receive(within=1))[:2] == [3, "b"]
        assert [outcome.payload for outcome in outcomes] == [{"unknownKey": ["Depth"]}]

    scenario(play)


def test_on_connect_runs_first_and_may_call_the_station():
    async def run() -> None:
        central = MemoryCentral(GENT)
        outcomes = []

        async def provision(connection: Connection) -> None:
            outcomes.append(await connection.call("ClearCache", {}, timeout_seconds=5))

        central.on_open = provision
        async with serving(central) as server, dialled(server, GENT) as station:
            await station.send([2, "h", "Heartbeat", {}])
            question = await station.receive()
            assert question[2] == "ClearCache"
            assert central.messages == []
            await station.send([3, question[1], {"status": "Accepted"}])
            assert await station.receive() == [3, "h", {"currentTime": NOW_TEXT}]
        assert [outcome.status for outcome in outcomes] == [CallStatus.ANSWERED]

    asyncio.run(run())


def test_outcomes_of_calls_say_what_happened():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        async def call(answer: list | None) -> tuple:
            task = asyncio.create_task(server.call(GENT, "Reset", {"type": "Soft"}, timeout_seconds=0.5))
            frame = await station.receive()
            if answer is not None:
                await station.send([answer[0], frame[1], *answer[1:]])
            outcome = await task
            return outcome.status, outcome.payload, outcome.error_code

        assert await call([3, {"status": "Accepted"}]) == (CallStatus.ANSWERED, {"status": "Accepted"}, "")
        assert await call([3, {"status": "Sure"}]) == (
            CallStatus.INVALID, {"status": "Sure"}, "PropertyConstraintViolation",
        )  # fmt: skip
        assert await call([4, "NotImplemented", "", {}]) == (CallStatus.REFUSED, {}, "NotImplemented")
        assert await call([4, "NotImplemented"]) == (CallStatus.REFUSED, {}, "NotImplemented")
        assert await call(None) == (CallStatus.TIMEOUT, {}, "")
        task = asyncio.create_task(server.call(GENT, "Reset", {"type": "Soft"}, timeout_seconds=5))
        await station.receive()
        waiting = asyncio.create_task(server.call(GENT, "ClearCache", {}, timeout_seconds=5))
        await asyncio.sleep(0.02)
        await station.websocket.close()
        assert (await task).status == CallStatus.LOST
        assert (await waiting).status == CallStatus.NOT_SENT
        assert (
            await server.call("NOWHERE", "ClearCache", {}, timeout_seconds=1)
        ).status == CallStatus.NOT_SENT

    scenario(play)


def test_a_call_whose_deadline_passes_in_the_queue_is_never_sent():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        first = asyncio.create_task(server.call(GENT, "ClearCache", {}, timeout_seconds=5))
        frame = await station.receive()
        outcome = await server.call(
            GENT, "RemoteStartTransaction", {"idTag": "A"}, timeout_seconds=0.1, priority=Priority.START
        )
        assert outcome.status == CallStatus.NOT_SENT
        taken_back = asyncio.create_task(server.call(GENT, "Reset", {"type": "Hard"}, timeout_seconds=5))
        await asyncio.sleep(0)
        taken_back.cancel()
        await station.send([3, frame[1], {"status": "Accepted"}])
        assert (await first).status == CallStatus.ANSWERED
        with pytest.raises(TimeoutError):
            await station.receive(within=0.1)

    scenario(play)


def test_before_send_runs_before_the_frame_and_can_take_the_call_back():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        marks = []

        async def mark() -> bool:
            marks.append("sent")
            return True

        async def too_late() -> bool:
            return False

        async def store_down() -> bool:
            raise OSError("no database")

        for hook in (too_late, store_down):
            outcome = await server.call(GENT, "ClearCache", {}, timeout_seconds=1, before_send=hook)
            assert outcome.status == CallStatus.NOT_SENT
        task = asyncio.create_task(server.call(GENT, "ClearCache", {}, timeout_seconds=1, before_send=mark))
        frame = await station.receive()
        assert marks == ["sent"]
        await station.send([3, frame[1], {"status": "Accepted"}])
        assert (await task).status == CallStatus.ANSWERED

    scenario(play)


def test_our_own_wrong_payload_is_raised_and_not_sent():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        with pytest.raises(SchemaViolation):
            await server.call(GENT, "RemoteStopTransaction", {"transactionId": "12"}, timeout_seconds=1)
        with pytest.raises(TimeoutError):
            await station.receive(within=0.05)

    scenario(play)


def test_a_late_answer_is_reported_and_unasked_ones_are_dropped():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        payload = {"idTag": "A", "connectorId": 1}
        outcome = await server.call(GENT, "RemoteStartTransaction", payload, timeout_seconds=0.05)
        frame = await station.receive()
        await station.send([3, frame[1], {"status": "Accepted"}])
        await station.send([3, frame[1], {"status": "Accepted"}])
        await station.send([3, "never-asked", {}])
        await station.send([4, "never-asked", "GenericError", "", {}])
        await until(lambda: len(central.late) == 1)
        connection = server.connection(GENT)

        assert outcome.status == CallStatus.TIMEOUT
        late = central.late[0]
        assert (late.message_id, late.action, late.request) == (frame[1], "RemoteStartTransaction", payload)
        assert (late.outcome.status, late.outcome.payload) == (CallStatus.ANSWERED, {"status": "Accepted"})
        assert await station.ask([2, "h", "Heartbeat", {}]) == [3, "h", {"currentTime": NOW_TEXT}]
        assert connection is not None
        assert (connection.counters["late"], connection.counters["bad_unasked"]) == (1, 3)

    scenario(play)


DEPTH_BOMB = '[2,"deep","DataTransfer",{"vendorId":"x","data":' + "[" * 5_000 + "]" * 5_000 + "}]"
LONG_INT = '[2,"long","StopTransaction",{"meterStop":' + "9" * 5_000 + ',"timestamp":"x","transactionId":1}]'
BIG_INT = {"meterStop": 2**70, "timestamp": NOW_TEXT, "transactionId": 1}


@pytest.mark.parametrize(
    ("frame", "message_id", "code"),
    [
        ("{not json", "-1", "FormationViolation"),
        ("", "-1", "FormationViolation"),
        ("[]", "-1", "FormationViolation"),
        ({"a": 1}, "-1", "FormationViolation"),
        ([9, "id9", "Heartbeat", {}], "id9", "FormationViolation"),
        ([True, "id9", "Heartbeat", {}], "id9", "FormationViolation"),
        ([2, 17, "Heartbeat", {}], "-1", "FormationViolation"),
        ([2, "x" * 37, "Heartbeat", {}], "-1", "FormationViolation"),
        ('[2,"\\ud800","Heartbeat",{}]', "-1", "FormationViolation"),
        ([2, "short", "Heartbeat"], "short", "FormationViolation"),
        ([2, "list", "Heartbeat", []], "list", "FormationViolation"),
        ([2, "nan", "Heartbeat", {"x": float("nan")}], "-1", "FormationViolation"),
        (DEPTH_BOMB, "-1", "FormationViolation"),
        (LONG_INT, "-1", "FormationViolation"),
        ([2, "u", "Teleport", {}], "u", "NotImplemented"),
        ([2, "p", "../../v201/schemas/BootNotificationRequest", {}], "p", "NotImplemented"),
        ([2, "d", "RemoteStartTransaction", {"idTag": "A"}], "d", "NotSupported"),
        ([2, "x", "Heartbeat", {"mood": 1}], "x", "FormationViolation"),
        ([2, "r", "Authorize", {}], "r", "ProtocolError"),
        ([2, "t", "Authorize", {"idTag": 5}], "t", "TypeConstraintViolation"),
        ([2, "l", "Authorize", {"idTag": "x" * 10_000}], "l", "TypeConstraintViolation"),
        ([2, "c", "Authorize", {"idTag": "AB\nCD"}], "c", "PropertyConstraintViolation"),
        ([2, "z", "DataTransfer", {"vendorId": "x\0"}], "z", "PropertyConstraintViolation"),
        ([2, "s", "DataTransfer", {"vendorId": "x\ud800"}], "s", "PropertyConstraintViolation"),
        ([2, "i", "StopTransaction", BIG_INT], "i", "PropertyConstraintViolation"),
        (
            [2, "e", "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Busy"}],
            "e",
            "PropertyConstraintViolation",
        ),
    ],
)
def test_a_bad_message_is_answered_and_the_connection_stays(frame, message_id, code):
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        answer = await station.ask(frame)
        assert (answer[0], answer[1], answer[2], answer[4]) == (4, message_id, code, {})
        assert 0 < len(answer[3]) <= 255
        assert await station.ask([2, "h", "Heartbeat", {}]) == [3, "h", {"currentTime": NOW_TEXT}]
        assert central.actions(GENT) == ["Heartbeat"]

    scenario(play)


def test_damaged_answers_are_counted_but_not_answered():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        for frame in ([3, 5, {}], [3, "x"], [4, "x"], [4, "x", "GenericError", 7]):
            await station.send(frame)
        assert await station.ask([2, "h", "Heartbeat", {}]) == [3, "h", {"currentTime": NOW_TEXT}]
        connection = server.connection(GENT)
        assert connection is not None
        assert connection.counters["bad_frame"] == 4

    scenario(play)


def test_the_twentieth_bad_message_in_a_minute_closes_1002():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        for number in range(19):
            assert (await station.ask("nonsense"))[0] == 4, number
        assert (await station.ask([2, "h", "Heartbeat", {}]))[0] == 3
        await station.send("nonsense")
        assert await station.closed() == 1002

    scenario(play)


def test_frames_that_are_too_large_or_binary_end_the_connection():
    async def run() -> None:
        async with serving(MemoryCentral(GENT)) as server:
            async with dialled(server, GENT) as station:
                largest = '[2,"h","Heartbeat",{}]'.ljust(65_536)
                assert (await station.ask(largest))[0] == 3
                await station.send(largest + " ")
                assert await station.closed() == 1009
            async with dialled(server, GENT) as station:
                await station.send(b'[2,"h","Heartbeat",{}]')
                assert await station.closed() == 1003

    asyncio.run(run())


def test_a_backlog_sent_one_by_one_is_slowed_and_never_closed():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(60):
            assert (await station.ask([2, str(number), "Heartbeat", {}]))[0] == 3
        assert 0.35 < loop.time() - began < 3
        assert len(central.messages) == 60

    scenario(play, limits=Limits(messages_per_second=100, burst=20))


def test_a_flood_is_throttled_and_then_closed():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        with suppress(ConnectionClosed):
            for number in range(2_000):
                await station.send([2, str(number), "Heartbeat", {}])
        assert await station.closed() == 1008
        assert len(central.messages) <= 61

    scenario(play)


def test_a_repeated_message_id_gets_the_stored_answer_and_is_not_handled_again():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        first = await station.ask([2, "s1", "StartTransaction", START])
        second = await station.ask([2, "s1", "StartTransaction", START])
        assert second == first == [3, "s1", {"transactionId": 1001, "idTagInfo": {"status": "Accepted"}}]
        assert central.actions(GENT) == ["StartTransaction"]
        other = await station.ask([2, "s1", "Heartbeat", {}])
        assert other == [3, "s1", {"currentTime": NOW_TEXT}]
        connection = server.connection(GENT)
        assert connection is not None
        assert (connection.counters["replays"], connection.counters["reused_ids"]) == (1, 1)

    scenario(play)


def test_a_stored_answer_is_forgotten_after_its_time():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        await station.ask([2, "s1", "Heartbeat", {}])
        await asyncio.sleep(0.06)
        await station.ask([2, "s1", "Heartbeat", {}])
        assert central.actions(GENT) == ["Heartbeat", "Heartbeat"]

    scenario(play, limits=Limits(replay_seconds=0.05))


def test_decimals_keep_their_digits_in_both_directions():
    async def play(server: OcppServer, station: RawStation, central: MemoryCentral) -> None:
        profile = json.loads(
            '{"chargingProfileId":1,"stackLevel":0,"chargingProfilePurpose":"TxDefaultProfile",'
            '"chargingProfileKind":"Relative","chargingSchedule":{"chargingRateUnit":"A",'
            '"chargingSchedulePeriod":[{"startPeriod":0,"limit":21.4}]}}',
            parse_float=Decimal,
        )
        payload = {"connectorId": 0, "csChargingProfiles": profile}
        task = asyncio.create_task(server.call(GENT, "SetChargingProfile", payload, timeout_seconds=5))
        text = await station.websocket.recv()
        assert '"limit":21.4}' in text
        await station.send([3, json.loads(text)[1], {"status": "Accepted"}])
        assert (await task).status == CallStatus.ANSWERED

    scenario(play)
