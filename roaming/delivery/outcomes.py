"""How tries ended: written in one transaction, guarded by the lease under which they were made."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connection, transaction

from roaming.delivery.lanes import Lease
from roaming.delivery.models import Obligation

log = logging.getLogger(__name__)

_HOLDS_LANE = "SELECT 1 FROM roaming_lane WHERE id = %s AND lease_token = %s FOR NO KEY UPDATE"
_LOCK = """
SELECT id FROM roaming_obligation WHERE id = ANY(%s) AND state = 'PENDING' ORDER BY id FOR NO KEY UPDATE
"""
# A state that was wanted anew while it was on its way stays owed, whatever the answer was.
_SETTLE = """
UPDATE roaming_obligation o SET
    state = CASE WHEN o.shape = 'STATE' AND o.wanted_version > t.version THEN 'PENDING' ELSE t.state END,
    confirmed_version = CASE WHEN t.is_ack THEN t.version ELSE o.confirmed_version END,
    changed_fields = CASE WHEN t.is_ack AND o.wanted_version = t.version THEN '{}' ELSE o.changed_fields END,
    force_put = CASE WHEN t.is_ack AND o.wanted_version = t.version THEN false
                     ELSE o.force_put OR t.force_put END,
    attempts = CASE WHEN t.is_ack AND o.shape = 'STATE' THEN 0 ELSE o.attempts + t.tries END,
    crashes = t.crashes, ambiguous = t.is_ambiguous,
    next_at = now() + t.rest * interval '1 second',
    acked_at = CASE WHEN t.is_ack THEN now() ELSE o.acked_at END,
    owed_since = CASE WHEN t.is_ack THEN now() ELSE o.owed_since END,
    http_status = t.http, ocpi_status = t.ocpi,
    location_url = CASE WHEN t.location <> '' THEN t.location ELSE o.location_url END,
    sent_sha256 = coalesce(t.sha256, o.sent_sha256), last_error = t.error
FROM unnest(%(ids)s::bigint[], %(versions)s::bigint[], %(acks)s::bool[], %(states)s::text[], %(tries)s::int[],
            %(crashes)s::int[], %(force_puts)s::bool[], %(ambiguous)s::bool[], %(rests)s::float8[],
            %(https)s::int[], %(ocpis)s::int[], %(locations)s::text[], %(hashes)s::bytea[], %(errors)s::text[])
     AS t(id, version, is_ack, state, tries, crashes, force_put, is_ambiguous, rest, http, ocpi, location,
          sha256, error)
WHERE o.id = t.id
"""
_CLOSE = """
UPDATE roaming_attempt a SET ended_at = clock_timestamp() - t.ago * interval '1 second',
    milliseconds = t.ms, http_status = t.http, ocpi_status = t.ocpi, outcome = t.outcome, error = t.error
FROM unnest(%(attempts)s::bigint[], %(agos)s::float8[], %(ms)s::int[], %(https)s::int[], %(ocpis)s::int[],
            %(outcomes)s::text[], %(errors)s::text[])
     AS t(id, ago, ms, http, ocpi, outcome, error)
WHERE a.id = t.id
"""
# All of it in one round trip, for sealed things, which are recorded one by one.
_SETTLE_ONE = f"""
WITH closed AS ({_CLOSE}),
     held AS (SELECT 1 FROM roaming_lane WHERE id = %(lane)s AND lease_token = %(token)s FOR NO KEY UPDATE)
{_SETTLE} AND o.state = 'PENDING' AND EXISTS (SELECT 1 FROM held)
"""
_SETTLE_LATE = """
UPDATE roaming_obligation o SET
    state = CASE WHEN o.shape = 'STATE' THEN 'PENDING' WHEN t.is_ack THEN 'ACKED' ELSE o.state END,
    wanted_version = o.wanted_version + CASE WHEN o.shape = 'STATE' THEN 1 ELSE 0 END,
    force_put = o.force_put OR o.shape = 'STATE',
    ambiguous = o.ambiguous OR (o.shape = 'LEDGER' AND NOT t.is_ack),
    acked_at = CASE WHEN o.shape <> 'STATE' AND t.is_ack THEN now() ELSE o.acked_at END,
    http_status = t.http, ocpi_status = t.ocpi,
    location_url = CASE WHEN t.is_ack AND t.location <> '' THEN t.location ELSE o.location_url END,
    sent_sha256 = coalesce(t.sha256, o.sent_sha256),
    next_at = CASE WHEN o.shape = 'STATE' THEN now() ELSE o.next_at END,
    last_error = CASE WHEN o.shape <> 'STATE' AND t.is_ack THEN '' ELSE 'a try ended after its lease was lost' END
FROM unnest(%(ids)s::bigint[], %(acks)s::bool[], %(https)s::int[], %(ocpis)s::int[], %(locations)s::text[],
            %(hashes)s::bytea[])
     AS t(id, is_ack, http, ocpi, location, sha256)
