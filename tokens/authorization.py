"""Asking a token's owner whether its driver may charge, in real time (chapter "Tokens module", authorize).

The driver stands at the reader: all questions about one tap share one short budget, and no transaction is open.
"""

import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings

from ocpi import codec, v221
from ocpi.client import Answer, CallFailed, call
from ocpi.headers import PartyId, routing_headers
from ocpi.status import StatusCode
from roaming.models import Endpoint, Party, Platform
from roaming.secrets import SecretUnreadableError, read_outbound_token
from roaming.targets import target
from tokens.partner import may_call
from tokens.whitelist import UNREACHABLE

log = logging.getLogger(__name__)

# Token refused or too many requests: nobody looked at the question.
_NOT_HEARD = frozenset({401, 403, 429})
UNKNOWN_TOKEN = "UNKNOWN_TOKEN"  # noqa: S105 (an outcome)


@dataclass(frozen=True)
class RealtimeAnswer:
    """What came of the question.

    `outcome` is a v221.AllowedType word, UNKNOWN_TOKEN (the owner does not know the card) or UNREACHABLE (no verdict:
    no answer in time, a fault of theirs, or an answer about something else). `token`, `authorization_reference` and
    `evse_uids` (empty: all of the Location) come with ALLOWED, `info` is for the driver.
    """

    outcome: str
    token: v221.Token | None = None
    authorization_reference: str | None = None
    evse_uids: tuple[str, ...] = ()
    info: v221.DisplayText | None = None


_NO_VERDICT = RealtimeAnswer(UNREACHABLE)


def authorize_realtime(
    *,
    own_party: Party,
    party: Party,
    token_uid: str,
    token_type: v221.TokenType,
    location: v221.LocationReferences | None,
    now: datetime,
) -> RealtimeAnswer:
    """Ask `party` about one token in the name of our `own_party`, within settings.REALTIME_AUTHORIZATION_SECONDS for everything.

    A partner that answers 2002 is asked once more, the place stated (TOK-18); one that is not connected is not asked
    at all (HCI-14). Never raises for what a partner does.
    """
    if party.platform is None or party.presence != Party.Presence.CONNECTED:
        log.warning("authorize.not_connected party=%s", party.ocpi_id)
        return _NO_VERDICT
    question = _Question(own_party, token_uid, token_type, location, frozenset({party.ocpi_id}))
    return _ask(party.platform, party.ocpi_id, question)


def authorize_openly(
    *,
    own_party: Party,
    hub: Platform,
    owners: Collection[Party],
    token_uid: str,
    token_type: v221.TokenType,
    location: v221.LocationReferences | None,
) -> RealtimeAnswer:
    """Ask a hub about a card that nobody is known to own: without addressee, the hub finds who knows it (HUB-49).

    An answer in the name of a party that is not among `owners` is none. Otherwise as `authorize_realtime`.
    """
    owned_by = frozenset(party.ocpi_id for party in owners)
    return _ask(hub, None, _Question(own_party, token_uid, token_type, location, owned_by))


@dataclass(frozen=True)
class _Question:
    """One card at one place of `own_party`; `owners` are the parties that may answer for it."""

    own_party: Party
    uid: str
    type: v221.TokenType
    location: v221.LocationReferences | None
    owners: frozenset[PartyId]


def _ask(platform: Platform, to: PartyId | None, question: _Question) -> RealtimeAnswer:
    endpoint = Endpoint.objects.filter(platform=platform, module="tokens", role="SENDER").first()
    if endpoint is None or not may_call(platform, endpoint.url):
        log.warning("authorize.no_endpoint platform=%s", platform.pk)
        return _NO_VERDICT
    query = {} if question.type is v221.TokenType.RFID else {"type": question.type.value}
    url = target(endpoint.url, (question.uid, "authorize"), query, slash=platform.trailing_slash)
    body = codec.encode(question.location) if question.location else None
    headers = routing_headers(to=to, from_=question.own_party.ocpi_id)
    deadline = time.monotonic() + settings.REALTIME_AUTHORIZATION_SECONDS
    try:
        token = read_outbound_token(platform)
        for _ in range(2):
            answer = call(
                "POST",
                url,
                token=token,
                body=body,
                headers=headers,
                timeout_seconds=max(0.01, deadline - time.monotonic()),
                raw_token=platform.accept_raw_token,
            )
            if answer.status_code != StatusCode.NOT_ENOUGH_INFORMATION or body is None:
                break
    except (CallFailed, SecretUnreadableError) as error:
        log.warning("authorize.unreachable platform=%s reason=%s", platform.pk, error)
        return _NO_VERDICT
    return _read(answer, question)


def _read(answer: Answer, question: _Question) -> RealtimeAnswer:
    if answer.http_status == 404 or answer.status_code == StatusCode.UNKNOWN_TOKEN:
        return RealtimeAnswer(UNKNOWN_TOKEN)
    was_heard = answer.http_status < 500 and answer.http_status not in _NOT_HEARD
    if was_heard and answer.status_code is not None and 2000 <= answer.status_code < 3000:
        # They are there and did not say yes: the cache must not say it for them.
        return RealtimeAnswer(v221.AllowedType.NOT_ALLOWED.value)
    if not answer.is_success:
        return _NO_VERDICT
    try:
        verdict = codec.decode(v221.AuthorizationInfo, answer.data)
    except codec.Invalid as error:
        log.warning("authorize.unreadable owners=%s member=%s", len(question.owners), error.path)
        return _NO_VERDICT
    if not _is_about(verdict.token, question):
        log.warning("authorize.other_token owners=%s", len(question.owners))
        return _NO_VERDICT
    return _verdict(verdict, question.location)


def _is_about(token: v221.Token, question: _Question) -> bool:
    """Whether the answer is about the card that was asked for, and in the name of who may answer (O10)."""
    owner = PartyId.of(token.country_code, token.party_id)
    is_the_card = token.uid.upper() == question.uid.upper() and token.type is question.type
    return is_the_card and owner in question.owners


def _verdict(verdict: v221.AuthorizationInfo, asked: v221.LocationReferences | None) -> RealtimeAnswer:
    if verdict.allowed is not v221.AllowedType.ALLOWED:
        return RealtimeAnswer(verdict.allowed.value, token=verdict.token, info=verdict.info)
    place = verdict.location
    if place and asked and not _covers(place, asked):
        # Allowed, but somewhere else: the driver stands here (TOK-19).
        return RealtimeAnswer(v221.AllowedType.NOT_ALLOWED.value, token=verdict.token, info=verdict.info)
    return RealtimeAnswer(
        verdict.allowed.value,
        token=verdict.token,
        authorization_reference=verdict.authorization_reference,
        evse_uids=place.evse_uids if place else (),
        info=verdict.info,
    )


def _covers(place: v221.LocationReferences, asked: v221.LocationReferences) -> bool:
    if place.location_id.upper() != asked.location_id.upper():
        return False
    named = {uid.upper() for uid in place.evse_uids}
    wanted = {uid.upper() for uid in asked.evse_uids}
    return not named or not wanted or bool(named & wanted)
