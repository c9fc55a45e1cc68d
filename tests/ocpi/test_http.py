"""The HTTP face: envelope, errors, message ids, headers, paths, paging, bodies, and the two generic views."""

import io
import json
import re
import uuid
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from ocpi import codec
from ocpi.headers import authorization
from ocpi.http import read_json, respond
from ocpi.interfaces import V221_INTERFACES
from ocpi.status import OcpiError
from tests.factories import OwnPartyFactory, PartyFactory, connect
from tests.ocpi import probe

LIST = "/ocpi/2.2.1/sender/tariffs"
OBJECT = "/ocpi/2.2.1/receiver/tokens/NL/EMS/04A2"
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z")
FIXED_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Content-Type": "application/json",
}


@pytest.fixture
def caller(db, settings):
    """A connected partner NL-EMS that calls the probe views; `caller.call(method, path)`."""
    settings.ROOT_URLCONF = "tests.ocpi.probe"
    settings.OCPI_PUBLIC_URL = "https://ocpi.yardgate.example"
    OwnPartyFactory()
    token = connect(PartyFactory(country_code="NL", party_id="EMS"))
    client = Client(raise_request_exception=False)
    probe.ObjectsView.stored.clear()

    def call(method, path, body=b"", *, token=token, content_type="application/json", **headers):
        sent = {"Authorization": authorization(token)} if token else {}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.generic(method, path, content, content_type=content_type, headers=sent | given)

    return SimpleNamespace(call=call, token=token)


def envelope(response):
    value = json.loads(response.content)
    assert TIMESTAMP.fullmatch(value.pop("timestamp"))
    return value


def token_object(**changes):
    return {
        "country_code": "NL",
        "party_id": "EMS",
        "uid": "04A2",
        "type": "RFID",
        "contract_id": "NL-EMS-C00000042",
        "issuer": "Randstad Taxi",
        "valid": True,
        "whitelist": "ALLOWED",
        "last_updated": "2026-03-11T08:00:00Z",
    } | changes


class TestRespond:
    def test_bytes_are_inserted_as_they_are(self):
        """ENV-01, ENV-02: no byte of a stored document is touched."""
        response = respond(b'{"a":  1.50}')
        assert response.content.startswith(b'{"data":{"a":  1.50},"status_code":1000,"timestamp":"')

    def test_no_data_no_member(self):
        """ENV-04: an acknowledgement has no data."""
        assert envelope(respond()) == {"status_code": 1000}

    def test_falsy_data_is_data(self):
        """ENV-03."""
        assert envelope(respond([])) == {"data": [], "status_code": 1000}
        assert envelope(respond(b"[]")) == {"data": [], "status_code": 1000}

    def test_message_is_encoded(self):
        """ENV-01: quotes and line feeds in a message do not break the envelope."""
        told = envelope(respond(status_code=2001, message='uid: "\n'))
        assert told == {"status_code": 2001, "status_message": 'uid: "\n'}


