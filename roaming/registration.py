"""The handshake when we are the one who begins it: register, rotate, unregister (credentials, 3.3).

The partner calls back before it answers, so the token that we announce is stored, and committed, before our
call; it opens versions only, and dies with any failure.
"""

import logging
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction

from ocpi import codec, v221
from ocpi.client import Answer, CallFailed, call
from ocpi.status import OcpiError
from roaming import own
from roaming.connections import (
    HandshakeError,
    Kind,
    Status,
    issue,
    lock,
    require_own_host,
    revoke_all,
    store_partner,
)
from roaming.discovery import Access, Offer, discover
from roaming.hub.presence import set_presence
from roaming.models import CredentialsToken, Party, Platform
from roaming.parties import collisions, replace_parties, require_allowed, role_ids
from roaming.secrets import new_token, read_outbound_token, write_outbound_token

log = logging.getLogger(__name__)

# A handshake that was cut off leaves a token that opens versions only; it does so no longer than this.
CALLBACK_LIFETIME = timedelta(minutes=5)
# Partners are told of a change of ours in the course of this time, each at a moment of its own.
ANNOUNCE_WITHIN = timedelta(hours=1)
# What peers answer that know us no more (DIS-08).
_NOT_REGISTERED = frozenset({401, 403, 404, 405})


@dataclass(frozen=True)
class _Peer:
    """A partner's credentials endpoint, and how to reach it."""

    credentials_url: str
    access: Access
    offers: tuple[Offer, ...] = ()


def register_with(
    *, versions_url: str, token_a: str, name: str, approved_hosts: Sequence[str] = (), now: datetime
) -> Platform:
    """Register with a partner that gave us a versions URL and a token A; return it connected.

    Raises HandshakeError with nothing kept; token A is never stored (CRD-28 to CRD-32).
    """
    peer = _found(versions_url, token_a, approved_hosts)
    token_b = new_token()
    with _prepared(name) as platform, _announced(platform, token_b, now) as row:
        theirs = _exchanged("POST", peer, token_b)
        try:
            _connect(platform, row, theirs, peer, now)
        except (OcpiError, ValueError, IntegrityError) as error:
            # They count us as registered: take it back, so that both sides agree.
            _decline(peer, theirs)
            raise HandshakeError(f"the partner's credentials cannot be used: {error}") from None
    platform.refresh_from_db()
    log.info("handshake.registered platform=%s", platform.pk)
    return platform


def rotate_credentials(*, platform: Platform, now: datetime) -> None:
    """Exchange both tokens by a PUT, which also makes the partner read our versions again (CRD-33 to CRD-35).

    Raises HandshakeError with the old pair of tokens in force.
    """
    peer = _registered(platform)
    before = bytes(platform.outbound_token or b"")
    token_b = new_token()
    with _announced(platform, token_b, now) as row:
        theirs = _exchanged("PUT", peer, token_b)
        with transaction.atomic():
            locked = lock(platform)
            # A partner that was suspended meanwhile has its new token already, and needs ours.
            is_same = bytes(locked.outbound_token or b"") == before and _is_announced(row)
            if locked.status not in (Status.CONNECTED, Status.SUSPENDED) or not is_same:
                raise HandshakeError("the connection was changed by another call at the same time")
            _take_over(locked, theirs, now)
            locked.announced = own.announcement()
            write_outbound_token(locked, theirs.token)
            locked.save()
            _promote(row, locked, now)
    platform.refresh_from_db()
    log.info("handshake.rotated platform=%s", platform.pk)


def unregister(*, platform: Platform, now: datetime) -> None:
    """End a connection from our side: tell the partner, then let its tokens die (CRD-36).

    A partner that no longer knows us counts as told; an invitation is simply withdrawn. Raises
    HandshakeError when the partner cannot be told: nothing was changed then.
    """
    platform.refresh_from_db(fields=["status"])
    if platform.status != Status.INVITED:
        peer = _registered(platform)
        try:
            answer = _call("DELETE", peer)
        except CallFailed as error:
            raise HandshakeError(f"the partner could not be told ({error.kind})") from None
        if not answer.is_success and answer.http_status not in _NOT_REGISTERED:
            raise HandshakeError(f"the partner refused: {_verdict(answer)}")
    revoke_credentials(platform=platform, now=now)


