"""The verbs of a session: reserve or open, activate, read the meter, complete, invalidate.

Every verb locks the session's row first, so that two messages about one session come one after the other, and
stamps last (see feed.py). What a partner sees changes only here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from django.db import IntegrityError, transaction

from locations.models import EVSE, Location
from ocpi import codec, v221
from roaming.models import Party
from sessions import periods
from sessions.metering import ReadingReport, add_readings, note_anomaly, resume_ev, suspend_ev
from sessions.models import Session
from sessions.periods import Reading
from sessions.preferences import LIVE
from sessions.stored import UNSTAMPED, locked, publish, readings_of, refresh, remember, whole_ms
from sessions.wishes import first_choice, set_preferences

__all__ = [
    "LIVE",
    "EvseTaken",
    "OpenSession",
    "Reading",
    "ReadingReport",
    "WrongState",
    "activate_session",
    "add_readings",
    "advance",
    "complete_session",
    "end_reservation",
    "invalidate_session",
    "note_anomaly",
    "open_session",
    "readings_of",
    "resume_ev",
    "set_preferences",
    "set_terms",
    "suspend_ev",
]

_Status = v221.SessionStatus
# Every passage of a Session (SES-11, SES-14); whatever is not here does not happen.
TRANSITIONS: Mapping[v221.SessionStatus, frozenset[v221.SessionStatus]] = MappingProxyType(
    {
        _Status.RESERVATION: frozenset({_Status.ACTIVE, _Status.COMPLETED, _Status.INVALID}),
        _Status.PENDING: frozenset({_Status.ACTIVE, _Status.INVALID}),
        _Status.ACTIVE: frozenset({_Status.COMPLETED, _Status.INVALID}),
        _Status.COMPLETED: frozenset(),
        _Status.INVALID: frozenset(),
    }
)
OPENING = frozenset({_Status.PENDING, _Status.ACTIVE, _Status.RESERVATION})


class EvseTaken(Exception):
    """Another live session has the bay; nothing was stored. Try another EVSE, or wait until that one has
    ended."""


class WrongState(Exception):
    """The session's status does not allow the verb; nothing was changed. Not retryable."""


@dataclass(frozen=True, kw_only=True)
class OpenSession:
    """Everything about a session that is frozen when it opens (CDR-12, TAR-27).

    ``started_at`` is the creation for PENDING and RESERVATION and the start of the transaction for ACTIVE, which
    also needs ``meter_start_wh``. ``must_end_by`` is when we stop it by the grant's end policy. ``profile_type`` is
    the preference that the token brings; it chooses among the tariffs, where there is one for it (TOK-24).
    """

    own_party: Party
    party: Party
    location: Location
    evse: EVSE
    connector_id: str
    status: v221.SessionStatus
    cdr_token: v221.CdrToken
    token_group: str
    auth_method: v221.AuthMethod
    authorization_reference: str
    tariffs: tuple[v221.Tariff, ...]
    currency: str
    time_zone: str
    cdr_location: v221.CdrLocation
    started_at: datetime
    meter_start_wh: int | None
    must_end_by: datetime | None
    grant_ref: str
    decision_ref: str
    profile_type: v221.ProfileType | None = None


def open_session(*, facts: OpenSession, now: datetime) -> Session:
    """Open a session as PENDING, ACTIVE or RESERVATION (SES-13) and owe it to the party that pays.

    Raises EvseTaken when the bay has a live or reserved session: the database decides (I1), so of two starts
    at the same moment exactly one wins. Raises WrongState for any other status, or ACTIVE without a meter
    value.
    """
    if facts.status not in OPENING:
        raise WrongState(f"a session opens as PENDING, ACTIVE or RESERVATION, not as {facts.status}")
    if facts.status is _Status.ACTIVE and facts.meter_start_wh is None:
        raise WrongState("a session opens as ACTIVE only with the meter value of its start")
    with transaction.atomic():
        session = _new(facts, now)
        try:
            with transaction.atomic():
                session.save(force_insert=True)
        except IntegrityError as error:
            if "session_one_live_per_evse" not in str(error):
                raise
            raise EvseTaken(f"EVSE {facts.evse.uid} already has a live session") from error
        publish(session, [], now, is_whole=True)
        return session


