"""A partner's own receipts: why a start of its customer was allowed or refused, without anything of the fleet."""

from typing import ClassVar

from django.http import HttpResponse
from rest_framework.request import Request

from access.models import Decision
from ocpi.http import respond
from ocpi.status import not_found
from ocpi.views import OcpiView


class DecisionView(OcpiView):
    """GET of one decision by the reference that a refusal or a CDR carried; not a module of OCPI."""

    interface: ClassVar[tuple[str, str]] = ("decisions", "SENDER")
    is_functional: ClassVar[bool] = False

    def get(self, request: Request, ref: str) -> HttpResponse:
        """What was decided, when and why, in the words that the partner was told."""
        # A NUL is text to a URL, and an error to PostgreSQL.
        if not (ref.isascii() and ref.isprintable()):
            raise not_found()
        decision = (
            Decision.objects.filter(ref=ref, party__in=self.caller.parties).select_related("location").first()
        )
        if decision is None:
            raise not_found()
        return respond(
            {
                "ref": decision.ref,
                "at": decision.at,
                "source": decision.source,
                # A Location behind the hub has no row here: the receipt says which one was asked about.
                "location_id": decision.location.ocpi_id
                if decision.location
                else decision.inputs.get("location"),
                "evse_uid": decision.evse_uid or None,
                "outcome": decision.outcome,
                "reason": decision.reason,
                "message": decision.message,
                "retry_at": decision.retry_at,
            }
        )
