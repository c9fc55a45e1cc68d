"""What we owe to partners: written in the caller's transaction, with the fact itself, or not at all.

Nothing is sent from here. A sender is woken when the transaction has been committed, and finds the work even if
nobody wakes it. Due times come from the database's clock; ``now`` is the moment of the fact.
"""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from ocpi import v221
from roaming import pushes, rawsql
from roaming.delivery import lanes
from roaming.delivery.models import Attempt, Obligation
from roaming.delivery.wake import wake_on_commit
from roaming.models import Endpoint, Party, Platform

__all__ = [
    "cancel",
    "contest",
    "mark_served",
    "owe_ledger",
    "owe_once",
    "owe_state",
    "park",
    "release_missed",
    "release_states",
    "replay",
    "replay_all",
    "resend_states",
    "send_whole",
    "unblock",
    "withhold_states",
]

log = logging.getLogger(__name__)

State = Obligation.State
Shape = Obligation.Shape

# State: only partners that are connected and offer the module learn of a change (SYN-02); whoever connects
# later pulls. What a party that is away would learn is noted, and goes out when it is back (HCI-14). Sealed things
# are owed to everybody.
_TARGETS = """
SELECT party.id AS party_id, party.platform_id,
       %(only_receivers)s AND party.presence <> 'CONNECTED' AS is_withheld
FROM roaming_party party
JOIN roaming_platform platform ON platform.id = party.platform_id
WHERE party.id = ANY(%(parties)s) AND (NOT %(only_receivers)s OR (
    (party.is_active OR party.is_behind_hub) AND platform.status = 'CONNECTED' AND EXISTS (
        SELECT 1 FROM roaming_endpoint e
        WHERE e.platform_id = platform.id AND e.module = %(module)s AND e.role = %(role)s)))
"""
_MAKE_LANES = f"""
INSERT INTO roaming_lane (platform_id, name, breaker, failures, setbacks, blocked_reason)
SELECT DISTINCT t.platform_id, %(lane)s, 'CLOSED', 0, 0, '' FROM ({_TARGETS}) t
ON CONFLICT (platform_id, name) DO NOTHING
"""
_COLUMNS = """
lane_id, own_party_id, party_id, shape, kind, object_key, state, wanted_version, confirmed_version,
changed_fields, force_put, url, body, correlation_id, attempts, crashes, ambiguous, expires_at, owed_since,
location_url, last_error
"""
_OWE = f"""
WITH targets AS ({_TARGETS}), owed AS (
    INSERT INTO roaming_obligation AS o ({_COLUMNS})
    SELECT lane.id, %(own_party)s, t.party_id, %(shape)s, %(kind)s, %(object_key)s,
           CASE WHEN t.is_withheld THEN 'WITHHELD' ELSE 'PENDING' END, 1, 0,
           %(changed_fields)s::varchar[], true, %(url)s, %(body)s,
           coalesce(%(correlation_id)s, gen_random_uuid()::text), 0, 0, false, %(expires_at)s, %(now)s, '', ''
    FROM targets t JOIN roaming_lane lane ON lane.platform_id = t.platform_id AND lane.name = %(lane)s
    ORDER BY t.party_id
    ON CONFLICT (party_id, kind, object_key) DO {{on_conflict}}
    RETURNING o.party_id
)
SELECT ARRAY(SELECT t.party_id FROM targets t WHERE NOT EXISTS (
           SELECT 1 FROM roaming_lane lane WHERE lane.platform_id = t.platform_id AND lane.name = %(lane)s)),
       (SELECT count(*) FROM owed)
"""
# What is pending keeps its place in the queue or its back-off, however often it changes (and no index is written);
# what was just confirmed keeps its distance (verdicts.py).
_OWE_STATE = _OWE.format(
    on_conflict="""
    UPDATE SET wanted_version = o.wanted_version + 1, state = excluded.state, own_party_id = excluded.own_party_id,
        lane_id = excluded.lane_id, force_put = o.force_put OR %(whole)s,
        changed_fields = ARRAY(SELECT DISTINCT unnest(o.changed_fields || excluded.changed_fields) ORDER BY 1),
        next_at = CASE o.state WHEN 'PENDING' THEN o.next_at WHEN 'ACKED' THEN greatest(o.next_at, now()) ELSE now() END,
        attempts = CASE WHEN o.state = 'PENDING' THEN o.attempts ELSE 0 END,
        crashes = CASE WHEN o.state = 'PENDING' THEN o.crashes ELSE 0 END,
        owed_since = CASE WHEN o.state = 'PENDING' THEN o.owed_since ELSE excluded.owed_since END
    """
)
_OWE_SEALED = _OWE.format(on_conflict="NOTHING")


