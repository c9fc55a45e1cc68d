"""OCPP-J frames: text on the wire to typed messages and back (OCPP-J 1.6, chapter 4). [pure]"""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

from ocpi.codec import MalformedJson, encode, parse

MAX_MESSAGE_ID_CHARS = 36
UNKNOWN_MESSAGE_ID = "-1"  # what a CALLERROR carries when the id of the offending message cannot be read

Payload = dict[str, Any]


class MessageType(IntEnum):
    """First element of each message (OCPP-J 1.6, 4.1.3)."""

    CALL = 2
    CALLRESULT = 3
    CALLERROR = 4


class ErrorCode(StrEnum):
    """CALLERROR codes, with the misspellings that OCPP-J 1.6 fixed for ever (table 7, errata 5.1 and 5.2)."""

    NOT_IMPLEMENTED = "NotImplemented"
    NOT_SUPPORTED = "NotSupported"
    INTERNAL_ERROR = "InternalError"
    PROTOCOL_ERROR = "ProtocolError"
    SECURITY_ERROR = "SecurityError"
    FORMATION_VIOLATION = "FormationViolation"
    PROPERTY_CONSTRAINT_VIOLATION = "PropertyConstraintViolation"
    OCCURENCE_CONSTRAINT_VIOLATION = "OccurenceConstraintViolation"
    TYPE_CONSTRAINT_VIOLATION = "TypeConstraintViolation"
    GENERIC_ERROR = "GenericError"


@dataclass(frozen=True, slots=True)
class Call:
    """`[2, message_id, action, payload]`: a question of either side."""

    message_id: str
    action: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class CallResult:
    """`[3, message_id, payload]`: the answer; for a station also the receipt."""

    message_id: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class CallError:
    """`[4, message_id, code, description, details]`: the question could not be handled."""

    message_id: str
    code: str
    description: str = ""
    details: Payload = field(default_factory=dict)


Frame = Call | CallResult | CallError


class BadFrame(Exception):
    """A text that is no OCPP-J message.

    `answerable` is false for a damaged CALLRESULT or CALLERROR: answers are never answered.
    """

    def __init__(
        self,
        description: str,
        *,
        code: ErrorCode = ErrorCode.FORMATION_VIOLATION,
        message_id: str = UNKNOWN_MESSAGE_ID,
        answerable: bool = True,
    ) -> None:
        super().__init__(description)
        self.description = description
        self.code = code
        self.message_id = message_id
        self.answerable = answerable


def read_frame(text: str) -> Frame:
    """Read one text frame; numbers come as int or Decimal.

    Raises BadFrame; nothing in the text, however deep or long its numbers, raises anything else.
    """
    try:
        message = parse(text.encode())
    except (MalformedJson, UnicodeEncodeError) as error:
        raise BadFrame(f"not JSON: {error}"[:255]) from error
    if not isinstance(message, list) or not message:
        raise BadFrame("an OCPP-J message is a JSON array [MessageTypeId, UniqueId, ...]")
    match message[0]:
        case MessageType.CALL:
            return _call(message)
        case MessageType.CALLRESULT:
            return _call_result(message)
        case MessageType.CALLERROR:
            return _call_error(message)
    raise BadFrame("MessageTypeId is none of 2, 3, 4", message_id=_readable_id(message))


def write_call(call: Call) -> str:
    """Text of a CALL; Decimals keep their digits."""
    return encode([int(MessageType.CALL), call.message_id, call.action, call.payload]).decode()


def write_result(result: CallResult) -> str:
    """Text of a CALLRESULT; Decimals keep their digits."""
    return encode([int(MessageType.CALLRESULT), result.message_id, result.payload]).decode()


def write_error(error: CallError) -> str:
    """Text of a CALLERROR; the description is cut at the 255 characters that OCPP-J allows."""
    body = [
        int(MessageType.CALLERROR),
        error.message_id,
        str(error.code),
        error.description[:255],
        error.details,
    ]
    return encode(body).decode()


def _call(message: list[Any]) -> Call:
    message_id = _readable_id(message)
    if message_id == UNKNOWN_MESSAGE_ID:
        raise BadFrame(f"UniqueId of a CALL is a string of 1 to {MAX_MESSAGE_ID_CHARS} characters")
    match message:
        case [_, _, str(action), dict(payload)]:
            return Call(message_id, action, payload)
    raise BadFrame("a CALL is [2, UniqueId, Action, {payload}]", message_id=message_id)


def _call_result(message: list[Any]) -> CallResult:
    match message:
        case [_, str(message_id), dict(payload)]:
            return CallResult(message_id, payload)
    raise BadFrame("a CALLRESULT is [3, UniqueId, {payload}]", answerable=False)


def _call_error(message: list[Any]) -> CallError:
    # Stations in the field leave out errorDescription and errorDetails; the code alone decides what we do.
    match message:
        case [_, str(message_id), str(code)]:
            return CallError(message_id, code)
        case [_, str(message_id), str(code), str(description)]:
            return CallError(message_id, code, description)
        case [_, str(message_id), str(code), str(description), dict(details)]:
            return CallError(message_id, code, description, details)
    raise BadFrame("a CALLERROR is [4, UniqueId, code, description, {details}]", answerable=False)


def _readable_id(message: list[Any]) -> str:
    match message:
        case [_, str(message_id), *_] if 0 < len(message_id) <= MAX_MESSAGE_ID_CHARS:
            # Half of a surrogate pair could not even be echoed.
            return message_id if message_id.isprintable() else UNKNOWN_MESSAGE_ID
    return UNKNOWN_MESSAGE_ID