class TestErrors:
    @pytest.mark.parametrize(
        ("kind", "http_status", "code", "message"),
        [
            ("crash", 500, 3000, "internal error"),
            ("api", 500, 3000, "internal error"),
            ("foreseen", 200, 3000, "the archive is being rebuilt"),
            ("invalid", 200, 2001, "evses[2].uid: is required"),
            ("malformed", 400, 2000, "body is not JSON"),
            ("parse", 400, 2000, "Malformed request."),
            ("gone", 404, 2000, "not found"),
            ("forbidden", 404, 2000, "not found"),
            ("unauthenticated", 401, 2000, "credentials token missing or not valid here"),
            ("throttled", 429, 2000, "too many requests, wait 3 s"),
        ],
    )
    def test_every_failure_is_an_envelope(self, caller, caplog, kind, http_status, code, message):
        """HTP-04, ENV-06, STS-01, STS-06: whatever a view raises; nothing of its cause is shown."""
        response = caller.call("GET", f"/ocpi/fail/{kind}")
        assert response.status_code == http_status
        assert envelope(response) == {"status_code": code, "status_message": message}
        assert response["Content-Type"] == "application/json"
        assert ("http.unforeseen" in caplog.text) == (http_status == 500)

    def test_throttling_says_when_to_come_back(self, caller):
        """R429: Retry-After in whole seconds."""
        assert caller.call("GET", "/ocpi/fail/throttled")["Retry-After"] == "3"

    def test_unknown_urls(self, caller):
        """STS-07: below the OCPI root all is JSON, outside it is not ours."""
        for path in (
            "/ocpi/2.2.1/nonsense",
            "/ocpi/",
            "/ocpi",
            "/ocpi//versions",
            "/ocpi/2.2",
            "/ocpi/versions//",
        ):
            response = caller.call("GET", path)
            assert (response.status_code, envelope(response)["status_code"]) == (404, 2000), path
        assert caller.call("GET", "/ocpix")["Content-Type"].startswith("text/html")

    def test_a_host_that_is_not_ours(self, caller, settings):
        """I12: HTTP 400 with an envelope."""
        settings.ALLOWED_HOSTS = ["ocpi.yardgate.example"]
        response = caller.call("GET", LIST, host="evil.example")
        assert (response.status_code, envelope(response)) == (
            400,
            {"status_code": 2000, "status_message": "bad request"},
        )

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
    def test_methods_that_a_list_does_not_have(self, caller, method):
        """HTP-01: 405 with Allow and envelope."""
        response = caller.call(method, LIST)
        assert (response.status_code, response["Allow"]) == (405, "GET")
        assert envelope(response) == {"status_code": 2000, "status_message": "method not allowed here"}

    def test_head_has_no_body(self, caller):
        """HTP-01: HEAD is in no interface table."""
        response = caller.call("HEAD", LIST)
        assert (response.status_code, response.content, response["Allow"]) == (405, b"", "GET")

    def test_method_override_has_no_effect(self, caller):
        """I12."""
        response = caller.call("GET", LIST, X_HTTP_Method_Override="DELETE")
        assert response.status_code == 200

    def test_nobody_is_asked_for_another_language(self, caller):
        """HTP-04: an Accept header never brings about a 406."""
        for accept in ("text/html", "application/xml;q=0.9", "*/*", "nonsense"):
            response = caller.call("GET", LIST, Accept=accept)
            assert (response.status_code, response["Content-Type"]) == (200, "application/json")

    def test_a_response_of_drf_gets_the_envelope(self, caller):
        """ENV-01."""
        assert envelope(caller.call("GET", "/ocpi/rest")) == {"data": {"a": 1}, "status_code": 1000}


class TestHeaders:
    PATHS = (
        ("GET", LIST, 200),
        ("GET", f"{LIST}/NO", 404),
        ("POST", LIST, 405),
        ("GET", "/ocpi/nonsense", 404),
        ("GET", "/ocpi/fail/crash", 500),
    )

    @pytest.mark.parametrize(("method", "path", "status"), PATHS)
    def test_ids_of_the_request_are_echoed(self, caller, method, path, status):
        """MID-02: on every answer, errors included."""
        request_id, correlation_id = str(uuid.uuid4()), str(uuid.uuid4())
        response = caller.call(
            method, path, **{"X-Request-ID": request_id, "X-Correlation-ID": correlation_id}
        )
        assert response.status_code == status
        assert (response["X-Request-ID"], response["X-Correlation-ID"]) == (request_id, correlation_id)

    def test_ids_are_echoed_to_strangers_too(self, caller):
        """MID-02: on a 401."""
        response = caller.call("GET", LIST, token="", **{"X-Request-ID": "abc"})
        assert (response.status_code, response["X-Request-ID"]) == (401, "abc")

    def test_ids_are_made_up_when_missing(self, caller):
        """MID-03, MID-04: served all the same; the values are UUIDs, and fresh."""
        first, second = caller.call("GET", LIST), caller.call("GET", LIST)
        made = [
            response[name] for response in (first, second) for name in ("X-Request-ID", "X-Correlation-ID")
        ]
        assert len({uuid.UUID(each) for each in made}) == 4

    @pytest.mark.parametrize("given", ["", " ", "a b", "x" * 129, "\u00e9", "a\tb"])
    def test_ids_that_cannot_be_repeated_are_replaced(self, caller, given):
        """MID-04."""
        response = caller.call("GET", LIST, **{"X-Request-ID": given})
        assert uuid.UUID(response["X-Request-ID"])

    def test_the_correlation_id_that_is_kept_fits_its_column(self, caller):
        """MID-07: a UUID is kept as it is; what is longer is echoed, and another one is kept."""
        given = str(uuid.uuid4())
        response = caller.call("GET", "/ocpi/echo", **{"X-Correlation-ID": given})
        assert envelope(response)["data"] == given
        response = caller.call("GET", "/ocpi/echo", **{"X-Correlation-ID": "x" * 128})
        assert response["X-Correlation-ID"] == "x" * 128
        assert uuid.UUID(envelope(response)["data"])

    @pytest.mark.parametrize(("method", "path", "status"), PATHS)
    def test_every_answer_has_the_fixed_headers(self, caller, method, path, status):
        """Nothing is cached, sniffed or framed; HTP-04."""
        response = caller.call(method, path)
        assert {name: response[name] for name in FIXED_HEADERS} == FIXED_HEADERS
        assert "Set-Cookie" not in response
        assert response["Content-Length"] == str(len(response.content))

    def test_routing_headers_are_swapped(self, caller):
        """HUB-02: TO is who asked, FROM whom it asked; on refusals as well."""
        for path in (LIST, f"{LIST}/NO"):
            response = caller.call("GET", path)
            routing = {name.lower(): value for name, value in response.items() if name.startswith("OCPI-")}
            assert routing == {
                "ocpi-to-country-code": "NL",
                "ocpi-to-party-id": "EMS",
                "ocpi-from-country-code": "BE",
                "ocpi-from-party-id": "YRD",
            }

    def test_configuration_modules_have_no_routing_headers(self, caller):
        """HUB-03, VER-13: neither needed nor sent."""
        for path in ("/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials", "/ocpi/nonsense"):
            response = caller.call("GET", path, **{"OCPI-to-party-id": "ZZZ"})
            assert [name for name in response.headers if name.lower().startswith("ocpi-")] == []


