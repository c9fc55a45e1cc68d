"""What one party pushes to the hub, on its way to all others: real partner platforms, real lanes."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from demo.http import Request
from demo.partner import Partner
from roaming.delivery.drain import Drainer
from roaming.hub.agreements import set_agreement
from roaming.models import Agreement, Endpoint, HubDocument, Obligation, Party, Platform
from tests.partners import PartnerClient
from tests.roaming import hub_members as hub
from tokens.models import Token

pytestmark = pytest.mark.django_db(transaction=True)

BASE = "/ocpi/emsp/2.2.1"


@pytest.fixture(autouse=True)
def _hub(transactional_db: None) -> None:
    hub.the_hub()


Start = Callable[..., tuple[Partner, PartnerClient]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start platforms of parties that are connected to the hub."""
    running: list[Partner] = []

    def begin(
        role: str, country_code: str, party_id: str, *, receives: tuple[str, ...] = ("locations", "tariffs")
    ) -> tuple[Partner, PartnerClient]:
        platform = Partner(f"{role} {party_id}", country_code, party_id, role=role).start()
        running.append(platform)
        client = hub.member(role, country_code, party_id, url=f"{platform.url}{BASE}")
        platform.accepted.add(f"token-for-{country_code}-{party_id}")
        assert client.party is not None
        Endpoint.objects.filter(platform=client.party.platform).exclude(module__in=receives).delete()
        for module in receives:
            Endpoint.objects.update_or_create(
                platform=client.party.platform, module=module, role="RECEIVER",
                defaults={"url": f"{platform.url}{BASE}/{module}"},
            )  # fmt: skip
        return platform, client

    yield begin
    for platform in running:
        platform.stop()


@pytest.fixture
def cpo() -> PartnerClient:
    """The CPO whose things are broadcast; it only calls."""
    return hub.member("CPO", "NL", "TNM")


def drain() -> None:
    """Send what is owed; what was just told rests for a moment, here nobody waits for it."""
    Obligation.objects.filter(state="PENDING").update(next_at=Now() - timedelta(seconds=1))
    with Drainer(clock=timezone.now, jitter=lambda: 0.5, concurrency=8) as drainer:
        drainer.drain()


def drain_apart() -> None:
    """The same in a thread, which leaves no connection behind."""
    try:
        drain()
    finally:
        connection.close()


def heard(platform: Partner) -> list[str]:
    """What a platform was told, as METHOD path."""
    return [str(each) for each in platform.received() if "/2.2.1/" in each.path]


def routing(request: Request) -> list[str]:
    names = [f"ocpi-{side}-{name}" for side in ("to", "from") for name in ("country-code", "party-id")]
    return [request.headers[name] for name in names]


def push(client: PartnerClient, module: str, document: dict[str, Any]) -> None:
    reply = client.put(hub.url(module, document), hub.pretty(document))
    assert (reply.status_code, reply.headers["OCPI-from-party-id"]) == (1000, "HUB")


def test_a_location_goes_to_the_other_side_of_the_market(cpo: PartnerClient, start: Start) -> None:
    """HUB-14, HUB-15, HUB-30, HUB-32, HUB-33, HUB-41: two eMSPs and an NSP, byte by byte; a CPO and an SCSP hear nothing."""
    receivers = [start("EMSP", "NL", "EMS"), start("EMSP", "DE", "RMO"), start("NSP", "FR", "MAP")]
    others = [start("CPO", "DE", "FRE"), start("SCSP", "BE", "SCS")]
    hub.agree(cpo, *(client for _, client in [*receivers, *others]))
    document = hub.location(cpo)
    push(cpo, "locations", document)
    drain()
    for platform, client in receivers:
        assert client.party is not None
        (request,) = platform.received(path="/locations")
        assert str(request) == f"PUT {BASE}/locations/NL/TNM/UTRECHT-1"
        assert request.body == hub.pretty(document)
        assert routing(request) == [*client.party.ocpi_id, "BE", "HUB"]
    assert [heard(platform) for platform, _ in others] == [[], []]
    assert HubDocument.objects.count() == 1


