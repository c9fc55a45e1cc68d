"""The OCPI face of commands (mod_commands, Receiver)."""

from collections.abc import Callable
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from charging.commands import start_session, stop_session
from charging.orders import Order, Reply
from charging.reserving import cancel_reservation, reserve_now
from charging.unlocking import unlock_connector
from ocpi import codec, v221
from ocpi.http import respond
from ocpi.status import invalid
from ocpi.views import OcpiView
from roaming.approved import require_approved

# Each command by its object and the verb that carries it out.
VERBS: dict[v221.CommandType, tuple[type[Any], Callable[..., Reply]]] = {
    v221.CommandType.START_SESSION: (v221.StartSession, start_session),
    v221.CommandType.STOP_SESSION: (v221.StopSession, stop_session),
    v221.CommandType.RESERVE_NOW: (v221.ReserveNow, reserve_now),
    v221.CommandType.CANCEL_RESERVATION: (v221.CancelReservation, cancel_reservation),
    v221.CommandType.UNLOCK_CONNECTOR: (v221.UnlockConnector, unlock_connector),
}


class CommandView(OcpiView):
    """POST of one command; answered at once, the result follows at `response_url`."""

    interface: ClassVar[tuple[str, str]] = ("commands", "RECEIVER")

    def post(self, request: Request, command: str) -> HttpResponse:
        """Decode, check where the result may go, carry out."""
        kind = next((kind for kind in VERBS if kind.value == command), None)
        if kind is None:
            known = ", ".join(kind.value for kind in VERBS)
            raise invalid(f"command: '{command[:40]}' is not one of {known}")
        shape, verb = VERBS[kind]
        body = codec.decode(shape, self.payload)
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
        reply = verb(order=order, request=body, now=timezone.now())
        return respond(reply.response, status_code=reply.status_code, message=reply.status_message)
