"""What holds for every list that we send and every object that we receive, whatever the module.

Inherit `SenderContract` or `ReceiverContract` in a test class named `Test…`, say what the module serves, and all of
chapter "Transport and format" is checked against it through the whole stack.
"""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ocpi.scalars import read_datetime, write_datetime
from tests.contracts_receiver import ReceiverContract
from tests.factories import OwnPartyFactory
from tests.partners import NOBODY, PartnerClient, Reply, a_partner

__all__ = ["ReceiverContract", "SenderContract"]


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

    def test_instants_may_have_an_offset_and_unknown_parameters_are_ignored(
        self, partner: PartnerClient
    ) -> None:
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
