"""The verbs of CDRs: seal a finished session, hold it for review, seal it again after a correction.

A finished session ends in exactly one of two places: a sealed CDR that its payer is owed, or an open review.
Both happen in the transaction that looked at it, so neither can be lost; the session's row is locked first,
so two callers at once get the same answer.
"""

import hashlib
import logging
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from django.conf import settings
from django.db import connection, transaction

from cdrs import corrections
from cdrs.build import Priced, build, price_session
from cdrs.facts import Limits, SessionFacts
from cdrs.lint import Finding, cannot_price, lint_cdr, lint_session
from cdrs.loading import session_facts
from cdrs.models import CDR, Correction, Review
from ocpi import codec, v221
from roaming.delivery.services import owe_ledger
from sessions import feed
from sessions.models import Session
from sessions.services import WrongState
from tariffs.bill import CannotPrice

log = logging.getLogger(__name__)

NAMESPACE = uuid.UUID("6b1f5f0e-6c1e-5d0a-9a55-6d1a8c0c7d11")
"""Of the keys of CDRs; changing it would bill every restored session a second time."""

FIRST_LINK = bytes(32)
"""What the first CDR of a party names as the CDR before it."""


class NotInReview(Exception):
    """The session has no open review: it is sealed already, or was never refused. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Draft:
    """A CDR that passed lint, before its place in the chain is known."""

    key: uuid.UUID
    cdr: v221.CDR
    priced: Priced
    facts: SessionFacts


class _Before(NamedTuple):
    """What a session has already: its CDR, the CDR of another row of the same charge, its review."""

    cdr_key: uuid.UUID | None
    twin: uuid.UUID | None
    review_id: int | None


class _Place(NamedTuple):
    """The next place in the feed of a party of ours, and what stands before it."""

    number: int
    previous: bytes
    newest: datetime | None


def seal(*, session: Session, station_key: str, now: datetime) -> CDR | Review:
    """Make the CDR of a completed session and owe it to the party that pays, or hold the session for review.

    ``station_key`` names charger, connector and id tag; with the start it makes the key of the CDR, so that a
    session sealed again after a restore of the database is the same CDR (delivery.md 0.11). Whoever seals a
    second time, at the same moment or later, gets what the first one made. Call it last in a transaction, and
    for one session only (sessions/feed.py). Raises WrongState for a session that is not completed.
    """
    with transaction.atomic():
        row = _locked(session)
        if row.status != v221.SessionStatus.COMPLETED.value:
            raise WrongState(f"session {row.pk} is {row.status}: only a completed session can be sealed")
        key = cdr_key(session=row, station_key=station_key)
        before = _before(row, key)
        if before.cdr_key is not None:
            return CDR.objects.get(pk=before.cdr_key)
        if before.review_id is not None:
            return Review.objects.get(pk=before.review_id)
        outcome = _examine(row, key, now) if before.twin is None else _billed_already(before.twin)
        if isinstance(outcome, _Draft):
            return _seal(row, outcome, now)
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
        row = _locked(session)
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
        outcome = _examine(row, key, now) if twin is None else _billed_already(twin)
        if isinstance(outcome, _Draft):
            _resolve(review, made_by, reason, now)
            return _seal(row, outcome, now)
        review.reasons = _reasons(outcome)
        review.save(update_fields=["reasons"])
        return review


def waive(*, session: Session, made_by: str, reason: str, now: datetime) -> Review:
    """Close a review without billing, in a person's name. Raises NotInReview and ValueError as ``reseal``."""
    _require_named(made_by, reason)
    with transaction.atomic():
        review = _open_review(_locked(session))
        _resolve(review, made_by, f"not billed: {reason}", now)
        return review


def cdr_key(*, session: Session, station_key: str, revision: int = 1) -> uuid.UUID:
    """The key of a session's CDR: the same charge has the same key, whichever database row it stands in."""
    name = "\n".join(
        (
            station_key,
            session.connector_id,
            session.started_at.isoformat(timespec="milliseconds"),
            str(session.meter_start_wh),
            session.token_uid,
            str(revision),
        )
    )
    return uuid.uuid5(NAMESPACE, name)


def limits() -> Limits:
    """The limits of this installation, from its settings."""
    return Limits(
        max_total={currency: Decimal(str(most)) for currency, most in settings.CDR_MAX_TOTAL.items()},
        vat_countries=frozenset(settings.CDR_VAT_COUNTRIES),
    )


def _locked(session: Session) -> Session:
    """The row as it is now, locked; its parties never change, so they are the caller's."""
    row = Session.objects.select_for_update(no_key=True).get(pk=session.pk)
    row.own_party, row.party = session.own_party, session.party
    return row


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


def _examine(row: Session, key: uuid.UUID, now: datetime) -> _Draft | tuple[Finding, ...]:
    """Price, build and lint; returns what is wrong, all of it, or the CDR."""
    facts, bounds = session_facts(row), limits()
    findings = lint_session(facts=facts, limits=bounds, now=now)
    if findings:
        return findings
    try:
        priced = price_session(facts)
    except CannotPrice as error:
        return (cannot_price(str(error)),)
    cdr = build(cdr_id=str(key), facts=facts, priced=priced, last_updated=feed.later_than(None, now=now))
    findings = lint_cdr(cdr=cdr, priced=priced, facts=facts, limits=bounds)
    return findings or _Draft(key=key, cdr=cdr, priced=priced, facts=facts)


def _seal(row: Session, draft: _Draft, now: datetime) -> CDR:
    """Owe first, then take the place in the feed: the lock of the feed is the last thing to wait for."""
    owe_ledger(own_party=row.own_party, party=row.party, kind="cdr", object_key=str(draft.key), now=now)
    feed.lock(feed=feed.Feed.CDRS, own_party_id=row.own_party_id)
    place = _next_place(row.own_party_id)
    cdr = msgspec.structs.replace(draft.cdr, last_updated=feed.later_than(place.newest, now=now))
    body = codec.encode(cdr)
    sha256 = hashlib.sha256(body).digest()
    return CDR.objects.create(
        key=draft.key,
        own_party=row.own_party,
        party=row.party,
        ocpi_id=cdr.id,
        session=row,
        body=body,
        sha256=sha256,
        previous_sha256=place.previous,
        chain_sha256=hashlib.sha256(place.previous + sha256).digest(),
        explain=codec.encode(draft.priced.bill),
        currency=cdr.currency,
        time_zone=draft.facts.time_zone,
        started_at=cdr.start_date_time,
        ended_at=cdr.end_date_time,
        energy_kwh=cdr.total_energy,
        total_excl_vat=cdr.total_cost.excl_vat,
        total_incl_vat=cdr.total_cost.incl_vat,
        feed_seq=place.number,
        last_updated=cdr.last_updated,
    )


_NEXT_PLACE = """
SELECT nextval('cdrs_cdr_feed_seq'), head.chain_sha256, head.last_updated FROM (SELECT 1) one
LEFT JOIN (
    SELECT chain_sha256, last_updated FROM cdrs_cdr WHERE own_party_id = %s ORDER BY feed_seq DESC LIMIT 1
) head ON true
"""


def _next_place(own_party_id: int) -> _Place:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT_PLACE, [own_party_id])
        number, previous, newest = cursor.fetchone()
    return _Place(number, FIRST_LINK if previous is None else bytes(previous), newest)


def _reasons(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [asdict(finding) for finding in findings]
