"""From a verdict to the row: what one try makes of its obligation (delivery.md 4.5)."""

from dataclasses import dataclass

from roaming.delivery.answers import Item, Lane, Meaning, Verdict
from roaming.delivery.models import Obligation
from roaming.delivery.outcomes import Settlement
from roaming.delivery.schedule import item_seconds

State = Obligation.State
Shape = Obligation.Shape

# An object that changes all the time is told at most this often; the last change always arrives.
STATE_SPACING_SECONDS = 1.0
# What did not get through goes to the end of its lane, so that one dead host of a partner does not hold up all.
UNTOUCHED_SECONDS = 1.0
# After so many tries in a row that broke off at our side, a person must look.
MAX_CRASHES = 3
HOLD = "hold"

_MAYBE_STORED = frozenset({Meaning.UNKNOWN, Meaning.UNREADABLE, Meaning.UNABLE})


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was seen of one try, for the row and for the log of tries."""

    attempt_id: int
    milliseconds: int
    http_status: int | None = None
    ocpi_status: int | None = None
    location_url: str = ""
    sha256: bytes | None = None
    error: str = ""


def settlement(
    obligation: Obligation,
    verdict: Verdict,
    report: Report,
    *,
    on_ambiguous: str,
    jitter: float,
) -> Settlement:
    """Return what a verdict (other than LOOKUP) makes of an obligation."""
    item = verdict.item
    is_state = obligation.shape == Shape.STATE
    tries = (
        1 if item in (Item.RETRY, Item.AMBIGUOUS, Item.PARK, Item.FORCE_PUT, Item.ACK, Item.GIVE_UP) else 0
    )
    if item is Item.ACK:
        rest = STATE_SPACING_SECONDS if is_state else 0.0
    elif item is Item.UNTOUCHED:
        rest = UNTOUCHED_SECONDS if verdict.lane is Lane.COUNT else 0.0
    else:
        # The one PUT after a refused PATCH goes at once.
        used = obligation.attempts + (0 if verdict.meaning is Meaning.PATCH_REFUSED else 1)
        rest = item_seconds(attempts=used, is_state=is_state, jitter=jitter)
    return Settlement(
        obligation=obligation,
        state=_state(item, on_ambiguous),
        outcome=item.value,
        attempt_id=report.attempt_id,
        is_ack=item is Item.ACK,
        tries=tries,
        force_put=is_state and item is not Item.ACK,
        is_ambiguous=_is_ambiguous(obligation, verdict),
        rest_seconds=rest,
        http_status=report.http_status,
        ocpi_status=report.ocpi_status,
        location_url=report.location_url,
        sha256=report.sha256,
        milliseconds=report.milliseconds,
        error="" if item is Item.ACK else f"{verdict.meaning.value}: {report.error}".rstrip(": "),
    )


def _state(item: Item, on_ambiguous: str) -> str:
    if item is Item.AMBIGUOUS and on_ambiguous == HOLD:
        return State.PARKED
    return {Item.ACK: State.ACKED, Item.PARK: State.PARKED, Item.GIVE_UP: State.EXPIRED}.get(
        item, State.PENDING
    )


def _is_ambiguous(obligation: Obligation, verdict: Verdict) -> bool:
    if verdict.item is Item.ACK:
        return False
    if verdict.meaning in (Meaning.REFUSED, Meaning.REFUSED_BY_HTTP, Meaning.PARENT_UNKNOWN):
        # A clear word: the next refusal is a first refusal again.
        return False
    return obligation.ambiguous or verdict.meaning in _MAYBE_STORED


def crashed(
    obligation: Obligation, *, was_sent: bool, reason: str, on_ambiguous: str, jitter: float
) -> Settlement:
    """Return what a try that broke off at our side makes of an obligation.

    ``was_sent``: a sender died after it had written down the try, so the partner may have the request.
    Otherwise the request could not even be made. What breaks three times in a row is parked, so that it
    cannot take the lane down with it; a state that killed a sender is only slowed down, since it was one of
    many in its batch.
    """
    crashes = obligation.crashes + 1
    is_state = obligation.shape == Shape.STATE
    state = State.PENDING
    if obligation.shape == Shape.SHORT_LIVED:
        state = State.EXPIRED
    elif (crashes >= MAX_CRASHES and not (is_state and was_sent)) or (
        was_sent and not is_state and on_ambiguous == HOLD
    ):
        state = State.PARKED
    return Settlement(
        obligation=obligation,
        state=state,
        outcome="CRASHED",
        tries=1 if was_sent else 0,
        crashes=min(crashes, 1000),
        force_put=is_state,
        is_ambiguous=obligation.ambiguous or was_sent,
        # The first time anything may have been the cause: go on at once.
        rest_seconds=item_seconds(
            attempts=crashes - 1 if was_sent else crashes, is_state=True, jitter=jitter
        ),
        http_status=obligation.http_status,
        ocpi_status=obligation.ocpi_status,
        error=reason,
    )


def withdrawn(obligation: Obligation) -> Settlement:
    """Return what it means that a push has nothing to tell: fine for a state, never for a sealed thing."""
    states = {Shape.STATE: State.CANCELLED, Shape.LEDGER: State.PARKED, Shape.SHORT_LIVED: State.EXPIRED}
    return Settlement(
        obligation=obligation,
        state=states[Shape(obligation.shape)],
        outcome="NOTHING",
        is_ambiguous=obligation.ambiguous,
        error="there is nothing (any more) to tell",
    )
