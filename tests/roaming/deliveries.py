"""What the delivery tests share: a connected partner, pushes of their own, and a clock that can be pushed."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from demo.http import Reply, Request
from demo.partner import Partner as PartnerPlatform
from ocpi import codec
from roaming.delivery import services
from roaming.delivery.drain import Drainer
from roaming.delivery.models import Lane, Obligation
from roaming.models import Endpoint, Party
from roaming.pushes import Message, Push, register
from roaming.secrets import write_outbound_token
from tests.factories import OwnPartyFactory, PartyFactory, PlatformFactory

TOKEN = "token-of-yardgate-at-the-partner"


class OddPartner(PartnerPlatform):
    """A partner platform whose answers a test may change: ``edit`` gets each request and the usual reply."""

    edit: Callable[[Request, Reply], Reply | None] | None = None

    def _reply_to(self, received: Request) -> Reply:
        reply = super()._reply_to(received)
        return (self.edit and self.edit(received, reply)) or reply


@pytest.fixture
def partner() -> Iterator[OddPartner]:
    """The eMSP Randstad Taxi (NL-EMS)."""
    with OddPartner() as running:
        yield running


@pytest.fixture
def other() -> Iterator[OddPartner]:
    """A second eMSP, Ruhr Mobil (DE-RMO)."""
    with OddPartner("Ruhr Mobil", "DE", "RMO") as running:
        yield running


@dataclass
class Facts:
    """What our side knows: the present state of EVSEs and tariffs, and sealed CDRs, by object key."""

    statuses: dict[str, str] = field(default_factory=dict)
    cdrs: dict[str, bytes] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    acknowledged: list[str] = field(default_factory=list)
    predecessors: dict[str, str] = field(default_factory=dict)
    lookups: dict[str, tuple[str, ...]] = field(default_factory=dict)


FACTS = Facts()


class BayPush(Push):
    """The status of a bay, as locations will push it: PATCH of the EVSE, or PUT of the whole."""

    kind = "test_bay"
    module = "sessions"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.LIVE

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        key = obligation.object_key
        if key in FACTS.broken:
            raise RuntimeError("cannot be rendered")
        if key not in FACTS.statuses:
            return None
        segments = ("BE", "YRD", key)
        status = {"status": FACTS.statuses[key], "last_updated": now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
        if obligation.changed_fields and not obligation.force_put:
            return Message("PATCH", segments, body=codec.encode(status))
        whole = {"country_code": "BE", "party_id": "YRD", "id": key}
        return Message("PUT", segments, body=codec.encode(whole | status))


class LonelyPush(BayPush):
    """A bay whose batch cannot be read at once."""

    kind = "test_lonely"

    def load(self, obligations: Sequence[Obligation]) -> Mapping[int, Any]:
        raise RuntimeError("cannot be read")


class PricePush(BayPush):
    """A tariff, on the lane that it shares with Locations."""

    kind = "test_price"
    module = "tariffs"
    lane = Lane.Name.STATIC


class PlacePush(BayPush):
    """A Location."""

    kind = "test_place"
    module = "locations"
    lane = Lane.Name.STATIC


class LimitsPush(BayPush):
    """The limits in force on a session, for who steers it: to the partner's side as Sender."""

    kind = "test_limits"
    module = "chargingprofiles"
    role = "SENDER"

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        return Message("PUT", (obligation.object_key,), body=codec.encode({"limit": 16}))


class BillPush(Push):
    """A sealed CDR: the same bytes each time."""

    kind = "test_bill"
    module = "cdrs"
    shape = Obligation.Shape.LEDGER
    lane = Lane.Name.CDR

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        if obligation.object_key in FACTS.broken:
            raise RuntimeError("cannot be rendered")
        return Message("POST", body=FACTS.cdrs[obligation.object_key])

    def acknowledged(self, obligation: Obligation, answer: Any, *, now: datetime) -> None:
        FACTS.acknowledged.append(obligation.object_key)

    def follows(self, obligation: Obligation) -> str | None:
        return FACTS.predecessors.get(obligation.object_key)

    def lookup_segments(self, obligation: Obligation) -> tuple[str, ...] | None:
        return FACTS.lookups.get(obligation.object_key)