WHERE o.id = t.id AND (o.state = 'PENDING' OR (o.shape = 'STATE' AND o.state = 'ACKED'))
RETURNING o.id
"""


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """How one try ended and what that makes of its obligation, due again after ``rest_seconds``.

    ``attempt_id`` is None when no request was made; ``tries`` is 1 when the try is used up.
    """

    obligation: Obligation
    state: str
    outcome: str
    attempt_id: int | None = None
    is_ack: bool = False
    tries: int = 0
    crashes: int = 0
    force_put: bool = False
    is_ambiguous: bool = False
    rest_seconds: float = 0.0
    http_status: int | None = None
    ocpi_status: int | None = None
    location_url: str = ""
    sha256: bytes | None = None
    milliseconds: int = 0
    ended_seconds_ago: float = 0.0
    error: str = ""


Hook = Callable[[Settlement], None]


def settle(lease: Lease, settlements: Sequence[Settlement], *, acknowledged: Hook | None = None) -> bool:
    """Record how tries ended; ``acknowledged`` runs for each confirmed one in the same transaction.

    False when the lease had been lost. Then a sealed item still counts as delivered (its bytes are always the
    same), and a state is owed again as a whole: ours may have arrived after somebody else's newer one.

    A writer may hold several of these rows locked, in an order of its own: of a batch only the free ones are
    taken, and the others waited for one at a time, so that nobody waits in a circle.
    """
    if len(settlements) == 1 and acknowledged is None and _settle_at_once(lease, settlements[0]):
        return True
    with transaction.atomic(), connection.cursor() as cursor:
        _close(cursor, settlements)
        cursor.execute(_HOLDS_LANE, [lease.lane_id, lease.token])
        if cursor.fetchone() is None:
            _settle_late(cursor, settlements, acknowledged)
            return False
        ids = [each.obligation.pk for each in settlements]
        cursor.execute(_LOCK + ("SKIP LOCKED" if len(ids) > 1 else ""), [ids])
        free = {pk for (pk,) in cursor.fetchall()}
        told = [each for each in settlements if each.obligation.pk in free]
        if told:
            cursor.execute(_SETTLE, _columns(told))
        _run(acknowledged, told)
    if len(ids) > 1:
        for each in settlements:
            if each.obligation.pk not in free:
                _settle_patiently(lease, each, acknowledged)
    return True


def _settle_at_once(lease: Lease, settlement: Settlement) -> bool:
    """False when the lease is lost, or somebody else has changed the state of the item."""
    with connection.cursor() as cursor:
        cursor.execute(_SETTLE_ONE, _columns([settlement]) | {"lane": lease.lane_id, "token": lease.token})
        return bool(cursor.rowcount)


def _run(acknowledged: Hook | None, settlements: Sequence[Settlement]) -> None:
    for each in settlements:
        if acknowledged is not None and each.is_ack:
            acknowledged(each)


def _settle_patiently(lease: Lease, settlement: Settlement, acknowledged: Hook | None) -> None:
    try:
        settle(lease, [settlement], acknowledged=acknowledged)
    except OperationalError as error:
        # Its row is still owed: it is sent once more, which does no harm to a state.
        log.warning("delivery.outcome_not_recorded delivery=%s reason=%s", settlement.obligation.pk, error)


def _close(cursor: Any, settlements: Sequence[Settlement]) -> None:
    made = [each for each in settlements if each.attempt_id is not None]
    if made:
        cursor.execute(_CLOSE, _columns(made))


def _settle_late(cursor: Any, settlements: Sequence[Settlement], acknowledged: Hook | None) -> None:
    log.warning("delivery.lease_lost deliveries=%s", [each.obligation.pk for each in settlements])
    cursor.execute(_SETTLE_LATE, _columns(settlements))
    changed = {pk for (pk,) in cursor.fetchall()}
    sealed = [each for each in settlements if each.obligation.shape != Obligation.Shape.STATE]
    _run(acknowledged, [each for each in sealed if each.obligation.pk in changed])


def _columns(settlements: Sequence[Settlement]) -> dict[str, list[Any]]:
    return {
        "ids": [each.obligation.pk for each in settlements],
        "attempts": [each.attempt_id for each in settlements],
        "versions": [each.obligation.wanted_version for each in settlements],
        "acks": [each.is_ack for each in settlements],
        "states": [each.state for each in settlements],
        "tries": [each.tries for each in settlements],
        "crashes": [each.crashes for each in settlements],
        "force_puts": [each.force_put for each in settlements],
        "ambiguous": [each.is_ambiguous for each in settlements],
        "rests": [each.rest_seconds for each in settlements],
        "agos": [each.ended_seconds_ago for each in settlements],
        "ms": [each.milliseconds for each in settlements],
        "https": [each.http_status for each in settlements],
        "ocpis": [each.ocpi_status for each in settlements],
        "locations": [each.location_url for each in settlements],
        "hashes": [each.sha256 for each in settlements],
        "outcomes": [each.outcome for each in settlements],
        "errors": [_storable(each.error) for each in settlements],
    }


def _storable(text: str) -> str:
    """What a partner wrote may hold characters that no text column takes: NUL and halves of pairs."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "")[:500]
