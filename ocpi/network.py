"""Sockets of outbound calls: every address is checked when it is connected to, every byte counts against
one total deadline.

httpx and httpcore know a timeout per read only, so a peer that drips one byte at a time could hold a call
for hours; and a check of the host name before the call would miss a name that changes its address.
"""

import ipaddress
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

import httpcore

from ocpi.addresses import Address, is_local, is_public

Kind = Literal["refused", "connect", "tls", "timeout", "reset", "too_large", "guard"]


class CallFailed(Exception):
    """An outbound call that brought no answer.

    ``kind`` says where it broke off: ``refused`` (nobody listens), ``connect`` (no such name, no way),
    ``tls``, ``timeout``, ``reset``, ``too_large``, ``guard`` (an address or URL that we do not call).
    ``may_have_been_stored`` is true when the request, or part of it, had left.
    """

    def __init__(self, kind: Kind, message: str, *, may_have_been_stored: bool = False) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.may_have_been_stored = may_have_been_stored


@dataclass
class Exchange:
    """The call that this thread is making: when it must be over, and whether bytes of it have left."""

    deadline: float
    was_written: bool = False

    @classmethod
    def lasting(cls, seconds: float) -> "Exchange":
        """Return an exchange that begins now."""
        return cls(deadline=time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds that are left. Raises CallFailed when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self.failure("timeout", "no complete answer within the time allowed")
        return left

    def failure(self, kind: Kind, message: str) -> CallFailed:
        """Return the failure of this exchange, with what is known about its effect."""
        return CallFailed(kind, message, may_have_been_stored=self.was_written)


# A kept connection serves many calls one after another: the deadline belongs to the call, not to the stream.
current_exchange: ContextVar[Exchange] = ContextVar("current_exchange")


class DeadlineStream(httpcore.NetworkStream):
    """A connection whose every operation ends with the deadline of the call that uses it.

    httpcore writes the headers, the body, and an empty end: they leave together. Sent one by one they cost the
    receiver two wake-ups, and the sender as much again.
    """

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._unsent = b""

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        exchange = current_exchange.get()
        if self._unsent:
            self._send(exchange)
        try:
            return self._inner.read(max_bytes, exchange.left())
        except httpcore.ReadTimeout:
            raise exchange.failure("timeout", "no complete answer within the time allowed") from None
        except httpcore.ReadError as error:
            raise exchange.failure("reset", f"connection broke while reading: {error}") from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._unsent += buffer
        if not buffer:
            self._send(current_exchange.get())

    def _send(self, exchange: Exchange) -> None:
        left, unsent, self._unsent = exchange.left(), self._unsent, b""
        exchange.was_written = True
        try:
            self._inner.write(unsent, left)
        except httpcore.WriteTimeout:
            raise exchange.failure(
                "timeout", "the request could not be sent within the time allowed"
            ) from None

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        exchange = current_exchange.get()
        try:
            return DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, exchange.left()))
        except httpcore.ConnectTimeout:
            raise exchange.failure("timeout", "no TLS handshake within the time allowed") from None
        except httpcore.ConnectError as error:
            raise exchange.failure("tls", f"TLS handshake failed: {error}") from None

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections to allowed addresses only.

    ``allows_private`` is asked at each connection, so that a test or a deployment decides it in one place.
    """

    def __init__(self, allows_private: Callable[[], bool]) -> None:
        self._allows_private = allows_private
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        exchange = current_exchange.get()
        addresses = _resolve(host, port, exchange)
        # One bad answer spoils them all: a name that also points inwards is an attack, or a fault to fix.
        if not all(is_public(each) or (self._allows_private() and is_local(each)) for each in addresses):
            raise exchange.failure("guard", f"{host} is not an address that may be called")
        return DeadlineStream(self._connect(addresses, port, exchange, local_address, socket_options))

    def _connect(
        self,
        addresses: list[Address],
        port: int,
        exchange: Exchange,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        failure: CallFailed | None = None
        for address in addresses:
            try:
                return self._sockets.connect_tcp(
                    str(address), port, exchange.left(), local_address, socket_options
                )
            except httpcore.ConnectTimeout:
                raise exchange.failure("timeout", "no connection within the time allowed") from None
            except httpcore.ConnectError as error:
                kind: Kind = "refused" if isinstance(error.__cause__, ConnectionRefusedError) else "connect"
                failure = exchange.failure(kind, str(error))
        raise failure or exchange.failure("connect", "the name has no address")


def _resolve(host: str, port: int, exchange: Exchange) -> list[Address]:
    """Return all addresses of a host, within the deadline (the system's resolver knows none)."""
    answers: queue.SimpleQueue[list[Address] | OSError | UnicodeError] = queue.SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answers.put([ipaddress.ip_address(entry[4][0]) for entry in found])
        except (OSError, UnicodeError) as error:
            answers.put(error)

    threading.Thread(target=look_up, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=exchange.left())
    except queue.Empty:
        raise exchange.failure("timeout", "the name was not resolved within the time allowed") from None
    if isinstance(answer, Exception):
        raise exchange.failure("connect", f"{host} cannot be resolved")
    return list(dict.fromkeys(answer))
