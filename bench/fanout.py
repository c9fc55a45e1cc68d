"""Statuses on their way to 20 partners: how many per second one sender takes, and what one partner that hangs does.

The sender is the product's own process (`manage.py sweep`), the partners are sockets in a process of their own.
"""

import contextlib
import json
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import cycle
from typing import Any

from django.utils import timezone

from bench.partners import Note
from bench.seed import PARTNERS, Seed
from bench.table import Row, number, rate
from config.datadir import ROOT
from locations.models import EVSE
from locations.services import report_status
from ocpi import v221
from roaming.delivery.models import Attempt, Lane, Obligation
from roaming.models import Endpoint, Platform

PATIENCE_SECONDS = 60.0
CHANGES_PER_SECOND = 50
STATUSES = (v221.Status.CHARGING, v221.Status.AVAILABLE)


@dataclass(frozen=True)
class Change:
    """One status of one bay, and when it was committed."""

    uid: str
    status: str
    at: float


class Partners:
    """The process of the partners, and what they were told."""

    def __init__(self, count: int = PARTNERS) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.partners", str(count)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self.ports: list[int] = json.loads(self._read())

    def tell(self, line: str) -> None:
        """Send a command."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def take(self) -> list[Note]:
        """What has come since the last time."""
        self.tell("take")
        return [tuple(note) for note in json.loads(self._read())]

    def wait_for(self, count: int) -> list[Note]:
        """All of so many requests. Raises RuntimeError when they do not come."""
        notes: list[Note] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(notes) < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(notes)} of {count} deliveries came within {PATIENCE_SECONDS:.0f} s")
            time.sleep(0.1)
            notes += self.take()
        return notes

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(10)

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def sender() -> Iterator[None]:
    """The one process that an installation cannot do without."""
    process = subprocess.Popen([sys.executable, "-W", "ignore", "manage.py", "sweep"], cwd=ROOT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
        # One that waits for a partner that hangs ends with its deadline; killing it loses nothing.
        process.kill()
        process.wait()


def measure(seed: Seed, *, quick: bool, now: datetime) -> Iterator[Row]:  # one face for all parts
    """Yield the lines of delivery."""
    partners = Partners()
    try:
        _connect(seed, partners)
        per_second = _burst(seed, partners, rounds=1 if quick else 3)
        yield rate("fan-out in order, 20 partners, one process", per_second=per_second, goal=1400)
        seconds, turns = (5, 1) if quick else (8, 2)
        yield _steady(seed, partners, seconds=seconds * turns)
        # Half of what this machine takes: beyond it nothing is seen but its queue.
        pace = min(CHANGES_PER_SECOND, per_second / PARTNERS / 2)
        yield _beside_hanging(seed, partners, pace=pace, seconds=seconds, turns=turns)
    finally:
        partners.close()


def _connect(seed: Seed, partners: Partners) -> None:
    for partner, port in zip(seed.partners, partners.ports, strict=True):
        url = f"http://127.0.0.1:{port}/ocpi/2.2.1"
        for endpoint in Endpoint.objects.filter(platform=partner.platform):
            Endpoint.objects.filter(pk=endpoint.pk).update(url=f"{url}/{endpoint.module}")
        Platform.objects.filter(parties=partner).update(approved_hosts=[f"127.0.0.1:{port}"])


def _forget() -> None:
    """Owe nothing to anybody, and let no lane remember what happened."""
    Attempt.objects.all().delete()
    Obligation.objects.filter(kind="evse").delete()
    Lane.objects.all().delete()


def _bays(seed: Seed) -> list[tuple[str, str]]:
    rows = EVSE.objects.filter(location__in=seed.shared).order_by("ocpp_connector", "id")
    return list(rows.values_list("station_identity", "uid"))


def _changer(seed: Seed) -> Callable[[], Change]:
    changes = cycle([(bay, status) for status in STATUSES for bay in _bays(seed)])

    def change() -> Change:
        (station, uid), status = next(changes)
        now = timezone.now()
        report_status(station_identity=station, ocpp_connector=1, status=status, at=now, now=now)
        return Change(uid, status.value, time.monotonic())

    return change


def _settled(seed: Seed) -> None:
    """Bring all bays to the status that a round begins from."""
    change = _changer(seed)
    for _ in range(2 * len(_bays(seed))):
        change()
    _forget()


def _burst(seed: Seed, partners: Partners, *, rounds: int) -> float:
    """Every bay changes; then one sender starts, and what arrives per second is counted and must be in order."""
    rates = []
    bays = _bays(seed)
    for _ in range(rounds):
        _settled(seed)
        change = _changer(seed)
        partners.take()
        with sender():
            # The first change of each bay goes out as a whole; what is measured is the usual case, a PATCH.
            told = [change() for _ in bays]
            partners.wait_for(len(told) * PARTNERS)
            time.sleep(1.5)
        told = [change() for _ in bays]
        with sender():
            notes = partners.wait_for(len(told) * PARTNERS)
        _require_order(told, notes)
        arrivals = sorted(note[1] for note in notes)
        rates.append((len(arrivals) - 1) / (arrivals[-1] - arrivals[0]))
    return statistics.median(rates)


def _require_order(told: list[Change], notes: list[Note]) -> None:
    """Each partner must have got every change once, in the order in which they were made."""
    by_port: dict[int, list[str]] = defaultdict(list)
    for port, _, target, _ in sorted(notes, key=lambda note: note[1]):
        if not target.startswith("PATCH "):
            raise RuntimeError(f"not a PATCH: {target}")
        by_port[port].append(target.rpartition("/")[2])
    wanted = [change.uid for change in told]
    for port, uids in by_port.items():
        if uids != wanted:
            raise RuntimeError(f"the partner at port {port} was told in another order")


def _steady(seed: Seed, partners: Partners, *, seconds: int) -> Row:
    """50 changes per second."""
    p95 = _p95(_latencies(seed, partners, CHANGES_PER_SECOND, seconds, None))
    return Row(
        job=f"status to 20 partners at {CHANGES_PER_SECOND} changes/s, p95",
        ours=f"{p95:.2f} s",
        goal="< 2 s",
        met=p95 < 2,
    )


def _beside_hanging(seed: Seed, partners: Partners, *, pace: float, seconds: int, turns: int) -> Row:
    """In turns with and without a partner that takes requests and never answers."""
    quiet: list[float] = []
    hanging: list[float] = []
    for _ in range(turns):
        quiet += _latencies(seed, partners, pace, seconds, None)
        hanging += _latencies(seed, partners, pace, seconds, partners.ports[-1])
    before, after = _p95(quiet), _p95(hanging)
    return Row(
        job=f"status to 19 partners at {pace:.0f} changes/s, p95, while the 20th hangs",
        ours=f"{before:.2f} s, then {after:.2f} s ({number(100 * (after / before - 1))} %)",
        goal="moves by < 10 %",
        met=after < before * 1.1,
    )


def _latencies(seed: Seed, partners: Partners, pace: float, seconds: int, hanging: int | None) -> list[float]:
    """Seconds from each commit to its arrival at each partner but the last one."""
    _settled(seed)
    change = _changer(seed)
    partners.take()
    if hanging is not None:
        partners.tell(f"hang {hanging}")
    with sender():
        _pace(change, pace, seconds=3)
        partners.take()
        told = _pace(change, pace, seconds=seconds)
        time.sleep(3)
    partners.tell("release")
    return _matched(told, [note for note in partners.take() if note[0] != partners.ports[-1]])


def _pace(change: Callable[[], Change], pace: float, *, seconds: int) -> list[Change]:
    began, told = time.monotonic(), []
    for turn in range(int(pace * seconds)):
        time.sleep(max(0.0, began + turn / pace - time.monotonic()))
        told.append(change())
    return told


def _matched(told: list[Change], notes: list[Note]) -> list[float]:
    """Of every change, when each partner had learned it: with this request or, overtaken by a newer one, the next."""
    arrivals: dict[tuple[int, str], list[tuple[float, str]]] = defaultdict(list)
    for port, at, target, status in notes:
        arrivals[port, target.rpartition("/")[2]].append((at, status))
    found = []
    ports = {note[0] for note in notes}
    for each in told:
        for port in ports:
            later = [at for at, _ in arrivals[port, each.uid] if at >= each.at]
            if later:
                found.append(min(later) - each.at)
    if len(found) < 0.9 * len(told) * len(ports):
        raise RuntimeError(f"{len(found)} of {len(told) * len(ports)} changes arrived")
    return found


def _p95(values: list[float]) -> Any:
    return sorted(values)[int(len(values) * 0.95)]