def _new(facts: OpenSession, now: datetime) -> Session:
    started_at = whole_ms(facts.started_at)
    return Session(
        own_party=facts.own_party,
        party=facts.party,
        location=facts.location,
        evse=facts.evse,
        connector_id=facts.connector_id,
        status=facts.status.value,
        cdr_token=codec.encode(facts.cdr_token),
        token_uid=facts.cdr_token.uid,
        token_group=facts.token_group,
        auth_method=facts.auth_method.value,
        authorization_reference=facts.authorization_reference,
        currency=facts.currency,
        time_zone=facts.time_zone,
        tariffs=codec.encode(list(facts.tariffs)),
        tariff_changes=first_choice(facts.tariffs, facts.profile_type, started_at),
        cdr_location=codec.encode(facts.cdr_location),
        started_at=started_at,
        reserved_from=started_at if facts.status is _Status.RESERVATION else None,
        meter_start_wh=facts.meter_start_wh,
        meter_last_wh=facts.meter_start_wh,
        meter_last_at=None if facts.meter_start_wh is None else started_at,
        must_end_by=facts.must_end_by,
        grant_ref=facts.grant_ref,
        decision_ref=facts.decision_ref,
        last_updated=UNSTAMPED,
    )


def advance(session: Session, to: v221.SessionStatus) -> None:
    """Set the next status of a locked session. Raises WrongState for a passage that does not exist."""
    if to not in TRANSITIONS[_Status(session.status)]:
        raise WrongState(f"session {session.pk} is {session.status}: it cannot become {to}")
    session.status = to.value


def activate_session(
    *,
    session: Session,
    started_at: datetime,
    meter_start_wh: int,
    now: datetime,
    auth_method: v221.AuthMethod | None = None,
    authorization_reference: str | None = None,
) -> Session:
    """Make a session ACTIVE from the start of its transaction on (SES-12); a repeat changes nothing.

    ``auth_method`` and ``authorization_reference`` replace the earlier ones: the last ones count (SES-16,
    CDR-22). Raises WrongState for a session that has ended, or is active since another moment.
    """
    started_at = whole_ms(started_at)
    with transaction.atomic():
        row = locked(session)
        if row.status == _Status.ACTIVE.value and (row.started_at, row.meter_start_wh) == (
            started_at,
            meter_start_wh,
        ):
            return row
        advance(row, _Status.ACTIVE)
        row.started_at, row.meter_start_wh = started_at, meter_start_wh
        row.meter_last_at, row.meter_last_wh = started_at, meter_start_wh
        changed = ["status", "start_date_time"]
        if auth_method is not None and auth_method.value != row.auth_method:
            row.auth_method = auth_method.value
            changed.append("auth_method")
        if authorization_reference and authorization_reference != row.authorization_reference:
            row.authorization_reference = authorization_reference
            changed.append("authorization_reference")
        publish(row, changed, now)
        return row


def set_terms(
    *,
    session: Session,
    must_end_by: datetime | None,
    grant_ref: str,
    decision_ref: str,
    authorization_reference: str = "",
    now: datetime,
) -> Session:
    """Let a newer decision stand for a session that has not started: its end, its receipt, its reference.

    Of several authorization references the last one counts (SES-16). Raises WrongState once it has started.
    """
    with transaction.atomic():
        row = locked(session)
        if row.status not in (_Status.RESERVATION.value, _Status.PENDING.value):
            raise WrongState(f"session {row.pk} is {row.status}: its terms are settled")
        row.must_end_by, row.grant_ref, row.decision_ref = must_end_by, grant_ref, decision_ref
        is_new = bool(authorization_reference) and authorization_reference != row.authorization_reference
        if is_new:
            row.authorization_reference = authorization_reference
            publish(row, ["authorization_reference"], now)
        else:
            row.save(update_fields=["must_end_by", "grant_ref", "decision_ref"])
        return row


