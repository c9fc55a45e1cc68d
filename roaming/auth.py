"""Who is calling: from the Authorization header to a platform and its parties, in one query."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from ocpi import v221
from ocpi.headers import PartyId, parse_routing
from ocpi.status import OcpiError, StatusCode, invalid, unauthorized
from roaming import throttle
from roaming.hub import presence
from roaming.lookup import Known, find_known, is_guess
from roaming.models import CredentialsToken, Party, Platform

# A timestamp per request would turn every read into a write.
LAST_USED_PRECISION = timedelta(minutes=1)


@dataclass(frozen=True)
class Caller:
    """A partner platform that presented a valid token, and the two parties that the call is between.

    ``token_kind`` is A, B or C; ``parties`` are the partner's active roles; ``party`` is the acting one of
    them and ``own_party`` the addressed one of ours, both set on functional modules.
    """

    platform: Platform
    token_id: int
    token_kind: str
    token: str
    parties: tuple[Party, ...]
    party: Party | None = None
    own_party: Party | None = None


class CredentialsTokenAuthentication(BaseAuthentication):
    """Sets ``request.auth`` to a Caller; views name the kinds of token that open them in ``open_to``."""

    def authenticate(self, request: Request) -> tuple[None, Caller]:
        """Return the caller.

        Raises OcpiError 401 with one text for every reason, 2001 for bad routing headers, and Throttled.
        """
        now = timezone.now()
        view: Any = request.parser_context["view"]
        header = str(request.META.get("HTTP_AUTHORIZATION", ""))
        known = find_known(header, now)
        if known is None:
            # A call without a token is no guess: it is refused, and not counted.
            if is_guess(header):
                throttle.admit_failure(client_address(request))
            raise unauthorized()
        if known.token_kind not in view.open_to:
            raise unauthorized()
        platform = known.platform
        throttle.admit_partner(platform.pk, view.interface[0], platform.max_requests_per_second)
        _note_use(known, now)
        party, own_party = _addressed(request, known) if view.is_functional else (None, None)
        return None, Caller(
            platform=platform,
            token_id=known.token_id,
            token_kind=known.token_kind,
            token=known.token,
            parties=known.parties,
            party=party,
            own_party=own_party,
        )

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme for ``WWW-Authenticate``."""
        return "Token"


def client_address(request: Request | HttpRequest) -> str:
    """Return the address that a request came from, as the outermost proxy of ours saw it."""
    hops: int = settings.TRUSTED_PROXY_HOPS
    if hops > 0:
        forwarded = str(request.META.get("HTTP_X_FORWARDED_FOR", ""))
        chain = [entry.strip() for entry in forwarded.split(",")]
        if len(chain) >= hops:
            return chain[-hops][:64]
    return str(request.META.get("REMOTE_ADDR", ""))


def _note_use(known: Known, now: datetime) -> None:
    if known.token_kind == CredentialsToken.Kind.SESSION:
        presence.heard(parties=known.parties, now=now)
    last_used_at = known.last_used_at
    if last_used_at is not None and now - last_used_at < LAST_USED_PRECISION:
        return
    # Two statements of their own: together they could wait for a handshake that waits for them.
    Platform.objects.filter(pk=known.platform.pk).update(last_seen_at=now)
    CredentialsToken.objects.filter(pk=known.token_id).update(last_used_at=now)
    if last_used_at is None:
        # The partner holds the newer token now: the grace of the one before it is over (T16).
        CredentialsToken.objects.filter(
            platform_id=known.platform.pk,
            kind=CredentialsToken.Kind.SESSION,
            pk__lt=known.token_id,
            expires_at__isnull=False,
            revoked_at__isnull=True,
        ).update(revoked_at=now)


def _addressed(request: Request, known: Known) -> tuple[Party, Party]:
    """Return the acting party of the partner and the addressed party of ours.

    Raises OcpiError: 401 for a FROM that is not of this platform (HUB-09), 2001 for a TO that is not ours
    (HUB-05) and for headers that are missing where there is a choice.
    """
    routing = parse_routing(
        {name: request.META.get(meta_name, "") for name, meta_name in _ROUTING_META.items()}
    )
    # A party may be here as CPO and as eMSP (HCI-12): who calls a CPO acts as the other of the two.
    acting = sorted(known.parties, key=lambda party: party.role == v221.Role.CPO)
    party = _chosen(acting, routing.from_, "OCPI-from")
    own_party = _chosen(known.own_parties, routing.to, "OCPI-to")
    if party is None:
        raise unauthorized()
    if own_party is None:
        raise invalid(f"OCPI-to-party-id: {routing.to} is not served here")
    return party, own_party


def _chosen(parties: Sequence[Party], named: PartyId | None, header: str) -> Party | None:
    if named is not None:
        return next((party for party in parties if party.ocpi_id == named), None)
    if len({party.ocpi_id for party in parties}) > 1:
        raise invalid(f"{header}-party-id, {header}-country-code: needed where there are several parties")
    if not parties:
        raise OcpiError(StatusCode.SERVER_ERROR, "this connection has no party to act for")
    return parties[0]


_ROUTING_META = {
    "ocpi-to-country-code": "HTTP_OCPI_TO_COUNTRY_CODE",
    "ocpi-to-party-id": "HTTP_OCPI_TO_PARTY_ID",
    "ocpi-from-country-code": "HTTP_OCPI_FROM_COUNTRY_CODE",
    "ocpi-from-party-id": "HTTP_OCPI_FROM_PARTY_ID",
}
