"""Registration, rotation and end of a connection, from both sides (chapter "Credentials module").

No transaction is open while a partner is called: what was true before a call is checked again, with the
platform's row locked, before anything is stored. So of several calls at the same moment exactly one wins.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from ocpi import v221
from ocpi.status import OcpiError, invalid, unauthorized
from roaming import own
from roaming.connections import (
    HandshakeError,
    Kind,
    Status,
    alive_tokens,
    is_alive,
    issue,
    lock,
    newest_token,
    require_own_host,
    revoke_all,
    store_partner,
)
from roaming.delivery.services import resend_states
from roaming.discovery import Access, Offer, discover
from roaming.hub.presence import set_presence
from roaming.models import CredentialsToken, Party, Platform
from roaming.parties import RoleId, collisions, plan_parties, require_allowed
from roaming.registration import (
    announce_changes,
    announce_due_changes,
    register_with,
    revoke_credentials,
    rotate_credentials,
    unregister,
)
from roaming.secrets import new_token

log = logging.getLogger(__name__)

# How long a partner that never received its new token may go on with the old one (T16).
GRACE = timedelta(hours=1)


@dataclass(frozen=True)
class Invitation:
    """What an operator hands to a partner; ``token_a`` is shown this once and kept nowhere."""

    platform: Platform
    token_a: str
    versions_url: str


@dataclass(frozen=True)
class Exchange:
    """A credentials object that a partner sent over one of its tokens."""

    platform: Platform
    token_id: int
    credentials: v221.Credentials


def invite_platform(
    *, name: str, roles: Sequence[tuple[str, str, str]], approved_hosts: Sequence[str] = (), now: datetime
) -> Invitation:
    """Make a token A for a partner, bound to the roles (role, country code, party id) that it may claim.

    A platform of this name that is not connected is invited again; its former token A dies. Raises
    HandshakeError for a connected platform, for no roles, and for roles that belong to somebody else.
    """
    try:
        allowed = [RoleId.of(*role) for role in roles]
    except ValueError as error:
        raise HandshakeError(str(error)) from None
    if not name.strip() or not allowed:
        raise HandshakeError("a platform needs a name, and at least one role that it may claim")
    token_a = new_token()
    with transaction.atomic():
        named = Platform.objects.select_for_update(no_key=True).filter(name=name)
        platform = named.order_by("pk").first()
        if platform is not None and platform.status in (Status.CONNECTED, Status.SUSPENDED):
            raise HandshakeError(f"platform '{name}' is {platform.status}: unregister it first")
        if taken := collisions(allowed, platform):
            raise HandshakeError("; ".join(taken))
        platform = platform or Platform(name=name)
        platform.status = Status.INVITED
        platform.allowed_roles = [list(role) for role in allowed]
        platform.approved_hosts = [host.lower() for host in approved_hosts]
        platform.save()
        plan_parties(platform, allowed, now)
        revoke_all(platform, now)
        issue(platform, Kind.REGISTRATION, token_a)
    log.info("handshake.invited platform=%s", platform.pk)
    return Invitation(platform, token_a, own.versions_url())


def accept_credentials(*, exchange: Exchange, now: datetime) -> v221.Credentials:
    """Answer a partner's POST with token A: connect it, and return our credentials with its token C.

    Raises OcpiError 2001, 3001, 3002 or 3003 with nothing kept, so that the same token A can be used again;
    401 when another POST with this token A was faster (CRD-27).
    """
    platform, credentials = exchange.platform, exchange.credentials
    offers = _examined(platform, credentials)
    token_c = new_token()
    answer = own.credentials(token_c)
    try:
        with transaction.atomic():
            locked = lock(platform)
            if locked.status != Status.INVITED or not is_alive(locked, exchange.token_id, now):
                raise unauthorized()
            store_partner(locked, credentials, offers, now)
            locked.status = Status.CONNECTED
            locked.connected_at = now
            locked.save()
            revoke_all(locked, now)
            issue(locked, Kind.SESSION, token_c)
    except IntegrityError:
        raise invalid("roles: a party in this list belongs to another platform") from None
    log.info("handshake.connected platform=%s", platform.pk)
    return answer


def update_credentials(*, exchange: Exchange, now: datetime) -> v221.Credentials:
    """Answer a registered partner's PUT: store what is new and return our credentials with a new token.

    The former token dies at the first use of the new one, at the latest after an hour (T16). Raises
    OcpiError 2001, 3001, 3002 or 3003 with both old tokens in force (CRD-24); 2001 also when another PUT was
    faster (T17).
    """
    platform, credentials = exchange.platform, exchange.credentials
    newest_before = newest_token(platform)
    offers = _examined(platform, credentials)
    token_c = new_token()
    answer = own.credentials(token_c)
    try:
        with transaction.atomic():
            locked = lock(platform)
            if locked.status != Status.CONNECTED or not is_alive(locked, exchange.token_id, now):
                raise unauthorized()
            if newest_token(locked) != newest_before:
                raise invalid("token: the credentials were replaced by another call at the same time")
            store_partner(locked, credentials, offers, now)
            locked.save()
            # A newer token that the partner never received, and so never used, dies with this PUT.
            others = alive_tokens(locked, now).exclude(pk=exchange.token_id)
            others.filter(kind=Kind.SESSION).update(revoked_at=now)
            used = CredentialsToken.objects.filter(pk=exchange.token_id)
            used.filter(expires_at=None).update(expires_at=now + GRACE)
            issue(locked, Kind.SESSION, token_c)
    except IntegrityError:
        raise invalid("roles: a party in this list belongs to another platform") from None
    log.info("handshake.updated platform=%s", platform.pk)
    return answer


def suspend_platform(*, platform: Platform, now: datetime) -> None:
    """Shut a partner out at once, and send it nothing, until it is resumed (T19).

    To others it is OFFLINE: the word SUSPENDED is for who is gone for good (HCI-04). Raises HandshakeError when it is
    not connected.
    """
    with transaction.atomic():
        _change_status(platform, Status.CONNECTED, Status.SUSPENDED)
        reachable = platform.parties.filter(presence=Party.Presence.CONNECTED)
        set_presence(parties=reachable, presence=Party.Presence.OFFLINE, now=now)


def resume_platform(*, platform: Platform, now: datetime) -> int:
    """Let a suspended partner in again, with the tokens that it had, and owe it every state that it was told before.

    Changes were not owed to it meanwhile (SYN-02). Returns how many states are sent. Raises HandshakeError.
    """
    with transaction.atomic():
        _change_status(platform, Status.SUSPENDED, Status.CONNECTED)
        # If it is a hub, it says itself how its clients are connected (HCI-13).
        Platform.objects.filter(pk=platform.pk).update(clients_next_at=None)
        away = platform.parties.filter(presence=Party.Presence.OFFLINE, is_behind_hub=False, is_active=True)
        set_presence(parties=away, presence=Party.Presence.CONNECTED, now=now)
        return resend_states(platform=platform, now=now)


def _change_status(platform: Platform, before: str, after: str) -> None:
    if not Platform.objects.filter(pk=platform.pk, status=before).update(status=after):
        platform.refresh_from_db(fields=["status"])
        raise HandshakeError(f"platform '{platform}' is {platform.status}, not {before}")
    platform.status = after
    log.info("handshake.status platform=%s status=%s", platform.pk, after)


def _examined(platform: Platform, credentials: v221.Credentials) -> tuple[Offer, ...]:
    """Check what a partner sent before anything is stored, and return its endpoints.

    Raises OcpiError.
    """
    try:
        require_allowed(credentials, platform.allowed_roles)
        approved = require_own_host(credentials.url, platform.approved_hosts)
    except (OcpiError, ValueError) as error:
        # A partner that wants what was not agreed may be somebody with a stolen token (T12, T13, T15).
        log.error("handshake.refused platform=%s reason=%s", platform.pk, error)
        raise error if isinstance(error, OcpiError) else invalid(f"url: {error}") from None
    access = Access(credentials.token, approved, platform.accept_raw_token)
    return discover(credentials.url, access, roles={entry.role.value for entry in credentials.roles})


__all__ = [
    "Exchange",
    "HandshakeError",
    "Invitation",
    "accept_credentials",
    "announce_changes",
    "announce_due_changes",
    "invite_platform",
    "register_with",
    "resume_platform",
    "revoke_credentials",
    "rotate_credentials",
    "suspend_platform",
    "unregister",
    "update_credentials",
]
