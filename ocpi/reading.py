"""From parsed JSON to an OCPI object, with errors that name the member, the rule and the value. [pure]

msgspec checks types, lengths, patterns and enums. Before it, a reader that is built once per type does what
msgspec cannot be told: null is absence, numbers may stand in strings, instants have many forms.
"""

import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Self, TypeVar, cast

import msgspec
from msgspec import inspect

from ocpi import scalars
from ocpi.v221.types import PATTERN_RULES

T = TypeVar("T")
Reader = Callable[[Any, str], Any]

_LOCATED = re.compile(r"(?s)(.*?)(?: - at `\$(.*)`)?")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_STRING_LENGTH = re.compile(r"Expected `str` of length (<=|>=) (\d+)")
_ARRAY_LENGTH = re.compile(r"Expected `array` of length >= (\d+)")
_BOUND = re.compile(r"Expected `int` (<=|>=) (-?\d+)")
_PATTERN = re.compile(r"(?s)Expected `str` matching regex (.*)")
# msgspec quotes a pattern as repr does.
_RULES_AS_QUOTED = {repr(pattern): rule for pattern, rule in PATTERN_RULES.items()}
_TYPE = re.compile(r"Expected `([\w |]+)`, got `\w+`")
_RULE_OF_MEMBER = re.compile(r"([a-z_]+): (.+)")
_STEP = re.compile(r"([A-Za-z_]\w*)|\[(\d+)\]")
_TYPE_NAMES = {"str": "a string", "bool": "true or false", "array": "an array", "object": "an object"}
_WITHHELD = frozenset({"token", "contract_id", "visual_number"})


class Invalid(ValueError):
    """JSON whose content breaks a rule: 2001 (STS-03).

    ``path`` is such as ``evses[2].connectors[0].id``, empty for the whole value; ``message`` names the rule
    and the value.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message

    def below(self, parent: str) -> Self:
        """Return the same error as seen from further out."""
        path = self.path if not self.path or self.path.startswith("[") else f".{self.path}"
        return type(self)(f"{parent}{path}", self.message)


def convert(type_: type[T], value: Any) -> T:
    """Return a parsed JSON value as the type. Raises Invalid."""
    read = _reader_of(cast(Any, type_))
    prepared = read(value, "") if read else value
    try:
        return msgspec.convert(prepared, type_)
    except msgspec.ValidationError as error:
        raise _explained(str(error), prepared) from None
    except UnicodeEncodeError:
        # A lone surrogate where msgspec needs the text as UTF-8, such as for a word of an enum.
        raise Invalid(_path_of_surrogate(prepared) or "", "holds half a character") from None


@cache
def _reader_of(type_: Any) -> Reader | None:
    return _reader(inspect.type_info(type_), {})


def _reader(info: inspect.Type, seen: dict[type, Reader]) -> Reader | None:
    """Return what prepares a value of this type, or None when msgspec alone is enough."""
    if isinstance(info, inspect.Metadata):
        return _reader(info.type, seen)
    if isinstance(info, inspect.DecimalType):
        return _scalar_reader(scalars.read_number)
    if isinstance(info, inspect.IntType):
        return _scalar_reader(scalars.read_int)
    if isinstance(info, inspect.DateTimeType):
        return _scalar_reader(scalars.read_datetime)
    if isinstance(info, inspect.StructType):
        return _struct_reader(info, seen)
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        item = _reader(info.item_type, seen)
        return _array_reader(item) if item else None
    if isinstance(info, inspect.UnionType):
        readers = [reader for part in info.types if (reader := _reader(part, seen))]
        return readers[0] if len(readers) == 1 else None
    return None


def _scalar_reader(read_scalar: Callable[[Any], Any]) -> Reader:
    def read(value: Any, path: str) -> Any:
        if value is None:
            return None
        try:
            return read_scalar(value)
        except ValueError as error:
            raise Invalid(path, str(error)) from None

    return read


def _array_reader(item: Reader) -> Reader:
    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list | tuple):
            return value
        return [item(entry, f"{path}[{position}]") for position, entry in enumerate(value)]

    return read


def _struct_reader(info: inspect.StructType, seen: dict[type, Reader]) -> Reader:
    if info.cls in seen:
        return seen[info.cls]
    readers: dict[str, Reader | None] = {}

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            return value
        prefix = f"{path}." if path else ""
        members: dict[str, Any] = {}
        for name, member in value.items():
            if member is None or name not in readers:
                continue
            member_reader = readers[name]
            members[name] = member_reader(member, prefix + name) if member_reader else member
        return members

    seen[info.cls] = read
    for field in info.fields:
        readers[field.encode_name] = _reader(field.type, seen)
    return read


def _explained(text: str, value: Any) -> Invalid:
    located = cast(re.Match[str], _LOCATED.fullmatch(text))
    rule = located.group(1)
    path = (located.group(2) or "").removeprefix(".")
    if missing := _MISSING.fullmatch(rule):
        return Invalid("", "is required").below(_joined(path, missing.group(1)))
    # Rules across members are raised by the object; they begin with the member to change.
    if own := _RULE_OF_MEMBER.fullmatch(rule):
        return Invalid(_joined(path, own.group(1)), own.group(2))
    return Invalid(path, f"{_plain_rule(rule)} ({_given_at(value, path)})")


def _plain_rule(rule: str) -> str:
    if match := _STRING_LENGTH.fullmatch(rule):
        side = "longer" if match.group(1) == "<=" else "shorter"
        return f"{side} than {match.group(2)} character{'' if match.group(2) == '1' else 's'}"
    if match := _ARRAY_LENGTH.fullmatch(rule):
        return f"needs at least {match.group(1)} entry"
    if match := _BOUND.fullmatch(rule):
        return f"must be at {'most' if match.group(1) == '<=' else 'least'} {match.group(2)}"
    if match := _PATTERN.fullmatch(rule):
        return _RULES_AS_QUOTED.get(match.group(1), "has the wrong form")
    if match := _TYPE.fullmatch(rule):
        name = match.group(1).removesuffix(" | null")
        return f"must be {_TYPE_NAMES.get(name, name)}"
    if rule.startswith("Invalid enum value"):
        return "is none of the words that the specification lists, case counts"
    return rule


def _given_at(value: Any, path: str) -> str:
    name = parent = ""
    for step in _STEP.finditer(path):
        if step.group(1):
            parent, name = name, step.group(1)
            value = value.get(name) if isinstance(value, dict) else None
        else:
            value = value[int(step.group(2))] if isinstance(value, list | tuple) else None
    # Texts for people and logs never repeat a credentials token or what identifies a driver.
    if isinstance(value, str) and (name in _WITHHELD or (name == "uid" and parent != "evses")):
        return f"given {len(value)} characters"
    return scalars.given(value)


def _path_of_surrogate(value: Any, path: str = "") -> str | None:
    if isinstance(value, str):
        return path if any("\ud800" <= character <= "\udfff" for character in value) else None
    below: Iterable[tuple[str, Any]] = ()
    if isinstance(value, dict):
        below = ((_joined(path, name), member) for name, member in value.items())
    elif isinstance(value, list | tuple):
        below = ((f"{path}[{position}]", entry) for position, entry in enumerate(value))
    return next((found for at, part in below if (found := _path_of_surrogate(part, at)) is not None), None)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
