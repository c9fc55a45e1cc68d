"""GET all: the lists of all parties as one, with nothing in it that the asker may not see."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from demo.http import Reply as PeerReply
from demo.http import Request
from demo.partner import Partner
from locations.models import Location
from locations.services import publish_view
from roaming.models import Endpoint, HubDocument, Obligation, Party, Platform
from tests.factories import DepotFactory, EVSEFactory, LocationFactory
from tests.locations.building import always_open
from tests.partners import PartnerClient, Reply
from tests.roaming import hub_members as hub

pytestmark = pytest.mark.django_db

LOCATIONS, TARIFFS, TOKENS = (f"{hub.SENDER}/{module}" for module in ("locations", "tariffs", "tokens"))
SESSIONS, CDRS = f"{hub.SENDER}/sessions", f"{hub.SENDER}/cdrs"
BASE = "/ocpi/emsp/2.2.1"


@pytest.fixture(autouse=True)
def _hub(db: None) -> None:
    hub.the_hub()


@pytest.fixture
def emsp(_hub: None) -> PartnerClient:
    return hub.member("EMSP", "NL", "EMS")


def ids(replies: list[Reply]) -> list[str]:
    return [f"{each['party_id']} {each.get('id') or each['uid']}" for reply in replies for each in reply.data]


def refused(reply: Reply, status_code: int, text: str) -> None:
    assert (reply.http_status, reply.status_code, reply.data) == (200, status_code, None)
    assert text in reply.envelope["status_message"]


def broadcast(cpo: PartnerClient, *numbers: int, **members: Any) -> None:
    for number in numbers:
        document = hub.location(cpo, f"L{number}", **members)
        assert cpo.put(hub.url("locations", document), document).status_code == 1000


def test_the_broadcasts_of_three_cpos_are_one_list(emsp: PartnerClient) -> None:
    """HUB-15, HUB-41, HUB-51, HUB-52, PAG-07: owners unchanged; TO = requester, FROM = hub; Link and count of the whole."""
    cpos = [hub.member("CPO", "NL", name) for name in ("CP1", "CP2", "CP3")]
    for number, cpo in enumerate(cpos):
        hub.agree(cpo, emsp)
        broadcast(cpo, *range(10 * number, 10 * number + 9))
    pages = emsp.crawl(LOCATIONS, limit="10")
    assert ids(pages) == [f"CP{n + 1} L{10 * n + m}" for n in range(3) for m in range(9)]
    assert [len(page.data) for page in pages] == [10, 10, 7]
    assert {(page.headers["X-Total-Count"], page.headers["X-Limit"]) for page in pages} == {("27", "10")}
    names = [f"OCPI-{side}-{name}" for side in ("to", "from") for name in ("country-code", "party-id")]
    assert {tuple(page.headers[name] for name in names) for page in pages} == {("NL", "EMS", "BE", "HUB")}
    assert pages[0].data[0] == hub.location(cpos[0], "L0")


def test_what_is_shown_is_what_was_pushed(emsp: PartnerClient) -> None:
    """HUB-14, HUB-15: byte by byte."""
    cpo = hub.member("CPO", "NL", "TNM")
    hub.agree(cpo, emsp)
    body = hub.pretty(hub.location(cpo))
    cpo.put(hub.url("locations", hub.location(cpo)), body)
    assert b'{"data":[' + body + b"]," in emsp.get(LOCATIONS).body


def test_only_what_the_asker_may_see_is_counted(emsp: PartnerClient) -> None:
    """HUB-34, HUB-53: by agreement and module; a CPO asks for no Locations of CPOs."""
    seen, unseen, tariffs_only = (hub.member("CPO", "NL", name) for name in ("SEE", "UNS", "TAR"))
    rival = hub.member("CPO", "DE", "RIV")
    hub.agree(seen, emsp, rival)
    hub.agree(tariffs_only, emsp, modules=("tariffs",))
    for cpo in (seen, unseen, tariffs_only):
        broadcast(cpo, 1, 2)
        cpo.put(hub.url("tariffs", hub.tariff(cpo)), hub.tariff(cpo))
    listed = emsp.get(LOCATIONS, limit="1")
    assert (ids([listed]), listed.headers["X-Total-Count"]) == (["SEE L1"], "2")
    assert ids(emsp.crawl(LOCATIONS, limit="1")) == ["SEE L1", "SEE L2"]
    assert ids([emsp.get(TARIFFS)]) == ["SEE DAY", "TAR DAY"]
    for each in (rival, unseen):
        empty = each.get(LOCATIONS)
        assert (empty.data, empty.headers["X-Total-Count"], empty.next_url) == ([], "0", None)


def test_cpos_get_the_tokens_of_emsps(emsp: PartnerClient) -> None:
    """HUB-51, HUB-53: of those with an agreement; an eMSP gets none."""
    cpo, other = hub.member("CPO", "NL", "TNM"), hub.member("EMSP", "DE", "RMO")
    hub.agree(cpo, emsp)
    for each in (emsp, other):
        each.put(hub.url("tokens", hub.token(each)), hub.token(each))
    assert cpo.get(TOKENS).data == [hub.token(emsp)]
    hub.agree(emsp, other)
    assert emsp.get(TOKENS).data == []


def test_a_window_of_time_holds_for_all(emsp: PartnerClient) -> None:
    """HUB-52, PAG-01, PAG-02, PAG-08: lower edge included, upper one not; the link keeps it."""
    cpos = [hub.member("CPO", "NL", name) for name in ("CP1", "CP2")]
    for cpo in cpos:
        hub.agree(cpo, emsp)
        broadcast(cpo, 1)
        broadcast(cpo, 2, 3, last_updated=hub.LATER)
        broadcast(cpo, 4, last_updated=hub.LAST)
    pages = emsp.crawl(LOCATIONS, date_from=hub.LATER, date_to=hub.LAST, limit="3")
    assert ids(pages) == ["CP1 L2", "CP1 L3", "CP2 L2", "CP2 L3"]
    assert {page.headers["X-Total-Count"] for page in pages} == {"4"}


def test_deleted_tariffs_are_not_listed(emsp: PartnerClient) -> None:
    """HUB-42, TAR-05."""
    cpo = hub.member("CPO", "NL", "TNM")
    hub.agree(cpo, emsp)
    for id_ in ("DAY", "NIGHT"):
        cpo.put(hub.url("tariffs", hub.tariff(cpo, id_)), hub.tariff(cpo, id_))
    cpo.call("DELETE", hub.url("tariffs", hub.tariff(cpo, "DAY")))
    listed = emsp.get(TARIFFS)
    assert (ids([listed]), listed.headers["X-Total-Count"]) == (["TNM NIGHT"], "1")


class Closed:
    """A fence that hides L1 and L3 of every CPO."""

    def hidden_locations(self, *, party: Party, now: Any) -> list[tuple[int, str]]:
        return [(owner.pk, key) for owner in Party.objects.filter(role="CPO") for key in ("L1", "L3")]

    def may_see(self, *, party: Party, owner: Party, location_id: str, now: datetime) -> bool:
        return location_id not in ("L1", "L3")


def test_fenced_locations_are_neither_listed_nor_counted(emsp: PartnerClient, settings: Any) -> None:
    """HUB-53: decided before counting; tariffs have no fence."""
    settings.HUB_FENCE = "tests.roaming.test_hub_get_all.Closed"
    for name in ("CP1", "CP2"):
        cpo = hub.member("CPO", "NL", name)
        hub.agree(cpo, emsp)
        broadcast(cpo, 1, 2, 3, 4)
        cpo.put(hub.url("tariffs", hub.tariff(cpo, "L1")), hub.tariff(cpo, "L1"))
    pages = emsp.crawl(LOCATIONS, limit="3")
    assert ids(pages) == ["CP1 L2", "CP1 L4", "CP2 L2", "CP2 L4"]
    assert {page.headers["X-Total-Count"] for page in pages} == {"4"}
    assert len(emsp.get(TARIFFS).data) == 2


def granted(party: Party, own_party: Party, *numbers: int) -> None:
    """Locations of a CPO hosted here that this party's grants open."""
    depot = DepotFactory(operator=own_party, code=f"depot-{own_party.party_id.lower()}")
    for number in numbers:
        place: Location = LocationFactory(depot=depot, ocpi_id=f"{own_party.party_id}-{number}")
        EVSEFactory(location=place)
        publish_view(party=party, location=place, publication=always_open(), now=timezone.now())