def owe_state(
    *,
    own_party: Party,
    parties: Iterable[Party],
    kind: str,
    object_key: str,
    changed_fields: Sequence[str] = (),
    whole: bool = False,
    now: datetime,
) -> int:
    """Owe the current state of an object to each of these parties; returns to how many.

    The request is rendered when it is sent, so any number of changes in the meantime is one push. Without
    ``changed_fields``, or with ``whole``, the whole object is sent. Platforms that are not connected or do
    not offer the push's side of the module are left out (SYN-02). Any number of these may run at the same time: one
    statement, and parties are taken in one order.
    """
    return _owe(
        _OWE_STATE,
        own_party=own_party,
        parties=[party.pk for party in parties],
        kind=kind,
        object_key=object_key,
        changed_fields=sorted(changed_fields),
        whole=whole or not changed_fields,
        now=now,
    )


def owe_ledger(*, own_party: Party, party: Party, kind: str, object_key: str, now: datetime) -> bool:
    """Owe a sealed thing, once and until it is acknowledged, whatever becomes of the connection.

    False when it was owed already, or when the party is one of ours: nobody has to be told then.
    """
    owed = _owe(
        _OWE_SEALED, own_party=own_party, parties=[party.pk], kind=kind, object_key=object_key, now=now
    )
    return bool(owed)


def owe_once(
    *,
    own_party: Party,
    party: Party,
    kind: str,
    object_key: str,
    url: str,
    body: bytes,
    expires_at: datetime,
    correlation_id: str,
    now: datetime,
) -> bool:
    """Owe these bytes to exactly this URL, to be sent once before ``expires_at`` (CMD-04, CMD-08).

    ``correlation_id`` is the one of the command that caused it (MID-07). False when it was owed already.
    """
    owed = _owe(
        _OWE_SEALED,
        own_party=own_party,
        parties=[party.pk],
        kind=kind,
        object_key=object_key,
        url=url,
        body=body,
        expires_at=expires_at,
        correlation_id=correlation_id,
        now=now,
    )
    return bool(owed)


def _owe(statement: str, *, own_party: Party, kind: str, now: datetime, **values: Any) -> int:
    push = pushes.get(kind)
    absent = {
        "changed_fields": [],
        "whole": True,
        "url": "",
        "body": None,
        "expires_at": None,
        "correlation_id": None,
    }
    parameters: dict[str, Any] = absent | values | {
        "own_party": own_party.pk,
        "kind": kind,
        "module": push.module,
        "role": push.role,
        "shape": push.shape.value,
        "lane": push.lane.value,
        "only_receivers": push.shape == Shape.STATE,
        "now": now,
    }  # fmt: skip
    # Inside of a caller's transaction no savepoint: that is the caller's, who owes nothing when this fails.
    with transaction.atomic(savepoint=False):
        [(without_lane, owed)] = rawsql.fetch(statement, parameters)
        if without_lane:
            # The first delivery of a kind to a partner.
            parameters["parties"] = without_lane
            rawsql.execute(_MAKE_LANES, parameters)
            [(_, more)] = rawsql.fetch(statement, parameters)
            owed += more
    if owed:
        wake_on_commit()
    return int(owed)


def mark_served(*, party: Party, kind: str, object_keys: Iterable[str]) -> int:
    """Note that a partner has fetched these sealed things itself; returns how many were still owed."""
    rows = Obligation.objects.filter(
        party=party, kind=kind, object_key__in=list(object_keys), state__in=(State.PENDING, State.PARKED)
    )
    return rows.update(state=State.SERVED, acked_at=Now(), last_error="")


def replay(obligation: Obligation, *, by: str = "operator") -> None:
    """Send an item again at once; the row stays the same one, and so does its id at the partner.

    Raises ValueError for a command's result (CMD-08) and for what is delivered or cancelled.
    """
    if not _replay(Obligation.objects.filter(pk=obligation.pk), by=by):
        obligation.refresh_from_db(fields=["state"])
        raise ValueError(
            f"a {obligation.get_shape_display()} delivery that is {obligation.get_state_display()} is not sent again"
        )
    obligation.refresh_from_db()


def replay_all(
    reason: str, *, platform: Platform | None = None, own_party: Party | None = None, by: str = "operator"
) -> int:
    """Send again at once what is parked or contested for a reason (part of ``last_error``); returns how many.

    ``platform`` and ``own_party`` narrow it to what that partner is owed, and by that party of ours.
    """
    rows = Obligation.objects.filter(state__in=(State.PARKED, State.CONTESTED), last_error__icontains=reason)
    if own_party is not None:
        rows = rows.filter(own_party=own_party)
    return _replay(rows if platform is None else rows.filter(lane__platform=platform), by=by)


def _replay(rows: QuerySet[Obligation], *, by: str) -> int:
    replayable = (State.PENDING, State.PARKED, State.CONTESTED)
    with transaction.atomic():
        chosen = list(
            rows.filter(state__in=replayable).exclude(shape=Shape.SHORT_LIVED).select_for_update(no_key=True)
        )
        Obligation.objects.filter(pk__in=[each.pk for each in chosen]).update(
            state=State.PENDING, next_at=Now(), crashes=0, force_put=True
        )
        _audit(chosen, by=by, outcome="REPLAYED")
    if chosen:
        wake_on_commit()
    return len(chosen)


def park(obligation: Obligation, *, reason: str, by: str = "operator") -> None:
    """Keep an item back until somebody replays it. Raises ValueError when it is not pending."""
    _end(obligation, State.PARKED, (State.PENDING,), reason=reason, by=by)


