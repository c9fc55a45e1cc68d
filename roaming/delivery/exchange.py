"""One request of a lane, and what was seen of its answer."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ocpi.client import Answer, CallFailed, call
from ocpi.headers import routing_headers
from roaming.delivery.answers import Outcome, retry_after_seconds
from roaming.delivery.models import Obligation
from roaming.delivery.outbox import Try
from roaming.delivery.partner import Partner, timeout_seconds

# Configuration modules carry no routing headers (HUB-03).
_UNROUTED = frozenset({"credentials", "hubclientinfo"})


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What one try brought: the answer, or in words why there is none."""

    outcome: Outcome
    answer: Answer | None
    milliseconds: int
    error: str
    location_url: str = ""


def exchange(partner: Partner, this: Try, *, module: str, now: datetime) -> Heard:
    """Make the request of one try; never raises for what the partner or the network does."""
    began = time.monotonic()
    try:
        answer = call(
            this.method,
            this.url,
            token=partner.token,
            body=this.body,
            headers=_headers(this, module),
            timeout_seconds=timeout_seconds(),
            raw_token=partner.platform.accept_raw_token,
        )
    except CallFailed as failure:
        outcome = Outcome(
            method=this.method,
            failure=failure.kind,
            may_have_been_stored=failure.may_have_been_stored,
            has_object_url=this.has_object_url,
            tries=this.obligation.attempts,
            was_ambiguous=this.obligation.ambiguous,
        )
        return Heard(outcome=outcome, answer=None, milliseconds=_since(began), error=str(failure))
    outcome = Outcome(
        method=this.method,
        http_status=answer.http_status,
        status_code=answer.status_code,
        retry_after=retry_after_seconds(answer.headers.get("Retry-After", ""), now=now),
        has_object_url=this.has_object_url,
        tries=this.obligation.attempts,
        was_ambiguous=this.obligation.ambiguous,
    )
    return Heard(
        outcome=outcome,
        answer=answer,
        milliseconds=_since(began),
        error=f"HTTP {answer.http_status}, OCPI {answer.status_code}: {answer.status_message}",
        location_url=_location(partner, answer, this.obligation),
    )


def _headers(this: Try, module: str) -> Mapping[str, str]:
    obligation = this.obligation
    ids = {"X-Request-ID": this.request_id, "X-Correlation-ID": obligation.correlation_id}
    if module in _UNROUTED:
        return ids
    return ids | routing_headers(to=obligation.party.ocpi_id, from_=obligation.own_party.ocpi_id)


def _location(partner: Partner, answer: Answer, obligation: Obligation) -> str:
    """The Location of a sealed thing, when it lies on a host of this partner; another one is dropped (O8)."""
    url = answer.headers.get("Location", "")
    if not url or obligation.shape != Obligation.Shape.LEDGER or not partner.may_call(url):
        return ""
    return url


def _since(began: float) -> int:
    return int((time.monotonic() - began) * 1000)
