"""Comparing what a partner holds with what we sent it: each CDR of five weeks nightly, a sample of states daily.

Nothing is claimed that the partner did not say. A partner that does not show single objects is remembered and left
alone for a week; one that is not well is left alone for a quarter of an hour, and the round goes on where it was. No
transaction is open while a partner is asked, and each platform is asked at most once a second.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet

from ocpi import codec
from ocpi.client import Answer, CallFailed, call
from ocpi.headers import routing_headers
from roaming import pushes
from roaming.checks import findings
from roaming.checks.findings import Found, Severity
from roaming.checks.models import Comparison
from roaming.checks.reading import Copy, read_copy
from roaming.delivery.compare import differing_members
from roaming.delivery.models import Obligation
from roaming.delivery.partner import Partner, target_url, timeout_seconds
from roaming.delivery.services import contest, send_whole
from roaming.models import Endpoint, Platform
from roaming.pushes import Push
from roaming.secrets import SecretUnreadableError

log = logging.getLogger(__name__)

CDR_COPY = "cdr_copy"
STATE_COPY = "state_copy"

CDR_DAYS = timedelta(days=35)
NIGHT_HOUR_UTC = 1
JITTER_SECONDS = 3600
SAMPLE = 20
BATCH = 50
# Owner's country, party and id; what has more is a part of such an object.
OBJECT_SEGMENTS = 3
# Sessions are forgotten by partners some time after their end; older ones are no news.
SESSION_DAYS = timedelta(days=2)
NOT_OFFERED_FOR = timedelta(days=7)
AGAIN_AFTER = timedelta(minutes=15)
# Whoever has claimed a round and died loses it after this time.
CLAIM = timedelta(minutes=2)

State = Obligation.State
Shape = Obligation.Shape


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
    modules = {push.module for push in pushes.all_pushes() if push.shape in (Shape.LEDGER, Shape.STATE)}
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


@dataclass(frozen=True)
class _Question:
    """One copy to be read: of what, where, and what we sent."""

    obligation: Obligation
    push: Push
    url: str
    body: bytes


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
            question = _question(partner, obligation, now)
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
        self._waiting = list(_sampled(row, now))
        return self._partner

    def _next(self, now: datetime) -> Obligation | None:
        if not self._waiting and not self._is_last_batch:
            self._waiting = list(_sealed(self.row, now))
            self._is_last_batch = len(self._waiting) < BATCH
        return self._waiting.pop(0) if self._waiting else None

    def _ask(self, partner: Partner, question: _Question, now: datetime) -> None:
        try:
            answer = _answer(partner, question)
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
            self.row.differing += _conclude(partner.platform, question, copy, answer, now)

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


def _of(row: Comparison, shape: str) -> QuerySet[Obligation]:
    kinds = [push.kind for push in pushes.all_pushes() if push.module == row.module and push.shape == shape]
    return Obligation.objects.filter(
        lane__platform=row.platform_id, kind__in=kinds, shape=shape, state=State.ACKED
    ).select_related("party", "own_party")


def _sealed(row: Comparison, now: datetime) -> QuerySet[Obligation]:
    """Each acknowledged CDR of five weeks for which the partner named a place, after the cursor."""
    rows = _of(row, Shape.LEDGER).filter(acked_at__gte=now - CDR_DAYS, pk__gt=row.cursor)
    return rows.exclude(location_url="").order_by("pk")[:BATCH]


def _sampled(row: Comparison, now: datetime) -> QuerySet[Obligation]:
    """A few states that the partner has confirmed as they are now, others each day."""
    rows = _of(row, Shape.STATE).filter(wanted_version=F("confirmed_version"))
    if row.module == "sessions":
        rows = rows.filter(acked_at__gte=now - SESSION_DAYS)
    return rows.order_by("?")[:SAMPLE]


def _question(partner: Partner, obligation: Obligation, now: datetime) -> _Question | None:
    """None: there is nothing to ask for, or it does not lie on a host that is agreed (any more)."""
    push = pushes.get(obligation.kind)
    endpoint = partner.endpoints.get(push.module)
    obligation.force_put = True
    try:
        message = push.message(obligation, now=now)
    except Exception:
        log.exception("check.not_rendered delivery=%s kind=%s", obligation.pk, obligation.kind)
        return None
    if message is None or message.body is None or endpoint is None:
        return None
    url = obligation.location_url
    if obligation.shape == Shape.STATE:
        # A part of a larger object (an EVSE) is compared within that object.
        is_whole = message.method == "PUT" and len(message.segments) <= OBJECT_SEGMENTS
        url = target_url(endpoint.url, message) if is_whole else ""
    if not url or not partner.may_call(url):
        return None
    return _Question(obligation, push, url, message.body)


def _answer(partner: Partner, question: _Question) -> Answer:
    obligation = question.obligation
    return call(
        "GET",
        question.url,
        token=partner.token,
        headers=routing_headers(to=obligation.party.ocpi_id, from_=obligation.own_party.ocpi_id),
        timeout_seconds=timeout_seconds(),
        raw_token=partner.platform.accept_raw_token,
    )


def _conclude(platform: Platform, question: _Question, copy: Copy, answer: Answer, now: datetime) -> bool:
    """Act on a copy that was shown or is missing; True when it is not as it should be."""
    difference = "is not there"
    obligation = question.obligation
    kind = CDR_COPY if obligation.shape == Shape.LEDGER else STATE_COPY
    if copy is Copy.THERE:
        wrong = differing_members(codec.parse(question.body), answer.data, of=question.push.compared)
        if not wrong:
            findings.close(kind=kind, object_key=str(obligation.pk), now=now)
            return False
        difference = f"differs in {', '.join(wrong)}"
    if kind == CDR_COPY:
        _contest(obligation, difference, platform, now)
    else:
        _send_again(obligation, difference, platform, now)
    return True


def _contest(obligation: Obligation, difference: str, platform: Platform, now: datetime) -> None:
    """Money: a person must look at both copies. One that moved on meanwhile is left to the next night."""
    reason = f"the copy of the partner {difference}"
    if not contest(obligation, reason=reason):
        return
    found = Found(
        kind=CDR_COPY,
        object_key=str(obligation.pk),
        text=f"{platform} acknowledged CDR {obligation.object_key}, but its copy {difference}.",
        remedy="Compare both on the page of the delivery; send it again, or settle it with the partner.",
        severity=Severity.ALERT,
        platform=platform,
    )
    findings.note(found, now=now)


def _send_again(obligation: Obligation, difference: str, platform: Platform, now: datetime) -> None:
    """A state is sent again, once: a copy that still differs afterwards is the partner's to explain."""
    is_known = findings.is_open(kind=STATE_COPY, object_key=str(obligation.pk))
    what = f"{obligation.kind} {obligation.object_key} at {platform} {difference}"
    found = Found(
        kind=STATE_COPY,
        object_key=str(obligation.pk),
        text=f"{what}, also after it was sent again." if is_known else f"{what}; it was sent again.",
        remedy="Ask the partner why it does not keep what it acknowledges."
        if is_known
        else "Nothing, if the next check closes this.",
        platform=platform,
    )
    findings.note(found, now=now)
    if not is_known:
        send_whole(obligation, now=now)
