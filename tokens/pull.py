"""Reading a partner's token list: after the handshake, hourly what is new, weekly all of it (TOK-07, TOK-08).

It is read once for each pair of an operator hosted here and an eMSP over there: who asks decides what is in it.

No transaction is open while the partner is asked. A page is stored when it has arrived; the mark from which the
next reading goes on moves only when the list was read to its end.
"""

import logging
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import product
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from ocpi import codec, v221
from ocpi.client import Answer, CallFailed, paged
from ocpi.headers import PartyId, routing_headers
from ocpi.scalars import write_datetime
from roaming import own
from roaming.models import Party, Platform
from roaming.secrets import SecretUnreadableError, read_outbound_token
from roaming.targets import target
from tokens.models import Pull, Token
from tokens.partner import may_call
from tokens.store import store_many

log = logging.getLogger(__name__)

# Read again what lies this far before the mark: partners' clocks and slow transactions (delivery rules, 4.11).
OVERLAP = timedelta(minutes=10)
# As for PUT: a stamp from the future would block every later change (B19).
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)
INTERVAL = timedelta(hours=1)
JITTER_SECONDS = 600
FULL_EVERY = timedelta(days=7)
PAGE_LIMIT = 1000


@dataclass
class PullReport:
    """How a reading went; `problem` is empty when the list was read to its end."""

    pages: int = 0
    received: int = 0
    stored: int = 0
    broken: int = 0
    foreign: int = 0
    newest: datetime | None = None
    problem: str = ""


def pull_tokens(*, platform: Platform, now: datetime, full: bool = False) -> PullReport:
    """Read the platform's token list and store what is new; nothing is ever deleted.

    `full`: from the beginning, else from 10 minutes before the newest token seen so far. Safe to run beside itself:
    storing a token twice, or an older state of it, changes nothing.
    """
    report = PullReport()
    owners, operators = _owners(platform), own.operators()
    since = None if full else platform.tokens_pulled_until
    for own_party, owner in product(operators, owners.values()):
        begin = since if _holds_some(own_party, platform) else None
        try:
            for answer in _pages(platform, own_party, owner, begin):
                _take(answer, own_party, owners, report, now)
        except (CallFailed, SecretUnreadableError, _ListUnreadableError) as error:
            # On a hub's platform each party answers for itself: one that fails keeps no other back.
            problem = f"{owner.ocpi_id} asked by {own_party.ocpi_id}: {error}"[:200]
            report.problem = report.problem or problem
    if not owners:
        report.problem = "the platform has no active eMSP party that is connected"
    if not operators:
        report.problem = "no operator is hosted here that could ask for tokens"
    if not report.problem:
        _move_mark(platform, report.newest, now)
    _record(platform, report, full=since is None, now=now)
    return report


def pull_due_platforms(*, now: datetime) -> int:
    """Pull from each connected platform whose time has come; returns how many that were.

    Any number of callers may run: a platform is claimed by moving its next time before it is asked.
    """
    count = 0
    for platform in Platform.objects.filter(status=Platform.Status.CONNECTED).order_by("pk"):
        claimed = _claim(platform, now)
        if claimed is None:
            continue
        is_old = claimed.full_at is None or claimed.full_at < now - FULL_EVERY
        pull_tokens(platform=platform, now=now, full=is_old)
        count += 1
    return count


def _claim(platform: Platform, now: datetime) -> Pull | None:
    with transaction.atomic():
        Pull.objects.bulk_create([Pull(platform=platform, next_at=now)], ignore_conflicts=True)
        pull = (
            Pull.objects.select_for_update(skip_locked=True)
            .filter(platform=platform, next_at__lte=now)
            .first()
        )
        if pull is None:
            return None
        # Spread over the hour, so that all platforms do not read all lists at the same minute (PAG-14).
        pull.next_at = now + INTERVAL + timedelta(seconds=random.uniform(0, JITTER_SECONDS))
        pull.save(update_fields=["next_at"])
        return pull


