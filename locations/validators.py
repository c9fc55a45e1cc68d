"""What the fields of depots and bays may hold, so that every row can be rendered."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ValidationError
from django.utils.deconstruct import deconstructible


@deconstructible
class Words:
    """A list of words of one OCPI enum, each at most once."""

    def __init__(self, enum: type[StrEnum]) -> None:
        self.enum = enum

    def __call__(self, value: Any) -> None:
        known = {member.value for member in self.enum}
        if not isinstance(value, list) or len(set(map(str, value))) != len(value):
            raise ValidationError("Give a list of different words.")
        unknown = sorted(str(word) for word in value if word not in known)
        if unknown:
            raise ValidationError(f"Not a {self.enum.__name__}: {', '.join(unknown)}; use {_listed(known)}.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Words) and other.enum is self.enum

    def __hash__(self) -> int:
        return hash(self.enum)


@deconstructible
class IanaZone:
    """The name of a zone in the tz database; offsets such as CET+1 are none (LOC-22)."""

    def __call__(self, value: str) -> None:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValidationError(f"Not an IANA time zone: {value}; use e.g. Europe/Brussels.") from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IanaZone)

    def __hash__(self) -> int:
        return hash(IanaZone)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
