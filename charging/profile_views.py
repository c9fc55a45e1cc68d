"""The OCPI face of charging profiles (chapter "ChargingProfiles module", Receiver)."""

from typing import ClassVar

from django.conf import settings
from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from charging.commands import Order
from charging.profile_requests import clear_profile, read_profile, set_profile
from charging.profiles import check
from ocpi import codec, v221
from ocpi.http import respond
from ocpi.status import invalid
from ocpi.views import OcpiView
from roaming.approved import require_approved

# A week: longer than any transaction, and a number that every station can read.
MAX_SECONDS = 604_800


class _Query(v221.Object, frozen=True, kw_only=True):
    """What GET and DELETE say behind their URL, percent-decoded (CHP-04)."""

    response_url: v221.Url


class ChargingProfileView(OcpiView):
    """The limits of one session; answered at once, the result follows at `response_url`."""

    interface: ClassVar[tuple[str, str]] = ("chargingprofiles", "RECEIVER")

    def get(self, request: Request, session_id: str) -> HttpResponse:
        """Ask for the limits in force over ``duration`` seconds."""
        seconds = _seconds(_parameter(request, "duration"))
        order = self._order(request, self._queried_url(request))
        now = timezone.now()
        return respond(read_profile(order=order, session_id=session_id, duration_seconds=seconds, now=now))

    def put(self, request: Request, session_id: str) -> HttpResponse:
        """Set the upper limits of a session."""
        body = codec.decode(v221.SetChargingProfile, self.payload)
        try:
            check(body.charging_profile)
        except ValueError as refusal:
            raise invalid(f"charging_profile.{refusal}") from refusal
        order = self._order(request, body.response_url)
        now = timezone.now()
        return respond(
            set_profile(order=order, session_id=session_id, profile=body.charging_profile, now=now)
        )

    def delete(self, request: Request, session_id: str) -> HttpResponse:
        """Take the limits of a session away."""
        order = self._order(request, self._queried_url(request))
        return respond(clear_profile(order=order, session_id=session_id, now=timezone.now()))

    def _queried_url(self, request: Request) -> str:
        return codec.decode(_Query, {"response_url": _parameter(request, "response_url")}).response_url

    def _order(self, request: Request, response_url: str) -> Order:
        """Who asks, and where the result may go (O6, O7)."""
        caller = self.caller
        try:
            require_approved(
                response_url,
                approved_hosts=caller.platform.approved_hosts,
                require_https=settings.OUTBOUND_REQUIRE_HTTPS,
            )
        except ValueError as refusal:
            raise invalid(f"response_url: {refusal}") from refusal
        return Order(
            party=caller.party,
            own_party=caller.own_party,
            response_url=response_url,
            correlation_id=request.META["ocpi.correlation_id"],
        )


def _parameter(request: Request, name: str) -> str:
    """A query parameter that must be there once (CHP-03)."""
    values = request.query_params.getlist(name)
    if len(values) != 1:
        raise invalid(f"{name}: is required as a query parameter, once (given {len(values)} times)")
    return str(values[0])


def _seconds(text: str) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_SECONDS))
    if not is_number or not 1 <= int(text) <= MAX_SECONDS:
        raise invalid(f"duration: a number of seconds from 1 to {MAX_SECONDS} (given '{text[:20]}')")
    return int(text)
