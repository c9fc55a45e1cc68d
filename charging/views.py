"""The OCPI face of commands (mod_commands, Receiver)."""

from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from charging.commands import Order, Reply, start_session, stop_session
from ocpi import codec, v221
from ocpi.http import respond
from ocpi.status import invalid
from ocpi.views import OcpiView
from roaming.approved import require_approved

TYPES: dict[v221.CommandType, type[Any]] = {
    v221.CommandType.START_SESSION: v221.StartSession,
    v221.CommandType.STOP_SESSION: v221.StopSession,
    v221.CommandType.RESERVE_NOW: v221.ReserveNow,
    v221.CommandType.CANCEL_RESERVATION: v221.CancelReservation,
    v221.CommandType.UNLOCK_CONNECTOR: v221.UnlockConnector,
}


class CommandView(OcpiView):
    """POST of one command; answered at once, the result follows at `response_url`."""

    interface: ClassVar[tuple[str, str]] = ("commands", "RECEIVER")

    def post(self, request: Request, command: str) -> HttpResponse:
        """Decode, check where the result may go, carry out."""
        kind = next((kind for kind in TYPES if kind.value == command), None)
        if kind is None:
            known = ", ".join(kind.value for kind in TYPES)
            raise invalid(f"command: '{command[:40]}' is not one of {known}")
        body = codec.decode(TYPES[kind], self.payload)
        caller = self.caller
        try:
            require_approved(
                body.response_url,
                approved_hosts=caller.platform.approved_hosts,
                require_https=settings.OUTBOUND_REQUIRE_HTTPS,
            )
        except ValueError as refusal:
            raise invalid(f"response_url: {refusal}") from refusal
        order = Order(
            party=caller.party,
            own_party=caller.own_party,
            response_url=body.response_url,
            correlation_id=request.META["ocpi.correlation_id"],
        )
        reply = self._carry_out(kind, order, body)
        return respond(reply.response, status_code=reply.status_code, message=reply.status_message)

    def _carry_out(self, kind: v221.CommandType, order: Order, body: Any) -> Reply:
        now = timezone.now()
        if kind is v221.CommandType.START_SESSION:
            return start_session(order=order, request=body, now=now)
        if kind is v221.CommandType.STOP_SESSION:
            return stop_session(order=order, request=body, now=now)
        return Reply(v221.CommandResponse(result=v221.CommandResponseType.NOT_SUPPORTED, timeout=0))
