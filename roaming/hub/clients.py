"""Life behind somebody else's hub: the parties that it announces, and how each is connected (HCI-11 to HCI-14).

A hub pushes what changes and shows all of it in a list, which is read after the handshake, at start, and every hour.
Both ways lead to one verb. A party that a hub announces never takes the place of one of ours or of another platform.
"""

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from ocpi import codec, v221
from ocpi.client import Answer, CallFailed, paged
from ocpi.headers import PartyId
from ocpi.status import OcpiError, invalid
from roaming.delivery.partner import Partner
from roaming.hub.presence import set_presence
from roaming.models import Endpoint, Party, Platform
from roaming.parties import RoleId
from roaming.secrets import SecretUnreadableError

log = logging.getLogger(__name__)

INTERVAL = timedelta(hours=1)
JITTER_SECONDS = 600
# As for every object that we receive: a stamp from the future would block every later change (B19).
MAX_CLOCK_DIFFERENCE = timedelta(minutes=5)

# Who is not yet, or no longer, connected to its hub cannot act: its calls are refused and its cards are unknown.
_ACTING = frozenset({Party.Presence.CONNECTED, Party.Presence.OFFLINE})


@dataclass
class ClientReport:
    """How a reading of the list went; ``problem`` is empty when it was read to its end.

    ``foreign`` entries are ours, or belong to another platform; they and ``broken`` ones are left out.
    """

    received: int = 0
    foreign: int = 0
    broken: int = 0
    problem: str = ""


def hubs() -> QuerySet[Platform]:
    """Return the connected platforms that are hubs: those whose own credentials hold that role."""
    hub_parties = Party.objects.filter(role=v221.Role.HUB.value, is_active=True, is_behind_hub=False)
    return Platform.objects.filter(status=Platform.Status.CONNECTED, parties__in=hub_parties).distinct()


def put_client(*, platform: Platform, client: v221.ClientInfo, now: datetime) -> bool:
    """Store what a hub says of one role of one party (HCI-11, HCI-12); True when we had never heard of it.

    Older news than we have changes nothing (DIS-28), an equal stamp counts: after a failed check of ours the hub's word
    is the better one. Raises OcpiError 2001 for a party that is ours or belongs to
    another platform, and for a stamp from the future. Two calls at once follow each other on the platform's row.
    """
    if client.last_updated > now + MAX_CLOCK_DIFFERENCE:
        raise invalid("last_updated: lies more than 5 minutes ahead of our clock")
    try:
        identity = RoleId.of(client.role.value, client.country_code, client.party_id)
    except ValueError as error:
        raise invalid(str(error)) from None
    with transaction.atomic():
        Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)
        party = _party(identity).first()
        is_foreign = _is_taken(platform, identity) if party is None else party.platform_id != platform.pk
        if is_foreign:
            log.warning("clients.foreign platform=%s party=%s", platform.pk, identity)
            raise invalid(f"party_id: {identity} is not a client of yours here")
        if party is None:
            party = _announced(platform, identity, client)
        elif party.announced_at is not None and client.last_updated < party.announced_at:
            return False
        is_new = party.announced_at is None
        _take(party, client, now)
    return is_new


def client_of(*, platform: Platform, ocpi_id: PartyId) -> v221.ClientInfo | None:
    """Return what this hub said of a party; of several roles the one that it last spoke of."""
    if not all(code.isascii() and code.isprintable() for code in ocpi_id):
        return None
    found = platform.parties.filter(
        country_code=ocpi_id.country_code, party_id=ocpi_id.party_id, announced_at__isnull=False
    )
    party = found.order_by("-announced_at", "role").first()
    if party is None or party.announced_at is None:
        return None
    return v221.ClientInfo(
        party_id=party.party_id,
        country_code=party.country_code,
        role=v221.Role(party.role),
        status=v221.ConnectionStatus(party.presence),
        last_updated=party.announced_at,
    )


