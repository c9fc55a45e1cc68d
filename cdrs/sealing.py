"""How a CDR comes to be and takes its place: examined, owed to its payer, hashed, numbered, linked to the one before it.

Whoever seals has locked the session's row first, so two callers at once follow each other.
"""

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import msgspec
from django.conf import settings
from django.db import connection

from cdrs import corrections
from cdrs.build import build, price_session
from cdrs.facts import Limits
from cdrs.lint import Finding, cannot_price, lint_cdr, lint_session
from cdrs.loading import session_facts
from cdrs.models import CDR
from ocpi import codec, v221
from roaming.delivery.services import owe_ledger
from sessions import feed
from sessions.models import Session
from tariffs.bill import CannotPrice

NAMESPACE = uuid.UUID("6b1f5f0e-6c1e-5d0a-9a55-6d1a8c0c7d11")
"""Of the keys of CDRs; changing it would bill every restored session a second time."""

FIRST_LINK = bytes(32)
"""What the first CDR of a party names as the CDR before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A CDR that may be sealed, before its place in the chain is known; ``explain`` is its bill as JSON bytes."""

    key: uuid.UUID
    cdr: v221.CDR
    explain: bytes
    time_zone: str
    revision: int = 1
    credit_of: CDR | None = None


class _Place(NamedTuple):
    """The next place in the feed of a party of ours, and what stands before it."""

    number: int
    previous: bytes
    newest: datetime | None


def cdr_key(*, session: Session, station_key: str) -> uuid.UUID:
    """The key of a session's first CDR: the same charge has the same key, whichever database row it stands in."""
    name = "\n".join(
        (
            station_key,
            session.connector_id,
            session.started_at.isoformat(timespec="milliseconds"),
            str(session.meter_start_wh),
            session.token_uid,
            "1",
        )
    )
    return uuid.uuid5(NAMESPACE, name)


def credit_key(cdr: CDR) -> uuid.UUID:
    """The key of the one credit CDR of a CDR: the same one after a restore."""
    return uuid.uuid5(NAMESPACE, f"{cdr.key}\ncredit")


def successor_key(cdr: CDR) -> uuid.UUID:
    """The key of the CDR that bills a charge again after ``cdr`` was credited: the same one after a restore."""
    return uuid.uuid5(NAMESPACE, f"{cdr.key}\n{cdr.revision + 1}")


def locked_session(session: Session) -> Session:
    """The row as it is now, locked; its parties never change, so they are the caller's."""
    row = Session.objects.select_for_update(no_key=True).get(pk=session.pk)
    row.own_party, row.party = session.own_party, session.party
    return row


def limits() -> Limits:
    """The limits of this installation, from its settings."""
    return Limits(
        max_total={currency: Decimal(str(most)) for currency, most in settings.CDR_MAX_TOTAL.items()},
        vat_countries=frozenset(settings.CDR_VAT_COUNTRIES),
    )


def examine(
    row: Session,
    *,
    key: uuid.UUID,
    now: datetime,
    revision: int = 1,
    changes: tuple[corrections.Changes, ...] = (),
) -> Draft | tuple[Finding, ...]:
    """Price, build and lint a session as corrected so far and by ``changes``; returns what is wrong, all of it,
    or the CDR."""
    facts, bounds = corrections.corrected(session_facts(row), changes), limits()
    findings = lint_session(facts=facts, limits=bounds, now=now)
    if findings:
        return findings
    try:
        priced = price_session(facts)
    except CannotPrice as error:
        return (cannot_price(str(error)),)
    cdr = build(cdr_id=str(key), facts=facts, priced=priced, last_updated=feed.later_than(None, now=now))
    findings = lint_cdr(cdr=cdr, priced=priced, facts=facts, limits=bounds)
    if findings:
        return findings
    bill = codec.encode(priced.bill)
    return Draft(key=key, cdr=cdr, explain=bill, time_zone=facts.time_zone, revision=revision)


def seal_draft(row: Session, draft: Draft, *, now: datetime) -> CDR:
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
        revision=draft.revision,
        is_credit=draft.credit_of is not None,
        credit_of=draft.credit_of,
        body=body,
        sha256=sha256,
        previous_sha256=place.previous,
        chain_sha256=hashlib.sha256(place.previous + sha256).digest(),
        explain=draft.explain,
        currency=cdr.currency,
        time_zone=draft.time_zone,
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
