"""What holds for every list that we send and every object that we receive, whatever the module.

Inherit `SenderContract` or `ReceiverContract` in a test class named `Test…`, say what the module serves, and all of
chapter "Transport and format" is checked against it through the whole stack.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ocpi.scalars import read_datetime, write_datetime
from tests.factories import OwnPartyFactory
from tests.partners import NOBODY, PartnerClient, Reply, a_partner

ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def text(instant: datetime) -> str:
    """An instant as partners write it."""
    return write_datetime(instant)


class SenderContract:
    """A list of our objects, and single ones where the chapter has them.

    `path`: of the list. `list_queries`: SQL statements of one list call, authentication included, whatever the
    number of objects. `not_found_code`: status code next to HTTP 404 for an object.
    """

    path: ClassVar[str]
    list_queries: ClassVar[int]
    id_member: ClassVar[str] = "id"
    not_found_code: ClassVar[int] = 2000
    start: ClassVar[datetime] = datetime(2026, 3, 11, 8, 0, tzinfo=UTC)

    def make(self, partner: PartnerClient, count: int) -> list[str]:
        """Make objects that this partner sees, `last_updated` from `start` on, one minute apart; return their ids.

        They are listed in the order in which they were made. Called once for a partner.
        """
        raise NotImplementedError

    def object_paths(self, partner: PartnerClient) -> list[str]:
        """URLs of single objects that this partner sees, of each kind one; empty where there are only lists."""
        return []

    @pytest.fixture(autouse=True)
    def _ours(self, db: None) -> None:
        OwnPartyFactory()

    @pytest.fixture
    def partner(self, _ours: None) -> PartnerClient:
        return a_partner()

    @pytest.fixture
    def stranger(self, _ours: None) -> PartnerClient:
        return a_partner("DE", "FRE", platform__name="Freie Fahrt")

    def ids(self, reply: Reply) -> list[str]:
        assert (reply.http_status, reply.status_code) == (200, 1000)
        return [entry[self.id_member] for entry in reply.data]

    def at(self, minutes: int) -> datetime:
        return self.start + timedelta(minutes=minutes)

    def test_all_parameters_may_be_absent(self, partner: PartnerClient) -> None:
        """PAG-01, ENV-02."""
        made = self.make(partner, 3)
        reply = partner.get(self.path)
        assert self.ids(reply) == made
        assert (reply.headers["X-Total-Count"], reply.next_url) == ("3", None)

    def test_each_parameter_alone_is_understood(self, partner: PartnerClient) -> None:
        """PAG-01, PAG-03."""
        made = self.make(partner, 3)
        assert self.ids(partner.get(self.path, date_from=text(self.at(1)))) == made[1:]
        assert self.ids(partner.get(self.path, date_to=text(self.at(1)))) == made[:1]
        assert self.ids(partner.get(self.path, offset="1")) == made[1:]
        assert self.ids(partner.get(self.path, limit="2")) == made[:2]

    def test_lower_edge_counts_and_upper_edge_does_not(self, partner: PartnerClient) -> None:
        """PAG-02: adjacent windows never return an object twice, and never lose one."""
        made = self.make(partner, 3)
        first = partner.get(self.path, date_from=text(self.at(0)), date_to=text(self.at(1)))
        second = partner.get(self.path, date_from=text(self.at(1)), date_to=text(self.at(3)))
        assert (self.ids(first), self.ids(second)) == (made[:1], made[1:])
        assert [read_datetime(entry["last_updated"]) for entry in second.data] == [self.at(1), self.at(2)]
        after = partner.get(self.path, date_from=text(self.at(2) + timedelta(milliseconds=1)))
        assert self.ids(after) == []

    def test_a_crawl_returns_every_object_once(self, partner: PartnerClient) -> None:
        """PAG-03, PAG-06, PAG-07: 25 by 10; Link on all pages but the last, X-Limit is the bound."""
        made = self.make(partner, 25)
        pages = partner.crawl(self.path, limit="10")
        assert [id_ for page in pages for id_ in self.ids(page)] == made
        assert [len(page.data) for page in pages] == [10, 10, 5]
        assert [page.next_url is None for page in pages] == [False, False, True]
        assert {page.headers["X-Total-Count"] for page in pages} == {"25"}
        assert {page.headers["X-Limit"] for page in pages} == {"10"}

    def test_a_link_keeps_the_filters(self, partner: PartnerClient) -> None:
        """PAG-08: the filters go along, correctly encoded."""
        made = self.make(partner, 7)
        window = {"date_from": text(self.at(1)), "date_to": text(self.at(6))}
        pages = partner.crawl(self.path, limit="2", **window)
        assert [id_ for page in pages for id_ in self.ids(page)] == made[1:6]
        assert {page.headers["X-Total-Count"] for page in pages} == {"5"}

    def test_the_limit_is_capped(self, partner: PartnerClient, settings: Any) -> None:
        """PAG-04: the cap never breaks the crawl."""
        settings.OCPI_PAGE_LIMIT = 2
        made = self.make(partner, 3)
        pages = partner.crawl(self.path, limit="2000")
        assert [id_ for page in pages for id_ in self.ids(page)] == made
        assert {page.headers["X-Limit"] for page in pages} == {"2"}

    def test_beyond_the_end_is_an_empty_page(self, partner: PartnerClient) -> None:
        """PAG-11: with the true total and without Link."""
        self.make(partner, 2)
        for offset in ("2", "999"):
            reply = partner.get(self.path, offset=offset)
            assert (self.ids(reply), reply.headers["X-Total-Count"], reply.next_url) == ([], "2", None)

    def test_no_match_is_an_empty_list(self, partner: PartnerClient) -> None:
        """ENV-03: HTTP 200, 1000 and `data: []`."""
        self.make(partner, 1)
        reply = partner.get(self.path, date_from="2099-01-01T00:00:00Z")
        assert (self.ids(reply), reply.headers["X-Total-Count"], reply.next_url) == ([], "0", None)

    @pytest.mark.parametrize(
        "query",
        [
            "limit=abc", "limit=-1", "limit=0", "limit=", "offset=-1", "offset=1.5", "offset=99999999999",
            "date_from=yesterday", "date_from=2026-02-30T00:00:00Z", "date_to=", "date_to=%00",
        ],
    )  # fmt: skip
    def test_bad_parameters_are_refused(self, partner: PartnerClient, query: str) -> None:
        """PAG-10: 2001, never a 500."""
        reply = partner.call("GET", f"{self.path}?{query}")
        assert (reply.http_status, reply.status_code, reply.data) == (200, 2001, None)

    def test_instants_may_have_an_offset_and_unknown_parameters_are_ignored(self, partner: PartnerClient) -> None:
        """TYP-06, B6."""
        made = self.make(partner, 2)
        local = (self.at(1) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S%%2B01:00")
        assert self.ids(partner.get(self.path, date_from=local, party_id="FRE", pk__in="1")) == made[1:]

    def test_others_see_nothing(self, partner: PartnerClient, stranger: PartnerClient) -> None:
        """AUT-08, PAG-05, B2, B3: neither in the list nor in its total, also by a link that was given to others."""
        made = self.make(partner, 3)
        reply = stranger.get(self.path)
        assert (self.ids(reply), reply.headers["X-Total-Count"]) == ([], "0")
        link = partner.get(self.path, limit="1").next_url
        assert link is not None
        assert self.ids(stranger.call("GET", link)) == []
        assert self.ids(partner.call("GET", link)) == made[1:2]

    def test_forbidden_and_unknown_objects_answer_alike(
        self, partner: PartnerClient, stranger: PartnerClient
    ) -> None:
        """STS-02, B1, B16: same status, same bytes."""
        self.make(partner, 1)
        for path in self.object_paths(partner):
            assert partner.get(path).http_status == 200
            forbidden, unknown = stranger.get(path), stranger.get(f"{self.path}/NO-SUCH-OBJECT")
            assert forbidden.without_timestamp() == unknown.without_timestamp()
            assert (forbidden.http_status, forbidden.status_code) == (404, self.not_found_code)

    def test_ids_that_no_object_can_have_are_not_found(self, partner: PartnerClient) -> None:
        """I5, I12: control characters, other scripts, dots, over-long ids: 404, never a 500."""
        paths = self.object_paths(partner) if self.make(partner, 1) else []
        for id_ in ("%00", "%0A", "%E2%84%AA", "..", "A" * 300, "%F0%9F%9A%8C", "'"):
            if paths:
                assert partner.get(f"{self.path}/{id_}").http_status == 404

    def test_a_slash_at_the_end_changes_nothing(self, partner: PartnerClient) -> None:
        """HTP-07."""
        self.make(partner, 2)
        for path in (self.path, *self.object_paths(partner)):
            assert partner.get(f"{path}/").without_timestamp() == partner.get(path).without_timestamp()

    def test_other_methods_are_not_allowed(self, partner: PartnerClient) -> None:
        """HTP-01: 405 with Allow and envelope, and nothing happens."""
        made = self.make(partner, 1)
        for path in (self.path, *self.object_paths(partner)):
            for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                reply = partner.call(method, path, {})
                assert (reply.http_status, reply.headers["Allow"]) == (405, "GET")
        assert self.ids(partner.get(self.path)) == made

    def test_without_a_token_nothing_is_told(self, partner: PartnerClient) -> None:
        """AUT-05: 401 with a scheme, the same for objects that exist."""
        self.make(partner, 1)
        for path in (self.path, *self.object_paths(partner), f"{self.path}?limit=abc"):
            for nobody in (NOBODY, PartnerClient(party=None, token="never-given-out")):
                reply = nobody.call("GET", path)
                assert (reply.http_status, reply.status_code, reply.data) == (401, 2000, None)
                assert reply.headers["WWW-Authenticate"] == "Token"

    def test_routing_headers_come_back_swapped(self, partner: PartnerClient) -> None:
        """HUB-02."""
        reply = partner.get(self.path)
        named = {name: reply.headers[f"OCPI-{name}"] for name in (
            "to-country-code", "to-party-id", "from-country-code", "from-party-id"
        )}  # fmt: skip
        assert named == {
            "to-country-code": "NL", "to-party-id": "EMS", "from-country-code": "BE", "from-party-id": "YRD"
        }  # fmt: skip

    def test_a_party_that_we_do_not_host_is_refused(self, partner: PartnerClient) -> None:
        """HUB-05."""
        self.make(partner, 1)
        headers = {"OCPI-to-country-code": "ZZ", "OCPI-to-party-id": "ZZZ"}
        reply = partner.call("GET", self.path, headers=headers)
        assert (reply.http_status, reply.status_code, reply.data) == (200, 2001, None)

    def test_the_number_of_queries_does_not_grow(self, partner: PartnerClient) -> None:
        """A page costs the same number of statements, however many objects it holds."""
        self.make(partner, 12)
        partner.get(self.path)  # the first call with a token also notes its use
        for parameters in ({"limit": "1"}, {"limit": "12"}, {"date_from": text(self.at(3)), "limit": "5"}):
            with CaptureQueriesContext(connection) as queries:
                partner.get(self.path, **parameters)
            assert len(queries) == self.list_queries, [query["sql"][:200] for query in queries]


class ReceiverContract:
    """An object of a partner's, at its owner-segmented URL.

    `path`: of the interface; `sample()`: a complete valid object of NL-EMS as JSON, `id_member` its id. `optional` is
    a member of the sample that may be left out, `required` one that may not; `change` are other members with other,
    valid values.
    """

    path: ClassVar[str]
    id_member: ClassVar[str] = "id"
    optional: ClassVar[str]
    required: ClassVar[str]
    change: ClassVar[Mapping[str, Any]]
    not_allowed: ClassVar[tuple[str, ...]] = ("POST", "DELETE")

    def sample(self) -> dict[str, Any]:
        """A complete object whose `last_updated` is 2026-03-11T08:00:00Z."""
        raise NotImplementedError

    def count(self) -> int:
        """How many objects are stored."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _ours(self, db: None, settings: Any) -> None:
        OwnPartyFactory()

    @pytest.fixture
    def partner(self, _ours: None) -> PartnerClient:
        return a_partner()

    @pytest.fixture
    def stranger(self, _ours: None) -> PartnerClient:
        return a_partner("DE", "FRE", platform__name="Freie Fahrt")

    def url(self, **changes: str) -> str:
        sample = {**self.sample(), **changes}
        return f"{self.path}/{sample['country_code']}/{sample['party_id']}/{sample[self.id_member]}"

    def stored(self, partner: PartnerClient, url: str = "") -> Any:
        reply = partner.get(url or self.url())
        return reply.data if reply.http_status == 200 else None

    def later(self, **changes: Any) -> dict[str, Any]:
        return {**changes, "last_updated": "2026-03-11T08:05:00Z"}

    def refused(self, reply: Reply, http_status: int, status_code: int) -> None:
        assert (reply.http_status, reply.status_code, reply.data) == (http_status, status_code, None)

    def test_put_then_get(self, partner: PartnerClient) -> None:
        """OBJ-03, ENV-04: 201 for new, without data; GET answers what was put."""
        reply = partner.put(self.url(), self.sample())
        assert (reply.http_status, reply.status_code, "data" in reply.envelope) == (201, 1000, False)
        assert self.stored(partner) == self.sample()

    def test_put_again_is_an_update_and_harmless(self, partner: PartnerClient) -> None:
        """OBJ-03, OBJ-13."""
        replies = [partner.put(self.url(), self.sample()) for _ in range(3)]
        assert [(reply.http_status, reply.status_code) for reply in replies] == [
            (201, 1000), (200, 1000), (200, 1000)
        ]  # fmt: skip
        assert (self.stored(partner), self.count()) == (self.sample(), 1)

    def test_put_replaces_the_whole_object(self, partner: PartnerClient) -> None:
        """OBJ-01: what is left out is gone."""
        partner.put(self.url(), self.sample())
        smaller = self.later(**self.sample() | dict(self.change))
        smaller = {**self.sample(), **self.change, "last_updated": smaller["last_updated"]}
        smaller.pop(self.optional)
        assert partner.put(self.url(), smaller).http_status == 200
        assert self.stored(partner) == smaller

    def test_put_without_a_required_member_changes_nothing(self, partner: PartnerClient) -> None:
        """OBJ-02, STS-01, STS-03: HTTP 200 with 2001."""
        partner.put(self.url(), self.sample())
        broken = {**self.sample(), **self.change, "last_updated": "2026-03-11T08:05:00Z"}
        broken.pop(self.required)
        self.refused(partner.put(self.url(), broken), 200, 2001)
        assert self.stored(partner) == self.sample()

    def test_an_older_put_is_acknowledged_and_ignored(self, partner: PartnerClient) -> None:
        """DIS-28."""
        partner.put(self.url(), self.sample())
        older = {**self.sample(), **self.change, "last_updated": "2026-03-11T07:59:59.999Z"}
        reply = partner.put(self.url(), older)
        assert (reply.http_status, reply.status_code) == (200, 1000)
        assert self.stored(partner) == self.sample()

    def test_patch_changes_only_what_it_names(self, partner: PartnerClient) -> None:
        """OBJ-04."""
        partner.put(self.url(), self.sample())
        patch = self.later(**self.change)
        reply = partner.patch(self.url(), patch)
        assert (reply.http_status, reply.status_code, "data" in reply.envelope) == (200, 1000, False)
        assert self.stored(partner) == {**self.sample(), **patch}

    def test_patch_needs_last_updated(self, partner: PartnerClient) -> None:
        """OBJ-05: 2001, not 2002."""
        partner.put(self.url(), self.sample())
        for patch in (dict(self.change), {**self.change, "last_updated": None}):
            self.refused(partner.patch(self.url(), patch), 200, 2001)
        assert self.stored(partner) == self.sample()

    def test_patch_of_an_unknown_object_asks_for_a_put(self, partner: PartnerClient) -> None:
        """OBJ-06, B20: 404."""
        self.refused(partner.patch(self.url(), self.later(**self.change)), 404, 2000)
        assert self.count() == 0

    def test_patch_cannot_change_identity(self, partner: PartnerClient) -> None:
        """OBJ-11."""
        partner.put(self.url(), self.sample())
        for member, value in ((self.id_member, "OTHER"), ("country_code", "DE"), ("party_id", "FRE")):
            self.refused(partner.patch(self.url(), self.later(**{member: value})), 200, 2001)
        assert (self.stored(partner), self.count()) == (self.sample(), 1)

    def test_stamps_of_a_patch(self, partner: PartnerClient) -> None:
        """B19: older is acknowledged and ignored, equal with other content and far ahead are refused."""
        partner.put(self.url(), self.sample())
        older = partner.patch(self.url(), {**self.change, "last_updated": "2026-03-11T07:59:59Z"})
        assert (older.http_status, older.status_code) == (200, 1000)
        equal = {**self.change, "last_updated": self.sample()["last_updated"]}
        self.refused(partner.patch(self.url(), equal), 200, 2001)
        ahead = {**self.change, "last_updated": text(datetime.now(UTC) + timedelta(minutes=6))}
        self.refused(partner.patch(self.url(), ahead), 200, 2001)
        assert self.stored(partner) == self.sample()

    def test_a_put_from_the_future_is_refused(self, partner: PartnerClient) -> None:
        """B19: it would block every later change."""
        ahead = {**self.sample(), "last_updated": text(datetime.now(UTC) + timedelta(minutes=6))}
        self.refused(partner.put(self.url(), ahead), 200, 2001)
        assert self.count() == 0

    def test_a_patch_that_breaks_the_object_changes_nothing(self, partner: PartnerClient) -> None:
        """OBJ-02, TYP-12: null takes away what may be absent only."""
        partner.put(self.url(), self.sample())
        self.refused(partner.patch(self.url(), self.later(**{self.required: None})), 200, 2001)
        assert self.stored(partner) == self.sample()
        assert partner.patch(self.url(), self.later(**{self.optional: None})).status_code == 1000
        assert self.optional not in self.stored(partner)

    def test_url_and_body_must_name_the_same_object(self, partner: PartnerClient) -> None:
        """OBJ-09, B9."""
        for changes in ({self.id_member: "OTHER"}, {"party_id": "FRE"}, {"country_code": "DE"}):
            self.refused(partner.put(self.url(), {**self.sample(), **changes}), 200, 2001)
        assert self.count() == 0

    def test_foreign_owners_are_not_found(self, partner: PartnerClient, stranger: PartnerClient) -> None:
        """OBJ-10, B1, B8: 404 for every method, same bytes as for an owner that nobody knows; nothing changes."""
        partner.put(self.url(), self.sample())
        unknown = self.url(country_code="ZZ", party_id="ZZZ")
        change = self.later(**self.change)
        for method, body in (("GET", None), ("PUT", {**self.sample(), **change}), ("PATCH", change)):
            foreign = stranger.call(method, self.url(), body)
            self.refused(foreign, 404, 2000)
            assert foreign.without_timestamp() == stranger.call(method, unknown, body).without_timestamp()
        assert (self.stored(partner), self.count()) == (self.sample(), 1)

    def test_case_of_the_url_does_not_matter(self, partner: PartnerClient) -> None:
        """TYP-01, HUB-07, DIS-65."""
        partner.put(self.url(), self.sample())
        sample = self.sample()
        assert self.stored(partner, f"{self.path}/nl/ems/{sample[self.id_member].lower()}") == sample

    def test_unknown_members_are_ignored(self, partner: PartnerClient) -> None:
        """HTP-12, B10."""
        extended = {**self.sample(), "x_new": 1, "is_fleet": True, "owner": {"priority": [0]}}
        assert partner.put(self.url(), extended).http_status == 201
        assert self.stored(partner) == self.sample()

    @pytest.mark.parametrize(
        "body", [b'{"uid":', b"", b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff", b"[" * 5000]
    )
    def test_malformed_json_is_a_400(self, partner: PartnerClient, body: bytes) -> None:
        """HTP-05, I1, I4, I6."""
        for method in ("PUT", "PATCH"):
            self.refused(partner.call(method, self.url(), body), 400, 2000)
        assert self.count() == 0

    @pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"5", b"{}"])
    def test_json_of_the_wrong_shape_is_2001(self, partner: PartnerClient, body: bytes) -> None:
        """HTP-06."""
        for method in ("PUT", "PATCH"):
            self.refused(partner.call(method, self.url(), body), 200, 2001)
        assert self.count() == 0

    def test_ids_that_no_object_can_have(self, partner: PartnerClient) -> None:
        """I5, T14: control characters and look-alikes find nothing and store nothing."""
        for id_ in ("%00", "%0A", "%E2%84%AA", "A" * 300):
            url = self.url().rpartition("/")[0] + f"/{id_}"
            assert partner.get(url).http_status == 404
            self.refused(partner.put(url, self.sample()), 200, 2001)
        assert self.count() == 0

    def test_a_slash_at_the_end_changes_nothing(self, partner: PartnerClient) -> None:
        """HTP-07."""
        assert partner.put(self.url() + "/", self.sample()).http_status == 201
        slashed, plain = partner.get(self.url() + "/"), partner.get(self.url())
        assert slashed.without_timestamp() == plain.without_timestamp()

    def test_other_methods_are_not_allowed(self, partner: PartnerClient) -> None:
        """HTP-01."""
        partner.put(self.url(), self.sample())
        for method in self.not_allowed:
            reply = partner.call(method, self.url(), self.sample())
            assert reply.http_status == 405
            allowed = [method for method in ALL_METHODS if method not in self.not_allowed]
            assert sorted(reply.headers["Allow"].split(", ")) == sorted(allowed)
        assert self.stored(partner) == self.sample()

    def test_without_a_token_nothing_happens(self, partner: PartnerClient) -> None:
        """AUT-05."""
        for method in ("GET", "PUT", "PATCH"):
            for body in (self.sample(), b"{"):
                self.refused(NOBODY.call(method, self.url(), None if method == "GET" else body), 401, 2000)
        assert self.count() == 0
