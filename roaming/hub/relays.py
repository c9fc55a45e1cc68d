"""URLs of the hub that stand for URLs of a party: results of commands and profiles, stored CDRs, next pages.

A relay is bound to the two parties; to everybody else it does not exist, like one that was never there or is over.
It may be called until it expires: whoever lost an answer must be able to ask again.
"""

import logging
import re
import secrets
from datetime import datetime, timedelta

from django.conf import settings

from ocpi.interfaces import interface_path
from ocpi.status import not_found
from roaming.hub.incoming import Incoming
from roaming.models import Party, Relay
from roaming.routing import Route

log = logging.getLogger(__name__)

RESULT_LIFE = timedelta(minutes=10)
"""Of a response_url until the target has said how long it needs."""
AFTER_TIMEOUT = timedelta(minutes=1)
"""A result that comes just after its command's timeout still arrives; it is the commanding party's to judge."""
MAX_RESULT_LIFE = timedelta(days=1)
AFTER_RESERVATION = timedelta(hours=1)
LOCATION_LIFE = timedelta(days=400)
LINK_LIFE = timedelta(hours=1)
MAX_URL_CHARS = 2048
LINK_PARAMETER = "relay"

_UID = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_LINK = re.compile(rf"(?:^|&){LINK_PARAMETER}=([A-Za-z0-9_-]{{43}})(?:&|$)", re.ASCII)
_RESULTS = frozenset({"commands", "chargingprofiles"})


def open_relay(
    *, kind: Relay.Kind, module: str, caller: Party, target: Party, url: str, expires_at: datetime
) -> Relay:
    """Make a URL that ``caller`` may call and that leads to ``url`` of ``target``."""
    return Relay.objects.create(
        uid=secrets.token_urlsafe(32),
        kind=kind,
        module=module,
        caller=caller,
        target=target,
        url=url,
        expires_at=expires_at,
    )


def url_of(relay: Relay, *, word: str = "") -> str:
    """Return the URL that stands for it; of a result ``word`` is the segment before its id."""
    base = settings.OCPI_PUBLIC_URL
    if relay.kind == Relay.Kind.RESPONSE_URL:
        return f"{base}{interface_path(relay.module, 'SENDER')}/{word}/{relay.uid}"
    if relay.kind == Relay.Kind.LOCATION:
        return f"{base}{interface_path(relay.module, 'RECEIVER')}/{relay.uid}"
    return f"{base}{interface_path(relay.module, 'SENDER')}?{LINK_PARAMETER}={relay.uid}"


def is_link(query: str) -> bool:
    """Tell whether a query string calls a relay of a next page."""
    return _LINK.search(query) is not None


def uid_in(incoming: Incoming) -> tuple[Relay.Kind, str] | None:
    """Return which relay a request calls, by its form alone; None when it is no such request."""
    route, method = incoming.route, incoming.method
    if route.is_list and method == "GET":
        match = _LINK.search(incoming.query)
        return (Relay.Kind.LINK, match.group(1)) if match else None
    last = route.rest[-1] if route.rest else ""
    if not _UID.fullmatch(last):
        return None
    if route.role == "SENDER" and route.module in _RESULTS and len(route.rest) == 2 and method == "POST":
        return Relay.Kind.RESPONSE_URL, last
    if route == Route("cdrs", "RECEIVER", (last,)) and method == "GET":
        return Relay.Kind.LOCATION, last
    return None


def find_relay(kind: Relay.Kind, uid: str, *, incoming: Incoming) -> Relay:
    """Return the relay that a request calls. Raises OcpiError 404 unless it is the caller's, and not over."""
    relay = (
        Relay.objects.select_related("caller", "target__platform")
        .filter(kind=kind, uid=uid, module=incoming.route.module, expires_at__gt=incoming.now)
        .first()
    )
    caller = incoming.caller
    if relay is None or (relay.caller.platform_id, relay.caller.ocpi_id) != (
        caller.platform_id,
        caller.ocpi_id,
    ):
        raise not_found()
    return relay


def expect_result(relay: Relay, *, timeout_seconds: int, now: datetime) -> None:
    """Let a relay live as long as the target said that it needs for its result."""
    # A peer may say any number; not every one is a duration.
    seconds = min(timeout_seconds, MAX_RESULT_LIFE // timedelta(seconds=1))
    life = min(timedelta(seconds=seconds) + AFTER_TIMEOUT, MAX_RESULT_LIFE)
    Relay.objects.filter(pk=relay.pk).update(expires_at=now + life)


def sweep_relays(*, now: datetime) -> int:
    """Delete what is over, and return how many there were."""
    deleted, _ = Relay.objects.filter(expires_at__lte=now).delete()
    if deleted:
        log.info("hub.relays_swept count=%s", deleted)
    return deleted
