"""The rows of a connection: its tokens, its endpoints, its status. Used by both sides of the handshake."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings
from django.db.models import Q, QuerySet

from ocpi import v221
from roaming import own
from roaming.approved import host_of, require_approved
from roaming.discovery import Offer
from roaming.models import CredentialsToken, Endpoint, Platform
from roaming.parties import replace_parties
from roaming.secrets import hash_token, write_outbound_token

Kind = CredentialsToken.Kind
Status = Platform.Status


class HandshakeError(ValueError):
    """What an operator asked for cannot be done; the text says why. Nothing was changed."""


def lock(platform: Platform) -> Platform:
    """Return the platform as it is now, locked until the end of the caller's transaction."""
    # Not the key: what is owed to it meanwhile by the handshake of another platform must not wait for this one.
    return Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)


def issue(platform: Platform, kind: str, token: str, expires_at: datetime | None = None) -> CredentialsToken:
    """Let a token open what its kind opens; only its hash is kept."""
    return CredentialsToken.objects.create(
        platform=platform, kind=kind, hash=hash_token(token), expires_at=expires_at
    )


def alive_tokens(platform: Platform, now: datetime) -> QuerySet[CredentialsToken]:
    """Return the tokens that this platform can use at this moment."""
    unexpired = Q(expires_at=None) | Q(expires_at__gt=now)
    return CredentialsToken.objects.filter(unexpired, platform=platform, revoked_at=None)


def is_alive(platform: Platform, token_id: int, now: datetime) -> bool:
    """Tell whether one token of a platform can still be used."""
    return alive_tokens(platform, now).filter(pk=token_id).exists()


def newest_token(platform: Platform) -> int | None:
    """Return what names the generation of a platform's tokens: it changes with each new one."""
    return platform.inbound_tokens.order_by("-pk").values_list("pk", flat=True).first()


def revoke_all(platform: Platform, now: datetime) -> None:
    """Make every token of a platform answer 401."""
    CredentialsToken.objects.filter(platform=platform, revoked_at=None).update(revoked_at=now)


def require_own_host(url: str, approved_hosts: Sequence[str]) -> list[str]:
    """Check a versions URL and return the hosts that are approved for this partner from now on.

    Without any, the host of this first URL is taken. Raises ValueError with a text that can be shown.
    """
    approved = list(approved_hosts) or [host_of(url)]
    require_approved(url, approved_hosts=approved, require_https=settings.OUTBOUND_REQUIRE_HTTPS)
    return approved


def store_partner(
    platform: Platform, credentials: v221.Credentials, offers: Sequence[Offer], now: datetime
) -> None:
    """Take over what a partner announced; the caller holds the row's lock, and saves it.

    Raises OcpiError 2001 when a party belongs to somebody else.
    """
    replace_parties(platform, credentials, now)
    # A hub shows us its clients after each handshake (HCI-13).
    platform.clients_next_at = None
    platform.version = own.VERSION
    platform.versions_url = credentials.url
    platform.approved_hosts = platform.approved_hosts or [host_of(credentials.url)]
    platform.announced = own.announcement()
    write_outbound_token(platform, credentials.token)
    platform.endpoints.all().delete()
    Endpoint.objects.bulk_create(
        Endpoint(platform=platform, module=offer.module, role=offer.role, url=offer.url) for offer in offers
    )
