"""Whether the copy of an object that a partner shows is the one that we sent. [pure]"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any


def is_same_object(ours: Any, theirs: Any) -> bool:
    """Tell whether a partner's copy of our object says the same.

    Members that the partner added or left out do not count, the identity does: ``id`` must be there. Numbers
    are compared by value, instants as instants, whatever their notation.
    """
    if not isinstance(ours, Mapping) or not isinstance(theirs, Mapping) or "id" not in theirs:
        return False
    return _is_same_mapping(ours, theirs)


def differing_members(ours: Mapping[str, Any], theirs: Any, *, of: Collection[str] = ()) -> tuple[str, ...]:
    """Name the members in which a partner's copy says something else, of those in ``of`` (empty: all).

    ``last_updated`` does not count at any depth, since many stamp anew what they store; nor do members that the
    partner does not show, except its ``id`` where ours has one.
    """
    if not isinstance(theirs, Mapping):
        return ("everything",)
    bare = _without_stamps(ours)
    names = [name for name in bare if not of or name in of]
    wrong = [
        name for name in names if theirs.get(name) is not None and not _is_same(bare[name], theirs[name])
    ]
    if "id" in ours and theirs.get("id") is None:
        wrong.insert(0, "id")
    return tuple(wrong)


def _without_stamps(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_stamps(each) for name, each in value.items() if name != "last_updated"}
    return [_without_stamps(each) for each in value] if isinstance(value, list) else value


def _is_same_mapping(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return all(_is_same(value, theirs[name]) for name, value in ours.items() if theirs.get(name) is not None)


def _is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Mapping):
        return isinstance(theirs, Mapping) and _is_same_mapping(ours, theirs)
    if isinstance(ours, list):
        return isinstance(theirs, list) and _is_same_list(ours, theirs)
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | Decimal) and isinstance(theirs, int | Decimal):
        return ours == theirs
    if isinstance(ours, str) and isinstance(theirs, str):
        # OCPI's ids ignore case, and partners change it.
        return ours.casefold() == theirs.casefold() or _is_same_instant(ours, theirs)
    return bool(ours == theirs)


def _is_same_list(ours: list[Any], theirs: list[Any]) -> bool:
    """Position by position; what has an id of its own (EVSEs, connectors) stands where the partner likes."""
    if len(ours) != len(theirs):
        return False
    mine, others = _by_id(ours), _by_id(theirs)
    if mine and mine.keys() == others.keys():
        return all(_is_same(each, others[key]) for key, each in mine.items())
    return all(_is_same(each, other) for each, other in zip(ours, theirs, strict=True))


def _by_id(objects: list[Any]) -> dict[str, Any]:
    found = {
        str(each.get("uid") or each.get("id", "")).casefold(): each
        for each in objects
        if isinstance(each, Mapping)
    }
    return found if len(found) == len(objects) and "" not in found else {}


def _is_same_instant(ours: str, theirs: str) -> bool:
    try:
        mine, other = datetime.fromisoformat(ours), datetime.fromisoformat(theirs)
    except ValueError:
        return False
    # A bare date is no instant; without an offset it is UTC (TYP-04).
    return "T" in ours and "T" in theirs and _utc(mine) == _utc(other)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