def _holds_some(own_party: Party, platform: Platform) -> bool:
    """Whether this party of ours knows any token of the platform; one that is new here reads the whole list."""
    return Token.objects.filter(own_party=own_party, party__platform=platform).exists()


def _owners(platform: Platform) -> Mapping[PartyId, Party]:
    emsps = platform.parties.filter(
        is_active=True, presence=Party.Presence.CONNECTED, role=v221.Role.EMSP.value
    ).order_by("pk")
    return {party.ocpi_id: party for party in emsps}


class _ListUnreadableError(Exception):
    """The partner answered with something that is no list of tokens."""


def _pages(platform: Platform, own_party: Party, owner: Party, since: datetime | None) -> Iterator[Answer]:
    endpoint = platform.endpoints.filter(module=v221.ModuleID.TOKENS.value, role="SENDER").first()
    if endpoint is None:
        raise _ListUnreadableError("no endpoint for tokens as sender")
    if not may_call(platform, endpoint.url):
        raise _ListUnreadableError("the endpoint for tokens does not lie on a host agreed with this partner")
    parameters = {"limit": str(min(PAGE_LIMIT, platform.page_size_cap or PAGE_LIMIT))}
    if since is not None:
        parameters["date_from"] = write_datetime(since - OVERLAP)
    return paged(
        target(endpoint.url, query=parameters, slash=platform.trailing_slash),
        token=read_outbound_token(platform),
        timeout_seconds=settings.OUTBOUND_TIMEOUT_SECONDS,
        headers=routing_headers(to=owner.ocpi_id, from_=own_party.ocpi_id),
        raw_token=platform.accept_raw_token,
    )


def _take(
    answer: Answer,
    own_party: Party,
    owners: Mapping[PartyId, Party],
    report: PullReport,
    now: datetime,
) -> None:
    """Store the sound tokens of one page; broken and foreign ones are skipped and counted (HTP-13, OBJ-14, O9)."""
    if not answer.is_success:
        raise _ListUnreadableError(f"HTTP {answer.http_status}, status {answer.status_code}")
    if not isinstance(answer.data, list):
        raise _ListUnreadableError("data is not a list")
    sound, broken = codec.decode_each(v221.Token, answer.data)
    mine: dict[PartyId, list[v221.Token]] = defaultdict(list)
    for token in sound:
        if token.last_updated > now + MAX_CLOCK_DIFFERENCE:
            report.broken += 1
            continue
        mine[PartyId.of(token.country_code, token.party_id)].append(token)
    report.pages += 1
    report.received += len(answer.data)
    report.broken += len(broken)
    for owner, tokens in mine.items():
        if owner not in owners:
            report.foreign += len(tokens)
            continue
        report.stored += store_many(own_party, owners[owner], tokens, now)
        newest = max(token.last_updated for token in tokens)
        report.newest = max(newest, report.newest or newest)
    for error in broken:
        log.warning("tokens.pull_broken page=%s member=%s", report.pages, error.path)


def _move_mark(platform: Platform, newest: datetime | None, now: datetime) -> None:
    if newest is None:
        return
    mark = min(newest, now)
    Platform.objects.filter(pk=platform.pk).filter(
        Q(tokens_pulled_until__isnull=True) | Q(tokens_pulled_until__lt=mark)
    ).update(tokens_pulled_until=mark)


def _record(platform: Platform, report: PullReport, *, full: bool, now: datetime) -> None:
    outcome: dict[str, Any] = {
        "finished_at": now,
        "received": report.received,
        "stored": report.stored,
        "broken": report.broken,
        "foreign": report.foreign,
        "problem": report.problem,
    }
    if full and not report.problem:
        outcome["full_at"] = now
    Pull.objects.update_or_create(
        platform=platform, defaults=outcome, create_defaults={**outcome, "next_at": now + INTERVAL}
    )
    log.info(
        "tokens.pulled platform=%s pages=%s received=%s stored=%s broken=%s foreign=%s problem=%s",
        *(
            platform.pk,
            report.pages,
            report.received,
            report.stored,
            report.broken,
            report.foreign,
            report.problem,
        ),
    )