def cancel(obligation: Obligation, *, reason: str, by: str, confirmed_by: str = "") -> None:
    """Give an item up for good. A sealed thing is money: it takes two persons.

    Raises ValueError without the second person, and when the item is already at the partner.
    """
    if obligation.shape == Shape.LEDGER and (not confirmed_by or confirmed_by == by):
        raise ValueError("a sealed delivery is cancelled by two persons: name another one who confirms it")
    names = f"{by}, {confirmed_by}" if confirmed_by else by
    _end(obligation, State.CANCELLED, (State.PENDING, State.PARKED, State.CONTESTED), reason=reason, by=names)


def contest(obligation: Obligation, *, reason: str, by: str = "nightly check") -> bool:
    """Note that a partner does not hold what it has acknowledged; False when the item is not acknowledged (any more)."""
    with transaction.atomic():
        rows = Obligation.objects.filter(pk=obligation.pk, state=State.ACKED, shape=Shape.LEDGER)
        if not rows.update(state=State.CONTESTED, last_error=reason[:500]):
            return False
        _audit([obligation], by=by, outcome=State.CONTESTED, error=reason)
    obligation.refresh_from_db()
    return True


def send_whole(obligation: Obligation, *, now: datetime) -> bool:
    """Owe a confirmed state once more, as a whole; False when it is on its way anyway, or no state."""
    rows = Obligation.objects.filter(pk=obligation.pk, shape=Shape.STATE, state=State.ACKED)
    count = rows.update(
        state=State.PENDING,
        wanted_version=F("wanted_version") + 1,
        force_put=True,
        next_at=Now(),
        owed_since=now,
    )
    if count:
        wake_on_commit()
    return bool(count)


def _end(obligation: Obligation, state: str, before: Sequence[str], *, reason: str, by: str) -> None:
    with transaction.atomic():
        rows = Obligation.objects.filter(pk=obligation.pk, state__in=before)
        if not rows.update(state=state, last_error=f"{reason} ({by})"[:500]):
            obligation.refresh_from_db(fields=["state"])
            raise ValueError(f"this delivery is {obligation.get_state_display()}: nothing was changed")
        _audit([obligation], by=by, outcome=state, error=reason)
    obligation.refresh_from_db()


def _audit(obligations: Iterable[Obligation], *, by: str, outcome: str, error: str = "") -> None:
    """What a person did stands among the tries, without a request."""
    Attempt.objects.bulk_create(
        Attempt(
            obligation=each, worker=by[:80], request_id="", method="", url="", outcome=outcome, error=error[:500],
            started_at=Now(), ended_at=Now(),
        )
        for each in obligations
    )  # fmt: skip


def unblock(*, platform: Platform, by: str = "operator") -> int:
    """Let all lanes of a platform try again at once, after its operator says it is mended; returns how many."""
    count = lanes.unblock(platform_id=platform.pk)
    Endpoint.objects.filter(platform=platform).update(off_until=None, off_reason="")
    log.info("delivery.unblocked platform=%s by=%s", platform.pk, by)
    wake_on_commit()
    return count


def resend_states(*, platform: Platform, now: datetime) -> int:
    """Owe every state that this platform has been told before once more, as a whole; returns how many.

    For a partner that comes back after a suspension, when changes were not owed to it.
    """
    rows = Obligation.objects.filter(lane__platform=platform, shape=Shape.STATE).exclude(state=State.PARKED)
    count = rows.update(
        state=State.PENDING,
        wanted_version=F("wanted_version") + 1,
        force_put=True,
        next_at=Now(),
        owed_since=now,
    )
    wake_on_commit()
    return count


def withhold_states(*, parties: Iterable[Party]) -> int:
    """Withdraw the states that are owed to parties that went away: nothing is queued for them (HCI-09).

    They are noted to go out, as they are then, when the party is back; but not what a hub of ours said in its own name:
    that is fetched. Sealed things wait. Returns how many were withdrawn.
    """
    rows = Obligation.objects.filter(
        party__in=[party.pk for party in parties], shape=Shape.STATE, state=State.PENDING
    )
    is_the_hubs = Q(own_party__role=v221.Role.HUB.value)
    count = rows.filter(is_the_hubs).update(state=State.CANCELLED, last_error="the party is not connected")
    return count + rows.update(state=State.WITHHELD)


def release_states(*, parties: Iterable[Party]) -> int:
    """Owe parties that are back what was withheld meanwhile, each as a whole (HCI-14); returns how many."""
    return _release(Obligation.objects.filter(party__in=[party.pk for party in parties]))


def release_missed() -> int:
    """Owe what was withheld by somebody who did not see yet that the party is back; returns how many."""
    return _release(Obligation.objects.filter(party__presence=Party.Presence.CONNECTED))


def _release(rows: QuerySet[Obligation]) -> int:
    count = rows.filter(state=State.WITHHELD).update(state=State.PENDING, force_put=True, next_at=Now())
    if count:
        wake_on_commit()
    return count