def revoke_credentials(*, platform: Platform, now: datetime) -> None:
    """End a connection on our side: all its tokens die and nothing more is sent to it (CRD-25).

    Parties, and what they still have to learn, stay for the operator to see; others are told that they are gone
    (HCI-05, HCI-10). Safe to repeat.
    """
    with transaction.atomic():
        locked = lock(platform)
        locked.status = Status.UNREGISTERED
        locked.outbound_token = None
        locked.save(update_fields=["status", "outbound_token"])
        locked.endpoints.all().delete()
        revoke_all(locked, now)
        set_presence(parties=locked.parties.all(), presence=Party.Presence.SUSPENDED, now=now)
    log.info("handshake.revoked platform=%s", platform.pk)


def announce_changes(*, now: datetime) -> dict[str, str]:
    """Send a PUT to each connected partner that knows other endpoints or roles of us than we have (CRD-35).

    Returns the outcome in words by name of platform; a partner that fails is tried again next time.
    """
    outcomes: dict[str, str] = {}
    current = own.announcement()
    for platform in Platform.objects.filter(status=Status.CONNECTED).exclude(announced=current):
        outcomes[platform.name] = _announce(platform, now)
    return outcomes


def announce_due_changes(*, now: datetime) -> dict[str, str]:
    """As `announce_changes`, from the timetable: each partner in its own minute of an hour, once an hour if it fails.

    Any number of callers may run: a partner is claimed by moving its next time before it is called.
    """
    outcomes: dict[str, str] = {}
    current = own.announcement()
    behind = Platform.objects.filter(status=Status.CONNECTED).exclude(announced=current)
    for key in behind.filter(announce_after=None).values_list("pk", flat=True):
        begin = now + ANNOUNCE_WITHIN * random.uniform(0, 1)
        Platform.objects.filter(pk=key, announce_after=None).update(announce_after=begin)
    for platform in behind.filter(announce_after__lte=now).order_by("announce_after"):
        again = now + ANNOUNCE_WITHIN * random.uniform(1, 1.2)
        claim = Platform.objects.filter(pk=platform.pk, announce_after=platform.announce_after)
        if claim.update(announce_after=again):
            outcomes[platform.name] = _announce(platform, now)
    return outcomes


def _announce(platform: Platform, now: datetime) -> str:
    try:
        rotate_credentials(platform=platform, now=now)
    except HandshakeError as error:
        log.warning("handshake.announcement_failed platform=%s reason=%s", platform.pk, error)
        return str(error)
    Platform.objects.filter(pk=platform.pk).update(announce_after=None)
    return "told"


def _found(versions_url: str, token_a: str, approved_hosts: Sequence[str]) -> _Peer:
    try:
        approved = require_own_host(versions_url, [host.lower() for host in approved_hosts])
        access = Access(token_a, approved)
        offers = discover(versions_url, access)
    except (ValueError, OcpiError) as error:
        message = error.message if isinstance(error, OcpiError) else f"the versions URL {error}"
        raise HandshakeError(f"cannot register with {versions_url}: {message}") from None
    for offer in offers:
        if offer.module == v221.ModuleID.CREDENTIALS:
            return _Peer(offer.url, access, offers)
    raise HandshakeError(f"cannot register with {versions_url}: no credentials endpoint there")


def _registered(platform: Platform) -> _Peer:
    # The caller's copy may be older than the last exchange of tokens.
    platform.refresh_from_db()
    endpoint = platform.endpoints.filter(module=v221.ModuleID.CREDENTIALS).first()
    if platform.status not in (Status.CONNECTED, Status.SUSPENDED) or endpoint is None:
        raise HandshakeError(f"platform '{platform}' is {platform.status}, or offers no credentials endpoint")
    token = read_outbound_token(platform)
    return _Peer(endpoint.url, Access(token, platform.approved_hosts, platform.accept_raw_token))


@contextmanager
def _prepared(name: str) -> Iterator[Platform]:
    """Find or make the platform's row; one that was made for a handshake that fails vanishes again."""
    platform = Platform.objects.filter(name=name).order_by("pk").first()
    if platform is not None and platform.status in (Status.CONNECTED, Status.SUSPENDED):
        raise HandshakeError(f"platform '{name}' is {platform.status}: unregister it first")
    if platform is not None:
        yield platform
        return
    if not name.strip():
        raise HandshakeError("a platform needs a name")
    platform = Platform.objects.create(name=name)
    try:
        yield platform
    except BaseException:
        # With a token it is no longer ours alone: somebody has invited it meanwhile.
        Platform.objects.filter(pk=platform.pk, inbound_tokens=None).delete()
        raise


