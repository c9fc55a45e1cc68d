"""From an obligation to the request that is made for it now."""

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from roaming import pushes
from roaming.delivery import verdicts
from roaming.delivery.models import Obligation
from roaming.delivery.outbox import Try
from roaming.delivery.outcomes import Settlement
from roaming.delivery.partner import Partner, target_url
from roaming.pushes import Message, Push

log = logging.getLogger(__name__)

# A sealed thing whose predecessor is still on its way is looked at again after this time.
FOLLOW_SECONDS = 15.0

Shape = Obligation.Shape
State = Obligation.State


@dataclass(frozen=True)
class Prepared:
    """A request that is ready to leave; ``sha256`` of the bytes of a sealed thing."""

    request: Try
    push: Push
    message: Message
    sha256: bytes | None = None


def load(batch: Iterable[Obligation]) -> None:
    """Let each push read once for all its obligations of a batch; where that fails, each is read by itself."""
    by_kind: dict[str, list[Obligation]] = defaultdict(list)
    for each in batch:
        by_kind[each.kind].append(each)
    for kind, obligations in by_kind.items():
        try:
            loaded = pushes.get(kind).load(obligations)
        except Exception:
            log.exception("delivery.not_loaded kind=%s", kind)
            continue
        for each in obligations:
            each.loaded = loaded.get(each.pk)


def forget_changes(obligation: Obligation) -> None:
    """Let a push render the whole object, for a partner that takes no PATCH; only the row in memory is touched."""
    obligation.changed_fields = []


def prepare(
    partner: Partner, obligation: Obligation, push: Push, *, now: datetime, jitter: float
) -> Prepared | Settlement:
    """Render an obligation as it is now, or say why there is nothing to send.

    A push that raises takes only its own obligation down: whatever it raises is a fault of ours.
    """
    # Without a clean last outcome only the whole object is safe.
    obligation.force_put = obligation.force_put or obligation.ambiguous
    if partner.platform.patch_not_supported:
        forget_changes(obligation)
    try:
        if (waits_for := _missing_predecessor(obligation, push)) is not None:
            return _waiting(obligation, waits_for)
        message = push.message(obligation, now=now)
    except Exception as error:
        log.exception("delivery.not_rendered delivery=%s kind=%s", obligation.pk, obligation.kind)
        reason = f"not rendered: {type(error).__name__}: {error}"
        return verdicts.crashed(obligation, was_sent=False, reason=reason, on_ambiguous="", jitter=jitter)
    if message is None:
        return verdicts.withdrawn(obligation)
    if obligation.shape == Shape.SHORT_LIVED:
        if not partner.may_call(obligation.url):
            return _not_theirs(obligation)
        return Prepared(_try(obligation, message, obligation.url), push, message)
    url = target_url(partner.endpoints[push.side].url, message, slash=partner.platform.trailing_slash)
    if obligation.shape == Shape.STATE:
        return Prepared(_try(obligation, message, url), push, message)
    digest = hashlib.sha256(message.body or b"").digest()
    if obligation.sent_sha256 is not None and bytes(obligation.sent_sha256) != digest:
        return _altered(obligation)
    return Prepared(_try(obligation, message, url), push, message, digest)


def _try(obligation: Obligation, message: Message, url: str) -> Try:
    return Try(
        obligation=obligation,
        method=message.method,
        url=url,
        body=message.body,
        has_object_url=bool(message.segments),
    )


def _missing_predecessor(obligation: Obligation, push: Push) -> str | None:
    if obligation.shape != Shape.LEDGER or (key := push.follows(obligation)) is None:
        return None
    known = Obligation.objects.filter(
        party_id=obligation.party_id,
        kind=obligation.kind,
        object_key=key,
        state__in=(State.ACKED, State.SERVED),
    )
    return None if known.exists() else key


def _waiting(obligation: Obligation, predecessor: str) -> Settlement:
    return Settlement(
        obligation=obligation,
        state=State.PENDING,
        outcome="WAITS",
        is_ambiguous=obligation.ambiguous,
        rest_seconds=FOLLOW_SECONDS,
        error=f"waits until the partner has {predecessor}",
    )


def _not_theirs(obligation: Obligation) -> Settlement:
    log.error("delivery.host_not_approved delivery=%s kind=%s", obligation.pk, obligation.kind)
    return Settlement(
        obligation=obligation,
        state=State.EXPIRED,
        outcome="NOT_SENT",
        error="response_url lies on a host that is not agreed for this partner",
    )


def _altered(obligation: Obligation) -> Settlement:
    log.error(
        "delivery.altered delivery=%s kind=%s: not the bytes sent before", obligation.pk, obligation.kind
    )
    return Settlement(
        obligation=obligation,
        state=State.PARKED,
        outcome="ALTERED",
        is_ambiguous=obligation.ambiguous,
        error="the sealed bytes are not those that were sent before; nothing was sent",
    )
