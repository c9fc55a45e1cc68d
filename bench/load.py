"""A small HTTP load generator on plain sockets: keep-alive connections in threads, median of interleaved rounds."""

import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True)
class Target:
    """One server under test and how its n-th request looks: `request(n)` gives the bytes to send."""

    name: str
    port: int
    request: Callable[[int], bytes]
    expect_status: frozenset[int] = frozenset({200, 201})


@dataclass
class Round:
    """What one round of one target gave."""

    seconds: float
    latencies: list[float] = field(default_factory=list)
    bytes_read: int = 0

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


def http_request(
    method: str, path: str, *, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> bytes:
    """The bytes of one HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def run_round(target: Target, *, seconds: float, connections: int, counter: Iterator[int]) -> Round:
    """Load one target for a while; raises when an answer has another status than expected."""
    result = Round(seconds)
    errors: list[str] = []
    stop = time.perf_counter() + seconds

    def client() -> None:
        buffer = bytearray(1 << 20)
        latencies, read = [], 0
        try:
            with socket.create_connection(("127.0.0.1", target.port), timeout=30) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                while (begun := time.perf_counter()) < stop:
                    connection.sendall(target.request(next(counter)))
                    status, size = _read_answer(connection, buffer)
                    if status not in target.expect_status:
                        errors.append(f"{target.name} answered {status}: {bytes(buffer[:600])!r}")
                        return
                    read += size
                    latencies.append(time.perf_counter() - begun)
        except OSError as error:
            errors.append(f"{target.name}: {error}")
        result.latencies.extend(latencies)
        result.bytes_read += read

    threads = [threading.Thread(target=client) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(errors[0])
    return result


def _read_answer(connection: socket.socket, buffer: bytearray) -> tuple[int, int]:
    view = memoryview(buffer)
    filled = 0
    while (end := buffer.find(b"\r\n\r\n", 0, filled)) < 0:
        got = connection.recv_into(view[filled:])
        if not got:
            raise OSError("connection closed")
        filled += got
    head = bytes(view[:end]).lower()
    status = int(head[9:12])
    mark = head.find(b"content-length:")
    length = int(head[mark + 15 : head.find(b"\r\n", mark) if b"\r\n" in head[mark:] else None])
    missing = end + 4 + length - filled
    while missing > 0:
        got = connection.recv_into(view, min(missing, len(buffer)))
        if not got:
            raise OSError("connection closed")
        missing -= got
    return status, length


@dataclass(frozen=True)
class Figure:
    """Median over the rounds of one target."""

    name: str
    per_second: float
    p50_ms: float
    p99_ms: float


def compare(
    targets: Sequence[Target], *, rounds: int = 3, seconds: float = 2.0, connections: int = 8
) -> dict[str, Figure]:
    """Measure targets in turn, several rounds, so that all meet the same noise; medians by name."""
    counters = {target.name: count() for target in targets}
    for target in targets:
        run_round(target, seconds=0.5, connections=connections, counter=counters[target.name])
    found: dict[str, list[Round]] = {target.name: [] for target in targets}
    for _ in range(rounds):
        for target in targets:
            found[target.name].append(
                run_round(target, seconds=seconds, connections=connections, counter=counters[target.name])
            )
    return {name: _figure(name, results) for name, results in found.items()}


def _figure(name: str, rounds: Sequence[Round]) -> Figure:
    latencies = sorted(latency for result in rounds for latency in result.latencies)
    return Figure(
        name,
        statistics.median(result.per_second for result in rounds),
        latencies[len(latencies) // 2] * 1000,
        latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1000,
    )
