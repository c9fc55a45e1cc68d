"""A hub, CPOs and eMSPs behind it, beside what the benchmark works on otherwise; all of it is taken away again."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, QueryDict

from bench.seed import NO_LIMIT
from ocpi.http import BODY
from roaming.auth import Caller
from roaming.hub.agreements import set_agreement
from roaming.models import Agreement, Attempt, Endpoint, HubDocument, Lane, Obligation, Party, Platform
from roaming.secrets import write_outbound_token


@dataclass(frozen=True)
class Members:
    """The hub and who is behind it; everybody on one side has an agreement with everybody on the other."""

    hub: Party
    cpos: Sequence[Party]
    emsps: Sequence[Party]


@contextlib.contextmanager
def members(*, cpos: int, emsps: int) -> Iterator[Members]:
    """Set them up, and take them away afterwards with all that they left behind."""
    hub = Party.objects.create(role="HUB", country_code="BE", party_id="HUB", name="Depot Hub")
    found = Members(hub, _parties("CPO", "C", cpos), _parties("EMSP", "E", emsps))
    for cpo in found.cpos:
        for emsp in found.emsps:
            set_agreement(one=cpo, other=emsp, status=Agreement.Status.ACTIVE)
    try:
        yield found
    finally:
        _remove(found)


def request(method: str, path: str, *, body: bytes = b"", query: str = "") -> HttpRequest:
    """A request as the hub's middleware hands it on."""
    made = HttpRequest()
    made.method = method
    made.path = made.path_info = path
    made.META = {BODY: body, "ocpi.correlation_id": "bench"}
    made.GET = QueryDict(query)  # type: ignore[assignment]  # the stubs know one of its two forms
    return made


def caller(party: Party, hub: Party) -> Caller:
    """A party that calls the hub."""
    assert party.platform is not None
    return Caller(
        platform=party.platform, token_id=0, token_kind="C", token="", parties=(party,), party=party, own_party=hub
    )  # fmt: skip


def listen(parties: Sequence[Party], ports: Sequence[int]) -> None:
    """Let each party receive Locations at a port of its own."""
    for party, port in zip(parties, ports, strict=True):
        url = f"http://127.0.0.1:{port}/ocpi/2.2.1/locations"
        Endpoint.objects.create(
            platform=Platform.objects.get(parties=party), module="locations", role="RECEIVER", url=url
        )
        Platform.objects.filter(parties=party).update(approved_hosts=[f"127.0.0.1:{port}"])


def location(members: dict[str, Any], owner: Party, id_: str, now: datetime) -> dict[str, Any]:
    """A Location of somebody else's under another owner and id."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    identity = {
        "country_code": owner.country_code,
        "party_id": owner.party_id,
        "id": id_,
        "last_updated": stamp,
    }
    return members | identity


def _parties(role: str, letter: str, count: int) -> list[Party]:
    made = []
    for number in range(count):
        platform = Platform(
            name=f"{role} {number}", status=Platform.Status.CONNECTED, version="2.2.1",
            requests_per_second=NO_LIMIT, max_requests_per_second=NO_LIMIT,
        )  # fmt: skip
        platform.save()
        write_outbound_token(platform, f"token-for-{role}-{number}")
        platform.save()
        made.append(
            Party.objects.create(
                platform=platform, role=role, country_code="DE", party_id=f"{letter}{number:02}", name=platform.name
            )
        )  # fmt: skip
    return made


def _remove(found: Members) -> None:
    parties = [*found.cpos, *found.emsps]
    HubDocument.objects.filter(recipient=found.hub).delete()
    Agreement.objects.filter(one__in=parties).delete()
    Agreement.objects.filter(other__in=parties).delete()
    Attempt.objects.filter(obligation__party__in=parties).delete()
    Obligation.objects.filter(party__in=parties).delete()
    platforms = [party.platform_id for party in parties if party.platform_id is not None]
    Lane.objects.filter(platform__in=platforms).delete()
    Party.objects.filter(pk__in=[party.pk for party in (*parties, found.hub)]).delete()
    Platform.objects.filter(pk__in=platforms).delete()