def test_what_an_other_party_sends_goes_to_cpos_only(start: Start) -> None:
    """HUB-34: and what a CPO sends reaches OTHER, too."""
    other_platform, other = start("OTHER", "BE", "OTH")
    cpo_platform, cpo = start("CPO", "NL", "TNM", receives=("tokens",))
    emsp_platform, emsp = start("EMSP", "NL", "EMS", receives=("tokens", "locations"))
    hub.agree(other, cpo, emsp)
    hub.agree(cpo, emsp)
    push(other, "tokens", hub.token(other))
    drain()
    assert heard(cpo_platform) == [f"PUT {BASE}/tokens/BE/OTH/04E1D2C3B4A580"]
    assert heard(emsp_platform) == []
    push(cpo, "locations", hub.location(cpo))
    drain()
    assert heard(other_platform) == [f"PUT {BASE}/locations/NL/TNM/UTRECHT-1"]


def test_without_an_agreement_nobody_is_told(cpo: PartnerClient, start: Start) -> None:
    """HUB-30: none, planned, ended, or for another module: nothing is owed."""
    parties = [start("EMSP", "NL", name) for name in ("NON", "PLA", "END", "MOD")]
    for (_, client), status in zip(
        parties[1:3], (Agreement.Status.PLANNED, Agreement.Status.ENDED), strict=True
    ):
        assert client.party is not None
        assert cpo.party is not None
        set_agreement(one=cpo.party, other=client.party, status=status)
    hub.agree(cpo, parties[3][1], modules=("tariffs",))
    push(cpo, "locations", hub.location(cpo))
    assert Obligation.objects.count() == 0
    push(cpo, "tariffs", hub.tariff(cpo))
    drain()
    assert [heard(platform) for platform, _ in parties] == [[], [], [], [f"PUT {BASE}/tariffs/NL/TNM/DAY"]]


def test_an_agreement_that_ends_meanwhile_ends_the_push(cpo: PartnerClient, start: Start) -> None:
    """It is looked at again when the request is made."""
    platform, emsp = start("EMSP", "NL", "EMS")
    hub.agree(cpo, emsp)
    push(cpo, "locations", hub.location(cpo))
    assert cpo.party is not None
    assert emsp.party is not None
    set_agreement(one=cpo.party, other=emsp.party, status=Agreement.Status.ENDED)
    drain()
    assert (heard(platform), Obligation.objects.get().state) == ([], "CANCELLED")


@pytest.mark.parametrize("presence", ["OFFLINE", "PLANNED", "SUSPENDED"])
def test_whoever_is_not_there_is_left_out(cpo: PartnerClient, start: Start, presence: str) -> None:
    """HUB-23, HUB-36: nothing is owed to it, and nothing comes late; the others are told."""
    (away_platform, away), (platform, emsp) = start("EMSP", "NL", "AWA"), start("EMSP", "NL", "EMS")
    hub.agree(cpo, away, emsp)
    assert away.party is not None
    Party.objects.filter(pk=away.party.pk).update(presence=presence)
    push(cpo, "locations", hub.location(cpo))
    Party.objects.filter(pk=away.party.pk).update(presence="CONNECTED")
    drain()
    assert heard(away_platform) == []
    assert len(heard(platform)) == 1
    assert list(Obligation.objects.values_list("party", flat=True)) == [emsp.party.pk if emsp.party else 0]


def test_platforms_without_such_a_receiver_are_left_out(cpo: PartnerClient, start: Start) -> None:
    """HUB-30: no endpoint, or not connected."""
    without, lost = start("EMSP", "NL", "WOU", receives=("tariffs",)), start("EMSP", "NL", "LOS")
    hub.agree(cpo, without[1], lost[1])
    Platform.objects.filter(parties__party_id="LOS").update(status=Platform.Status.SUSPENDED)
    push(cpo, "locations", hub.location(cpo))
    assert Obligation.objects.count() == 0


def test_the_sender_s_own_platform_hears_no_echo(cpo: PartnerClient, start: Start) -> None:
    """HUB-35: also when an eMSP on it has an agreement with the CPO on it."""
    platform, emsp = start("EMSP", "NL", "EMS")
    assert emsp.party is not None
    twin = hub.member("CPO", "NL", "TWN", platform=emsp.party.platform)
    hub.agree(twin, emsp)
    push(twin, "locations", hub.location(twin))
    assert Obligation.objects.count() == 0
    hub.agree(cpo, emsp)
    push(cpo, "locations", hub.location(cpo))
    drain()
    assert heard(platform) == [f"PUT {BASE}/locations/NL/TNM/UTRECHT-1"]