def pull_clients(*, platform: Platform, now: datetime) -> ClientReport:
    """Read a hub's whole list of clients (HCI-13); who is not in it stays as it was. No transaction is open meanwhile."""
    report = ClientReport()
    try:
        for answer in _pages(platform):
            _take_page(platform, answer, report, now)
    except (CallFailed, SecretUnreadableError, _ListUnreadableError) as error:
        report.problem = str(error)[:200]
    Platform.objects.filter(pk=platform.pk).update(clients_problem=report.problem)
    log.info(
        "clients.pulled platform=%s received=%s foreign=%s broken=%s problem=%s",
        platform.pk, report.received, report.foreign, report.broken, report.problem,
    )  # fmt: skip
    return report


def pull_due_lists(*, now: datetime) -> int:
    """Read the lists of the hubs whose time has come; returns how many. Each is claimed before it is asked."""
    count = 0
    for platform in hubs().order_by("pk"):
        due = Platform.objects.filter(Q(clients_next_at=None) | Q(clients_next_at__lte=now), pk=platform.pk)
        # Spread over the hour, so that all who are connected do not ask in the same minute (PAG-14).
        following = now + INTERVAL + timedelta(seconds=random.uniform(0, JITTER_SECONDS))
        if due.update(clients_next_at=following):
            pull_clients(platform=platform, now=now)
            count += 1
    return count


def doubt_all_lists() -> None:
    """Have every hub's list read again at the next look: we have just started, and may have missed something."""
    Platform.objects.exclude(clients_next_at=None).update(clients_next_at=None)


def _is_taken(platform: Platform, identity: RoleId) -> bool:
    """Whether somebody else, or we, act under this id in whatever role: one company is on one platform."""
    others = Party.objects.filter(
        country_code=identity.country_code, party_id=identity.party_id, is_active=True
    )
    return others.exclude(platform=platform).exists()


def _party(identity: RoleId) -> QuerySet[Party]:
    return Party.objects.select_related("platform").filter(
        role=identity.role, country_code=identity.country_code, party_id=identity.party_id
    )


def _announced(platform: Platform, identity: RoleId, client: v221.ClientInfo) -> Party:
    return Party.objects.create(
        platform=platform,
        role=identity.role,
        country_code=identity.country_code,
        party_id=identity.party_id,
        name=f"{identity.country_code}-{identity.party_id}",
        is_behind_hub=True,
        # As it will be, so that what follows is no news of a party that nobody here knew.
        presence=client.status.value,
    )


def _take(party: Party, client: v221.ClientInfo, now: datetime) -> None:
    presence = Party.Presence(client.status.value)
    party.announced_at = client.last_updated
    if party.is_behind_hub:
        party.is_active = presence in _ACTING
    party.save(update_fields=["announced_at", "is_active"])
    set_presence(parties=[party], presence=presence, now=now)


class _ListUnreadableError(Exception):
    """The hub answered with something that is no list of its clients."""


def _pages(platform: Platform) -> Iterator[Answer]:
    endpoint = Endpoint.objects.filter(platform=platform, module="hubclientinfo", role="SENDER").first()
    if endpoint is None:
        raise _ListUnreadableError("no endpoint for hubclientinfo as sender")
    partner = Partner.load(platform.pk)
    if not partner.may_call(endpoint.url):
        raise _ListUnreadableError("its endpoint does not lie on a host that was agreed")
    # A configuration module: no routing headers (HUB-03).
    return paged(
        endpoint.url,
        token=partner.token,
        timeout_seconds=settings.OUTBOUND_TIMEOUT_SECONDS,
        raw_token=platform.accept_raw_token,
    )


def _take_page(platform: Platform, answer: Answer, report: ClientReport, now: datetime) -> None:
    if not answer.is_success or not isinstance(answer.data, list):
        raise _ListUnreadableError(
            f"HTTP {answer.http_status}, status {answer.status_code}: no list of clients"
        )
    sound, broken = codec.decode_each(v221.ClientInfo, answer.data)
    report.received += len(answer.data)
    report.broken += len(broken)
    for client in sound:
        try:
            put_client(platform=platform, client=client, now=now)
        except OcpiError:
            report.foreign += 1
