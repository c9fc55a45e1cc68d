"""The rounds in which partners' copies are read: when they are due, how fast they go, where they go on.

A partner that does not show single objects is remembered and left alone for a week; one that is not well is left alone
for a quarter of an hour, and the round goes on where it was. No transaction is open while a partner is asked, and each
platform is asked at most once a second.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from ocpi.client import CallFailed
from roaming.checks.copies import (
    BATCH,
    Question,
    Shape,
    answer_to,
    close_cancelled,
    compared_pushes,
    conclude,
    question_about,
    sampled,
    sealed,
)
from roaming.checks.models import Comparison
from roaming.checks.reading import Copy, read_copy
from roaming.delivery.models import Obligation
from roaming.delivery.partner import Partner
from roaming.models import Endpoint, Platform
from roaming.secrets import SecretUnreadableError

log = logging.getLogger(__name__)

NIGHT_HOUR_UTC = 1
JITTER_SECONDS = 3600
NOT_OFFERED_FOR = timedelta(days=7)
AGAIN_AFTER = timedelta(minutes=15)
# Whoever has claimed a round and died loses it after this time.
CLAIM = timedelta(minutes=2)


@dataclass(frozen=True)
class Pace:
    """How fast and how long: seconds between two questions to one partner, and for all questions of a run."""

    between_seconds: float = 1.0
    run_seconds: float = 20.0
    sleep: Callable[[float], None] = time.sleep


PACE = Pace()


def compare_due(*, clock: Callable[[], datetime], pace: Pace = PACE) -> int:
    """Go on with the rounds that are due, side by side; returns how many copies were asked for.

    Bounded by ``pace.run_seconds`` and one request; what is left is due again at once. Any number of these may run:
    a round is claimed before it is worked on.
    """
    until = time.monotonic() + pace.run_seconds
    close_cancelled(now=clock())
    rounds = [_Round(each) for each in _claimed(clock())]
    count = 0
    while rounds and time.monotonic() < until:
        began = time.monotonic()
        asked = 0
        for each in rounds:
            if time.monotonic() < until:
                asked += each.step(clock())
        rounds = [each for each in rounds if not each.is_over]
        if rounds and asked:
            pace.sleep(max(0.0, pace.between_seconds - (time.monotonic() - began)))
        count += asked
    for each in rounds:
        each.give_back(clock())
    return count


def start_over(*, now: datetime) -> None:
    """Make every round due from its beginning, also where single objects were not shown before."""
    _make_rounds(now)
    Comparison.objects.update(next_at=now, cursor=0, began_at=None, unreadable_until=None)


def is_due(*, now: datetime) -> bool:
    """Whether some round can go on now."""
    return _due(now).exists()


def _due(now: datetime) -> QuerySet[Comparison]:
    return Comparison.objects.filter(next_at__lte=now, platform__status=Platform.Status.CONNECTED)


def _make_rounds(now: datetime) -> None:
    modules = {push.module for push in compared_pushes() if push.shape in (Shape.LEDGER, Shape.STATE)}
    served = Endpoint.objects.filter(role="RECEIVER", module__in=modules).exclude(
        Exists(Comparison.objects.filter(platform=OuterRef("platform"), module=OuterRef("module")))
    )
    rows = served.filter(platform__status=Platform.Status.CONNECTED).values_list("platform", "module")
    Comparison.objects.bulk_create(
        [
            Comparison(platform_id=platform, module=module, next_at=next_night(now))
            for platform, module in sorted(set(rows))
        ],
        ignore_conflicts=True,
    )


def next_night(now: datetime) -> datetime:
    """The coming night, spread over an hour, so that not all partners are asked in the same minute."""
    tonight = now.astimezone(UTC).replace(hour=NIGHT_HOUR_UTC, minute=0, second=0, microsecond=0)
    if tonight <= now:
        tonight += timedelta(days=1)
    return tonight + timedelta(seconds=random.uniform(0, JITTER_SECONDS))


def _claimed(now: datetime) -> list[Comparison]:
    """The rounds that are due, one of each platform: it is asked once a second, not once per module."""
    _make_rounds(now)
    with transaction.atomic():
        due = (
            _due(now)
            .select_for_update(skip_locked=True, of=("self",))
            .select_related("platform")
            .order_by("-next_at", "-pk")
        )
        first = {each.platform_id: each for each in due}
        Comparison.objects.filter(pk__in=[each.pk for each in first.values()]).update(next_at=now + CLAIM)
    return list(first.values())


class _Round:
    """One partner's copies of one module, read one by one."""

    def __init__(self, row: Comparison) -> None:
        self.row = row
        self.is_over = False
        self._partner: Partner | None = None
        self._waiting: list[Obligation] = []
        self._is_last_batch = False

    def step(self, now: datetime) -> bool:
        """Ask for the next copy and act on it; False when there was none to ask for, and the round is over."""
        partner = self._partner or self._begin(now)
        while partner is not None and (obligation := self._next(now)) is not None:
            question = question_about(partner, obligation, now)
            if question is not None:
                self._ask(partner, question, now)
            if not self.is_over:
                self._pass(obligation)
            if question is not None:
                return True
        if not self.is_over:
            self._finish(now)
        return False

    def give_back(self, now: datetime) -> None:
        """Out of time: the rest is due at once."""
        self._save(next_at=now)

    def _begin(self, now: datetime) -> Partner | None:
        row = self.row
        if row.unreadable_until is not None and row.unreadable_until > now:
            self._finish(now, problem=row.problem)
            return None
        try:
            self._partner = Partner.load(row.platform_id)
        except SecretUnreadableError as error:
            self._break_off(str(error), now)
            return None
        if row.began_at is None:
            row.began_at, row.compared, row.differing, row.cursor = now, 0, 0, 0
        self._waiting = list(sampled(row, now))
        return self._partner

    def _next(self, now: datetime) -> Obligation | None:
        if not self._waiting and not self._is_last_batch:
            self._waiting = list(sealed(self.row, now))
            self._is_last_batch = len(self._waiting) < BATCH
        return self._waiting.pop(0) if self._waiting else None

    def _ask(self, partner: Partner, question: Question, now: datetime) -> None:
        try:
            answer = answer_to(partner, question)
        except CallFailed as failure:
            self._break_off(str(failure), now)
            return
        copy = read_copy(http_status=answer.http_status, status_code=answer.status_code, data=answer.data)
        if copy is Copy.BREAK_OFF:
            self._break_off(f"HTTP {answer.http_status}, status {answer.status_code}", now)
        elif copy is Copy.NOT_OFFERED:
            log.info("check.not_offered platform=%s module=%s", self.row.platform_id, self.row.module)
            self.row.unreadable_until = now + NOT_OFFERED_FOR
            self._finish(now, problem=f"does not show single objects (HTTP {answer.http_status})")
        else:
            self.row.compared += 1
            self.row.differing += conclude(partner.platform, question, copy, answer, now)

    def _pass(self, obligation: Obligation) -> None:
        """Never look at it again in this round."""
        if obligation.shape == Shape.LEDGER:
            self.row.cursor = obligation.pk
        self._save()

    def _break_off(self, reason: str, now: datetime) -> None:
        self.is_over = True
        self._save(next_at=now + AGAIN_AFTER, problem=reason)

    def _finish(self, now: datetime, problem: str = "") -> None:
        self.is_over = True
        self.row.began_at, self.row.cursor = None, 0
        self._save(next_at=next_night(now), finished_at=now, problem=problem)

    def _save(self, **changes: object) -> None:
        for name, value in changes.items():
            setattr(self.row, name, value)
        self.row.problem = self.row.problem[:200]
        names = {"cursor", "began_at", "compared", "differing", "unreadable_until", "problem", *changes}
        self.row.save(update_fields=sorted(names))
