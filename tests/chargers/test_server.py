import asyncio
import re

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chargers.connection import StoreUnavailable
from chargers.frames import Payload
from chargers.logins import LoginLimits, StationLogin, read_basic
from chargers.outgoing import CallStatus
from chargers.passwords import canonical_password, hash_password
from chargers.server import OcppServer, ServerOptions
from tests.chargers.support import (
    NOW_TEXT,
    PASSWORD,
    PASSWORD_HASH,
    MemoryCentral,
    basic,
    dialled,
    serving,
    until,
)

GENT = "GENT-NOORD-01"
AALST = "AALST-02"


async def handshake(
    server: OcppServer,
    path: str,
    *,
    authorization: tuple[str, ...] = (),
    protocol: str | None = "ocpp1.6",
    upgrade: bool = True,
    local_host: str = "127.0.0.1",
    extra: tuple[str, ...] = (),
) -> bytes:
    """One raw handshake; the answer up to the end of its body, without the Date line."""
    lines = [f"GET {path} HTTP/1.1", "Host: gateway"]
    if upgrade:
        lines += ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    lines += [f"Authorization: {value}" for value in authorization]
    lines += [f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(local_host, 0))
    writer.write("\r\n".join([*lines, *extra, "", ""]).encode())
    head = await reader.readuntil(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    body = await reader.readexactly(int(length[1])) if length else b""
    writer.close()
    return re.sub(rb"Date: [^\r]*\r\n", b"", head) + body


def status_of(answer: bytes) -> int:
    return int(answer.split()[1])


def run(play, *, options: ServerOptions | None = None, identities: tuple[str, ...] = (GENT, AALST)) -> None:
    async def scenario() -> None:
        central = MemoryCentral(*identities)
        async with serving(central, options) as server:
            await play(server, central)

    asyncio.run(scenario())


def unlimited(**changes) -> ServerOptions:
    return ServerOptions(login_limits=LoginLimits(failures_per_minute=10_000), **changes)


def test_every_refused_login_gets_the_same_bytes():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        central.logins["TLS-ONLY"] = StationLogin(PASSWORD_HASH, requires_tls=True)
        good = basic(GENT, PASSWORD)
        answers = {
            await handshake(server, path, authorization=authorization)
            for path, authorization in [
                (f"/ocpp/{GENT}", ()),
                (f"/ocpp/{GENT}", (basic(GENT, "wrong"),)),
                (f"/ocpp/{GENT}", (basic(GENT, ""),)),
                (f"/ocpp/{GENT}", (good, good)),
                (f"/ocpp/{GENT}", ("Basic %%%",)),
                (f"/ocpp/{GENT}", (f"Bearer {PASSWORD}",)),
                (f"/ocpp/{GENT}", ("Basic ",)),
                (f"/ocpp/{GENT}", (basic(GENT, "x" * 5_000),)),
                (f"/ocpp/{GENT}", (basic(AALST, PASSWORD),)),
                (f"/ocpp/{AALST}", (good,)),
                ("/ocpp/NOBODY", (basic("NOBODY", PASSWORD),)),
                ("/ocpp/bad%00id", (basic("bad\0id", PASSWORD),)),
                ("/ocpp/" + "x" * 500, (good,)),
                ("/ocpp/", (basic("", PASSWORD),)),
                ("/ocpp/TLS-ONLY", (basic("TLS-ONLY", PASSWORD),)),
            ]
        }
        assert len(answers) == 1
        answer = answers.pop()
        assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert b'WWW-Authenticate: Basic realm="ocpp"' in answer
        assert b"Server:" not in answer
        assert (central.connects, central.messages, server.identities) == ([], [], frozenset())

    run(play, options=unlimited())


def test_refusals_take_the_same_time():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        cases = {
            "wrong": (f"/ocpp/{GENT}", (basic(GENT, "wrong"),)),
            "missing": (f"/ocpp/{GENT}", ()),
            "unknown": ("/ocpp/NOBODY", (basic("NOBODY", "wrong"),)),
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        clock = asyncio.get_running_loop().time
        for _ in range(15):
            for name, (path, authorization) in cases.items():
                began = clock()
                await handshake(server, path, authorization=authorization)
                times[name].append(clock() - began)
        # The fastest of each: what the machine does besides only ever adds.
        fastest = [min(values) for values in times.values()]
        assert max(fastest) - min(fastest) < 0.5 * min(fastest)
        assert server.logins.verifier.verifications == 45

    run(play, options=unlimited())


def test_requests_that_are_no_ocpp_handshake_are_refused_before_any_login():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        good = (basic(GENT, PASSWORD),)
        assert status_of(await handshake(server, "/", authorization=good)) == 404
        assert status_of(await handshake(server, f"/other/{GENT}", authorization=good)) == 404
        path = f"/ocpp/{GENT}"
        plain = await handshake(server, path, authorization=good, upgrade=False)
        assert status_of(plain) == 426
        assert b"Upgrade: websocket" in plain
        assert status_of(await handshake(server, path, authorization=good, protocol=None)) == 400
        assert status_of(await handshake(server, path, authorization=good, protocol="ocpp2.0.1")) == 400
        assert server.logins.verifier.verifications == 0
        accepted = await handshake(server, path, authorization=good, protocol="ocpp2.0.1, ocpp1.6")
        assert status_of(accepted) == 101
        assert b"Sec-WebSocket-Protocol: ocpp1.6\r\n" in accepted
        offer = ("Sec-WebSocket-Extensions: permessage-deflate",)
        assert b"deflate" not in await handshake(server, path, authorization=good, extra=offer)

    run(play)


def test_a_store_that_is_down_at_login_is_503():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        async def find_login(identity: str) -> StationLogin | None:
            raise StoreUnavailable

        central.find_login = find_login  # type: ignore[method-assign]  # a central system without database
        server.logins._find_login = find_login
        answer = await handshake(server, f"/ocpp/{GENT}", authorization=(basic(GENT, PASSWORD),))
        assert status_of(answer) == 503
        assert b"Retry-After: 30" in answer

    run(play)


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ("A1B2C3D4E5F60718293A", b"A1B2C3D4E5F60718293A"),
        ("A1B2C3D4E5F60718293A", b"a1b2c3d4e5f60718293a"),
        ("a1b2c3d4e5f60718293a", bytes.fromhex("a1b2c3d4e5f60718293a")),
        ("Wachtwoord:met:punten", b"Wachtwoord:met:punten"),
    ],
)
def test_a_key_may_come_as_hex_text_or_as_its_bytes(stored, sent):
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        central.logins[GENT] = StationLogin(hash_password(stored))
        async with dialled(server, GENT, password=sent) as station:
            assert (await station.ask([2, "h", "Heartbeat", {}]))[0] == 3

    run(play)


