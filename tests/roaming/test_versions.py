"""The Versions module, both sides."""

from urllib.parse import urlsplit

import pytest
from django.conf import settings as django_settings

from ocpi import v221
from ocpi.interfaces import V221_INTERFACES
from ocpi.status import OcpiError
from roaming.discovery import Access, Offer, discover
from roaming.models import Party
from tests.factories import OwnPartyFactory
from tests.partners import a_partner

VERSIONS, DETAILS = "/ocpi/versions", "/ocpi/2.2.1"


@pytest.mark.django_db
class TestOurs:
    @pytest.fixture
    def caller(self, settings):
        settings.OCPI_PUBLIC_URL = "https://ocpi.yardgate.example"
        OwnPartyFactory()
        return a_partner()

    def test_versions(self, caller):
        """VER-01, VER-02, VER-12, HTP-08: 2.2.1 only, absolute, no slash at the end."""
        expected = [{"version": "2.2.1", "url": "https://ocpi.yardgate.example/ocpi/2.2.1"}]
        assert caller.get(VERSIONS).data == expected

    def test_details_are_the_table_of_interfaces(self, caller, settings):
        """VER-03, VER-05, VER-07 to VER-09: what is served is listed, and nothing else."""
        details = caller.get(DETAILS).data
        assert details["version"] == "2.2.1"
        listed = [(each["identifier"], each["role"]) for each in details["endpoints"]]
        assert listed == list(settings.OCPI_INTERFACES)
        urls = [each["url"] for each in details["endpoints"]]
        assert len(set(urls)) == len(urls)
        assert all(url.startswith("https://ocpi.yardgate.example/ocpi/2.2.1/") for url in urls)
        assert not any(url.endswith("/") for url in urls)

    def test_a_cpo_lists_its_modules(self):
        """VER-05: what a CPO platform offers."""
        assert set(django_settings.OCPI_INTERFACES) >= {
            ("credentials", "SENDER"), ("locations", "SENDER"), ("sessions", "SENDER"), ("cdrs", "SENDER"),
            ("tariffs", "SENDER"), ("tokens", "RECEIVER"), ("commands", "RECEIVER"),
        }  # fmt: skip
        assert {module for module, _ in django_settings.OCPI_INTERFACES} <= set(v221.ModuleID)

    def test_credentials_are_listed_once_as_sender(self, caller):
        """VER-04."""
        listed = [
            each for each in caller.get(DETAILS).data["endpoints"] if each["identifier"] == "credentials"
        ]
        assert [each["role"] for each in listed] == ["SENDER"]

    def test_a_hub_lists_both_roles_of_every_module(self, caller):
        """VER-06 to VER-08: as soon as a HUB party is hosted, and as long; each at a URL of its own."""
        cpo = caller.get(DETAILS).data
        hub = Party.objects.create(role="HUB", country_code="DE", party_id="HUB", name="Rhein-Maas Hub")
        listed = caller.get(DETAILS).data["endpoints"]
        pairs = {(each["identifier"], each["role"]) for each in listed}
        functional = set(v221.ModuleID) - {v221.ModuleID.CREDENTIALS, v221.ModuleID.HUBCLIENTINFO}
        assert pairs >= {(module.value, role) for module in functional for role in ("SENDER", "RECEIVER")}
        assert len({each["url"] for each in listed}) == len(listed) == len(pairs)
        assert {urlsplit(each["url"]).path for each in listed if each["identifier"] == "locations"} == {
            "/ocpi/2.2.1/sender/locations", "/ocpi/2.2.1/receiver/locations"
        }  # fmt: skip
        hub.is_active = False
        hub.save()
        assert caller.get(DETAILS).data == cpo

    def test_the_openapi_document_follows(self, caller):
        """VER-06: what is listed is described."""
        path = "/ocpi/2.2.1/receiver/locations/{country_code}/{party_id}/{location_id}"
        assert path not in caller.client.get("/ocpi/2.2.1/openapi.json").json()["paths"]
        Party.objects.create(role="HUB", country_code="DE", party_id="HUB", name="Rhein-Maas Hub")
        assert set(caller.client.get("/ocpi/2.2.1/openapi.json").json()["paths"][path]) == {
            "get",
            "put",
            "patch",
        }

    def test_urls_never_come_from_the_host_header(self, caller):
        """VER-14."""
        plain, spoofed = caller.get(DETAILS), caller.call("GET", DETAILS, headers={"Host": "evil.example"})
        assert plain.data == spoofed.data

    def test_each_published_url_answers(self, caller, settings):
        """VER-02, HTP-07: the details lead to what they name; each answer is JSON."""
        for endpoint in caller.get(DETAILS).data["endpoints"]:
            path = urlsplit(endpoint["url"]).path
            assert path == V221_INTERFACES[endpoint["identifier"], endpoint["role"]].path

    @pytest.mark.parametrize("path", [VERSIONS, DETAILS])
    def test_methods(self, caller, path):
        """HTP-01."""
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            reply = caller.call(method, path)
            assert (reply.http_status, reply.headers["Allow"]) == (405, "GET")


