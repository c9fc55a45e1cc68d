"""One charger's connection: own receive loop, answers after storing, calls with deadlines (charging.md 4.2).

The `ocpp` library's loop is serial: a handler that awaits a call of its own dead-locks there. Here a reader
resolves answers at once, and a worker serves the station's calls one by one, in the order they came.
"""

import asyncio
import hashlib
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from chargers.frames import (
    BadFrame,
    Call,
    CallError,
    CallResult,
    ErrorCode,
    Payload,
    read_frame,
    write_error,
    write_result,
)
from chargers.limits import Clock, Limits, Occurrences, TokenBucket
from chargers.outgoing import BeforeSend, CallOutcome, LateAnswer, OutgoingCalls, Priority
from chargers.schemas import SchemaViolation, check_result, check_station_call

logger = logging.getLogger(__name__)

QUICK_DRAIN_SECONDS = 0.5

Handle = Callable[[str, Payload], Awaitable[Payload]]
OnOpen = Callable[[], Awaitable[None]]
OnLate = Callable[[LateAnswer], Awaitable[None]]


class StoreUnavailable(Exception):
    """Raised by a handler that could not store: the station gets no answer, so that it keeps its message."""


class CallRefused(Exception):
    """Raised by a handler whose answer is a CALLERROR."""

    def __init__(self, code: ErrorCode, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


class WebSocket(Protocol):
    """The part of a `websockets` connection that is used here."""

    async def recv(self) -> str | bytes: ...
    async def send(self, message: str) -> None: ...
    async def close(self, code: int = 1000, reason: str = "") -> None: ...


class Connection:
    """One authenticated WebSocket of one station, from the handshake to its end.

    `handle(action, payload)` stores and returns the answer's payload; only then the answer leaves. It may
    raise CallRefused (CALLERROR) or StoreUnavailable (close 1013, no answer). `on_open` runs before the first
    message and `on_late` for answers after their deadline, both in the queue of the station's messages, so
    one station's events are never handled side by side. All three may await `call`.
    """

    def __init__(
        self,
        websocket: WebSocket,
        *,
        identity: str,
        handle: Handle,
        epoch: int = 0,
        on_open: OnOpen | None = None,
        on_late: OnLate | None = None,
        limits: Limits | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        self.identity = identity
        self.epoch = epoch
        self.password_hash = ""  # what let it in, as it was stored then
        self.counters: Counter[str] = Counter()
        self.close_code: int | None = None
        self.close_reason = ""
        self._websocket = websocket
        self._handle = handle
        self.on_open = on_open
        self._on_late = on_late
        self._limits = limits or Limits()
        self._bucket = TokenBucket(
            rate=self._limits.messages_per_second, burst=self._limits.burst, clock=clock
        )
        self._bad_frames = Occurrences(seconds=60, clock=clock)
        self._answers = _Answers(self._limits, clock)
        self._inbox: asyncio.Queue[tuple[Call, bytes] | LateAnswer | None] = asyncio.Queue()
        self._calls = OutgoingCalls(websocket.send, on_late=self._inbox.put_nowait)
        self._over = asyncio.Event()
        self._drained = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether messages are still taken and calls still leave."""
        return not self._over.is_set()

    async def call(
        self,
        action: str,
        payload: Payload,
        *,
        timeout_seconds: float,
        priority: Priority = Priority.REST,
        before_send: BeforeSend | None = None,
    ) -> CallOutcome:
        """Ask the station; never raises for what the station does. See OutgoingCalls.call."""
        return await self._calls.call(
            action, payload, timeout_seconds=timeout_seconds, priority=priority, before_send=before_send
        )

    def close(self, code: int, reason: str) -> None:
        """End the connection: calls end at once, nothing more is served. The first caller's code counts."""
        if self._over.is_set():
            return
        self.close_code, self.close_reason = code, reason
        self._calls.end()
        self._over.set()
        self._inbox.put_nowait(None)

    async def drained(self) -> None:
        """Wait until no handler of this connection runs any more."""
        await self._drained.wait()

    async def run(self) -> None:
        """Serve until the connection ends; returns when the last handler is done and the socket closed."""
        worker = asyncio.create_task(self._work())
        worker.add_done_callback(lambda _: self._drained.set())
        others = [asyncio.create_task(self._read()), asyncio.create_task(self._send_calls())]
        try:
            await self._over.wait()
        finally:
            self.close(CloseCode.GOING_AWAY, "gateway stops")
            for task in others:
                task.cancel()
            # A handler in the middle of storing gets the time to finish: its answer is then true and is sent.
            await asyncio.wait([worker], timeout=QUICK_DRAIN_SECONDS)
            await self._websocket.close(_sendable(self.close_code), self.close_reason[:120])
            await asyncio.wait([worker], timeout=self._limits.handler_grace_seconds)
            worker.cancel()
            self._drained.set()
            await asyncio.gather(worker, *others, return_exceptions=True)

    async def _read(self) -> None:
        try:
            while self.is_open:
                message = await self._websocket.recv()
                if isinstance(message, bytes):
                    self.close(CloseCode.UNSUPPORTED_DATA, "OCPP-J uses text frames")
                    return
                await self._accept(message)
        except ConnectionClosed as error:
            self.close(error.rcvd.code if error.rcvd else CloseCode.ABNORMAL_CLOSURE, "closed by the station")
        except Exception:
            logger.exception("ocpp.reader_failed station=%s", self.identity)
            self.close(CloseCode.INTERNAL_ERROR, "internal error")

    async def _accept(self, text: str) -> None:
        self.counters["frames"] += 1
        try:
            frame = read_frame(text)
        except BadFrame as error:
            if error.answerable:
                await self._send(write_error(CallError(error.message_id, error.code, error.description)))
            self._count_bad("frame", error.description)
            return
        match frame:
            case Call():
                self._enqueue(frame, text)
            case CallResult(message_id, payload):
                if not self._calls.answered(message_id, payload):
                    self._count_bad("unasked", "CALLRESULT for nothing that was asked")
            case CallError(message_id, code, description):
                if not self._calls.refused(message_id, code, description):
                    self._count_bad("unasked", "CALLERROR for nothing that was asked")

    def _enqueue(self, call: Call, text: str) -> None:
        # OCPP-J allows one unanswered CALL. The worker serves at a bounded rate, so only a station that does
        # not wait for answers can fill the queue; one that drains a long offline backlog never does.
        if self._inbox.qsize() >= self._limits.max_unanswered:
            self.counters["floods"] += 1
            self.close(CloseCode.POLICY_VIOLATION, "too many unanswered messages")
            return
        self._inbox.put_nowait((call, hashlib.sha256(text.encode()).digest()))

    async def _send_calls(self) -> None:
        try:
            await self._calls.run()
        except ConnectionClosed:
            self.close(CloseCode.ABNORMAL_CLOSURE, "closed by the station")
        except Exception:
            logger.exception("ocpp.sender_failed station=%s", self.identity)
            self.close(CloseCode.INTERNAL_ERROR, "internal error")

    async def _work(self) -> None:
        try:
            if self.on_open is not None and self.is_open:
                await self.on_open()
            while self.is_open:
                item = await self._inbox.get()
                if item is None or not self.is_open:
                    return
                await self._serve(item)
        except StoreUnavailable:
            self.counters["store_unavailable"] += 1
            logger.warning("ocpp.store_unavailable station=%s", self.identity)
            self.close(CloseCode.TRY_AGAIN_LATER, "cannot store now")
        except Exception:
            logger.exception("ocpp.worker_failed station=%s", self.identity)
            self.close(CloseCode.INTERNAL_ERROR, "internal error")

    async def _serve(self, item: tuple[Call, bytes] | LateAnswer) -> None:
        if isinstance(item, LateAnswer):
            await self._report_late(item)
            return
        await self._bucket.take()
        if not self.is_open:
            return
        call, digest = item
        stored = self._answers.find(call.message_id)
        if stored is not None and stored.digest == digest:
            self.counters["replays"] += 1
            await self._send(stored.text)
            return
        if stored is not None:
            # A station that reuses ids may be telling something new: what is billed is not dropped for that.
            self.counters["reused_ids"] += 1
            logger.warning("ocpp.message_id_reused station=%s action=%s", self.identity, call.action)
        await self._answer(call, digest)

    async def _report_late(self, late: LateAnswer) -> None:
        self.counters["late"] += 1
        logger.warning(
            "ocpp.late station=%s action=%s status=%s", self.identity, late.action, late.outcome.status
        )
        if self._on_late is None:
            return
        try:
            await self._on_late(late)
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("ocpp.on_late_failed station=%s action=%s", self.identity, late.action)

    async def _answer(self, call: Call, digest: bytes) -> None:
        try:
            check_station_call(call.action, call.payload)
        except SchemaViolation as error:
            await self._refuse(call, error.code, error.description)
            self._count_bad("schema", error.description)
            return
        try:
            answer = await self._handle(call.action, call.payload)
            check_result(call.action, answer)
        except StoreUnavailable:
            raise
        except CallRefused as error:
            await self._refuse(call, error.code, error.description)
        except Exception:
            logger.exception("ocpp.handler_failed station=%s action=%s", self.identity, call.action)
            await self._refuse(call, ErrorCode.INTERNAL_ERROR, "the message could not be processed")
        else:
            text = write_result(CallResult(call.message_id, answer))
            self._answers.keep(call.message_id, digest, text)
            await self._send(text)

    async def _refuse(self, call: Call, code: ErrorCode, description: str) -> None:
        await self._send(write_error(CallError(call.message_id, code, description)))

    async def _send(self, text: str) -> None:
        try:
            await self._websocket.send(text)
        except ConnectionClosed:
            self.counters["unsent_answers"] += 1

    def _count_bad(self, kind: str, description: str) -> None:
        self.counters[f"bad_{kind}"] += 1
        logger.warning("ocpp.bad_%s station=%s rule=%s", kind, self.identity, description)
        if self._bad_frames.add() >= self._limits.bad_frames_per_minute:
            self.close(CloseCode.PROTOCOL_ERROR, "too many bad messages")


def _sendable(code: int | None) -> int:
    """1005 and 1006 say how a connection ended; no close frame may carry them."""
    if code is None or code in (CloseCode.NO_STATUS_RCVD, CloseCode.ABNORMAL_CLOSURE):
        return CloseCode.NORMAL_CLOSURE
    return code


class _Answer:
    __slots__ = ("digest", "kept_at", "text")

    def __init__(self, digest: bytes, text: str, kept_at: float) -> None:
        self.digest = digest
        self.text = text
        self.kept_at = kept_at


class _Answers:
    """Answers of this connection by message id: a repeated message is answered, not handled again."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._by_id: OrderedDict[str, _Answer] = OrderedDict()

    def find(self, message_id: str) -> _Answer | None:
        self._forget_old()
        return self._by_id.get(message_id)

    def keep(self, message_id: str, digest: bytes, text: str) -> None:
        self._by_id.pop(message_id, None)
        self._by_id[message_id] = _Answer(digest, text, self._clock())
        if len(self._by_id) > self._limits.replay_entries:
            self._by_id.popitem(last=False)

    def _forget_old(self) -> None:
        horizon = self._clock() - self._limits.replay_seconds
        while self._by_id and next(iter(self._by_id.values())).kept_at <= horizon:
            self._by_id.popitem(last=False)