def test_cpos_hosted_here_come_first_with_what_their_grants_open(emsp: PartnerClient) -> None:
    """HUB-51, HUB-52, HUB-53: each page crosses from one party to the next; no agreement is needed."""
    stranger = hub.member("EMSP", "DE", "RMO")
    first, second = hub.own("CPO", "YRD"), hub.own("CPO", "YR2")
    assert emsp.party is not None
    granted(emsp.party, first, 1, 2, 3)
    granted(emsp.party, second, 1, 2)
    cpo = hub.member("CPO", "NL", "TNM")
    hub.agree(cpo, emsp)
    broadcast(cpo, 1, 2)
    own = [f"YRD YRD-{n}" for n in (1, 2, 3)] + [f"YR2 YR2-{n}" for n in (1, 2)]
    for limit in ("1", "2", "4", "50"):
        assert ids(emsp.crawl(LOCATIONS, limit=limit)) == [*own, "TNM L1", "TNM L2"]
    assert stranger.get(LOCATIONS).data == []


def test_a_crawl_loses_nothing_when_a_list_before_it_grows(emsp: PartnerClient) -> None:
    """HUB-52, PAG-09: the link remembers where each list ended; what is new comes with the next one."""
    first = hub.own("CPO", "YRD")
    cpo = hub.member("CPO", "NL", "TNM")
    hub.agree(cpo, emsp)
    assert emsp.party is not None
    granted(emsp.party, first, 1)
    broadcast(cpo, 1, 2, 3)
    page = emsp.get(LOCATIONS, limit="2")
    place: Location = LocationFactory(depot=Location.objects.get().depot, ocpi_id="YRD-2")
    EVSEFactory(location=place)
    publish_view(party=emsp.party, location=place, publication=always_open(), now=timezone.now())
    assert page.next_url is not None
    following = emsp.call("GET", page.next_url)
    assert ids([page, following]) == ["YRD YRD-1", "TNM L1", "TNM L2", "TNM L3"]
    assert (following.headers["X-Total-Count"], following.next_url) == ("4", None)
    assert len(ids(emsp.crawl(LOCATIONS, limit="2"))) == 5


