"""What OCPP 1.6 allows in a payload: the `ocpp` library's JSON schemas plus what they leave open. [pure]"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ocpp.messages import MessageType, get_validator
from ocpp.v16.enums import Action

from chargers.frames import ErrorCode, Payload

OCPP_VERSION = "1.6"

# Chapter 4 of OCPP 1.6 plus the security extension: what a charge point may ask of a central system.
FROM_STATION = frozenset(
    str(action.value)
    for action in (
        Action.authorize,
        Action.boot_notification,
        Action.data_transfer,
        Action.diagnostics_status_notification,
        Action.firmware_status_notification,
        Action.heartbeat,
        Action.log_status_notification,
        Action.meter_values,
        Action.security_event_notification,
        Action.sign_certificate,
        Action.signed_firmware_status_notification,
        Action.start_transaction,
        Action.status_notification,
        Action.stop_transaction,
    )
)
KNOWN_ACTIONS = frozenset(str(action.value) for action in Action)

MAX_INTEGER = 2**63 - 1
_CODE_BY_RULE = {
    "type": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "maxLength": ErrorCode.TYPE_CONSTRAINT_VIOLATION,
    "required": ErrorCode.PROTOCOL_ERROR,
    "additionalProperties": ErrorCode.FORMATION_VIOLATION,
    "minItems": ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION,
    "maxItems": ErrorCode.OCCURENCE_CONSTRAINT_VIOLATION,
}


class SchemaViolation(Exception):
    """A payload that breaks a rule; `code` and `description` are what the CALLERROR says."""

    def __init__(self, code: ErrorCode, description: str) -> None:
        super().__init__(description)
        self.code = code
        self.description = description


def check_station_call(action: str, payload: Payload) -> None:
    """Check what a charge point asks. Raises SchemaViolation, NotImplemented for an unknown action."""
    if action not in KNOWN_ACTIONS:
        raise SchemaViolation(ErrorCode.NOT_IMPLEMENTED, f"action {action[:50]!r} is not part of OCPP 1.6")
    if action not in FROM_STATION:
        raise SchemaViolation(ErrorCode.NOT_SUPPORTED, f"{action} is not for a charge point to send")
    check_call(action, payload)


def check_call(action: str, payload: Payload) -> None:
    """Check a request of either direction. Raises SchemaViolation."""
    _check(MessageType.Call, action, payload)


def check_result(action: str, payload: Payload) -> None:
    """Check an answer of either direction to `action`. Raises SchemaViolation."""
    _check(MessageType.CallResult, action, payload)


def _check(message_type: int, action: str, payload: Payload) -> None:
    # The membership test also keeps "../" out of the file name that the library builds from the action.
    if action not in KNOWN_ACTIONS:
        raise SchemaViolation(ErrorCode.NOT_IMPLEMENTED, f"action {action[:50]!r} is not part of OCPP 1.6")
    # Decimal for every schema: `multipleOf: 0.1` read as a float refuses 21.4, and cannot divide a Decimal.
    validator = get_validator(message_type, action, OCPP_VERSION, parse_float=Decimal)
    error = next(validator.iter_errors(payload), None)
    if error is not None:
        raise SchemaViolation(_code(error), _describe(error))
    fault = next(_unstorable(payload), None)
    if fault is not None:
        raise SchemaViolation(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, fault)


def _code(error: Any) -> ErrorCode:
    return _CODE_BY_RULE.get(str(error.validator), ErrorCode.PROPERTY_CONSTRAINT_VIOLATION)


def _describe(error: Any) -> str:
    member = ".".join(str(part) for part in error.absolute_path) or "payload"
    match error.validator:
        case "required" | "additionalProperties":
            return f"{member}: {error.message}"[:255]
        case "maxLength":
            return f"{member}: longer than {error.validator_value} characters (given {len(error.instance)})"
    rule = f"{error.validator} {error.validator_value!r}"
    return f"{member}: breaks {rule} (given {error.instance!r:.60})"[:255]


def _unstorable(payload: Payload) -> Iterator[str]:
    """Values that satisfy the schema and still no database column can hold, or no id tag may contain."""
    pending: list[tuple[str, Any]] = [("payload", payload)]
    while pending:
        name, value = pending.pop()
        match value:
            case dict():
                pending.extend(value.items())
            case list():
                pending.extend((name, item) for item in value)
            case str() if not _is_storable_text(name, value):
                yield f"{name}: contains a control character or half of a surrogate pair"
            case int() if not -MAX_INTEGER <= value <= MAX_INTEGER:
                yield f"{name}: does not fit in 64 bits"


def _is_storable_text(name: str, text: str) -> bool:
    if text.isprintable():
        return True
    # Free text (DataTransfer, techInfo) may hold line ends; an id tag may not hold anything unprintable.
    allowed = "" if name.lower().endswith("idtag") else "\t\n\r"
    return not any(
        (ord(char) < 0x20 and char not in allowed) or ord(char) == 0x7F or 0xD800 <= ord(char) <= 0xDFFF
        for char in text
    )