def test_text_passwords_keep_their_case():
    assert canonical_password(b"Wachtwoord") == "Wachtwoord"
    assert canonical_password(b"ABCDEF0123456789") == "abcdef0123456789"
    assert read_basic([basic(GENT, "a:b")]) == (GENT, "a:b")


def test_the_newest_connection_wins_and_the_old_ones_calls_fail():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        async with dialled(server, GENT) as old:
            await until(lambda: len(central.connects) == 1)
            in_flight = asyncio.create_task(server.call(GENT, "ClearCache", {}, timeout_seconds=30))
            queued = asyncio.create_task(server.call(GENT, "Reset", {"type": "Soft"}, timeout_seconds=30))
            await old.receive()
            async with dialled(server, GENT) as new:
                assert await old.closed() == 1008
                assert (await in_flight).status == CallStatus.LOST
                assert (await queued).status == CallStatus.NOT_SENT
                assert (await new.ask([2, "h", "Heartbeat", {}]))[0] == 3
                await until(lambda: len(central.disconnects) == 1)
                (_, first), (_, second) = central.connects
                assert central.disconnects == [(GENT, first)]
                assert first < second
                assert server.identities == {GENT}
                assert server.connection(GENT).epoch == second
        await until(lambda: len(central.disconnects) == 2)
        assert server.identities == frozenset()

    run(play)


def test_a_new_connection_waits_for_what_the_old_one_is_storing():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        order: list[str] = []

        async def storing(identity: str, payload: Payload) -> Payload:
            order.append("begins")
            await asyncio.sleep(0.3)
            order.append("ends")
            return {}

        central.handlers["MeterValues"] = storing
        sample = {"timestamp": NOW_TEXT, "sampledValue": [{"value": "1"}]}
        async with dialled(server, GENT) as old:
            await old.send([2, "m", "MeterValues", {"connectorId": 1, "meterValue": [sample]}])
            await until(lambda: order == ["begins"])
            async with dialled(server, GENT) as new:
                await new.send([2, "m", "MeterValues", {"connectorId": 1, "meterValue": [sample]}])
                assert await new.receive() == [3, "m", {}]
        assert order == ["begins", "ends", "begins", "ends"]

    run(play)


def test_three_takeovers_in_five_minutes_are_reported():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        for _ in range(4):
            async with dialled(server, GENT) as station, dialled(server, GENT):
                await station.closed()
        assert central.contested[0] == (GENT, 3)

    run(play)


def test_revocation_closes_within_a_second_and_keeps_the_station_out():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        async with dialled(server, GENT) as station:
            assert (await station.ask([2, "h", "Heartbeat", {}]))[0] == 3
            del central.logins[GENT]
            assert server.disconnect(GENT, reason="credentials revoked") is True
            assert await station.closed(within=1) == 1008
        with pytest.raises(InvalidStatus) as refusal:
            async with dialled(server, GENT):
                pass
        assert refusal.value.response.status_code == 401
        assert server.disconnect(GENT, reason="again") is False

    run(play)