def test_a_crawl_counts_once(emsp: PartnerClient) -> None:
    """HUB-52: the first page counts, no page reads more than it shows; whatever the number of objects."""
    cpo = hub.member("CPO", "NL", "TNM")
    hub.agree(cpo, emsp)
    broadcast(cpo, *range(12))
    # The first call of a minute is noted.
    emsp.get(LOCATIONS, limit="1")
    with CaptureQueriesContext(connection) as first:
        page = emsp.get(LOCATIONS, limit="5")
    assert page.next_url is not None
    with CaptureQueriesContext(connection) as second:
        emsp.call("GET", page.next_url)
    counts = [sum("count(*)" in each["sql"].lower() for each in queries) for queries in (first, second)]
    assert counts == [1, 0]
    assert len(second) == len(first) - 1


@pytest.mark.parametrize(
    "query", ["limit=0", "offset=-1", "date_from=x", "totals=", "totals=KEPT", "totals=KEPT.x"]
)
def test_bad_parameters_are_refused(emsp: PartnerClient, query: str) -> None:
    """PAG-10."""
    refused(emsp.call("GET", f"{LOCATIONS}?{query}"), 2001, "")


def test_modules_without_lists_are_not_found(emsp: PartnerClient) -> None:
    """STS-02, ENV-06."""
    reply = emsp.get(f"{hub.SENDER}/commands")
    assert (reply.http_status, reply.status_code) == (404, 2000)


class ListingPartner(Partner):
    """A CPO that serves sessions and CDRs as Sender; ``page_size`` objects at most, of ``listed`` those of its asker.

    A careless one shows everybody everything.
    """

    listed: list[dict[str, Any]]
    careless: bool = False
    asked: list[Request]
    silent_about_totals: bool = False

    def _reply_to(self, received: Request) -> PeerReply:
        module = received.segments[-1]
        if (
            received.token not in self.accepted
            or module not in ("sessions", "cdrs")
            or received.method != "GET"
        ):
            return super()._reply_to(received)
        asker = (received.headers["ocpi-from-country-code"], received.headers["ocpi-from-party-id"])
        mine = [
            each
            for each in self.listed
            if self.careless or (each["cdr_token"]["country_code"], each["cdr_token"]["party_id"]) == asker
        ]
        offset, limit = int(received.query["offset"]), min(int(received.query["limit"]), self.page_size)
        headers = (
            {}
            if self.silent_about_totals
            else {"X-Total-Count": str(len(mine)), "X-Limit": str(self.page_size)}
        )
        return PeerReply(data=mine[offset : offset + limit], headers=headers)


Cpo = tuple[ListingPartner, PartnerClient]