def test_two_parties_on_one_platform_get_one_call_each(cpo: PartnerClient, start: Start) -> None:
    """HUB-40, DIS-21: they differ by TO."""
    platform, emsp = start("EMSP", "NL", "EMS")
    assert emsp.party is not None
    second = hub.member("EMSP", "NL", "EM2", platform=emsp.party.platform)
    hub.agree(cpo, emsp, second)
    push(cpo, "locations", hub.location(cpo))
    drain()
    assert sorted(routing(each)[1] for each in platform.received(path="/locations")) == ["EM2", "EMS"]


def test_the_sender_is_answered_at_once_whatever_becomes_of_it(cpo: PartnerClient, start: Start) -> None:
    """HUB-31, HUB-37: one hangs, one refuses, one is gone; the fourth has it, and the sender never hears of the others."""
    platforms = [start("EMSP", "NL", name) for name in ("HAN", "REF", "GON", "EMS")]
    hub.agree(cpo, *(client for _, client in platforms))
    hanging, refusing, gone, well = (platform for platform, _ in platforms)
    hanging.fail("slow", seconds=4)
    refusing.fail("code", status=2001)
    gone.stop()
    began = time.monotonic()
    push(cpo, "locations", hub.location(cpo))
    assert time.monotonic() - began < 2
    thread = threading.Thread(target=drain_apart)
    thread.start()
    try:
        assert well.wait_until(lambda: well.locations, seconds=3)
        assert time.monotonic() - began < 4
        assert hanging.locations == {}
    finally:
        thread.join()
    states = dict(Obligation.objects.values_list("party__party_id", "state"))
    assert states == {"HAN": "ACKED", "REF": "PARKED", "GON": "PENDING", "EMS": "ACKED"}


@pytest.fixture
def told(cpo: PartnerClient, start: Start) -> tuple[Partner, dict[str, Any]]:
    """An eMSP that has confirmed a Location, and that Location."""
    platform, emsp = start("EMSP", "NL", "EMS")
    hub.agree(cpo, emsp)
    document = hub.location(cpo)
    push(cpo, "locations", document)
    drain()
    platform.forget()
    return platform, document


def test_a_status_is_one_patch_for_whoever_has_the_location(
    cpo: PartnerClient, told: tuple[Partner, dict[str, Any]]
) -> None:
    """HUB-30, HUB-33: status and the owner's stamp."""
    platform, document = told
    status = {"status": "CHARGING", "last_updated": hub.LATER}
    cpo.patch(hub.url("locations", document, "bay-1"), status)
    drain()
    (request,) = platform.received(path="/locations")
    assert str(request) == f"PATCH {BASE}/locations/NL/TNM/UTRECHT-1/BAY-1"
    assert request.json == status


def test_a_receiver_that_does_not_have_the_location_gets_all_of_it(
    cpo: PartnerClient, told: tuple[Partner, dict[str, Any]], start: Start
) -> None:
    """HUB-30: never an EVSE before its Location."""
    _, document = told
    platform, newcomer = start("EMSP", "DE", "NEW")
    hub.agree(cpo, newcomer)
    cpo.patch(hub.url("locations", document, "BAY-1"), {"status": "CHARGING", "last_updated": hub.LATER})
    drain()
    assert heard(platform) == [f"PUT {BASE}/locations/NL/TNM/UTRECHT-1"]
    (location,) = platform.locations.values()
    assert [each["status"] for each in location["evses"]] == ["CHARGING", "AVAILABLE"]
    assert location["last_updated"] == hub.LATER


def test_more_of_one_bay_is_a_put_of_that_bay(
    cpo: PartnerClient, told: tuple[Partner, dict[str, Any]]
) -> None:
    """HUB-33: an EVSE that was put, a member beside the status, or a Connector."""
    platform, document = told
    for parts, method, body in (
        (("BAY-1",), "PUT", hub.evse("BAY-1", hub.LATER, x_paint="green")),
        (("BAY-1",), "PATCH", {"floor_level": "-1", "last_updated": hub.LAST}),
        (("BAY-1", "1"), "PATCH", {"tariff_ids": ["DAY"], "last_updated": "2026-03-11T08:11:00Z"}),
    ):
        platform.forget()
        assert cpo.call(method, hub.url("locations", document, *parts), body).status_code == 1000
        drain()
        (request,) = platform.received(path="/locations")
        assert str(request) == f"PUT {BASE}/locations/NL/TNM/UTRECHT-1/BAY-1"
        assert request.json == cpo.get(hub.url("locations", document, "BAY-1")).data
    assert request.json["x_paint"] == "green"


