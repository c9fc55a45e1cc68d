"""Who is around a hub: our own hub party with partners that know only it, and a hub that somebody else runs."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from demo.http import Reply, Request
from demo.partner import Partner as PartnerPlatform
from roaming.connections import issue
from roaming.hub.agreements import set_agreement
from roaming.hub.models import Agreement
from roaming.models import CredentialsToken, Party, Platform
from tests.factories import OwnPartyFactory
from tests.partners import PartnerClient
from tests.roaming.deliveries import a_partner

STAMP = "2026-03-11T08:00:00Z"


@pytest.fixture
def hub(db: None) -> Party:
    """Our own party NL-HUB: with it this installation is a hub."""
    return OwnPartyFactory(role="HUB", country_code="NL", party_id="HUB", name="Benelux Roaming Hub")


def agree(one: Party, other: Party, status: str = "ACTIVE") -> Agreement:
    """An agreement of two parties for all modules."""
    return set_agreement(one=one, other=other, status=Agreement.Status(status))


def client_info(party_id: str = "EMS", **changes: Any) -> dict[str, Any]:
    """What a hub says of NL-EMS."""
    members = {"party_id": party_id, "country_code": "NL", "role": "EMSP", "status": "CONNECTED"}
    return members | {"last_updated": STAMP} | changes


@dataclass
class ListeningPartner(PartnerPlatform):
    """A platform with the Receiver interface of HubClientInfo, which remembers what it was told."""

    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.offered.append(("hubclientinfo", "RECEIVER"))

    def _reply_to(self, received: Request) -> Reply:
        reply = super()._reply_to(received)
        if "/hubclientinfo/" not in received.path or received.method != "PUT" or reply.http_status == 401:
            return reply
        self.told.append(("/".join(received.segments[-2:]), received.json))
        return Reply()

    @property
    def heard(self) -> list[tuple[str, str, str]]:
        """Path, role and status of each PUT."""
        return [(path, client["role"], client["status"]) for path, client in self.told]


@dataclass
class HubPlatform(PartnerPlatform):
    """A hub that somebody else runs (NL-RHB), with the list of its clients and the drivers' cards of all of them."""

    name: str = "Rhine Hub"
    party_id: str = "RHB"
    role: str = "HUB"
    clients: list[dict[str, Any]] = field(default_factory=list)
    page: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.offered.append(("hubclientinfo", "SENDER"))

    def _reply_to(self, received: Request) -> Reply:
        reply = super()._reply_to(received)
        if not received.path.rstrip("/").endswith("/hubclientinfo") or reply.http_status == 401:
            return reply
        offset = int(received.query.get("offset", 0))
        headers = {"X-Total-Count": str(len(self.clients))}
        if offset + self.page < len(self.clients):
            url = f"{self.endpoint('hubclientinfo').rstrip('/')}?offset={offset + self.page}"
            headers["Link"] = f'<{url}>; rel="next"'
        return Reply(data=self.clients[offset : offset + self.page], headers=headers)


@pytest.fixture
def rhine() -> Iterator[HubPlatform]:
    """The hub NL-RHB, running."""
    with HubPlatform() as running:
        yield running


@pytest.fixture
def taxi() -> Iterator[ListeningPartner]:
    """The eMSP Randstad Taxi (NL-EMS), which listens to HubClientInfo."""
    with ListeningPartner() as running:
        yield running


@pytest.fixture
def nordlicht() -> Iterator[ListeningPartner]:
    """The CPO Nordlicht (DE-NLI), which listens too."""
    with ListeningPartner("Nordlicht", "DE", "NLI", "CPO") as running:
        yield running


def connected(running: PartnerPlatform, **values: Any) -> Party:
    """Connect a running platform as if the handshake had been done; returns its party, in its role."""
    party = a_partner(running, **values)
    Party.objects.filter(pk=party.pk).update(role=running.role)
    party.refresh_from_db()
    return party


def routing_of(request: Request) -> dict[str, str]:
    """The routing headers of a request."""
    return {name: value for name, value in request.headers.items() if name.startswith("ocpi-")}


def caller_of(party: Party) -> PartnerClient:
    """Its platform as it calls us, with a token of its own; how we reach it stays as it is."""
    assert party.platform is not None
    token = f"token-C-of-{party.country_code}-{party.party_id}"
    issue(party.platform, CredentialsToken.Kind.SESSION, token)
    Platform.objects.filter(pk=party.platform_id).update(max_requests_per_second=0)
    return PartnerClient(party=party, token=token)