@pytest.fixture
def start() -> Iterator[Callable[..., Cpo]]:
    """Start CPOs with sessions and CDRs of their own."""
    running: list[Partner] = []

    def begin(party_id: str, **values: Any) -> Cpo:
        platform = ListingPartner(f"CPO {party_id}", "NL", party_id, role="CPO", **values)
        platform.listed = []
        platform.start()
        running.append(platform)
        client = hub.member("CPO", "NL", party_id)
        row = client.party.platform if client.party else None
        Platform.objects.filter(pk=row.pk if row else None).update(
            approved_hosts=[f"127.0.0.1:{platform.port}"]
        )
        Endpoint.objects.filter(platform=row).delete()
        for module in ("sessions", "cdrs"):
            Endpoint.objects.create(platform=row, module=module, role="SENDER", url=platform.endpoint(module))
        platform.accepted.add(f"token-for-NL-{party_id}")
        return platform, client

    yield begin
    for platform in running:
        platform.stop()


def fill(
    cpo: Cpo, payer: PartnerClient, count: int, make: Callable[..., dict[str, Any]] = hub.session
) -> None:
    platform, client = cpo
    begin = len(platform.listed)
    platform.listed += [make(client, payer, f"{begin + number}") for number in range(count)]


def test_sessions_are_read_from_each_cpo_in_the_name_of_the_asker(
    emsp: PartnerClient, start: Callable[..., Cpo]
) -> None:
    """HUB-12, HUB-51, HUB-52, HUB-53, SES-02: TO = CPO, FROM = requester, from some moment on; nothing is kept."""
    other = hub.member("EMSP", "DE", "RMO")
    cpos = [start("CP1"), start("CP2", page_size=2), start("CP3")]
    for cpo in cpos:
        hub.agree(cpo[1], emsp, other)
        fill(cpo, emsp, 5)
        fill(cpo, other, 1)
    pages = emsp.crawl(SESSIONS, limit="4")
    assert ids(pages) == [f"CP{n} {m}" for n in (1, 2, 3) for m in range(5)]
    assert {page.headers["X-Total-Count"] for page in pages} == {"15"}
    assert ids(other.crawl(SESSIONS)) == ["CP1 5", "CP2 5", "CP3 5"]
    for number, (platform, _) in enumerate(cpos, start=1):
        asked = platform.received("GET", "/sessions")
        assert {each.query["date_from"] for each in asked} == {"1970-01-01T00:00:00Z"}
        assert {each.headers["ocpi-to-party-id"] for each in asked} == {f"CP{number}"}
        assert {each.headers["ocpi-from-party-id"] for each in asked} == {"EMS", "RMO"}
        assert {each.token for each in asked} == {f"token-for-NL-CP{number}"}
    # Four pages of four: the first asks all, the others only the parties that they reach into; one more for the other.
    assert [len(platform.received("GET", "/sessions")) for platform, _ in cpos] == [3, 5, 4]
    assert (HubDocument.objects.count(), Obligation.objects.count()) == (0, 0)


def test_a_window_of_time_is_passed_on(emsp: PartnerClient, start: Callable[..., Cpo]) -> None:
    """SES-02, PAG-08: and repeated in the link."""
    cpo = start("CP1")
    hub.agree(cpo[1], emsp)
    fill(cpo, emsp, 3)
    page = emsp.get(SESSIONS, date_from=hub.EIGHT, date_to=hub.LAST, limit="2")
    window = {"date_from": hub.EIGHT, "date_to": hub.LAST}
    assert page.next_url is not None
    assert dict(parse_qsl(urlsplit(page.next_url).query)) == window | {
        "offset": "2", "limit": "2", "totals": "NL-CP1.3"
    }  # fmt: skip
    (asked,) = cpo[0].received("GET", "/sessions")
    assert asked.query == window | {"offset": "0", "limit": "2"}


def test_a_careless_cpo_leaks_nothing(emsp: PartnerClient, start: Callable[..., Cpo]) -> None:
    """HUB-53: foreign tokens, and objects of other owners, are left out."""
    cpo, other = start("CP1"), hub.member("EMSP", "DE", "RMO")
    stranger = hub.member("CPO", "DE", "FRE")
    hub.agree(cpo[1], emsp)
    fill(cpo, other, 2, hub.cdr)
    fill(cpo, emsp, 1, hub.cdr)
    cpo[0].listed += [hub.cdr(stranger, emsp, "FOREIGN"), {"id": "BROKEN"}]
    cpo[0].careless = True
    assert ids([emsp.get(CDRS)]) == ["CP1 2"]


def test_one_that_does_not_answer_is_named(
    emsp: PartnerClient, start: Callable[..., Cpo], settings: Any
) -> None:
    """HUB-19, HUB-22: 4002 in HTTP 200; a list that lacks a CPO is never passed for complete."""
    settings.HUB_FORWARD_SECONDS = 0.5
    cpos = [start("CP1"), start("CP2")]
    for cpo in cpos:
        hub.agree(cpo[1], emsp)
        fill(cpo, emsp, 1)
    cpos[1][0].fail("slow", seconds=2)
    refused(emsp.get(SESSIONS), 4002, "NL-CP2")
    cpos[1][0].heal()
    cpos[1][0].stop()
    refused(emsp.get(SESSIONS), 4002, "NL-CP2")


