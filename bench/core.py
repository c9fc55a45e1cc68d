"""The work inside, without HTTP: a card at a reader, a status, a price, a CDR.

Rates are per second of processor time, ours and the database's together: "on one core" whatever else the machine
does at the moment. Each job is done in short turns, ours and bare one after the other.
"""

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count, cycle
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.utils import timezone

from access.models import Decision
from bench.replay import Recording
from bench.seed import CARD, EVSES, PERIODS, ZONE, Seed
from bench.servers import cpu_seconds
from bench.table import Row, rate, share
from cdrs.models import CDR
from cdrs.services import seal
from charging.authorize import tap
from locations.models import EVSE
from locations.services import report_status
from ocpi import codec, v221
from sessions.models import Session
from tariffs.pricing import price

TURNS = 6


def measure(seed: Seed, *, quick: bool, now: datetime) -> Iterator[Row]:
    """Yield the lines of the core."""
    seconds = 0.3 if quick else 1.0
    with psycopg.connect(settings.DATABASE_URL, autocommit=True) as bare:
        yield _authorize(seed, bare, seconds)
        yield _status(seed, bare, seconds)
    yield _price(seconds)
    yield _seal(100 if quick else 400, now)


def _authorize(seed: Seed, bare: psycopg.Connection[Any], seconds: float) -> Row:
    """A whitelisted card at a reader: whose it is, what the grants say, the receipt, the answer."""
    station = EVSE.objects.filter(location=seed.shared[0]).order_by("id")[0].station_identity

    def work() -> None:
        answer = tap(station_identity=station, id_tag=CARD, now=timezone.now())
        if answer.status != "Accepted":
            raise RuntimeError(f"the card was answered {answer.status}")

    recording = Recording.of(work)
    reference = Decision.objects.order_by("-id")[0].ref.encode()
    fresh = (b"b-%010d" % number for number in count(time.time_ns() // 1_000_000 % 10**9))
    ours, theirs = side_by_side(
        work, lambda: recording.replay(bare, instead=(reference, next(fresh))), bare, seconds
    )
    return share("authorize: a card at the reader", ours=ours, bare=theirs, of_bare=0.5)


def _status(seed: Seed, bare: psycopg.Connection[Any], seconds: float) -> Row:
    """A bay changes its status: its row, the views of 20 partners and what they are owed, in one transaction."""
    bays = list(
        EVSE.objects.filter(location__in=seed.shared)
        .order_by("id")
        .values_list("station_identity", flat=True)
    )
    changes = cycle(
        [(bay, status) for status in (v221.Status.CHARGING, v221.Status.AVAILABLE) for bay in bays]
    )

    def work() -> None:
        bay, status = next(changes)
        now = timezone.now()
        report_status(station_identity=bay, ocpp_connector=1, status=status, at=now, now=now)

    # As many as there are bays and back again: each replayed one finds the state that it was recorded in.
    recordings = cycle([Recording.of(work) for _ in range(2 * len(seed.shared) * EVSES)])
    ours, theirs = side_by_side(work, lambda: next(recordings).replay(bare), bare, seconds)
    return rate("EVSE status: row, views of 20 partners, outbox", per_second=ours, bare=theirs, goal=300)


def _price(seconds: float) -> Row:
    session = Session.objects.filter(status="COMPLETED").order_by("created_at")[0]
    tariffs = codec.decode_bytes(tuple[v221.Tariff, ...], bytes(session.tariffs))
    periods = codec.decode_bytes(tuple[v221.ChargingPeriod, ...], bytes(session.charging_periods))
    if len(periods) != PERIODS or session.ended_at is None:
        raise RuntimeError(f"the session has {len(periods)} periods")
    end = session.ended_at

    def work() -> None:
        price(tariffs=tariffs, charging_periods=periods, start=session.started_at, end=end, time_zone=ZONE)

    per_second = max(_turn(work, seconds / 2, time.process_time) for _ in range(TURNS))
    return rate("price one CDR of 20 periods", per_second=per_second, goal=2000)


def _seal(most: int, now: datetime) -> Row:
    """Price, build, lint, hash, rows: for sessions that are finished and were never sealed."""
    waiting = Session.objects.filter(status="COMPLETED", cdrs=None).order_by("created_at", "id")
    sessions = list(waiting.select_related("evse", "own_party", "party")[:most])
    began, sealed = _spent(connection.connection), 0
    for session in sessions:
        made = seal(session=session, station_key=f"{session.evse.station_identity}/1/{CARD}", now=now)
        if not isinstance(made, CDR):
            raise RuntimeError(f"not sealed: {made.reasons}")  # noqa: TRY004  # a fault of the bench, not of a type
        sealed += 1
    per_second = sealed / (_spent(connection.connection) - began)
    return rate("seal one CDR of 20 periods", per_second=per_second, goal=200)


def side_by_side(
    ours: Callable[[], None], theirs: Callable[[], None], bare: psycopg.Connection[Any], seconds: float
) -> tuple[float, float]:
    """Rates per second of processor time, from turns that meet the same noise; the first ones only warm up."""
    ours()
    mine = connection.connection
    done, spent = [0, 0], [0.0, 0.0]
    for turn in range(TURNS + 1):
        for side, (work, link) in enumerate(((ours, mine), (theirs, bare))):
            began, number = _spent(link), 0
            stop = time.monotonic() + seconds
            while time.monotonic() < stop:
                work()
                number += 1
            if turn:
                done[side] += number
                spent[side] += _spent(link) - began
    return done[0] / spent[0], done[1] / spent[1]


def _turn(work: Callable[[], None], seconds: float, clock: Callable[[], float]) -> float:
    began, number = clock(), 0
    while clock() - began < seconds:
        work()
        number += 1
    return number / (clock() - began)


def _spent(link: Any) -> float:
    """Processor time of this process and of its server process behind a connection."""
    return time.process_time() + cpu_seconds(link.info.backend_pid)