class TestTheirs:
    """What we make of a partner's versions and details; no row is involved."""

    @pytest.fixture(autouse=True)
    def required(self, settings):
        settings.OCPI_REQUIRED_ENDPOINTS = {"EMSP": [("tokens", "SENDER")]}
        settings.OUTBOUND_TIMEOUT_SECONDS = 2

    def discovered(self, partner, url=None):
        partner.accepted.add("B")
        approved = [f"127.0.0.1:{partner.port}"]
        return discover(url or partner.versions_url, Access("B", approved))

    def refusal(self, partner, url=None):
        with pytest.raises(OcpiError) as refused:
            self.discovered(partner, url)
        return refused.value.status_code, refused.value.message

    def test_endpoints(self, partner):
        """CRD-10: two GETs with the token, then the endpoints."""
        offers = self.discovered(partner)
        assert [str(each) for each in partner.requests] == ["GET /ocpi/emsp/versions", "GET /ocpi/emsp/2.2.1"]
        assert {each.token for each in partner.requests} == {"B"}
        assert offers == tuple(
            Offer(module, role, partner.endpoint(module)) for module, role in partner.offered
        )

    def test_what_we_do_not_know_is_ignored(self, partner):
        """VER-10: version 9.9, custom modules, other roles, broken entries."""
        partner.versions = ["2.1.1", "9.9", "2.2.1"]
        partner.extra_versions = [{"version": 3}, "nonsense", {"version": "2.2.1"}]
        partner.extra_endpoints = [
            {"identifier": "nltnm-tokens", "role": "SENDER", "url": f"{partner.url}/x"},
            {"identifier": "tokens", "role": "OBSERVER", "url": f"{partner.url}/y"},
            {"identifier": "sessions"},
            None,
        ]
        assert len(self.discovered(partner)) == len(partner.offered)

    def test_the_role_of_the_credentials_endpoint_is_ignored(self, partner):
        """VER-04: RECEIVER, or both."""
        partner.offered = [("credentials", "RECEIVER"), ("credentials", "SENDER"), ("tokens", "SENDER")]
        found = [(each.module, each.role) for each in self.discovered(partner)]
        assert found == [("credentials", "SENDER"), ("tokens", "SENDER")]

    def test_our_version_is_chosen(self, partner):
        """VER-11: whatever stands before or after it."""
        partner.versions = ["2.2.1", "2.1.1"]
        self.discovered(partner)
        assert partner.requests[-1].path == "/ocpi/emsp/2.2.1"

    def test_no_common_version(self, partner):
        """CRD-15: 3002, and no details are asked for."""
        partner.versions = ["2.1.1"]
        assert self.refusal(partner)[0] == 3002
        assert len(partner.requests) == 1

    def test_a_required_endpoint_is_missing(self, partner):
        """CRD-16: 3003, with its name."""
        partner.offered.remove(("tokens", "SENDER"))
        assert self.refusal(partner) == (3003, "your platform offers no endpoint for tokens SENDER")

    def test_of_a_cpo_nothing_is_required(self, partner):
        """CRD-16: it has no tokens of its own; known by its role, or by taking those of others."""
        partner.offered = [("credentials", "SENDER"), ("locations", "SENDER"), ("tokens", "RECEIVER")]
        assert len(self.discovered(partner)) == 3
        partner.accepted.add("B")
        access = Access("B", [f"127.0.0.1:{partner.port}"])
        assert len(discover(partner.versions_url, access, roles={"CPO"})) == 3
        with pytest.raises(OcpiError, match="tokens SENDER"):
            discover(partner.versions_url, access, roles={"CPO", "EMSP"})

    @pytest.mark.parametrize("step", ["GET /ocpi/emsp/versions", "GET /ocpi/emsp/2.2.1"])
    @pytest.mark.parametrize(
        ("kind", "how"),
        [
            ("drop", {}), ("slow", {"seconds": 3}), ("drip", {"seconds": 0.2}), ("huge", {}), ("endless_headers", {}),
            ("bad_json", {}), ("html", {}), ("redirect", {"target": "http://169.254.169.254/"}),
            ("http", {"status": 401}), ("http", {"status": 500}), ("code", {"status": 2000}), ("code", {"status": 3000}),
        ],
    )  # fmt: skip
    def test_failing_partners(self, partner, step, kind, how):
        """CRD-14, O4, O5: 3001 with one text for every reason."""
        partner.fail(kind, on=step, **how)
        assert self.refusal(partner) == (
            3001,
            "the versions of your platform could not be fetched with the token given",
        )

    def test_both_calls_share_one_deadline(self, partner, settings):
        """HTP-14: a slow partner cannot take the time twice."""
        settings.OUTBOUND_TIMEOUT_SECONDS = 0.8
        partner.fail("slow", seconds=0.5)
        assert self.refusal(partner)[0] == 3001

    @pytest.mark.parametrize(
        "url",
        [
            "http://127.0.0.1:1/tokens", "http://evil.example/tokens", "https://127.0.0.1:{port}/x".replace("https", "ftp"),
            "http://user:pass@127.0.0.1:{port}/tokens", "http://127.0.0.1:{port}/" + "x" * 255, "/tokens",
            "http://localhost:{port}/tokens", "http://127.0.0.1/tokens", "http://127.0.0.1:{port}/#x",
        ],
    )  # fmt: skip
    def test_urls_that_are_not_the_partners(self, partner, url):
        """O3: another host, port or form in an endpoint; broken entries that name no module of ours are ignored."""
        address = url.format(port=partner.port)
        partner.extra_endpoints = [{"identifier": "tokens", "role": "SENDER", "url": address}]
        partner.offered.remove(("tokens", "SENDER"))
        # A URL that is none makes its entry a broken one: the endpoint is then simply not offered.
        assert self.refusal(partner)[0] in (3001, 3003)

    def test_details_elsewhere(self, partner):
        """O3: the version list points to another host: our token does not go there."""
        with type(partner)() as other:
            other.accepted.add("B")
            partner.versions = []
            partner.extra_versions = [{"version": "2.2.1", "url": other.details_url}]
            assert self.refusal(partner)[0] == 3001
            assert other.requests == []

    def test_details_of_another_version(self, partner):
        partner.versions = ["2.2.1"]
        partner.extra_versions = [{"version": "2.2.1", "url": partner.versions_url}]
        assert self.refusal(partner)[0] == 3001

    def test_https_is_demanded_of_every_url(self, partner, settings):
        """O3, AUT-10."""
        settings.OUTBOUND_REQUIRE_HTTPS = True
        assert self.refusal(partner)[0] == 3001
        assert partner.requests == []

    def test_our_own_address_is_no_partner(self, partner, settings):
        """O1: we do not call ourselves."""
        settings.OCPI_PUBLIC_URL = partner.url
        assert self.refusal(partner)[0] == 3001
        assert partner.requests == []