def test_one_that_is_known_to_be_away_is_left_out(emsp: PartnerClient, start: Callable[..., Cpo]) -> None:
    """HUB-22: OFFLINE, suspended, or without an agreement; in the middle of a crawl it is missed by name."""
    cpos = [start("CP1"), start("CP2"), start("CP3"), start("CP4")]
    for cpo in cpos:
        fill(cpo, emsp, 2)
    for _, client in cpos[:3]:
        hub.agree(client, emsp)
    page = emsp.get(SESSIONS, limit="3")
    Party.objects.filter(party_id="CP2").update(presence="OFFLINE")
    Platform.objects.filter(parties__party_id="CP3").update(status=Platform.Status.SUSPENDED)
    assert ids([emsp.get(SESSIONS)]) == ["CP1 0", "CP1 1"]
    assert page.next_url is not None
    refused(emsp.call("GET", page.next_url), 4002, "NL-CP2")
    assert cpos[3][0].received("GET", "/sessions") == []


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"kind": "http", "status": 401}, "401"),
        ({"kind": "code", "status": 2001}, "2001"),
        ({"kind": "html"}, "None"),
        ({"kind": "redirect", "target": "http://127.0.0.1:9/"}, "302"),
    ],
)
def test_any_other_fault_of_a_cpo_is_4000(
    emsp: PartnerClient, start: Callable[..., Cpo], fault: dict[str, Any], text: str
) -> None:
    """HUB-17, HUB-21, HUB-22: with its name."""
    cpo = start("CP1")
    hub.agree(cpo[1], emsp)
    fill(cpo, emsp, 1)
    cpo[0].fail(fault.pop("kind"), **fault)
    refused(emsp.get(SESSIONS), 4000, "NL-CP1 answers HTTP")


def test_a_cpo_that_does_not_count_is_named(emsp: PartnerClient, start: Callable[..., Cpo]) -> None:
    """HUB-21."""
    cpo = start("CP1")
    hub.agree(cpo[1], emsp)
    fill(cpo, emsp, 1)
    cpo[0].silent_about_totals = True
    refused(emsp.get(SESSIONS), 4000, "NL-CP1 does not say how many objects there are")


def test_our_token_goes_to_agreed_hosts_only(emsp: PartnerClient, start: Callable[..., Cpo]) -> None:
    """HUB-12: an endpoint elsewhere is not called."""
    cpo = start("CP1")
    hub.agree(cpo[1], emsp)
    Platform.objects.filter(parties__party_id="CP1").update(approved_hosts=["cpo.example"])
    refused(emsp.get(SESSIONS), 4000, "NL-CP1")
    assert cpo[0].received("GET", "/sessions") == []


def test_a_cpo_gets_no_sessions_of_cpos(emsp: PartnerClient, start: Callable[..., Cpo]) -> None:
    """HUB-53: nobody is asked."""
    cpo, rival = start("CP1"), hub.member("CPO", "DE", "FRE")
    hub.agree(cpo[1], rival)
    fill(cpo, emsp, 1)
    assert rival.get(SESSIONS).data == []
    assert cpo[0].received("GET", "/sessions") == []


def test_cdrs_of_cpos_hosted_here_stand_beside_live_ones(
    emsp: PartnerClient, start: Callable[..., Cpo]
) -> None:
    """HUB-51: nothing of ours for this asker, two of a CPO behind us; pages are bounded."""
    hub.own("CPO", "YRD")
    cpo = start("CP1")
    hub.agree(cpo[1], emsp)
    fill(cpo, emsp, 2, hub.cdr)
    page = emsp.get(CDRS, limit="1000")
    assert (ids([page]), page.headers["X-Limit"]) == (["CP1 0", "CP1 1"], "100")


def test_a_cpo_with_tiny_pages_is_read_to_the_end_or_named(
    emsp: PartnerClient, start: Callable[..., Cpo]
) -> None:
    """HUB-52, DIS-59: a stretch is complete, or the call fails: an offset must not skip what was not given."""
    cpo = start("CP1", page_size=1)
    hub.agree(cpo[1], emsp)
    fill(cpo, emsp, 30)
    assert len(ids(emsp.crawl(SESSIONS, limit="10"))) == 30
    refused(emsp.get(SESSIONS, limit="30"), 4000, "NL-CP1 gives too few objects per page")