class ResultPush(Push):
    """The result of a command."""

    kind = "test_result"
    module = "commands"
    shape = Obligation.Shape.SHORT_LIVED
    lane = Lane.Name.RESULT

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        return Message("POST", body=bytes(obligation.body or b""))


for push in (BayPush(), LimitsPush(), LonelyPush(), PricePush(), PlacePush(), BillPush(), ResultPush()):
    register(push)


def own_party() -> Party:
    """BE-YRD."""
    return OwnPartyFactory()


def a_partner(partner: PartnerPlatform, **values: Any) -> Party:
    """Connect a running partner platform, as if the handshake had been done; returns its party."""
    values = {"requests_per_second": 1000, "approved_hosts": [partner.url.removeprefix("http://")]} | values
    platform = PlatformFactory(name=partner.name, versions_url=partner.versions_url, **values)
    write_outbound_token(platform, TOKEN)
    platform.save()
    partner.accepted.add(TOKEN)
    for module, role in partner.offered:
        Endpoint.objects.create(platform=platform, module=module, role=role, url=partner.endpoint(module))
    return PartyFactory(platform=platform, country_code=partner.country_code, party_id=partner.party_id)


def owe_bay(party: Party, key: str, status: str, *, whole: bool = False) -> None:
    """A bay changes its status, and the partner is owed that."""
    FACTS.statuses[key] = status
    services.owe_state(
        own_party=own_party(), parties=[party], kind="test_bay", object_key=key, changed_fields=["status"],
        whole=whole, now=timezone.now(),
    )  # fmt: skip


def owe_cdr(party: Party, key: str) -> None:
    """A CDR is sealed, and the partner is owed it."""
    cdr = {
        "country_code": "BE",
        "party_id": "YRD",
        "id": key,
        "total_cost": {"excl_vat": 12.10},
        "currency": "EUR",
    }
    FACTS.cdrs[key] = json.dumps(cdr).encode()
    services.owe_ledger(
        own_party=own_party(), party=party, kind="test_bill", object_key=key, now=timezone.now()
    )


def drain(*, concurrency: int = 32, jitter: float = 0.0) -> int:
    """Send what is due, and return the number of turns."""
    with Drainer(clock=timezone.now, jitter=lambda: jitter, concurrency=concurrency) as drainer:
        return drainer.drain()


def in_background(work: Callable[..., Any] = drain, **values: Any) -> threading.Thread:
    """Do something in a thread that leaves no database connection behind."""

    def run() -> None:
        try:
            work(**values)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def let_pass(seconds: float) -> None:
    """Let time pass for everything that waits: due times are the database's, so they come nearer instead."""
    with connection.cursor() as cursor:
        ago = f"interval '{seconds} seconds'"
        cursor.execute(f"UPDATE roaming_lane SET due_at = due_at - {ago}, lease_until = lease_until - {ago}")
        cursor.execute(
            f"UPDATE roaming_obligation SET next_at = next_at - {ago}, owed_since = owed_since - {ago},"
            f" expires_at = expires_at - {ago}"
        )
        cursor.execute(f"UPDATE roaming_endpoint SET off_until = off_until - {ago}")


def the_lane(party: Party, name: str) -> Lane:
    """One lane of a partner."""
    return Lane.objects.get(platform=party.platform, name=name)


def delivery(key: str) -> Obligation:
    """The obligation of an object; there is exactly one."""
    return Obligation.objects.get(object_key=key)


@pytest.fixture(autouse=True)
def facts() -> Iterator[Facts]:
    """What our side knows, empty at first."""
    yield FACTS
    FACTS.__init__()
