"""What holds for every object that we receive; see tests/contracts.py."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from ocpi.scalars import write_datetime
from tests.factories import OwnPartyFactory
from tests.partners import NOBODY, PartnerClient, Reply, a_partner

ALL_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


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
    # What a PUT to an id with control characters is answered.
    no_path: ClassVar[tuple[int, int]] = (200, 2001)

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
        ahead = {**self.change, "last_updated": write_datetime(datetime.now(UTC) + timedelta(minutes=6))}
        self.refused(partner.patch(self.url(), ahead), 200, 2001)
        assert self.stored(partner) == self.sample()

    def test_a_put_from_the_future_is_refused(self, partner: PartnerClient) -> None:
        """B19: it would block every later change."""
        ahead = {**self.sample(), "last_updated": write_datetime(datetime.now(UTC) + timedelta(minutes=6))}
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
        answers = {"%00": self.no_path, "%0A": self.no_path, "%E2%84%AA": (200, 2001), "A" * 300: (200, 2001)}
        for id_, (http_status, status_code) in answers.items():
            url = self.url().rpartition("/")[0] + f"/{id_}"
            assert partner.get(url).http_status == 404
            self.refused(partner.put(url, self.sample()), http_status, status_code)
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
