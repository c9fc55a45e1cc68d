"""Whether the copy of an object that a partner shows is the one that we sent. [pure]"""

from collections.abc import Mapping
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


def _is_same_mapping(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    return all(_is_same(value, theirs[name]) for name, value in ours.items() if theirs.get(name) is not None)


def _is_same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, Mapping):
        return isinstance(theirs, Mapping) and _is_same_mapping(ours, theirs)
    if isinstance(ours, list):
        return (
            isinstance(theirs, list)
            and len(ours) == len(theirs)
            and all(_is_same(mine, other) for mine, other in zip(ours, theirs, strict=True))
        )
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, int | Decimal) and isinstance(theirs, int | Decimal):
        return ours == theirs
    if isinstance(ours, str) and isinstance(theirs, str):
        return ours == theirs or _is_same_instant(ours, theirs)
    return bool(ours == theirs)


def _is_same_instant(ours: str, theirs: str) -> bool:
    try:
        mine, other = datetime.fromisoformat(ours), datetime.fromisoformat(theirs)
    except ValueError:
        return False
    # A bare date is no instant; without an offset it is UTC (TYP-04).
    return "T" in ours and "T" in theirs and _utc(mine) == _utc(other)


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
