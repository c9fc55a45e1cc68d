"""What an answer to a delivery means: for the item that was sent and for the lane it travelled on. [pure]

The table of this file is complete: every HTTP status, every OCPI code and every way in which a call can break
off has one row. It knows nothing of rows, tokens or clocks; the sender does what it says.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

MIN_WAIT_SECONDS = 1.0
MAX_WAIT_SECONDS = 3600.0
# Twenty minutes by the schedule; after that only a change of the object is news.
MAX_TRIES_WITHOUT_PARENT = 4

# Codes of a hub that say: it did not reach the receiver, so nothing can have been stored there.
_HUB_NOT_DELIVERED = frozenset({4001, 4003})


class Shape(StrEnum):
    """The kinds of obligation; the same words as the rows use."""

    LEDGER = "LEDGER"
    STATE = "STATE"
    SHORT_LIVED = "SHORT_LIVED"


class Item(StrEnum):
    """What becomes of the thing that was sent."""

    ACK = "ACK"  # the partner has it
    RETRY = "RETRY"  # surely not stored; again by the schedule
    PARK = "PARK"  # refused: again only when the object changes or an operator says so
    AMBIGUOUS = "AMBIGUOUS"  # may have been stored; the partner's on_ambiguous decides
    LOOKUP = "LOOKUP"  # refused after an ambiguous try: look whether it is there
    FORCE_PUT = "FORCE_PUT"  # again by PUT of the whole object
    UNTOUCHED = "UNTOUCHED"  # surely not looked at: no try is used up
    GIVE_UP = "GIVE_UP"  # a command's result is sent once (CMD-08)


class Lane(StrEnum):
    """What the answer says about the way to the partner."""

    OK = "OK"  # it works: the breaker closes
    COUNT = "COUNT"  # a failure of the lane
    COUNT_ITEM = "COUNT_ITEM"  # a failure of the lane if other items fail too
    AUTH_BLOCKED = "AUTH_BLOCKED"  # our token is refused
    WAIT = "WAIT"  # asked to slow down
    CONFIG = "CONFIG"  # the endpoint is not what it should be; an operator must look
    REREAD = "REREAD"  # the endpoint is gone: read the partner's versions again
    MODULE_OFF = "MODULE_OFF"  # gone although its versions still name it


class Meaning(StrEnum):
    """The rows of the table."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    REFUSED_BY_HTTP = "refused by HTTP status"
    UNABLE = "partner unable, may have stored"
    NOT_PASSED_ON = "hub could not pass it on"
    UNREADABLE = "unreadable answer"
    TOKEN_REFUSED = "token refused"  # noqa: S105  # the meaning of an answer, no secret
    PATCH_REFUSED = "object unknown or PATCH not offered"
    PARENT_UNKNOWN = "not known there"
    GONE = "endpoint gone"
    SLOW_DOWN = "asked to slow down"
    REDIRECT = "redirect or proxy"
    NOT_SENT = "not sent"
    UNKNOWN = "outcome unknown"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The facts of one try.

    ``failure`` is the kind of CallFailed, empty when an answer came; ``status_code`` is None when the body is
    no OCPI envelope; ``retry_after`` in seconds; ``has_object_url`` when the URL names one object below the
    endpoint; ``tries``: earlier ones since the last confirmation; ``was_ambiguous`` when one of them may have
    been stored; ``was_reread`` when the partner's versions were read again because of this endpoint and still
    name it.
    """

    method: str
    http_status: int | None = None
    status_code: int | None = None
    failure: str = ""
    may_have_been_stored: bool = False
    retry_after: float | None = None
    has_object_url: bool = False
    tries: int = 0
    was_ambiguous: bool = False
    was_reread: bool = False


@dataclass(frozen=True)
class Verdict:
    """What to do with the item and with the lane; ``wait_seconds`` only with WAIT and a Retry-After."""

    meaning: Meaning
    item: Item
    lane: Lane
    wait_seconds: float | None = None


@dataclass(frozen=True)
class _Row:
    ledger: Item
    state: Item
    lane: Lane
    # The address of a result is the command's own: what it answers says little about the lane.
    result_lane: Lane = Lane.OK


_TABLE: dict[Meaning, _Row] = {
    Meaning.ACCEPTED: _Row(Item.ACK, Item.ACK, Lane.OK),
    Meaning.REFUSED: _Row(Item.PARK, Item.PARK, Lane.OK),
    Meaning.REFUSED_BY_HTTP: _Row(Item.PARK, Item.PARK, Lane.COUNT_ITEM),
    Meaning.UNABLE: _Row(Item.AMBIGUOUS, Item.RETRY, Lane.COUNT_ITEM),
    Meaning.NOT_PASSED_ON: _Row(Item.RETRY, Item.RETRY, Lane.COUNT_ITEM),
    Meaning.UNREADABLE: _Row(Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT),
    Meaning.TOKEN_REFUSED: _Row(Item.UNTOUCHED, Item.UNTOUCHED, Lane.AUTH_BLOCKED, Lane.AUTH_BLOCKED),
    Meaning.PATCH_REFUSED: _Row(Item.UNTOUCHED, Item.FORCE_PUT, Lane.OK),
    # The Location of this EVSE may still be on its way, on another lane.
    Meaning.PARENT_UNKNOWN: _Row(Item.PARK, Item.RETRY, Lane.OK),
    Meaning.GONE: _Row(Item.UNTOUCHED, Item.UNTOUCHED, Lane.REREAD),
    Meaning.SLOW_DOWN: _Row(Item.UNTOUCHED, Item.UNTOUCHED, Lane.WAIT, Lane.WAIT),
    Meaning.REDIRECT: _Row(Item.UNTOUCHED, Item.UNTOUCHED, Lane.CONFIG),
    Meaning.NOT_SENT: _Row(Item.UNTOUCHED, Item.UNTOUCHED, Lane.COUNT, Lane.COUNT),
    Meaning.UNKNOWN: _Row(Item.AMBIGUOUS, Item.FORCE_PUT, Lane.COUNT, Lane.COUNT),
}


def judge(shape: str, outcome: Outcome) -> Verdict:
    """Return what an outcome means for an item of this shape and for its lane (delivery.md 4.5)."""
    meaning = read(outcome)
    row = _TABLE[meaning]
    lane = row.result_lane if shape == Shape.SHORT_LIVED else row.lane
    if lane is Lane.REREAD and outcome.was_reread:
        lane = Lane.MODULE_OFF
    wait = outcome.retry_after if lane is Lane.WAIT else None
    return Verdict(meaning, _item(shape, meaning, row, outcome), lane, wait)


def _item(shape: str, meaning: Meaning, row: _Row, outcome: Outcome) -> Item:
    if shape == Shape.SHORT_LIVED:
        return Item.ACK if meaning is Meaning.ACCEPTED else Item.GIVE_UP
    item = row.ledger if shape == Shape.LEDGER else row.state
    if meaning is Meaning.PARENT_UNKNOWN and outcome.tries >= MAX_TRIES_WITHOUT_PARENT:
        return Item.PARK
    if item is Item.PARK and outcome.was_ambiguous:
        # "Already there" is the usual refusal after a try whose answer was lost.
        return Item.LOOKUP if shape == Shape.LEDGER else Item.FORCE_PUT
    return item


def read(outcome: Outcome) -> Meaning:
    """Return the row of the table that an outcome belongs to."""
    if outcome.failure:
        return Meaning.UNKNOWN if outcome.may_have_been_stored else Meaning.NOT_SENT
    status = outcome.http_status
    if status is None or status < 200 or status > 599:
        return Meaning.UNREADABLE
    if status < 300:
        return _read_code(outcome.status_code)
    if status < 400 or status == 407:
        return Meaning.REDIRECT
    return _read_refusal(status, outcome)


def _read_code(code: int | None) -> Meaning:
    """Codes that are not in the specification go by their first digit (STS-08)."""
    if code is None or not 1000 <= code <= 4999:
        return Meaning.UNREADABLE
    if code in _HUB_NOT_DELIVERED:
        return Meaning.NOT_PASSED_ON
    return (Meaning.ACCEPTED, Meaning.REFUSED, Meaning.UNABLE, Meaning.UNABLE)[code // 1000 - 1]


def _read_refusal(status: int, outcome: Outcome) -> Meaning:
    if status in (401, 403):
        return Meaning.TOKEN_REFUSED
    if status in (429, 503):
        return Meaning.SLOW_DOWN
    if status in (404, 405, 410, 501):
        return _read_absence(status, outcome)
    # 408 and 425 come from servers that stopped listening half way.
    if status >= 500 or status in (408, 425):
        return Meaning.UNKNOWN
    return Meaning.REFUSED_BY_HTTP


def _read_absence(status: int, outcome: Outcome) -> Meaning:
    if outcome.method == "PATCH":
        return Meaning.PATCH_REFUSED
    code = outcome.status_code
    # The OCPI layer itself says that it does not know the parent of this object: the endpoint is there.
    if status == 404 and outcome.has_object_url and code is not None and 2000 <= code < 3000:
        return Meaning.PARENT_UNKNOWN
    return Meaning.GONE


def retry_after_seconds(value: str, *, now: datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` asks for, from 1 s to 1 h; None when it is absent or damaged."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        # More than nine digits are no number of seconds that we would wait anyway.
        asked = MAX_WAIT_SECONDS if len(text) > 9 else float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        asked = (moment - now).total_seconds()
    return min(max(asked, MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)