def test_changes_of_several_bays_are_one_put(
    cpo: PartnerClient, told: tuple[Partner, dict[str, Any]]
) -> None:
    """HUB-30: what was not sent yet goes together, in its last state."""
    platform, document = told
    for bay, stamp in (("BAY-1", hub.LATER), ("BAY-2", hub.LAST)):
        cpo.patch(hub.url("locations", document, bay), {"status": "CHARGING", "last_updated": stamp})
    drain()
    assert heard(platform) == [f"PUT {BASE}/locations/NL/TNM/UTRECHT-1"]
    assert platform.received()[-1].body == bytes(HubDocument.objects.get().document)
    assert [each["status"] for each in platform.locations["NL", "TNM", "UTRECHT-1"]["evses"]] == [
        "CHARGING"
    ] * 2


def test_after_a_failure_the_whole_location_is_put(
    cpo: PartnerClient, told: tuple[Partner, dict[str, Any]]
) -> None:
    """OBJ-07, HUB-37: a PATCH that was not taken is followed by a PUT."""
    platform, document = told
    platform.locations.clear()
    cpo.patch(hub.url("locations", document, "BAY-1"), {"status": "CHARGING", "last_updated": hub.LATER})
    drain()
    drain()
    assert heard(platform) == [
        f"PATCH {BASE}/locations/NL/TNM/UTRECHT-1/BAY-1", f"PUT {BASE}/locations/NL/TNM/UTRECHT-1"
    ]  # fmt: skip
    assert platform.received()[-1].body == bytes(HubDocument.objects.get().document)


def test_what_changes_nothing_is_told_to_nobody(
    cpo: PartnerClient, told: tuple[Partner, dict[str, Any]]
) -> None:
    """OBJ-13, DIS-27, DIS-28: the same again, and older news."""
    platform, document = told
    push(cpo, "locations", document)
    cpo.put(
        hub.url("locations", document), document | {"name": "Old", "last_updated": "2026-03-11T07:00:00Z"}
    )
    cpo.patch(
        hub.url("locations", document, "BAY-1"), {"status": "BLOCKED", "last_updated": "2026-03-11T07:00:00Z"}
    )
    cpo.patch(hub.url("locations", document, "BAY-1"), {"status": "AVAILABLE", "last_updated": hub.EIGHT})
    drain()
    assert (heard(platform), Obligation.objects.filter(state="PENDING").count()) == ([], 0)


def test_a_refused_push_reaches_nobody(cpo: PartnerClient, told: tuple[Partner, dict[str, Any]]) -> None:
    """OBJ-02: what is not kept is not owed."""
    platform, document = told
    broken = {name: value for name, value in document.items() if name != "city"} | {"last_updated": hub.LATER}
    assert cpo.put(hub.url("locations", document), broken).status_code == 2001
    assert cpo.patch(hub.url("locations", document, "BAY-9"), {"last_updated": hub.LATER}).http_status == 404
    drain()
    assert (heard(platform), Obligation.objects.filter(state="PENDING").count()) == ([], 0)


def test_a_tariff_vanishes_everywhere(cpo: PartnerClient, start: Start) -> None:
    """HUB-42, TAR-05: DELETE goes to whoever was told of it; a newcomer hears nothing of what is gone."""
    platform, emsp = start("EMSP", "NL", "EMS")
    hub.agree(cpo, emsp)
    document = hub.tariff(cpo)
    push(cpo, "tariffs", document)
    drain()
    assert list(platform.tariffs) == [("NL", "TNM", "DAY")]
    newcomer_platform, newcomer = start("EMSP", "DE", "NEW")
    hub.agree(cpo, newcomer)
    assert cpo.call("DELETE", hub.url("tariffs", document)).status_code == 1000
    drain()
    assert heard(platform)[1:] == [f"DELETE {BASE}/tariffs/NL/TNM/DAY"]
    assert (platform.tariffs, heard(newcomer_platform)) == ({}, [])
    assert cpo.call("DELETE", hub.url("tariffs", document)).http_status == 404
    drain()
    assert len(heard(platform)) == 2


