"""Our face of the Credentials module: GET, POST, PUT, DELETE on one URL (CRD-09 to CRD-27)."""

from collections.abc import Iterable
from typing import ClassVar

from django.http import HttpResponse
from django.utils import timezone
from rest_framework.request import Request

from ocpi import codec, v221
from ocpi.http import respond
from ocpi.status import method_not_allowed
from ocpi.views import OcpiView
from roaming import handshake, own
from roaming.handshake import Exchange

# What a platform may do before and after its registration (CRD-18 to CRD-20).
METHODS: dict[str, tuple[str, ...]] = {"A": ("GET", "POST"), "C": ("GET", "PUT", "DELETE")}


class CredentialsView(OcpiView):
    """`/ocpi/2.2.1/credentials`, for token A until the registration and token C after it."""

    interface = (v221.ModuleID.CREDENTIALS, "SENDER")
    open_to: ClassVar[frozenset[str]] = frozenset(METHODS)
    is_functional = False

    def get(self, request: Request) -> HttpResponse:
        """Answer our credentials with the token of this request: no other is known here (CRD-21, T20)."""
        return respond(own.credentials(self.caller.token))

    def post(self, request: Request) -> HttpResponse:
        """Register the caller."""
        return respond(handshake.accept_credentials(exchange=self._exchange("POST"), now=timezone.now()))

    def put(self, request: Request) -> HttpResponse:
        """Replace the caller's credentials."""
        return respond(handshake.update_credentials(exchange=self._exchange("PUT"), now=timezone.now()))

    def delete(self, request: Request) -> HttpResponse:
        """End the connection."""
        self._require_method("DELETE")
        handshake.revoke_credentials(platform=self.caller.platform, now=timezone.now())
        return respond()

    def _exchange(self, method: str) -> Exchange:
        self._require_method(method)
        credentials = codec.decode(v221.Credentials, self.payload)
        return Exchange(self.caller.platform, self.caller.token_id, credentials)

    def _require_method(self, method: str) -> None:
        allowed: Iterable[str] = METHODS[self.caller.token_kind]
        if method not in allowed:
            raise method_not_allowed(allowed)
