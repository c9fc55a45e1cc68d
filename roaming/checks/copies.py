"""One copy at a partner: which ones are read, where, and what follows from what it says (delivery.md 4.11).

Nothing is claimed that the partner did not say. A CDR whose copy differs or is gone is contested, for a person; a
state is sent again as a whole, once.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import F, QuerySet

from ocpi import codec
from ocpi.client import Answer, call
from ocpi.headers import routing_headers
from roaming import pushes
from roaming.checks import findings
from roaming.checks.findings import Found, Severity
from roaming.checks.models import Comparison, Finding
from roaming.checks.reading import Copy
from roaming.delivery.compare import differing_members
from roaming.delivery.models import Obligation
from roaming.delivery.partner import Partner, target_url, timeout_seconds
from roaming.delivery.services import contest, send_whole
from roaming.models import Platform
from roaming.pushes import Push
from roaming.routing import CONFIGURATION

log = logging.getLogger(__name__)

CDR_COPY = "cdr_copy"
STATE_COPY = "state_copy"

CDR_DAYS = timedelta(days=35)
SAMPLE = 20
BATCH = 50
# Owner's country, party and id; what has more is a part of such an object.
OBJECT_SEGMENTS = 3
# Sessions are forgotten by partners some time after their end; older ones are no news.
SESSION_DAYS = timedelta(days=2)

State = Obligation.State
Shape = Obligation.Shape


@dataclass(frozen=True)
class Question:
    """One copy to be read: of what, where, and what we sent."""

    obligation: Obligation
    push: Push
    url: str
    body: bytes


def compared_pushes() -> list[Push]:
    """The pushes whose objects can be read back as themselves.

    Not those of HubClientInfo: one URL stands for all roles of a party, and it is news of others.
    """
    return [push for push in pushes.all_pushes() if push.module not in CONFIGURATION]


def _of(row: Comparison, shape: str) -> QuerySet[Obligation]:
    kinds = [push.kind for push in compared_pushes() if push.module == row.module and push.shape == shape]
    return Obligation.objects.filter(
        lane__platform=row.platform_id, kind__in=kinds, shape=shape, state=State.ACKED
    ).select_related("party", "own_party")


def sealed(row: Comparison, now: datetime) -> QuerySet[Obligation]:
    """Each acknowledged CDR of five weeks for which the partner named a place, after the cursor."""
    rows = _of(row, Shape.LEDGER).filter(acked_at__gte=now - CDR_DAYS, pk__gt=row.cursor)
    return rows.exclude(location_url="").order_by("pk")[:BATCH]


def sampled(row: Comparison, now: datetime) -> QuerySet[Obligation]:
    """A few states that the partner has confirmed as they are now, others each day."""
    rows = _of(row, Shape.STATE).filter(wanted_version=F("confirmed_version"))
    if row.module == "sessions":
        rows = rows.filter(acked_at__gte=now - SESSION_DAYS)
    return rows.order_by("?")[:SAMPLE]


def question_about(partner: Partner, obligation: Obligation, now: datetime) -> Question | None:
    """None: there is nothing to ask for, or it does not lie on a host that is agreed (any more)."""
    push = pushes.get(obligation.kind)
    endpoint = partner.endpoints.get(push.side)
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
    return Question(obligation, push, url, message.body)


def answer_to(partner: Partner, question: Question) -> Answer:
    """Read the copy. Raises CallFailed."""
    obligation = question.obligation
    return call(
        "GET",
        question.url,
        token=partner.token,
        headers=routing_headers(to=obligation.party.ocpi_id, from_=obligation.own_party.ocpi_id),
        timeout_seconds=timeout_seconds(),
        raw_token=partner.platform.accept_raw_token,
    )


def close_cancelled(*, now: datetime) -> int:
    """Close the findings about CDRs that two persons have given up since; returns how many."""
    about = Finding.objects.filter(kind=CDR_COPY, closed_at__isnull=True).values_list("object_key", flat=True)
    cancelled = Obligation.objects.filter(pk__in=[int(key) for key in about], state=State.CANCELLED)
    keys = cancelled.values_list("pk", flat=True)
    return sum(findings.close(kind=CDR_COPY, object_key=str(key), now=now) for key in keys)


def conclude(platform: Platform, question: Question, copy: Copy, answer: Answer, now: datetime) -> bool:
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
        own_party=obligation.own_party,
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
        own_party=obligation.own_party,
    )
    findings.note(found, now=now)
    if not is_known:
        send_whole(obligation, now=now)
