"""Whether a partner already has a sealed thing: read its copy and compare (delivery.md 4.5, `on_ambiguous`)."""

import logging
from enum import Enum, auto

from ocpi.client import CallFailed, call
from ocpi.headers import routing_headers
from roaming.delivery.models import Obligation
from roaming.delivery.partner import Partner, target_url, timeout_seconds
from roaming.pushes import Message, Push

log = logging.getLogger(__name__)


class Found(Enum):
    """What a look at the partner's copy brought."""

    SAME = auto()
    OTHER = auto()
    NONE = auto()
    NO_ANSWER = auto()
    NOWHERE_TO_LOOK = auto()


def look_up(partner: Partner, obligation: Obligation, push: Push, message: Message, location: str) -> Found:
    """Read the partner's copy at its ``Location``, else where the push says, and compare it with ours."""
    url = location or obligation.location_url or _own_guess(partner, obligation, push)
    if not url:
        return Found.NOWHERE_TO_LOOK
    try:
        answer = call(
            "GET",
            url,
            token=partner.token,
            headers=routing_headers(to=obligation.party.ocpi_id, from_=obligation.own_party.ocpi_id)
            | {"X-Correlation-ID": obligation.correlation_id},
            timeout_seconds=timeout_seconds(),
            raw_token=partner.platform.accept_raw_token,
        )
    except CallFailed as failure:
        log.info("delivery.lookup_failed delivery=%s reason=%s", obligation.pk, failure)
        return Found.NO_ANSWER
    if answer.is_success:
        found = Found.SAME if push.is_same(message, answer) else Found.OTHER
    elif answer.http_status == 404 or (200 <= answer.http_status < 300 and answer.status_code is not None):
        found = Found.NONE if (answer.status_code or 2000) < 3000 else Found.NO_ANSWER
    else:
        found = Found.NO_ANSWER
    log.info("delivery.looked_up delivery=%s http=%s found=%s", obligation.pk, answer.http_status, found.name)
    return found


def _own_guess(partner: Partner, obligation: Obligation, push: Push) -> str:
    segments = push.lookup_segments(obligation)
    if segments is None:
        return ""
    looked_at = Message(method="GET", segments=segments)
    slash = partner.platform.trailing_slash
    return target_url(partner.endpoints[push.side].url, looked_at, slash=slash)
