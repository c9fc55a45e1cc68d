"""What a person may correct about a finished session before it is billed. [pure]"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from cdrs.facts import SessionFacts
from cdrs.lint import acceptable_codes
from ocpi import v221
from tariffs.choice import TariffChange


class Changes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Facts that replace those of the session, None meaning as it is; meter values in Wh.

    ``accepted`` names findings that the person has looked into and holds for true. ``is_never_parked``
    withdraws the moment from which the vehicle was said to have parked.
    """

    started_at: datetime | None = None
    ended_at: datetime | None = None
    meter_start_wh: int | None = None
    meter_stop_wh: int | None = None
    suspended_ev_from: datetime | None = None
    is_never_parked: bool = False
    time_zone: str | None = None
    tariffs: tuple[v221.Tariff, ...] | None = None
    cdr_location: v221.CdrLocation | None = None
    cdr_token: v221.CdrToken | None = None
    accepted: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for at in (self.started_at, self.ended_at, self.suspended_ev_from):
            if at is not None and at.tzinfo is None:
                raise ValueError(f"{at.isoformat()} says no time zone: state it")
        unknown = set(self.accepted) - acceptable_codes()
        if unknown:
            raise ValueError(f"accepted: {', '.join(sorted(unknown))} cannot be accepted, only corrected")


_REPLACING = (
    "started_at",
    "ended_at",
    "meter_start_wh",
    "meter_stop_wh",
    "suspended_ev_from",
    "time_zone",
    "tariffs",
    "cdr_location",
    "cdr_token",
)


def stored(changes: Changes) -> dict[str, Any]:
    """Changes as plain JSON values, without what stays as it is; numbers as strings, so that none is
    rounded."""
    value: dict[str, Any] = msgspec.to_builtins(changes)
    return value


def read(text: str) -> Changes:
    """The changes that ``stored`` made, from their JSON text."""
    return msgspec.convert(msgspec.json.decode(text), Changes, strict=False)


def corrected(facts: SessionFacts, changes: Iterable[Changes]) -> SessionFacts:
    """Facts with changes laid over them, in the order in which they were made: the last one counts.

    Readings are kept; those that no longer lie between start and stop do not count (see ``periods.curve``).
    """
    for each in changes:
        given = {name: value for name in _REPLACING if (value := getattr(each, name)) is not None}
        if each.is_never_parked:
            given["suspended_ev_from"] = None
        if each.tariffs is not None:
            # A person who names other tariffs has named them for the whole session.
            given["tariff_changes"] = _among(facts.tariff_changes, each.tariffs)
        facts = replace(facts, **given, accepted=facts.accepted | frozenset(each.accepted))
    return facts


def _among(changes: Iterable[TariffChange], tariffs: Iterable[v221.Tariff]) -> tuple[TariffChange, ...]:
    known = {tariff.id.lower() for tariff in tariffs}
    return tuple(change for change in changes if change.tariff_id.lower() in known)
