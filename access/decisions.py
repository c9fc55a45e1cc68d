"""The question, the facts and the answers of `decide`, as frozen values. [pure]"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple

from access.grants import GrantFacts, Terms
from access.reasons import Reason

Source = Literal["START_SESSION", "RESERVE_NOW", "RFID", "PLUG_AND_CHARGE", "VIEW", "PREVIEW"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """Who asks to start where; `party` as "NL-EMS". A VIEW asks about the fences only, for anyone."""

    source: Source
    party: str
    location_id: str
    token_group: str | None = None
    evse_uid: str | None = None
    connector_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EvseFacts:
    """State of one bay; `occupied`: by a session, a car or another's reservation; `held`: for the fleet.

    `reservable`: the bay may be reserved (capability RESERVABLE).
    """

    uid: str
    online: bool
    operative: bool
    occupied: bool
    removed: bool
    held: bool = False
    held_until: datetime | None = None
    connector_ids: tuple[str, ...] = ()
    reservable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFacts:
    """Everything that a decision may look at; `fleet_token`: the token is one of the depot's own fleet."""

    location_known: bool
    kill_switch: bool
    grants: tuple[GrantFacts, ...]
    evses: tuple[EvseFacts, ...]
    running_sessions_of_party: int
    fleet_token: bool = False


class Step(NamedTuple):
    """One line of a receipt: the rule, what it said, and what it saw."""

    rule: str
    outcome: Literal["PASS", "DENY"]
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allow:
    """Yes, until the window's end (`until`; None = no end in sight), to be over by `must_end_by`."""

    at: datetime
    grant_id: str | None
    grant_version: int | None
    until: datetime | None
    must_end_by: datetime | None
    evse_uid: str | None
    terms: Terms
    trace: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deny:
    """No, and why; `retry_at`: when to ask again; `closes_at`: the end of an opening that is too short."""

    at: datetime
    reason: Reason
    retry_at: datetime | None = None
    closes_at: datetime | None = None
    grant_id: str | None = None
    grant_version: int | None = None
    trace: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A rule that said no, before it is known whether another grant or bay says yes."""

    reason: Reason
    detail: str
    retry_at: datetime | None = None
    closes_at: datetime | None = None
    grant: GrantFacts | None = None
