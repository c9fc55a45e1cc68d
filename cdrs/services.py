"""The verbs of CDRs: seal a finished session, hold it for review, seal it again after a correction.

A finished session ends in exactly one of two places: a sealed CDR that its payer is owed, or an open review.
Both happen in the transaction that looked at it, so neither can be lost; the session's row is locked first,
so two callers at once get the same answer.
"""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction

from cdrs import corrections
from cdrs.lint import Finding
from cdrs.models import CDR, Correction, Review
from cdrs.sealing import Draft, cdr_key, examine, locked_session, seal_draft
from ocpi import v221
from sessions.models import Session
from sessions.services import WrongState

log = logging.getLogger(__name__)


class NotInReview(Exception):
    """The session has no open review: it is sealed already, or was never refused. Nothing was changed."""


class _Before(NamedTuple):
    """What a session has already: its CDR, the CDR of another row of the same charge, its review."""

    cdr_key: uuid.UUID | None
    twin: uuid.UUID | None
    review_id: int | None


def seal(*, session: Session, station_key: str, now: datetime) -> CDR | Review:
    """Make the CDR of a completed session and owe it to the party that pays, or hold the session for review.

    ``station_key`` names charger, connector and id tag; with the start it makes the key of the CDR, so that a
    session sealed again after a restore of the database is the same CDR (delivery.md 0.11). Whoever seals a
    second time, at the same moment or later, gets what the first one made. Call it last in a transaction, and
    for one session only (sessions/feed.py). Raises WrongState for a session that is not completed.
    """
    with transaction.atomic():
        row = locked_session(session)
        if row.status != v221.SessionStatus.COMPLETED.value:
            raise WrongState(f"session {row.pk} is {row.status}: only a completed session can be sealed")
        key = cdr_key(session=row, station_key=station_key)
        before = _before(row, key)
        if before.cdr_key is not None:
            return CDR.objects.get(pk=before.cdr_key)
        if before.review_id is not None:
            return Review.objects.get(pk=before.review_id)
        outcome = examine(row, key=key, now=now) if before.twin is None else _billed_already(before.twin)
        if isinstance(outcome, Draft):
            return seal_draft(row, outcome, now=now)
        log.warning("cdr.review session=%s codes=%s", row.pk, ",".join(each.code for each in outcome))
        return Review.objects.create(
            session=row, station_key=station_key, reasons=_reasons(outcome), opened_at=now
        )


def reseal(
    *, session: Session, changes: corrections.Changes, made_by: str, reason: str, now: datetime
) -> CDR | Review:
    """Lay a person's correction over a session under review and seal it, if it is sound now.

    The correction is kept either way, with the findings before it. Returns the review with its new findings
    when something is still wrong. Raises NotInReview, and ValueError when nobody or no reason is named.
    """
    _require_named(made_by, reason)
    with transaction.atomic():
        row = locked_session(session)
        review = _open_review(row)
        Correction.objects.create(
            session=row,
            made_at=now,
            made_by=made_by,
            reason=reason,
            changes=corrections.stored(changes),
            findings=review.reasons,
        )
        key = cdr_key(session=row, station_key=review.station_key)
        twin = _before(row, key).twin
        outcome = examine(row, key=key, now=now) if twin is None else _billed_already(twin)
        if isinstance(outcome, Draft):
            _resolve(review, made_by, reason, now)
            return seal_draft(row, outcome, now=now)
        review.reasons = _reasons(outcome)
        review.save(update_fields=["reasons"])
        return review


def waive(*, session: Session, made_by: str, reason: str, now: datetime) -> Review:
    """Close a review without billing, in a person's name. Raises NotInReview and ValueError as ``reseal``."""
    _require_named(made_by, reason)
    with transaction.atomic():
        review = _open_review(locked_session(session))
        _resolve(review, made_by, f"not billed: {reason}", now)
        return review


def _open_review(row: Session) -> Review:
    review = Review.objects.filter(session=row, resolved_at__isnull=True).first()
    if review is None:
        raise NotInReview(f"session {row.pk} has no open review")
    return review


def _resolve(review: Review, made_by: str, resolution: str, now: datetime) -> None:
    review.resolved_at, review.resolved_by, review.resolution = now, made_by, resolution[:255]
    review.save(update_fields=["resolved_at", "resolved_by", "resolution"])


def _require_named(made_by: str, reason: str) -> None:
    if not made_by.strip() or not reason.strip():
        raise ValueError("made_by and reason: a correction of money needs a person and a reason")


_BEFORE = f"""
SELECT
    (SELECT key FROM {CDR._meta.db_table}
        WHERE session_id = %(session)s AND NOT is_credit ORDER BY revision DESC LIMIT 1),
    (SELECT key FROM {CDR._meta.db_table} WHERE key = %(key)s AND session_id <> %(session)s),
    (SELECT id FROM {Review._meta.db_table} WHERE session_id = %(session)s)
"""


def _before(row: Session, key: uuid.UUID) -> _Before:
    with connection.cursor() as cursor:
        cursor.execute(_BEFORE, {"session": row.pk, "key": key})
        return _Before(*cursor.fetchone())


def _billed_already(key: uuid.UUID) -> tuple[Finding, ...]:
    text = (
        f"the same charge (station, start, meter, token) was already billed by CDR {key} of another session"
    )
    return (Finding(code="BILLED_BEFORE", text=text, remedy="Close the review without billing."),)


def _reasons(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [asdict(finding) for finding in findings]