class TestLists:
    def test_documents_are_joined_untouched(self, caller):
        """ENV-02: bytes in, bytes out."""
        response = caller.call("GET", f"{LIST}?limit=2&offset=3")
        assert response.content.startswith(
            b'{"data":[{"id": "T04",  "x":1.50},{"id": "T05",  "x":1.50}],"status_code":1000,'
        )

    def test_crawl(self, caller):
        """PAG-03, PAG-06 to PAG-08, HTP-08: absolute links from the public base, filters kept."""
        url, seen = f"{LIST}?limit=10&date_from=2026-03-11T08:00:00Z&spam=1", []
        for count, link in ((10, True), (10, True), (5, False)):
            response = caller.call("GET", url)
            seen += [each["id"] for each in envelope(response)["data"]]
            assert (response["X-Total-Count"], response["X-Limit"]) == ("25", "10")
            assert (len(envelope(response)["data"]), "Link" in response) == (count, link)
            if link:
                target = re.fullmatch(r'<https://ocpi\.yardgate\.example(\S+)>; rel="next"', response["Link"])
                url = target[1]
                assert "date_from=2026-03-11T08%3A00%3A00Z" in url
                assert "spam" not in url
        assert seen == [f"T{number:02}" for number in range(1, 26)]

    def test_limits(self, caller, settings):
        """PAG-04: capped; without a limit the default."""
        settings.OCPI_PAGE_LIMIT, settings.OCPI_PAGE_DEFAULT = 20, 7
        capped, default = caller.call("GET", f"{LIST}?limit=2000"), caller.call("GET", LIST)
        assert (capped["X-Limit"], len(envelope(capped)["data"])) == ("20", 20)
        assert (default["X-Limit"], len(envelope(default)["data"])) == ("7", 7)
        assert "offset=7&limit=7" in default["Link"]

    @pytest.mark.parametrize(
        "query", ["limit=abc", "limit=0", "limit=-1", "offset=-1", "date_from=soon", "offset="]
    )
    def test_bad_parameters(self, caller, query):
        """PAG-10: 2001, never a 500."""
        response = caller.call("GET", f"{LIST}?{query}")
        assert (response.status_code, envelope(response)["status_code"]) == (200, 2001)

    def test_single_objects(self, caller):
        """STS-02: 404 with the module's own code."""
        found, missing = caller.call("GET", f"{LIST}/T03"), caller.call("GET", f"{LIST}/T99")
        assert envelope(found) == {"data": {"id": "T03", "x": 1.5}, "status_code": 1000}
        assert (missing.status_code, envelope(missing)["status_code"]) == (404, 2003)

    @pytest.mark.parametrize("path", [LIST, f"{LIST}/T03", f"{LIST}/T99", "/ocpi/versions", "/ocpi/nonsense"])
    def test_a_slash_at_the_end_changes_nothing(self, caller, path):
        """HTP-07: same answer, no redirect."""
        plain, slashed = caller.call("GET", path), caller.call("GET", f"{path}/")
        assert plain.status_code == slashed.status_code
        assert envelope(plain) == envelope(slashed)

    def test_segments_are_decoded(self, caller, monkeypatch):
        """HTP-10."""
        monkeypatch.setattr(probe, "DOCUMENTS", [b'{"id":"A B*1"}'])
        assert envelope(caller.call("GET", f"{LIST}/A%20B%2A1"))["data"] == {"id": "A B*1"}

    def test_one_query_per_read(self, caller):
        """Token, platform and all parties come in one statement; no use is noted within a minute."""
        caller.call("GET", LIST)
        with CaptureQueriesContext(connection) as queries:
            assert caller.call("GET", LIST).status_code == 200
        assert len(queries) == 1