def test_a_thousand_reconnects_cost_one_argon2_run():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        for _ in range(1_000):
            answer = await handshake(server, f"/ocpp/{GENT}", authorization=(basic(GENT, PASSWORD),))
            assert status_of(answer) == 101
        assert server.logins.verifier.verifications == 1
        central.logins[GENT] = StationLogin(hash_password("a new password"))
        assert (
            status_of(await handshake(server, f"/ocpp/{GENT}", authorization=(basic(GENT, PASSWORD),))) == 401
        )
        assert server.logins.verifier.verifications == 2

    run(play)


def test_guessing_is_slowed_while_the_real_charger_gets_in():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        async def guess(number: int) -> int:
            answer = await handshake(
                server,
                f"/ocpp/{GENT}",
                authorization=(basic(GENT, f"guess{number}"),),
                local_host="127.0.0.66",
            )
            return status_of(answer)

        guesses = [asyncio.create_task(guess(number)) for number in range(200)]
        await until(lambda: sum(task.done() for task in guesses) > 150)
        # From another address: its own slow lane, although the identity is under attack.
        async with dialled(server, GENT) as station:
            assert (await station.ask([2, "h", "Heartbeat", {}]))[0] == 3
        # Known by now: at once, even from the attacker's address.
        statuses = await asyncio.gather(*guesses)
        answer = await handshake(
            server, f"/ocpp/{GENT}", authorization=(basic(GENT, PASSWORD),), local_host="127.0.0.66"
        )
        assert status_of(answer) == 101
        # Ten at once, then one lane with room for three; the others are turned away unverified.
        assert statuses.count(401) + statuses.count(429) == 200
        assert statuses.count(401) <= 20
        assert server.logins.verifier.verifications == statuses.count(401) + 1
        # Others behind the attacker's address are slowed, not locked out.
        answer = await handshake(
            server, f"/ocpp/{AALST}", authorization=(basic(AALST, PASSWORD),), local_host="127.0.0.66"
        )
        assert status_of(answer) == 101

    run(play, options=ServerOptions(login_limits=LoginLimits(slow_seconds=0.1)))


def test_sockets_beyond_the_cap_are_dropped_before_the_handshake():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(10)]
        reader, _ = idle[-1]
        # Five may stay: the others are cut without an answer.
        await until(lambda: server.census.refused == 5)
        with pytest.raises((ConnectionError, AssertionError)):
            assert await reader.read(1)
        assert status_of(await handshake(server, "/", local_host="127.0.0.9")) == 404
        for _, writer in idle:
            writer.close()
        await until(lambda: len(server.census.sockets) == 0)
        assert status_of(await handshake(server, "/")) == 404

    run(play, options=ServerOptions(max_connections_per_address=5))


def test_forwarding_headers_count_only_from_a_trusted_proxy():
    headers = ("X-Forwarded-For: 198.51.100.7, 203.0.113.9", "X-Forwarded-Proto: https")

    def scenario(trusted: frozenset[str]) -> int:
        statuses = []

        async def play(server: OcppServer, central: MemoryCentral) -> None:
            central.logins[GENT] = StationLogin(PASSWORD_HASH, requires_tls=True)
            login = (basic(GENT, PASSWORD),)
            statuses.append(
                status_of(await handshake(server, f"/ocpp/{GENT}", authorization=login, extra=headers))
            )

        run(play, options=ServerOptions(trusted_proxies=trusted))
        return statuses[0]

    assert scenario(frozenset({"127.0.0.1"})) == 101
    assert scenario(frozenset()) == 401


def test_stopping_lets_a_running_handler_finish_and_answer():
    async def scenario() -> None:
        central = MemoryCentral(GENT)
        begun = asyncio.Event()

        async def storing(identity: str, payload: Payload) -> Payload:
            begun.set()
            await asyncio.sleep(0.1)
            return {"currentTime": NOW_TEXT}

        central.handlers["Heartbeat"] = storing
        async with serving(central) as server, dialled(server, GENT) as station:
            await station.send([2, "h", "Heartbeat", {}])
            await begun.wait()
            await server.stop()
            assert await station.receive() == [3, "h", {"currentTime": NOW_TEXT}]
            with pytest.raises(ConnectionClosed):
                await station.receive()
            assert station.websocket.close_code == 1001
        assert [identity for identity, _ in central.disconnects] == [GENT]

    asyncio.run(scenario())


def test_three_hundred_sockets_without_a_handshake_do_not_keep_a_station_out():
    async def play(server: OcppServer, central: MemoryCentral) -> None:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(300)]
        async with connect(
            f"ws://127.0.0.1:{server.port}/ocpp/{GENT}",
            subprotocols=["ocpp1.6"],
            additional_headers={"Authorization": basic(GENT, PASSWORD)},
            proxy=None,
        ) as websocket:
            assert websocket.subprotocol == "ocpp1.6"
        for _, writer in idle:
            writer.close()

    run(play)
