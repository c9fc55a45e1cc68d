"""Objects that partners push in parts, put together on their JSON text (chapters "Locations module", "Sessions module").
[pure]

Members that nobody touches are copied as bytes: what we do not know, and how a number was written, survives (HUB-14).
Texts come from ``codec.parse``, which has refused what is no JSON; objects are checked by their types afterwards.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Raw

from ocpi import codec
from ocpi.scalars import read_datetime

PARTS = (("evses", "uid"), ("connectors", "id"))
"""Below a Location: the member that lists the parts of each level, and the member that names one."""
PERIODS = "charging_periods"
STAMP = "last_updated"

_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_ENTRIES = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
_NULL = b"null"

Level = tuple[str, str]


def members(document: bytes) -> dict[str, Raw]:
    """Return the members of an object as they are written.

    Raises MalformedJson for half a surrogate pair, which no receiver could read, Invalid for what is no object.
    """
    try:
        return _MEMBERS.decode(document)
    except msgspec.ValidationError:
        raise codec.Invalid("", "must be an object") from None
    except msgspec.DecodeError:
        raise codec.MalformedJson("body holds half a character") from None


def stamp_of(document: bytes) -> datetime:
    """Return ``last_updated`` of an object that was checked."""
    return read_datetime(_text(members(document), STAMP))


def part(location: bytes, ids: Sequence[str]) -> bytes | None:
    """Return an EVSE (one id) or a Connector (two) of a Location, ids compared without case, or None."""
    found = location
    for (name, key), id_ in zip(PARTS, ids, strict=False):
        entries = _entries(members(found), name)
        at = _position(entries, key, id_)
        if at is None:
            return None
        found = bytes(entries[at])
    return found


def with_part(location: bytes, ids: Sequence[str], entry: bytes) -> bytes:
    """Return the Location with this EVSE or Connector, added or replaced, and its stamp above it (LOC-15, LOC-16).

    The stamps of what holds it only ever go forward. Raises KeyError when the EVSE of a Connector is unknown.
    """
    return _placed(location, ids, entry, PARTS)


def patched(document: bytes, patch: bytes) -> bytes:
    """Return an object after a PATCH: members given replace, null removes (OBJ-04, OBJ-12)."""
    return _written(members(document), members(patch))


def patched_location(document: bytes, patch: bytes) -> bytes:
    """Return a Location after a PATCH: EVSEs are told apart by uid, and those that are not named stay (DIS-24)."""
    known, given = members(document), members(patch)
    name, key = PARTS[0]
    entries = _entries(known, name)
    for entry in _entries(given, name):
        at = _position(entries, key, _text(members(bytes(entry)), key))
        if at is None:
            entries.append(entry)
        elif not _is_older(entry, than=entries[at]):
            entries[at] = Raw(patched(bytes(entries[at]), bytes(entry)))
    return _written(known, _with_list(given, name, entries))


def patched_session(document: bytes, patch: bytes) -> bytes:
    """Return a Session after a PATCH: its periods are appended, one that is there already is not (SES-10, DIS-25)."""
    known, given = members(document), members(patch)
    periods = _entries(known, PERIODS)
    for period in _entries(given, PERIODS):
        if not any(_is_same_period(period, each) for each in periods):
            periods.append(period)
    return _written(known, _with_list(given, PERIODS, periods))


def is_same(one: bytes, other: bytes) -> bool:
    """Tell whether two texts say the same: null is absence, numbers count by value, order of members does not."""
    return bool(_plain(codec.parse(one)) == _plain(codec.parse(other)))


def _placed(holder: bytes, ids: Sequence[str], entry: bytes, levels: Sequence[Level]) -> bytes:
    (name, key), *below = levels
    id_, *rest = ids
    held = members(holder)
    entries = _entries(held, name)
    at = _position(entries, key, id_)
    if rest:
        if at is None:
            raise KeyError(id_)
        entry = _placed(bytes(entries[at]), rest, entry, below)
    if at is None:
        entries.append(Raw(entry))
    else:
        entries[at] = Raw(entry)
    held[name] = Raw(_ENCODER.encode(entries))
    if not _is_older(Raw(entry), than=Raw(holder)):
        held[STAMP] = members(entry)[STAMP]
    return _ENCODER.encode(held)


def _written(known: dict[str, Raw], given: dict[str, Raw]) -> bytes:
    removed = {name for name, value in given.items() if bytes(value) == _NULL}
    return _ENCODER.encode({name: value for name, value in (known | given).items() if name not in removed})


def _with_list(given: dict[str, Raw], name: str, entries: Sequence[Raw]) -> dict[str, Raw]:
    """The PATCH with a whole list in place of what it says of it; an absent, null or empty one says nothing."""
    others = {each: value for each, value in given.items() if each != name}
    return {**others, name: Raw(_ENCODER.encode(entries))} if entries else others


def _entries(held: dict[str, Raw], name: str) -> list[Raw]:
    value = held.get(name)
    if value is None or bytes(value) == _NULL:
        return []
    try:
        entries = _ENTRIES.decode(value)
    except msgspec.ValidationError:
        raise codec.Invalid(name, "must be an array") from None
    for position, entry in enumerate(entries):
        if not bytes(entry).startswith(b"{"):
            raise codec.Invalid(f"{name}[{position}]", "must be an object")
    return entries


def _position(entries: Sequence[Raw], key: str, id_: str) -> int | None:
    wanted = id_.upper()
    for position, entry in enumerate(entries):
        if _text(members(bytes(entry)), key).upper() == wanted:
            return position
    return None


def _text(held: dict[str, Raw], name: str) -> str:
    if name not in held:
        raise codec.Invalid(name, "is required")
    try:
        return _TEXT.decode(held[name])
    except msgspec.ValidationError:
        raise codec.Invalid(name, "must be a string") from None


def _is_older(entry: Raw, *, than: Raw) -> bool:
    """Whether the first was changed before the second; an entry without a stamp counts as new."""
    held = members(bytes(entry))
    if STAMP not in held:
        return False
    return _instant(_text(held, STAMP)) < stamp_of(bytes(than))


def _is_same_period(one: Raw, other: Raw) -> bool:
    starts = [_instant(_text(members(bytes(each)), "start_date_time")) for each in (one, other)]
    return starts[0] == starts[1] and is_same(_without_start(one), _without_start(other))


def _without_start(period: Raw) -> bytes:
    held = members(bytes(period))
    held.pop("start_date_time")
    return _ENCODER.encode(held)


def _instant(text: str) -> datetime:
    try:
        return read_datetime(text)
    except ValueError as error:
        raise codec.Invalid("", str(error)) from None


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if each is not None}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    # In Python true equals 1; in JSON it does not.
    return ("bool", value) if isinstance(value, bool) else value
