"""The second leg of a request: from the hub to the target, and what its answer means to the requester.

While it waits it holds neither a database connection nor more than its place at this target (ADR 20). Nothing is
queued: what cannot be delivered now is the requester's to repeat (HUB-23).
"""

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.http import HttpResponse

from ocpi.client import Answer, CallFailed, call
from ocpi.headers import PartyId, routing_headers
from ocpi.http import CONTENT_TYPE, respond
from ocpi.status import OcpiError, StatusCode
from roaming.hub.gates import GATES, Budget, Crowded, Silent
from roaming.hub.targets import Target, not_connected

log = logging.getLogger(__name__)

# What a target may say to the requester besides the body; all else ends at the hub (H5).
_PASSED = ("X-Total-Count", "X-Limit", "Allow", "Retry-After")
_UNREACHABLE = frozenset({"refused", "connect"})


@dataclass(frozen=True, kw_only=True)
class Leg:
    """One call to a target, in the name of the party that acts."""

    target: Target
    method: str
    url: str
    body: bytes | None
    from_: PartyId
    correlation_id: str

    def travel(self, *, budget: Budget | None = None) -> Answer:
        """Make the call and return an answer that may be passed on.

        ``budget`` bounds it; by default the setting HUB_FORWARD_SECONDS does. Raises OcpiError 4002 when the target did
        not answer in time, 4003 when nobody listens there, 4000 for every other fault on this leg (HUB-17 to 22).
        """
        self._require_approved()
        give_back_connection()
        answer = self._asked(budget or Budget(settings.HUB_FORWARD_SECONDS))
        log.info(
            "hub.forwarded from=%s to=%s method=%s http=%s code=%s",
            self.from_, self.target.party.ocpi_id, self.method, answer.http_status, answer.status_code,
        )  # fmt: skip
        self._require_presentable(answer)
        return answer

    def _require_approved(self) -> None:
        if not self.target.may_get(self.url):
            log.error("hub.host_not_approved platform=%s", self.target.platform.pk)
            raise self._broken("lies on a host that is not agreed")

    def _asked(self, budget: Budget) -> Answer:
        try:
            with GATES.together(), GATES.asking(self.target.key, budget) as seconds:
                return self._call(seconds)
        except CallFailed as failure:
            raise self._fault(failure) from None
        except Silent:
            raise self._no_answer() from None
        except Crowded:
            log.warning("hub.crowded platform=%s", self.target.platform.pk)
            raise OcpiError(
                StatusCode.CONNECTION_PROBLEM,
                f"too many requests are waiting for {self.target.party.ocpi_id}, try again later",
            ) from None

    def _call(self, seconds: float) -> Answer:
        return call(
            self.method,
            self.url,
            token=self.target.token,
            body=self.body,
            headers={
                "X-Correlation-ID": self.correlation_id,
                **routing_headers(to=self.target.party.ocpi_id, from_=self.from_),
            },
            timeout_seconds=seconds,
            raw_token=self.target.platform.accept_raw_token,
        )

    def _fault(self, failure: CallFailed) -> OcpiError:
        log.warning("hub.not_forwarded platform=%s reason=%s", self.target.platform.pk, failure)
        if failure.kind == "timeout":
            return self._no_answer()
        if failure.kind in _UNREACHABLE:
            return not_connected(self.target.party)
        return self._broken("broke off")

    def _require_presentable(self, answer: Answer) -> None:
        """Refuse what is no answer of the target to the requester: one to the hub itself, or none in OCPI."""
        if answer.http_status in (401, 403):
            # The requester's own link is sound: this is about ours (DIS-20).
            log.error(
                "hub.refused_by_target platform=%s http=%s", self.target.platform.pk, answer.http_status
            )
            raise self._broken("is out of order")
        is_refusal = 400 <= answer.http_status < 500
        if not is_refusal and (answer.status_code is None or 300 <= answer.http_status < 400):
            raise OcpiError(
                StatusCode.HUB_ERROR,
                f"{self.target.party.ocpi_id} gave no OCPI answer (HTTP {answer.http_status})",
            )

    def _no_answer(self) -> OcpiError:
        return OcpiError(StatusCode.TIMEOUT, f"{self.target.party.ocpi_id} did not answer in time")

    def _broken(self, what: str) -> OcpiError:
        return OcpiError(StatusCode.HUB_ERROR, f"the link to {self.target.party.ocpi_id} {what}")


def give_back_connection() -> None:
    """Close this thread's database connection before it waits for somebody else, unless a transaction needs it."""
    if not connection.in_atomic_block:
        connection.close()


def passed_on(answer: Answer, *, to: PartyId, from_: PartyId) -> HttpResponse:
    """Return a target's answer for the requester: status and bytes as they came, headers of our own (HUB-11)."""
    if answer.status_code is None:
        response = respond(
            status_code=StatusCode.CLIENT_ERROR,
            message=f"{from_} answered HTTP {answer.http_status}",
            http_status=answer.http_status,
        )
    else:
        response = HttpResponse(answer.body, status=answer.http_status, content_type=CONTENT_TYPE)
    for name in _PASSED:
        if name in answer.headers:
            response[name] = answer.headers[name]
    for name, value in routing_headers(to=to, from_=from_).items():
        response[name] = value
    return response
