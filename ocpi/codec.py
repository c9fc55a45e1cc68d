"""JSON text to OCPI objects and back (chapters "Transport and format" and "Types"). [pure]

Reading is tolerant: null is absence, unknown members are ignored, numbers may stand in strings. Writing is
exact.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec

from ocpi import scalars
from ocpi.reading import Invalid, convert
from ocpi.scalars import MAX_NUMBER_CHARS

MAX_BYTES = 1_048_576
MAX_DEPTH = 32
MAX_NODES = 100_000

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"
# A string without end runs to the end of the text, which keeps the search linear.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_KEPT_TYPES = (Decimal, datetime)


class MalformedJson(ValueError):
    """A body that is no JSON, or is beyond the limits: HTTP 400 with 2000 (HTP-05)."""


def parse(body: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """Return the JSON value; numbers as int or Decimal.

    Raises MalformedJson for: more than ``max_bytes``, ``MAX_DEPTH``, ``MAX_NODES`` or ``MAX_NUMBER_CHARS``,
    other encodings than UTF-8, a byte order mark, duplicate members, NaN and Infinity.
    """
    if len(body) > max_bytes:
        raise MalformedJson(f"body is longer than {max_bytes} bytes")
    if body.startswith(_BOM):
        raise MalformedJson("body starts with a byte order mark, send plain UTF-8")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"body is not UTF-8 at byte {error.start}") from None
    openers = body.count(b"{") + body.count(b"[")
    # Cheap upper bounds first: only a body that could break a limit is walked.
    if openers > MAX_DEPTH or openers + body.count(b",") >= MAX_NODES:
        _refuse_depth_and_nodes(body)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJson(f"body is not JSON: {error.msg} at character {error.pos}") from None


def decode(type_: type[T], value: Any) -> T:
    """Return a parsed JSON value as an OCPI object.

    Raises Invalid with the path of the first member that breaks a rule.
    """
    return convert(type_, value)


def decode_bytes(type_: type[T], body: bytes) -> T:
    """Return a JSON body as an OCPI object. Raises MalformedJson or Invalid."""
    return convert(type_, parse(body))


def decode_each(type_: type[T], values: Iterable[Any]) -> tuple[list[T], list[Invalid]]:
    """Return the sound objects of a pulled list, and why the broken ones were left out (HTP-13, VER-10).

    Paths of the errors begin with the position in the list, such as ``[2].uid``.
    """
    sound: list[T] = []
    broken: list[Invalid] = []
    for position, value in enumerate(values):
        try:
            sound.append(convert(type_, value))
        except Invalid as error:
            broken.append(error.below(f"[{position}]"))
    return sound, broken


def encode(obj: Any) -> bytes:
    """Return compact JSON bytes for an OCPI object, or a dict or list of them.

    Absent optional members and empty lists of objects are left out. Decimals keep their digits and never have
    an exponent; datetimes are UTC with ``Z`` and no or three decimals. Raises ValueError for a naive datetime
    or a number that is not finite, TypeError for a float: both are faults of our own.
    """
    return _ENCODER.encode(_writable(msgspec.to_builtins(obj, builtin_types=_KEPT_TYPES)))


def merge(current: T, patch: Mapping[str, Any]) -> T:
    """Return the object after a PATCH: members given replace, null removes, all is decoded again (OBJ-04).

    The merge is shallow: a list or object in the patch replaces the whole member (OBJ-12). Raises Invalid.
    """
    if not isinstance(patch, Mapping):
        raise Invalid("", f"must be an object ({scalars.given(patch)})")
    members = msgspec.to_builtins(current, builtin_types=_KEPT_TYPES)
    return convert(type(current), {**members, **patch})


def _writable(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _writable(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_writable(member) for member in value]
    if isinstance(value, Decimal):
        return msgspec.Raw(scalars.write_number(value).encode("ascii"))
    if isinstance(value, datetime):
        return scalars.write_datetime(value)
    if isinstance(value, float):
        raise TypeError(f"{value!r} is a float: use Decimal")
    return value


def _refuse_depth_and_nodes(body: bytes) -> None:
    bare = _STRINGS.sub(b"", body)
    if 1 + bare.count(b"{") + bare.count(b"[") + bare.count(b",") > MAX_NODES:
        raise MalformedJson(f"body holds more than {MAX_NODES} values")
    depth = 0
    for bracket in bare.translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            raise MalformedJson(f"body is nested deeper than {MAX_DEPTH} levels")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJson("body names a member twice in one object")
    return members


def _whole_number(digits: str) -> int | Decimal:
    if len(digits) > MAX_NUMBER_CHARS:
        raise MalformedJson(f"body holds a number of more than {MAX_NUMBER_CHARS} characters")
    # int() would silently drop the sign that decode refuses.
    return Decimal(digits) if digits == "-0" else int(digits)


def _decimal_number(digits: str) -> Decimal:
    if len(digits) > MAX_NUMBER_CHARS:
        raise MalformedJson(f"body holds a number of more than {MAX_NUMBER_CHARS} characters")
    try:
        return Decimal(digits)
    except InvalidOperation:
        raise MalformedJson("body holds a number beyond any range") from None


def _constant(word: str) -> Any:
    raise MalformedJson(f"body holds {word}, which is no JSON")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_members,
    parse_int=_whole_number,
    parse_float=_decimal_number,
    parse_constant=_constant,
)
_ENCODER = msgspec.json.Encoder()

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "MAX_NUMBER_CHARS",
    "Invalid",
    "MalformedJson",
    "decode",
    "decode_bytes",
    "decode_each",
    "encode",
    "merge",
    "parse",
]