def test_tokens_reach_cpos_with_their_type(start: Start) -> None:
    """HUB-30, HUB-33, TOK-02: an app's token is not taken for a card."""
    platform, cpo = start("CPO", "NL", "TNM", receives=("tokens",))
    emsp = hub.member("EMSP", "NL", "EMS")
    hub.agree(cpo, emsp)
    document = hub.token(emsp, type="APP_USER")
    push(emsp, "tokens", document)
    drain()
    (request,) = platform.received(path="/tokens")
    assert (request.method, request.path) == ("PUT", f"{BASE}/tokens/NL/EMS/04E1D2C3B4A580")
    assert (request.query, request.body) == ({"type": "APP_USER"}, hub.pretty(document))
    assert routing(request) == ["NL", "TNM", "BE", "HUB"]


def test_a_get_is_never_broadcast(cpo: PartnerClient, told: tuple[Partner, dict[str, Any]]) -> None:
    """HUB-38, DIS-22."""
    platform, document = told
    assert cpo.get(hub.url("locations", document)).data == document | {"x_fleet": {"priority": 0.1}}
    drain()
    assert (heard(platform), Obligation.objects.filter(state="PENDING").count()) == ([], 0)


def test_cpos_hosted_here_learn_of_broadcast_tokens(settings: Any) -> None:
    """HUB-30, HUB-41: as if the owner had put them there, whole also after a PATCH; a repetition heals."""
    hub.own("CPO", "YRD")
    emsp = hub.member("EMSP", "NL", "EMS")
    document = hub.token(emsp)
    push(emsp, "tokens", document)
    token = Token.objects.get()
    assert (token.party, token.uid, token.valid) == (emsp.party, "04E1D2C3B4A580", True)
    Token.objects.all().delete()
    patch = {"valid": False, "last_updated": hub.LATER}
    assert emsp.patch(hub.url("tokens", document), patch).status_code == 1000
    assert Token.objects.get().valid is False
    Token.objects.all().delete()
    assert emsp.patch(hub.url("tokens", document), patch).status_code == 1000
    assert Token.objects.get().valid is False
    assert Obligation.objects.count() == 0


def test_many_pushes_do_not_use_up_the_limit_of_the_sender_at_our_own_parties() -> None:
    """HUB-31: handing on to parties of ours is not counted as calls of the sender."""
    hub.own("CPO", "YRD")
    hub.own("CPO", "YR2")
    emsp = hub.member("EMSP", "NL", "EMS")
    # Ten at once: enough for the pushes, and not for what they bring about here.
    Platform.objects.update(max_requests_per_second=2)
    for number in range(8):
        emsp.put(hub.url("tokens", document := hub.token(emsp, f"04{number:012}")), document)
    # Each party of ours knows its own.
    assert (HubDocument.objects.count(), Token.objects.count()) == (8, 16)


class OnlyDay:
    """A fence under which nobody sees the Location UTRECHT-1."""

    def hidden_locations(self, *, party: Party, now: Any) -> list[tuple[int, str]]:
        return [(owner.pk, "UTRECHT-1") for owner in Party.objects.filter(role="CPO")]

    def may_see(self, *, party: Party, owner: Party, location_id: str, now: datetime) -> bool:
        return location_id != "UTRECHT-1"


def test_a_fence_hides_a_location_from_the_broadcast(cpo: PartnerClient, start: Start, settings: Any) -> None:
    """HUB-53: it is not owed, not sent when the fence closed meanwhile, and not shown."""
    platform, emsp = start("EMSP", "NL", "EMS")
    hub.agree(cpo, emsp)
    hidden, shown = hub.location(cpo), hub.location(cpo, "UTRECHT-2")
    push(cpo, "locations", hidden)
    settings.HUB_FENCE = "tests.roaming.test_hub_broadcast.OnlyDay"
    push(cpo, "locations", shown)
    push(cpo, "locations", hidden | {"name": "x", "last_updated": hub.LATER})
    drain()
    assert heard(platform) == [f"PUT {BASE}/locations/NL/TNM/UTRECHT-2"]
    assert emsp.get(hub.url("locations", hidden)).http_status == 404
    assert emsp.get(hub.url("locations", shown)).data["id"] == "UTRECHT-2"