def end_reservation(
    *, session: Session, ended_at: datetime, is_expired: bool, end_reason: str, now: datetime
) -> Session:
    """Complete a reservation that nobody used, with what its tariff asks for it (SES-14); a repeat changes nothing.

    ``is_expired``: the driver did not come; otherwise it was given up before. ``total_cost`` 0 means that
    there is nothing to bill. Raises WrongState for a session that is not a reservation any more.
    """
    with transaction.atomic():
        row = locked(session)
        if row.status == _Status.COMPLETED.value and row.is_unused_reservation:
            return row
        if row.status != _Status.RESERVATION.value:
            raise WrongState(f"session {row.pk} is {row.status}, not a reservation")
        advance(row, _Status.COMPLETED)
        row.ended_at = max(whole_ms(ended_at), row.started_at)
        row.is_reservation_expired = is_expired
        row.end_reason = end_reason[:40]
        refresh(row, now)
        publish(row, [], now, is_whole=True)
        return row


def complete_session(
    *,
    session: Session,
    ended_at: datetime,
    meter_stop_wh: int | None,
    end_reason: str,
    now: datetime,
    is_estimated: bool = False,
) -> Session:
    """End an ACTIVE session with its final energy, periods and cost, and tell the partner in full.

    A repeat, whatever it says, changes nothing (SES-11). ``meter_stop_wh`` None means that no stop value
    came: the last reading counts, and the session is estimated. A stop that cannot be (before the start,
    below a reading, in the future) ends the session at the nearest value that can, and is kept as an
    anomaly, so that its CDR goes to review. Raises WrongState for a session that never became active.
    """
    with transaction.atomic():
        row = locked(session)
        if row.status == _Status.COMPLETED.value:
            return row
        advance(row, _Status.COMPLETED)
        readings = readings_of(row)
        row.ended_at = _possible_end(row, whole_ms(ended_at), now)
        row.meter_last_wh = _possible_stop(row, meter_stop_wh, readings)
        row.meter_last_at = row.ended_at
        row.is_estimated = is_estimated or meter_stop_wh is None
        row.end_reason = end_reason[:40]
        if row.suspended_ev_from is not None and row.suspended_ev_from >= row.ended_at:
            row.suspended_ev_from = None
        refresh(row, now, readings=readings)
        publish(row, [], now, is_whole=True)
        return row


def _possible_end(row: Session, ended_at: datetime, now: datetime) -> datetime:
    if ended_at < row.started_at:
        remember(row, [("STOP_BEFORE_START", f"the station says that it ended at {ended_at.isoformat()}")])
        return row.meter_last_at or row.started_at
    if ended_at > now + periods.FUTURE_TOLERANCE:
        remember(row, [("STOP_IN_FUTURE", f"the station says that it ended at {ended_at.isoformat()}")])
        return max(whole_ms(now), row.meter_last_at or row.started_at)
    return ended_at


def _possible_stop(row: Session, meter_stop_wh: int | None, readings: Sequence[Reading]) -> int:
    start_wh = row.meter_start_wh or 0
    least = max([start_wh, *(each.energy_wh for each in readings if each.at <= (row.ended_at or each.at))])
    if meter_stop_wh is None:
        return max([least, *(each.energy_wh for each in readings)])
    if meter_stop_wh < least:
        remember(
            row,
            [("STOP_BELOW_READING", f"the register ended at {meter_stop_wh} Wh, after {least} Wh before")],
        )
        return least
    if meter_stop_wh > start_wh + periods.MAX_SESSION_WH:
        remember(
            row, [("STOP_IMPOSSIBLE", f"the register ended at {meter_stop_wh} Wh, after {least} Wh before")]
        )
        return least
    return meter_stop_wh


def invalidate_session(*, session: Session, reason: str, now: datetime) -> Session:
    """End a session that will not be billed (SES-11); a repeat changes nothing.

    Raises WrongState for a session that is completed.
    """
    with transaction.atomic():
        row = locked(session)
        if row.status == _Status.INVALID.value:
            return row
        advance(row, _Status.INVALID)
        row.ended_at = max(whole_ms(now), row.started_at)
        row.end_reason = reason[:40]
        publish(row, ["status", "end_date_time"], now)
        return row
