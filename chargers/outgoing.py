"""Calls to one station: one in flight, most urgent first, each with its own deadline (OCPP-J 1.6, 4.1.1)."""

import asyncio
import heapq
import itertools
import logging
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from chargers.frames import Call, Payload, write_call
from chargers.schemas import SchemaViolation, check_call, check_result

logger = logging.getLogger(__name__)

REMEMBERED_TIMEOUTS = 256

BeforeSend = Callable[[], Awaitable[bool]]


class Priority(IntEnum):
    """Order in which waiting calls leave; a lower number leaves first."""

    SAFETY = 0  # a limit that must go down
    STOP = 1
    START = 2
    REST = 3


class CallStatus(StrEnum):
    """How a call to a station ended. After any status but NOT_SENT the station may have acted on it."""

    ANSWERED = "ANSWERED"  # CALLRESULT that satisfies the schema
    REFUSED = "REFUSED"  # CALLERROR
    INVALID = "INVALID"  # CALLRESULT that breaks the schema; `payload` holds it
    TIMEOUT = "TIMEOUT"  # sent, no answer before the deadline; a late one goes to `on_late`
    LOST = "LOST"  # sent, the connection ended before an answer
    NOT_SENT = "NOT_SENT"  # never left: offline, or the deadline passed in the queue; safe to repeat


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """How a call ended, with the answer's payload or the CALLERROR's code and description."""

    status: CallStatus
    payload: Payload = field(default_factory=dict)
    error_code: str = ""
    error_description: str = ""


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """An answer that came after its deadline; a late Accepted still changed reality."""

    message_id: str
    action: str
    request: Payload
    outcome: CallOutcome


@dataclass(slots=True)
class _Pending:
    call: Call
    deadline: float
    future: asyncio.Future[CallOutcome]
    before_send: BeforeSend | None
    is_sent: bool = False
    is_abandoned: bool = False


class OutgoingCalls:
    """The calls of one connection. `run` sends them; the reader hands answers to `answered` and `refused`."""

    def __init__(
        self, send: Callable[[str], Awaitable[None]], *, on_late: Callable[[LateAnswer], None]
    ) -> None:
        self._send = send
        self._on_late = on_late
        self._heap: list[tuple[int, int, _Pending]] = []
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._in_flight: _Pending | None = None
        self._timed_out: OrderedDict[str, _Pending] = OrderedDict()
        self._is_over = False

    async def call(
        self,
        action: str,
        payload: Payload,
        *,
        timeout_seconds: float,
        priority: Priority,
        before_send: BeforeSend | None = None,
    ) -> CallOutcome:
        """Queue one call and wait for its end; the deadline counts from now, waiting in the queue included.

        `before_send` is awaited when the call's turn comes, before the first byte leaves: the place to mark
        it as sent for good, so that a crash can never send it twice; false takes the call back (NOT_SENT).
        Raises SchemaViolation when our own payload breaks the schema of `action`. A caller that is cancelled
        while its call still waits takes the call back too.
        """
        check_call(action, payload)
        if self._is_over:
            return CallOutcome(CallStatus.NOT_SENT)
        loop = asyncio.get_running_loop()
        call = Call(str(uuid.uuid4()), action, payload)
        pending = _Pending(call, loop.time() + timeout_seconds, loop.create_future(), before_send)
        heapq.heappush(self._heap, (priority, next(self._order), pending))
        self._wake.set()
        timer = loop.call_at(pending.deadline, self._expire, pending)
        try:
            return await asyncio.shield(pending.future)
        except asyncio.CancelledError:
            pending.is_abandoned = True
            raise
        finally:
            if not pending.is_abandoned:
                timer.cancel()

    async def run(self) -> None:
        """Send queued calls one after another, until cancelled."""
        while True:
            pending = self._next()
            if pending is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            if await self._is_wanted(pending):
                await self._exchange(pending)
            elif not pending.future.done():
                pending.future.set_result(CallOutcome(CallStatus.NOT_SENT))

    def answered(self, message_id: str, payload: Payload) -> bool:
        """Take a CALLRESULT; false when it answers nothing that we asked."""
        pending = self._find(message_id)
        if pending is None:
            return False
        try:
            check_result(pending.call.action, payload)
            outcome = CallOutcome(CallStatus.ANSWERED, payload)
        except SchemaViolation as error:
            outcome = CallOutcome(CallStatus.INVALID, payload, error.code, error.description)
        self._settle(pending, outcome)
        return True

    def refused(self, message_id: str, code: str, description: str) -> bool:
        """Take a CALLERROR; false when it answers nothing that we asked."""
        pending = self._find(message_id)
        if pending is None:
            return False
        self._settle(pending, CallOutcome(CallStatus.REFUSED, {}, code, description))
        return True

    def end(self) -> None:
        """End every call at once; later calls end as NOT_SENT."""
        self._is_over = True
        if self._in_flight is not None and not self._in_flight.future.done():
            self._in_flight.future.set_result(CallOutcome(CallStatus.LOST))
        for _, _, pending in self._heap:
            if not pending.future.done():
                pending.future.set_result(CallOutcome(CallStatus.NOT_SENT))
        self._heap.clear()

    async def _is_wanted(self, pending: _Pending) -> bool:
        if pending.before_send is not None:
            try:
                if not await pending.before_send():
                    return False
            except Exception:
                # What cannot be recorded as sent is not sent; the caller learns it and may try again.
                logger.exception("ocpp.before_send_failed action=%s", pending.call.action)
                return False
        return not (pending.future.done() or pending.is_abandoned)

    async def _exchange(self, pending: _Pending) -> None:
        self._in_flight = pending
        pending.is_sent = True
        await self._send(write_call(pending.call))
        await asyncio.wait([pending.future])
        self._in_flight = None

    def _next(self) -> _Pending | None:
        while self._heap:
            _, _, pending = heapq.heappop(self._heap)
            if not pending.future.done() and not pending.is_abandoned:
                return pending
        return None

    def _expire(self, pending: _Pending) -> None:
        if pending.future.done():
            return
        if not pending.is_sent:
            pending.future.set_result(CallOutcome(CallStatus.NOT_SENT))
            return
        self._timed_out[pending.call.message_id] = pending
        if len(self._timed_out) > REMEMBERED_TIMEOUTS:
            self._timed_out.popitem(last=False)
        pending.future.set_result(CallOutcome(CallStatus.TIMEOUT))

    def _find(self, message_id: str) -> _Pending | None:
        pending = self._in_flight
        if pending is not None and pending.call.message_id == message_id and not pending.future.done():
            return pending
        return self._timed_out.pop(message_id, None)

    def _settle(self, pending: _Pending, outcome: CallOutcome) -> None:
        is_late = pending.future.done() or pending.is_abandoned
        if not pending.future.done():
            pending.future.set_result(outcome)
        if is_late:
            call = pending.call
            self._on_late(LateAnswer(call.message_id, call.action, call.payload, outcome))