@contextmanager
def _announced(platform: Platform, token_b: str, now: datetime) -> Iterator[CredentialsToken]:
    """Let token B open our versions while the partner is being called (CRD-30, CRD-34)."""
    row = issue(platform, Kind.CALLBACK, token_b, now + CALLBACK_LIFETIME)
    try:
        yield row
    except BaseException:
        row.delete()
        raise


def _exchanged(method: str, peer: _Peer, token_b: str) -> v221.Credentials:
    body = codec.encode(own.credentials(token_b))
    try:
        answer = _call(method, peer, body)
        if not answer.is_success:
            raise HandshakeError(f"the partner refused our credentials: {_verdict(answer)}")
        return codec.decode(v221.Credentials, answer.data)
    except CallFailed as error:
        raise HandshakeError(f"the partner's credentials endpoint did not answer ({error.kind})") from None
    except codec.Invalid as error:
        raise HandshakeError(f"the partner's credentials cannot be read: {error}") from None


def _call(method: str, peer: _Peer, body: bytes | None = None) -> Answer:
    return call(
        method,
        peer.credentials_url,
        token=peer.access.token,
        body=body,
        timeout_seconds=settings.OUTBOUND_TIMEOUT_SECONDS,
        raw_token=peer.access.raw_token,
    )


def _connect(
    platform: Platform, row: CredentialsToken, theirs: v221.Credentials, peer: _Peer, now: datetime
) -> None:
    require_own_host(theirs.url, peer.access.approved_hosts)
    with transaction.atomic():
        locked = lock(platform)
        if locked.status in (Status.CONNECTED, Status.SUSPENDED) or not _is_announced(row):
            raise HandshakeError(f"platform '{platform}' was changed by another call at the same time")
        claimed = role_ids(theirs)
        if taken := collisions(claimed, locked):
            raise HandshakeError("; ".join(taken))
        if locked.allowed_roles:
            require_allowed(theirs, locked.allowed_roles)
        # From now on other roles and hosts need an operator (T13, T15).
        locked.allowed_roles = locked.allowed_roles or [list(role) for role in claimed]
        locked.approved_hosts = list(peer.access.approved_hosts)
        store_partner(locked, theirs, peer.offers, now)
        locked.status = Status.CONNECTED
        locked.connected_at = now
        locked.save()
        _promote(row, locked, now)


def _take_over(platform: Platform, theirs: v221.Credentials, now: datetime) -> None:
    """Take URL and roles from the answer to a rotation, if they were agreed; the tokens count anyway."""
    try:
        require_own_host(theirs.url, platform.approved_hosts)
        require_allowed(theirs, platform.allowed_roles)
    except (ValueError, OcpiError) as error:
        log.error("handshake.change_not_agreed platform=%s reason=%s", platform.pk, error)
        return
    platform.versions_url = theirs.url
    replace_parties(platform, theirs, now)


def _is_announced(row: CredentialsToken) -> bool:
    """Tell whether the announced token is still alive: an invitation or an end at the same time kills it."""
    return CredentialsToken.objects.filter(pk=row.pk, revoked_at=None).exists()


def _promote(row: CredentialsToken, platform: Platform, now: datetime) -> None:
    """Make the announced token the platform's only one."""
    others = CredentialsToken.objects.filter(platform=platform, revoked_at=None).exclude(pk=row.pk)
    others.update(revoked_at=now)
    CredentialsToken.objects.filter(pk=row.pk).update(kind=Kind.SESSION, expires_at=None)


def _decline(peer: _Peer, theirs: v221.Credentials) -> None:
    access = Access(theirs.token, peer.access.approved_hosts, peer.access.raw_token)
    try:
        _call("DELETE", _Peer(peer.credentials_url, access))
    except CallFailed as error:
        log.warning("handshake.decline_failed reason=%s", error)


def _verdict(answer: Answer) -> str:
    code = answer.status_code if answer.status_code is not None else "no OCPI answer"
    return f"HTTP {answer.http_status}, {code} {answer.status_message}".rstrip()
