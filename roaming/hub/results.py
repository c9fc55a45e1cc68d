"""The ``response_url`` of commands and charging profiles: results come back through the hub (HUB-26)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import quote

from django.conf import settings

from ocpi.client import Answer
from ocpi.scalars import read_datetime
from ocpi.status import invalid
from roaming.approved import require_approved
from roaming.hub import relays, rewriting
from roaming.hub.incoming import Incoming
from roaming.hub.targets import Target
from roaming.models import Relay

_ACCEPTED = "ACCEPTED"
_PROFILE_WORD = "result"


@dataclass(frozen=True)
class Outgoing:
    """Query and body for the next leg, and the relay that they name."""

    query: str
    body: bytes | None
    relay: Relay | None = None


def through_us(incoming: Incoming, target: Target) -> Outgoing:
    """Return what is sent on, with a URL of ours where the request names one for its result.

    Raises MalformedJson, or OcpiError 2001 when that URL is missing or not on a host of the caller's platform: its
    token would go there (O6).
    """
    route, method = incoming.route, incoming.method
    if route.role == "RECEIVER" and (route.module, method) in _IN_BODY:
        url, place = rewriting.response_url_in_body(incoming.body)
        relay = _opened(incoming, target, url)
        own = relays.url_of(relay, word=_word(incoming))
        return Outgoing(incoming.query, rewriting.in_body(incoming.body, place, own), relay)
    if route.role == "RECEIVER" and (route.module, method) in _IN_QUERY:
        relay = _opened(incoming, target, rewriting.response_url_in_query(incoming.query))
        own = relays.url_of(relay, word=_word(incoming))
        return Outgoing(rewriting.in_query(incoming.query, own), incoming.content, relay)
    return Outgoing(incoming.query, incoming.content)


def heed(relay: Relay, answer: Answer, *, now: datetime) -> None:
    """Keep the way of a result open for as long as the target has promised one; of a reservation, as it lasts."""
    data = answer.data if isinstance(answer.data, dict) else {}
    timeout = data.get("timeout")
    if data.get("result") != _ACCEPTED or not isinstance(timeout, int) or timeout < 0:
        return
    if relay.expires_at <= now + relays.RESULT_LIFE:
        relays.expect_result(relay, timeout_seconds=timeout, now=now)


_IN_BODY = frozenset({("commands", "POST"), ("chargingprofiles", "PUT")})
_IN_QUERY = frozenset({("chargingprofiles", "GET"), ("chargingprofiles", "DELETE")})


def _word(incoming: Incoming) -> str:
    is_command = incoming.route.module == "commands"
    return quote("".join(incoming.route.rest[:1]), safe="") if is_command else _PROFILE_WORD


def _opened(incoming: Incoming, target: Target, url: str) -> Relay:
    try:
        require_approved(
            url,
            approved_hosts=incoming.known.platform.approved_hosts,
            require_https=settings.OUTBOUND_REQUIRE_HTTPS,
        )
    except ValueError as refusal:
        raise invalid(f"{rewriting.MEMBER}: {refusal}") from refusal
    return relays.open_relay(
        kind=Relay.Kind.RESPONSE_URL,
        module=incoming.route.module,
        caller=target.party,
        target=incoming.caller,
        url=url,
        expires_at=max(incoming.now + relays.RESULT_LIFE, _end_of_reservation(incoming)),
    )


def _end_of_reservation(incoming: Incoming) -> datetime:
    """Until when the station may still say something about a reservation; now for everything else."""
    if incoming.route.rest[:1] != ("RESERVE_NOW",):
        return incoming.now
    try:
        expiry = read_datetime(incoming.text("expiry_date"))
    except ValueError:
        return incoming.now
    return min(expiry + relays.AFTER_RESERVATION, incoming.now + timedelta(days=31))
