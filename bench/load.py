"""A small HTTP load generator: one thread, kept connections, interleaved rounds, medians.

It costs a few tens of microseconds per request, so that what it measures is the server and not itself.
"""

import contextlib
import select
import socket
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

SCRATCH_BYTES = 1 << 18
# No answer for so long: something is broken, and the run must end.
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Target:
    """One server under test: how its n-th request looks, and how many seconds of CPU it has used so far."""

    name: str
    port: int
    request: Callable[[int], bytes]
    cpu_seconds: Callable[[], float]


@dataclass
class Round:
    """What one round of one target gave."""

    latencies: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


@dataclass(frozen=True)
class Figure:
    """What the rounds of one target gave together.

    `per_second`: requests as they were answered, median of the rounds; `per_core`: requests per second of processor
    time that the target used.
    """

    name: str
    per_second: float
    per_core: float
    p50_ms: float


def http_request(method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """The bytes of one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


class _Connection:
    """One kept connection: sends a request, reads its answer, and says when that is complete."""

    def __init__(self, target: Target) -> None:
        self.socket = socket.create_connection(("127.0.0.1", target.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._target = target
        self._head = b""
        self._missing = -1
        self.began = 0.0

    def send(self, number: int) -> None:
        self._head, self._missing, self.began = b"", -1, time.perf_counter()
        self.socket.sendall(self._target.request(number))

    def read(self, scratch: bytearray) -> bool:
        """Take in what has come; True when the answer is complete. Raises RuntimeError for a bad answer."""
        got = self.socket.recv_into(scratch)
        if not got:
            raise RuntimeError(f"{self._target.name} closed the connection")
        if self._missing < 0:
            self._head += bytes(scratch[:got])
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            self._missing = _length(self._target.name, self._head, end) + end + 4 - len(self._head)
        else:
            self._missing -= got
        return self._missing == 0


def _length(name: str, head: bytes, end: int) -> int:
    if head[9:11] != b"20":
        raise RuntimeError(f"{name} answered {head[: end + 400]!r}")
    fields = head[:end].lower()
    at = fields.index(b"content-length:") + 15
    stop = fields.find(b"\r\n", at)
    return int(fields[at : stop if stop >= 0 else None])


def fetch(port: int, request: bytes) -> bytes:
    """The body of the answer to one request."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        received = b""
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += connection.recv(SCRATCH_BYTES)
        length = _length(f"port {port}", received, end)
        while len(received) < end + 4 + length:
            received += connection.recv(SCRATCH_BYTES)
    return received[end + 4 :]


def run_round(target: Target, *, seconds: float, connections: int, numbers: Iterator[int]) -> Round:
    """Load one target for a while; requests that are under way at the end are waited for and counted."""
    result, scratch = Round(), bytearray(SCRATCH_BYTES)
    with contextlib.ExitStack() as stack:
        open_by_fd = {}
        poll = stack.enter_context(select.epoll())
        for _ in range(connections):
            connection = _Connection(target)
            stack.callback(connection.socket.close)
            open_by_fd[connection.socket.fileno()] = connection
            poll.register(connection.socket.fileno(), select.EPOLLIN)
        cpu, began = target.cpu_seconds(), time.perf_counter()
        stop = began + seconds
        for connection in open_by_fd.values():
            connection.send(next(numbers))
        running = connections
        while running:
            events = poll.poll(PATIENCE_SECONDS)
            if not events:
                raise RuntimeError(f"{target.name} did not answer for {PATIENCE_SECONDS:.0f} s")
            for fd, _ in events:
                connection = open_by_fd[fd]
                if not connection.read(scratch):
                    continue
                ended = time.perf_counter()
                result.latencies.append(ended - connection.began)
                if ended < stop:
                    connection.send(next(numbers))
                else:
                    running -= 1
        result.seconds = time.perf_counter() - began
        result.cpu_seconds = target.cpu_seconds() - cpu
    return result


def compare(targets: Sequence[Target], *, rounds: int, seconds: float, connections: int) -> dict[str, Figure]:
    """Measure targets in turn, several rounds, so that all meet the same noise; figures by name."""
    numbers = {target.name: count() for target in targets}
    found: dict[str, list[Round]] = {target.name: [] for target in targets}
    for number in range(rounds + 1):
        for target in targets:
            # The first round only warms up.
            length = seconds if number else min(seconds, 0.3)
            made = run_round(target, seconds=length, connections=connections, numbers=numbers[target.name])
            if number:
                found[target.name].append(made)
    return {name: _figure(name, made) for name, made in found.items()}


def _figure(name: str, rounds: Sequence[Round]) -> Figure:
    latencies = sorted(latency for made in rounds for latency in made.latencies)
    return Figure(
        name=name,
        per_second=statistics.median(made.per_second for made in rounds),
        p50_ms=latencies[len(latencies) // 2] * 1000,
        per_core=len(latencies) / sum(made.cpu_seconds for made in rounds),
    )
