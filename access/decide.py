"""May this party start here, now? The one function behind every start, the view and the preview. [pure]

Order of the rules: known · user fence (grant, token group) · kill switch, suspension · rules can be
followed · time fence with last start · limits · bay. All grants of the party are tried, and all bays when
none is named: one that allows is enough, so a grant more can only allow more. Of several refusals the one
that came furthest is given: it is the one that is over soonest. Whatever is missing or cannot be read
refuses.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from access.decisions import AccessFacts, Allow, Deny, EvseFacts, Refusal, StartRequest, Step
from access.grants import GrantFacts, Terms, ends_at, fault, next_start, open_spans
from access.reasons import Reason

# A known fleet vehicle is never refused for window, grant or limit; only the bay itself can stand in its way.
FLEET_TERMS = Terms(end_policy="FINISH", min_useful_minutes=0, priority_class=1)

_INSTANT = timedelta(microseconds=1)


def decide(request: StartRequest, facts: AccessFacts, now: datetime) -> Allow | Deny:
    """Return whether `request` may start at `now`, on which terms and where, with the trace for the receipt.

    Total and deterministic: the order of grants and EVSEs in `facts` changes nothing. Order of checks:
    charging rules, 2.2. The caller locks the EVSE and checks it again before it starts anything.
    """
    trace: list[Step] = []
    unknown = _unknown(request, facts)
    trace.append(_step("location", unknown, "known"))
    if unknown is not None:
        return _deny(unknown, now, trace)
    allowed = _fleet(now) if facts.fleet_token else _through_fences(request, facts, now, trace)
    if isinstance(allowed, Refusal):
        return _deny(allowed, now, trace)
    if request.source != "VIEW":
        evse = _choose_evse(request, facts, trace)
        if isinstance(evse, Refusal):
            return _deny(evse, now, trace, allowed)
        allowed = replace(allowed, evse_uid=evse.uid)
    return replace(allowed, trace=tuple(trace))


def _step(rule: str, refusal: Refusal | None, passed: str) -> Step:
    if refusal is None:
        return Step(rule, "PASS", passed)
    return Step(rule, "DENY", f"{refusal.reason}: {refusal.detail}")


def _deny(refusal: Refusal, now: datetime, trace: list[Step], allowed: Allow | None = None) -> Deny:
    grant = refusal.grant
    return Deny(
        at=now,
        reason=refusal.reason,
        retry_at=refusal.retry_at,
        closes_at=refusal.closes_at,
        grant_id=allowed.grant_id if allowed else grant.id if grant else None,
        grant_version=allowed.grant_version if allowed else grant.version if grant else None,
        trace=tuple(trace),
    )


def _furthest(refusals: Iterable[Refusal]) -> Refusal:
    """Return the least severe refusal: the order of `Reason` is that of the rules; then the soonest retry."""
    order = list(Reason)

    def severity(refusal: Refusal) -> tuple[int, bool, float, str]:
        retry_at = refusal.retry_at
        name = refusal.grant.id if refusal.grant else refusal.detail
        return -order.index(refusal.reason), retry_at is None, retry_at.timestamp() if retry_at else 0.0, name

    return min(refusals, key=severity)


def _unknown(request: StartRequest, facts: AccessFacts) -> Refusal | None:
    reason = Reason.UNKNOWN_LOCATION
    if not facts.location_known:
        return Refusal(reason=reason, detail="no such Location")
    if request.evse_uid is None:
        if request.connector_id is not None:
            return Refusal(reason=reason, detail="a Connector without its EVSE")
        return None
    evse = next((e for e in facts.evses if e.uid == request.evse_uid and not e.removed), None)
    if evse is None:
        return Refusal(reason=reason, detail="no such EVSE here")
    if request.connector_id is not None and request.connector_id not in evse.connector_ids:
        return Refusal(reason=reason, detail="no such Connector at this EVSE")
    return None


def _fleet(now: datetime) -> Allow:
    return Allow(
        at=now,
        grant_id=None,
        grant_version=None,
        until=None,
        must_end_by=None,
        evse_uid=None,
        terms=FLEET_TERMS,
        trace=(),
    )


def _through_fences(
    request: StartRequest, facts: AccessFacts, now: datetime, trace: list[Step]
) -> Allow | Refusal:
    grants = [
        grant
        for grant in facts.grants
        if grant.party == request.party
        and grant.location_id == request.location_id
        and grant.status != "ENDED"
    ]
    if not grants:
        refusal = Refusal(reason=Reason.NOT_GRANTED, detail=f"{request.party} has no grant here")
        trace.append(_step("user_fence", refusal, ""))
        return refusal
    grants.sort(key=lambda grant: (grant.id, grant.version))
    refusals: list[Refusal] = []
    allowed: list[tuple[GrantFacts, Allow]] = []
    for grant in grants:
        verdict = _under_grant(grant, request, facts, now, trace)
        if isinstance(verdict, Refusal):
            refusals.append(replace(verdict, grant=grant))
        else:
            allowed.append((grant, verdict))
    if not allowed:
        return _furthest(refusals)
    return min(allowed, key=_preference)[1]


def _preference(candidate: tuple[GrantFacts, Allow]) -> tuple[bool, bool, float, int, str]:
    """Order grants that allow: the one for a token group first, then the longest, then the best class."""
    grant, allow = candidate
    until = -allow.until.timestamp() if allow.until else 0.0
    return not grant.token_groups, allow.until is not None, until, grant.terms.priority_class, grant.id


def _under_grant(
    grant: GrantFacts, request: StartRequest, facts: AccessFacts, now: datetime, trace: list[Step]
) -> Allow | Refusal:
    rules: tuple[tuple[str, Callable[[], Refusal | None]], ...] = (
        ("group_fence", lambda: _group_fence(grant, request)),
        ("grant_status", lambda: _grant_status(grant, facts)),
        ("grant_rules", lambda: _grant_rules(grant)),
        ("time_fence", lambda: _time_fence(grant, now)),
        ("limits", lambda: _limits(grant, request, facts)),
    )
    for name, rule in rules:
        refusal = rule()
        trace.append(_step(name, refusal, f"grant {grant.id} version {grant.version}"))
        if refusal is not None:
            return refusal
    until = ends_at(grant, now)
    return Allow(
        at=now,
        grant_id=grant.id,
        grant_version=grant.version,
        until=until,
        must_end_by=_must_end_by(grant.terms, until, now),
        evse_uid=None,
        terms=grant.terms,
        trace=(),
    )


def _group_fence(grant: GrantFacts, request: StartRequest) -> Refusal | None:
    if not grant.token_groups or request.token_group in grant.token_groups:
        return None
    if request.source == "VIEW" and request.token_group is None:
        return None  # a view is of the whole party: open as soon as any of its groups may come
    groups = ", ".join(sorted(grant.token_groups))
    return Refusal(reason=Reason.GROUP_NOT_GRANTED, detail=f"grant {grant.id} is for {groups}")


def _grant_rules(grant: GrantFacts) -> Refusal | None:
    broken = fault(grant)
    if broken is None:
        return None
    return Refusal(reason=Reason.CONFIG_ERROR, detail=f"grant {grant.id}: {broken}")


def _grant_status(grant: GrantFacts, facts: AccessFacts) -> Refusal | None:
    if facts.kill_switch:
        return Refusal(reason=Reason.DEPOT_FLEET_ONLY, detail="the depot is closed to all guests")
    if grant.status == "SUSPENDED":
        return Refusal(reason=Reason.SUSPENDED, detail=f"grant {grant.id} is suspended")
    return None


def _time_fence(grant: GrantFacts, now: datetime) -> Refusal | None:
    if not open_spans(grant, now, now + _INSTANT):
        return Refusal(
            reason=Reason.OUTSIDE_WINDOW,
            detail=f"grant {grant.id} is closed at {now.isoformat()}",
            retry_at=next_start(grant, now),
        )
    until = ends_at(grant, now)
    if until is not None and until - now <= grant.terms.cutoff:
        return Refusal(
            reason=Reason.CUTOFF,
            detail=f"grant {grant.id} closes at {until.isoformat()}, last start {grant.terms.cutoff} before",
            retry_at=next_start(grant, now),
            closes_at=until,
        )
    return None


def _limits(grant: GrantFacts, request: StartRequest, facts: AccessFacts) -> Refusal | None:
    limit = grant.terms.max_concurrent
    if request.source == "VIEW" or limit is None or facts.running_sessions_of_party < limit:
        return None
    running = facts.running_sessions_of_party
    return Refusal(reason=Reason.QUOTA, detail=f"{running} sessions run, grant {grant.id} allows {limit}")


def _must_end_by(terms: Terms, until: datetime | None, now: datetime) -> datetime | None:
    bounds = []
    if until is not None:
        bounds.append(until + terms.overrun)
    if terms.max_session_minutes is not None:
        bounds.append(now + timedelta(minutes=terms.max_session_minutes))
    return min(bounds, default=None)


def _choose_evse(request: StartRequest, facts: AccessFacts, trace: list[Step]) -> EvseFacts | Refusal:
    """Return the named EVSE, or the free one with the fewest Connectors.

    A bay with more kinds of Connector serves more vehicles; it is kept for those who need it.
    """
    candidates = [
        evse
        for evse in facts.evses
        if not evse.removed and (request.evse_uid is None or evse.uid == request.evse_uid)
    ]
    candidates.sort(key=lambda evse: (len(evse.connector_ids), evse.uid))
    refusals: list[Refusal] = []
    free: list[EvseFacts] = []
    for evse in candidates:
        refusal = _capability(evse, request) or _bay(evse, fleet=facts.fleet_token)
        trace.append(_step("bay", refusal, f"EVSE {evse.uid} is free"))
        if refusal is None:
            free.append(evse)
        else:
            refusals.append(refusal)
    if free:
        return free[0]
    if refusals:
        return _furthest(refusals)
    empty = Refusal(reason=Reason.STATION_OFFLINE, detail="no EVSE in this Location")
    trace.append(_step("bay", empty, ""))
    return empty


def _capability(evse: EvseFacts, request: StartRequest) -> Refusal | None:
    if request.source != "RESERVE_NOW" or evse.reservable:
        return None
    return Refusal(reason=Reason.NOT_SUPPORTED, detail=f"EVSE {evse.uid} is not RESERVABLE")


def _bay(evse: EvseFacts, *, fleet: bool) -> Refusal | None:
    if not evse.online:
        return Refusal(reason=Reason.STATION_OFFLINE, detail=f"EVSE {evse.uid} is not connected")
    if not evse.operative:
        return Refusal(reason=Reason.EVSE_INOPERATIVE, detail=f"EVSE {evse.uid} is out of service")
    if evse.occupied:
        return Refusal(reason=Reason.EVSE_OCCUPIED, detail=f"EVSE {evse.uid} is in use")
    if evse.held and not fleet:
        return Refusal(
            reason=Reason.HELD_FOR_FLEET,
            detail=f"EVSE {evse.uid} is kept for the fleet",
            retry_at=evse.held_until,
        )
    return None