class TestObjects:
    def put(self, caller, body=None, url=OBJECT):
        return caller.call("PUT", url, token_object() if body is None else body)

    def test_put_then_get(self, caller):
        """OBJ-03, OBJ-13, ENV-04: 201, then 200; no data in an acknowledgement."""
        first, second = self.put(caller), self.put(caller)
        assert (first.status_code, second.status_code) == (201, 200)
        assert envelope(first) == envelope(second) == {"status_code": 1000}
        assert envelope(caller.call("GET", OBJECT))["data"] == token_object()

    def test_put_replaces_the_whole_object(self, caller):
        """OBJ-01."""
        self.put(caller, token_object(group_id="VANS"))
        self.put(caller)
        assert envelope(caller.call("GET", OBJECT))["data"] == token_object()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"uid": "04A3"}, "uid: must be the one in the URL"),
            ({"party_id": "FRE"}, "party_id: must be the one in the URL"),
            ({"country_code": "DE"}, "country_code: must be the one in the URL"),
            ({"contract_id": None}, "contract_id: is required"),
            ({"last_updated": "2999-01-01T00:00:00Z"}, "last_updated: must lie in the years 1900 to 2200"),
            ({"last_updated": "2199-01-01T00:00:00Z"}, "last_updated: lies more than 5 minutes ahead"),
        ],
    )
    def test_put_that_is_refused_changes_nothing(self, caller, change, message):
        """OBJ-02, OBJ-09, B19, STS-01, STS-03."""
        response = self.put(caller, token_object(**change))
        told = envelope(response)
        assert (response.status_code, told["status_code"]) == (200, 2001)
        assert told["status_message"].startswith(message)
        assert probe.ObjectsView.stored == {}

    def test_foreign_owner(self, caller):
        """OBJ-10: 404, nothing stored."""
        response = self.put(caller, token_object(party_id="XXX"), OBJECT.replace("EMS", "XXX"))
        assert (response.status_code, envelope(response)["status_code"]) == (404, 2000)
        assert probe.ObjectsView.stored == {}

    def test_patch(self, caller):
        """OBJ-04: the members given, and no other."""
        self.put(caller)
        patch = {"valid": False, "last_updated": "2026-03-11T09:00:00Z"}
        assert envelope(caller.call("PATCH", OBJECT, patch)) == {"status_code": 1000}
        assert envelope(caller.call("GET", OBJECT))["data"] == token_object(**patch)

    @pytest.mark.parametrize(
        ("patch", "code"),
        [
            ({"valid": False}, 2001),
            ({"valid": False, "last_updated": None}, 2001),
            ({"valid": False, "last_updated": "2026-03-11T07:59:59Z"}, 1000),
            ({"valid": False, "last_updated": "2026-03-11T08:00:00Z"}, 2001),
            ({"last_updated": "2026-03-11T08:00:00Z"}, 1000),
            ({"valid": False, "last_updated": "2150-01-01T00:00:00Z"}, 2001),
            ({"uid": "04A3", "last_updated": "2026-03-11T09:00:00Z"}, 2001),
            ({"contract_id": None, "last_updated": "2026-03-11T09:00:00Z"}, 2001),
            ([], 2001),
            (None, 2001),
        ],
    )
    def test_patch_that_changes_nothing(self, caller, patch, code):
        """OBJ-05, OBJ-11, DIS-28, B19: without time, older, equal, ahead, other identity, wrong shape."""
        self.put(caller)
        response = caller.call("PATCH", OBJECT, patch)
        assert (response.status_code, envelope(response)["status_code"]) == (200, code)
        assert envelope(caller.call("GET", OBJECT))["data"] == token_object()

    def test_patch_of_an_unknown_object(self, caller):
        """OBJ-06: 404 asks for a PUT."""
        response = caller.call("PATCH", OBJECT, {"valid": False, "last_updated": "2026-03-11T09:00:00Z"})
        assert (response.status_code, envelope(response)["status_code"]) == (404, 2000)

    def test_methods(self, caller):
        """HTP-01."""
        for method in ("POST", "DELETE"):
            response = caller.call(method, OBJECT)
            assert (response.status_code, response["Allow"]) == (405, "GET, PUT, PATCH")


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b'{"uid":', 400, 2000),
            (b"", 400, 2000),
            (b"\xff\xfe", 400, 2000),
            (b"\xef\xbb\xbf{}", 400, 2000),
            (b'{"a":1,"a":2}', 400, 2000),
            (b"[" * 33 + b"]" * 33, 400, 2000),
            (b"[" * 100_000, 400, 2000),
            (b'{"a":NaN}', 400, 2000),
            (b"[]", 200, 2001),
            (b"null", 200, 2001),
            (b'"x"', 200, 2001),
            (b"5", 200, 2001),
        ],
    )
    def test_bodies_that_are_no_object(self, caller, body, status, code):
        """HTP-05, HTP-06, I1, I4, I6."""
        response = caller.call("PUT", OBJECT, body)
        assert (response.status_code, envelope(response)["status_code"]) == (status, code)
        assert probe.ObjectsView.stored == {}

    def test_size(self, caller):
        """I2: one byte too many is refused without being read."""
        fitting = b'"' + b"a" * (codec.MAX_BYTES - 2) + b'"'
        assert caller.call("PUT", OBJECT, fitting).status_code == 200
        response = caller.call("PUT", OBJECT, fitting + b" ")
        assert (response.status_code, envelope(response)["status_code"]) == (413, 2000)

    @pytest.mark.parametrize(
        ("content_type", "status"),
        [
            ("application/json", 201),
            ("application/json; charset=UTF-8", 201),
            ("Application/JSON;charset=utf-8", 201),
            ("application/vnd.ocpi+json", 201),
            ("", 201),
            ("application/json; charset=utf-16", 400),
            ("text/plain", 415),
            ("application/x-www-form-urlencoded", 415),
            ("multipart/form-data; boundary=x", 415),
        ],
    )
    def test_content_types(self, caller, content_type, status):
        """HTP-02, HTP-03, I6: JSON under its names; a missing label is no fault."""
        response = caller.call("PUT", OBJECT, token_object(), content_type=content_type)
        assert response.status_code == status
        assert envelope(response)["status_code"] == (1000 if status == 201 else 2000)

    def test_compressed_bodies_are_refused(self, caller):
        """I2: no bomb can hide in there."""
        response = caller.call("PUT", OBJECT, token_object(), Content_Encoding="gzip")
        assert (response.status_code, envelope(response)["status_code"]) == (415, 2000)

    def test_reading_through_drf_has_the_same_limits(self, caller):
        """I1, I4: `request.data` is parsed by the codec as well; numbers keep their digits."""
        assert b'{"given":{"a":12.10}}' in caller.call("POST", "/ocpi/echo", b'{"a":12.10}').content
        assert caller.call("POST", "/ocpi/echo", b'{"a":1,"a":2}').status_code == 400

    def test_chunked_bodies(self):
        """I2: read where the server decodes chunks, up to the limit; a length is not needed."""

        def chunked(body):
            request = RequestFactory().generic("PUT", "/", content_type="application/json")
            request.META |= {
                "HTTP_TRANSFER_ENCODING": "chunked", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(body)
            }  # fmt: skip
            request.META.pop("CONTENT_LENGTH", None)
            return read_json(request)

        assert chunked(b'{"a": 1}') == {"a": 1}
        with pytest.raises(OcpiError) as refused:
            chunked(b" " * (codec.MAX_BYTES + 1))
        assert refused.value.http_status == 413

    @pytest.mark.parametrize("length", ["x", "-1", "1e3"])
    def test_lying_lengths(self, length):
        """I2."""
        request = RequestFactory().generic("PUT", "/", b"{}", content_type="application/json")
        request.META["CONTENT_LENGTH"] = length
        with pytest.raises(codec.MalformedJson):
            read_json(request)


def test_every_interface_of_the_table_has_its_route():
    """VER-08: each (module, role) of the settings is mounted at its own path."""
    for key in settings.OCPI_HUB_INTERFACES | settings.OCPI_INTERFACES:
        prefix = V221_INTERFACES[key].path.lstrip("/")
        routes = [str(each.pattern) for each in get_resolver("ocpi.urls").url_patterns]
        assert any(f"ocpi/{route}".rstrip("/") == prefix for route in routes), key


def test_health(client, db):
    """Answers without a token, and says nothing but how it is."""
    response = client.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})
