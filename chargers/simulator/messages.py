"""Messages of the charge point's side, checked against the `ocpp` library's schemas in both directions."""

import json
from dataclasses import is_dataclass
from decimal import Decimal
from typing import Any

from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case
from ocpp.messages import Call, CallError, CallResult, MessageType, get_validator
from ocpp.v16.enums import Action

ACTIONS = frozenset(str(action.value) for action in Action)

Payload = dict[str, Any]


class InvalidMessage(ValueError):
    """A message that breaks the schema; ours is a fault of the simulator, theirs of the central system."""


def payload_of(message: Any) -> Payload:
    """Payload of one of the library's `ocpp.v16.call` or `call_result` objects, with the standard's names."""
    if not is_dataclass(message):
        raise TypeError(f"{message!r} is not a message of ocpp.v16")
    payload: Payload = snake_to_camel_case(remove_nones(serialize_as_dict(message)))
    return payload


def write_call(message_id: str, action: str, payload: Payload) -> str:
    """Text of a CALL. Raises InvalidMessage."""
    check(MessageType.Call, action, payload)
    return str(Call(message_id, action, payload).to_json())


def write_result(message_id: str, action: str, payload: Payload) -> str:
    """Text of a CALLRESULT. Raises InvalidMessage."""
    check(MessageType.CallResult, action, payload)
    return str(CallResult(message_id, payload).to_json())


def write_error(message_id: str, code: str, description: str) -> str:
    """Text of a CALLERROR."""
    return str(CallError(message_id, code, description[:255], {}).to_json())


def read(text: str | bytes) -> Any:
    """Call, CallResult or CallError of the library. Raises InvalidMessage."""
    try:
        message = json.loads(text, parse_float=Decimal)
        kinds = {kind.message_type_id: kind for kind in (Call, CallResult, CallError)}
        return kinds[message[0]](*message[1:])
    except (ValueError, TypeError, LookupError) as error:
        raise InvalidMessage(f"not an OCPP-J message: {error}") from error


def check(message_type: int, action: str, payload: Payload) -> None:
    """Check a payload. Raises InvalidMessage."""
    if action not in ACTIONS:
        raise InvalidMessage(f"{action} is no action of OCPP 1.6")
    validator = get_validator(message_type, action, "1.6", parse_float=Decimal)
    error = next(validator.iter_errors(payload), None)
    if error is not None:
        path = ".".join(str(part) for part in error.absolute_path)
        raise InvalidMessage(f"{action} {path}: {error.message}"[:255])
