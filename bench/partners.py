"""Partners that only listen: one asyncio process, one port each, every request answered at once and noted.

`python -m bench.partners 20` prints the ports, then obeys lines on its standard input: `hang PORT`, `release`, and
`take`, which prints what came since the last one as JSON and forgets it.
"""

import asyncio
import json
import sys
import time
from typing import Any

_ENVELOPE = b'{"status_code":1000,"timestamp":"2026-11-21T00:00:00Z"}'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_ENVELOPE),
    _ENVELOPE,
)

Note = tuple[int, float, str, str]
"""Port, time of arrival on the monotonic clock of this machine, method with path, status in the body."""


class Listener(asyncio.Protocol):
    """One connection of somebody who sends."""

    notes: list[Note] = []  # noqa: RUF012  # all connections write into one list
    hanging: set[int] = set()  # noqa: RUF012

    def __init__(self, port: int) -> None:
        self._port = port
        self._buffer = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            size = end + 4 + _length(head)
            if len(self._buffer) < size:
                return
            body, self._buffer = self._buffer[end + 4 : size], self._buffer[size:]
            if self._port not in self.hanging:
                target = head[: head.index(b" HTTP/")].decode()
                self.notes.append((self._port, time.monotonic(), target, _status(body)))
                self._transport.write(_ANSWER)


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def _status(body: bytes) -> str:
    at = body.find(b'"status":"')
    return body[at + 10 : body.index(b'"', at + 10)].decode() if at >= 0 else ""


async def _main(count: int) -> None:
    loop = asyncio.get_running_loop()
    ports = []
    for _ in range(count):
        box: list[int] = []
        server = await loop.create_server(lambda box=box: Listener(box[0]), "127.0.0.1", 0)  # type: ignore[misc]
        box.append(server.sockets[0].getsockname()[1])
        ports += box
    print(json.dumps(ports), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        word, *arguments = line.split()
        if word == b"hang":
            Listener.hanging.add(int(arguments[0]))
        elif word == b"release":
            Listener.hanging.clear()
        else:
            print(json.dumps(Listener.notes), flush=True)
            Listener.notes.clear()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
