"""What the way through the hub costs: the same requests to the same target, directly and through it, at an even pace.

Then again while requests for another target, which takes them and never answers, come in between.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import connection

from bench.fanout import Partners
from bench.load import http_request
from bench.seed import Seed
from bench.servers import serving
from bench.table import Row, number
from ocpi.headers import PartyId, authorization, routing_headers
from roaming.models import Agreement, CredentialsToken, Endpoint, Party, Platform
from roaming.secrets import write_outbound_token

PER_SECOND = 50
HANGING_PER_SECOND = 20
PATH = "/ocpi/2.2.1/sender/locations/LOC1"
SUCCESS = b'"status_code":1000'


@dataclass
class Pace:
    """Requests at an even pace on kept connections: seconds of each from when it was due, and how many succeeded."""

    port: int
    request: bytes
    latencies: list[float] = field(default_factory=list)
    successes: int = 0
    _free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def run(self, *, per_second: int, seconds: float) -> None:
        """Send all, whatever becomes of those before, and wait for the answers."""
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for turn in range(int(per_second * seconds)):
                due = began + turn / per_second
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                group.create_task(self._one(due))
        while self._free:
            self._free.pop()[1].close()

    async def _one(self, due: float) -> None:
        pair = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = pair
        writer.write(self.request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        at = head.index(b"content-length:") + 15
        body = await reader.readexactly(int(head[at : head.index(b"\r", at)]))
        self.latencies.append(time.perf_counter() - due)
        self.successes += SUCCESS in body
        self._free.append(pair)

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the requests was answered."""
        return sorted(self.latencies)[int(len(self.latencies) * share)] * 1000


def measure(seed: Seed, *, quick: bool, now: datetime) -> Iterator[Row]:  # one face for all parts
    """Yield the lines of the hub."""
    seconds = 6.0 if quick else 20.0
    targets = Partners()
    try:
        with _hub(seed, targets.ports[:2]), serving("hub", "config.wsgi:application") as server:
            yield from _measured(seed, targets, server.port, seconds)
    finally:
        targets.close()


def _measured(seed: Seed, targets: Partners, port: int, seconds: float) -> Iterator[Row]:
    lively, hanging = targets.ports[:2]
    request = http_request("GET", PATH, headers=_headers(seed, "T00"))
    asyncio.run(Pace(port, request).run(per_second=PER_SECOND, seconds=2))
    direct, through = Pace(lively, request), Pace(port, request)
    asyncio.run(_side_by_side(direct, through, seconds))
    added = through.percentile(0.5) - direct.percentile(0.5)
    yield _row(f"hub: added to a call at {PER_SECOND}/s, p50", added, through, seconds, goal=5.0)
    yield _row("the same, p99", through.percentile(0.99) - direct.percentile(0.99), through, seconds)
    targets.tell(f"hang {hanging}")
    beside = Pace(port, request)
    stuck = Pace(port, http_request("GET", PATH, headers=_headers(seed, "T01")))
    held = asyncio.run(_while_one_hangs(beside, stuck, seconds))
    targets.tell("release")
    moved = beside.percentile(0.5) - through.percentile(0.5)
    yield _row(
        f"the same while another target hangs, {HANGING_PER_SECOND}/s aimed at it, p50 moves by", moved, beside,
        seconds, goal=5.0,
    )  # fmt: skip
    yield _row("the same, p99", beside.percentile(0.99) - through.percentile(0.99), beside, seconds)
    yield Row(job="database connections of two workers meanwhile", ours=str(held), goal="–", met=None)


async def _side_by_side(direct: Pace, through: Pace, seconds: float) -> None:
    """In turns of a second, so that both meet the same noise."""
    for _ in range(int(seconds)):
        await direct.run(per_second=PER_SECOND, seconds=1)
        await through.run(per_second=PER_SECOND, seconds=1)


async def _while_one_hangs(beside: Pace, stuck: Pace, seconds: float) -> int:
    """The number of connections in the database in the middle of it, this process's own left out."""

    async def look() -> int:
        await asyncio.sleep(seconds / 2)
        return await asyncio.to_thread(_connections)

    looking = asyncio.create_task(look())
    await asyncio.gather(
        beside.run(per_second=PER_SECOND, seconds=seconds),
        stuck.run(per_second=HANGING_PER_SECOND, seconds=seconds),
    )
    return await looking


def _connections() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        found: int = cursor.fetchone()[0]
    connection.close()
    # The main thread of this process holds one as well.
    return found - 1


def _row(job: str, milliseconds: float, pace: Pace, seconds: float, goal: float | None = None) -> Row:
    if pace.successes < len(pace.latencies):
        raise RuntimeError(f"{len(pace.latencies) - pace.successes} of {len(pace.latencies)} requests failed")
    return Row(
        job=job, ours=f"{number(milliseconds)} ms", goal=f"< {goal:g} ms" if goal else "–",
        met=milliseconds < goal if goal else None, seen=number(len(pace.latencies) / seconds),
    )  # fmt: skip


def _headers(seed: Seed, party_id: str) -> dict[str, str]:
    to, from_ = PartyId("NL", party_id), seed.reader.ocpi_id
    return {"Authorization": authorization(seed.token)} | routing_headers(to=to, from_=from_)


@contextlib.contextmanager
def _hub(seed: Seed, ports: list[int]) -> Iterator[None]:
    """Make this installation a hub with CPOs at these ports, each with an agreement with the reader."""
    hub = Party.objects.create(role="HUB", country_code="DE", party_id="HUB", name="Hub")
    made: list[Any] = []
    for index, port in enumerate(ports):
        cpo = _cpo(f"T{index:02}", port)
        one, other = sorted((seed.reader, cpo), key=lambda party: party.pk)
        made.append((Agreement.objects.create(one=one, other=other), cpo))
    try:
        yield
    finally:
        for agreement, cpo in made:
            agreement.delete()
            cpo.delete()
            CredentialsToken.objects.filter(platform=cpo.platform).delete()
            cpo.platform.delete()
        hub.delete()


def _cpo(party_id: str, port: int) -> Party:
    platform = Platform.objects.create(
        name=f"Target {party_id}", status=Platform.Status.CONNECTED, version="2.2.1",
        approved_hosts=[f"127.0.0.1:{port}"],
    )  # fmt: skip
    write_outbound_token(platform, f"token-for-{party_id}")
    platform.save()
    Endpoint.objects.create(
        platform=platform, module="locations", role="SENDER", url=f"http://127.0.0.1:{port}/ocpi/locations"
    )
    return Party.objects.create(
        platform=platform, role="CPO", country_code="NL", party_id=party_id, name=platform.name
    )
