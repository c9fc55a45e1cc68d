"""Platforms around the hub: each registers over the wire, knows the hub alone, and answers what a test tells it to."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from demo.http import NOTHING, Answer, Reply, Request
from demo.partner import Partner
from ocpi import v221
from roaming.hub.agreements import set_agreement
from roaming.models import Agreement, Endpoint, Party, Platform
from tests.partner_platform import connect

HUB = ("DE", "HUB")
OWN = ("BE", "YRD")

_EVERY_ROLE = [
    (module.value, role.value)
    for module in v221.ModuleID
    for role in v221.InterfaceRole
    if module not in (v221.ModuleID.CREDENTIALS, v221.ModuleID.HUBCLIENTINFO)
]
Script = Callable[[Request], Reply]


@dataclass
class Peer(Partner):
    """A platform with one party, at odd URLs, with both roles of every module but those in ``lacks``."""

    script: list[tuple[str, Reply | Script]] = field(default_factory=list)
    lacks: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.offered = [("credentials", "SENDER"), *(pair for pair in _EVERY_ROLE if pair not in self.lacks)]

    @property
    def ocpi_id(self) -> tuple[str, str]:
        """Its party."""
        return self.country_code, self.party_id

    @property
    def row(self) -> Party:
        """Its party as the hub knows it."""
        return Party.objects.get(country_code=self.country_code, party_id=self.party_id, role=self.role)

    @property
    def platform(self) -> Platform:
        """Its platform as the hub knows it."""
        return Platform.objects.get(name=self.name)

    def on(self, request: str, reply: Reply | Script) -> None:
        """Answer requests whose ``METHOD /path`` contains a text in this way; the newest script comes first."""
        self.script.insert(0, (request, reply))

    def ask(
        self,
        method: str,
        path: str,
        *,
        to: tuple[str, str] | None = None,
        from_: tuple[str, str] | None = None,
        body: Any = NOTHING,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        """Call the hub: ``path`` is `sender/locations/LOC1?x=1`, or a whole URL that the hub has given out."""
        url = path if path.startswith("http") else f"{self.hub_url}/ocpi/2.2.1/{path}"
        sent = routing(to=to, from_=from_ or self.ocpi_id) | (headers or {})
        return self.call(method, url, body, headers=sent)

    @property
    def hub_url(self) -> str:
        """The address of the hub, as learned in the handshake."""
        parts = urlsplit(self.endpoints["credentials", "SENDER"])
        return f"{parts.scheme}://{parts.netloc}"

    @property
    def calls(self) -> list[Request]:
        """What it was asked on functional modules."""
        return [each for each in self.received() if "/odd" in each.path]

    @property
    def only_call(self) -> Request:
        """The one call that there was."""
        (call,) = self.calls
        return call

    def endpoint(self, module: str) -> str:
        """Odd, as HUB-13 wants them; the same URL for both roles of a module."""
        if module == "credentials":
            return super().endpoint(module)
        return f"{self.url}/odd/~{self.party_id.lower()}/v2.2.1;x/{module}"

    def _reply_to(self, received: Request) -> Reply:
        if "/odd/" not in received.path or received.token not in self.accepted:
            return super()._reply_to(received)
        reply = next((reply for text, reply in self.script if text in str(received)), Reply())
        return reply(received) if callable(reply) else reply


def routing(*, to: tuple[str, str] | None = None, from_: tuple[str, str] | None = None) -> dict[str, str]:
    """The routing headers of a call, those of an absent party left out."""
    headers = {}
    for name, party in (("to", to), ("from", from_)):
        if party is not None:
            headers |= {f"OCPI-{name}-country-code": party[0], f"OCPI-{name}-party-id": party[1]}
    return headers


def parties_of(message: Request | Answer) -> tuple[tuple[str, str], tuple[str, str]]:
    """TO and FROM that a message carries; empty texts where they are missing."""
    found = [
        (
            message.headers.get(f"ocpi-{name}-country-code", ""),
            message.headers.get(f"ocpi-{name}-party-id", ""),
        )
        for name in ("to", "from")
    ]
    return found[0], found[1]


@dataclass
class Hub:
    """The hub under test and the platforms around it."""

    url: str
    stack: ExitStack

    def join(self, name: str, country_code: str, party_id: str, role: str, **values: Any) -> Peer:
        """Start a platform and let it register over the wire."""
        peer = self.stack.enter_context(Peer(name, country_code, party_id, role=role, **values))
        connect(peer, self.url)
        peer.forget()
        return peer

    def agree(
        self, one: Peer, other: Peer, status: Agreement.Status = Agreement.Status.ACTIVE, *modules: str
    ) -> None:
        """Let two parties reach each other."""
        set_agreement(one=one.row, other=other.row, status=status, modules=modules)


@contextmanager
def a_hub(url: str, settings: Any) -> Iterator[Hub]:
    """A hub (DE-HUB) with a CPO of its own (BE-YRD) at a live server's address."""
    settings.OCPI_PUBLIC_URL = url
    Party.objects.create(role="HUB", country_code=HUB[0], party_id=HUB[1], name="Rhein-Maas Hub")
    Party.objects.create(role="CPO", country_code=OWN[0], party_id=OWN[1], name="Yardgate Depots")
    with ExitStack() as stack:
        yield Hub(url, stack)


def lose_endpoint(peer: Peer, module: str, role: str) -> None:
    """The peer's version details no longer list this."""
    Endpoint.objects.get(platform=peer.platform, module=module, role=role).delete()
