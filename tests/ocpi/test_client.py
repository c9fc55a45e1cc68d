"""The outbound client over real sockets: deadlines, limits, guarded addresses, lenient reading, pages."""

import ipaddress
import os
import re
import socket
import ssl
import threading
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from demo.http import Reply, Server
from demo.partner import Partner
from ocpi import client, network
from ocpi.addresses import is_local, is_public, origin
from ocpi.client import CallFailed, call, paged

TOKEN = "token-of-ours"

# What must never be called: (host as it may stand in a URL). Each reaches, or could reach, this machine, its network or
# the metadata service of a cloud.
SSRF_CORPUS = re.findall(r"\S+", """
127.0.0.1 127.0.0.2 127.1 127.0.1 127.255.255.254 0.0.0.0 0 0x7f.1 0x7f000001 0x7f.0x0.0x0.0x1 2130706433 017700000001
0177.0.0.1 0177.0.0.01 localhost LOCALHOST localhost. 127.0.0.1.
10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.0.1 192.168.255.255 100.64.0.1 100.127.255.255
169.254.169.254 169.254.170.2 0xa9fea9fe 2852039166 0251.0376.0251.0376 169.254.0.1
192.0.0.1 192.0.0.8 192.0.2.1 192.88.99.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 0.1.2.3
[::1] [::] [0:0:0:0:0:0:0:1] [::ffff:127.0.0.1] [::ffff:7f00:1] [::ffff:10.0.0.1] [::ffff:169.254.169.254]
[::ffff:0:127.0.0.1] [::127.0.0.1] [::7f00:1] [64:ff9b::7f00:1] [64:ff9b::169.254.169.254] [64:ff9b:1::7f00:1]
[2002:7f00:1::] [2002:a9fe:a9fe::1] [2002:c0a8:1::1] [2001:0:4136:e378:8000:63bf:3fff:fdd2] [2001::1]
[fe80::1] [fec0::1] [fc00::1] [fd00:ec2::254] [fdff:ffff::1] [ff02::1] [ff0e::1] [100::1] [2001:db8::1] [2001:2::1]
[2001:10::1] [3fff::1] [5f00::1] [4000::1] [::ffff:0:0]
""")  # fmt: skip

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "193.0.6.139",
    "2606:4700:4700::1111",
    "2001:67c:2e8:22::c100:68b",
    "::ffff:8.8.8.8",
]


@pytest.fixture
def partner():
    with Partner() as running:
        running.accepted.add(TOKEN)
        yield running


@pytest.fixture
def guarded(settings):
    """Settings as in production, but for https."""
    settings.OUTBOUND_ALLOW_PRIVATE = False
    settings.OUTBOUND_REQUIRE_HTTPS = False


def get(url, **how):
    return call("GET", url, **({"token": TOKEN, "timeout_seconds": 5} | how))


def failure(url, method="GET", **how):
    with pytest.raises(CallFailed) as failed:
        call(method, url, **({"token": TOKEN, "timeout_seconds": 5} | how))
    return failed.value.kind, failed.value.may_have_been_stored


class TestGuard:
    def test_the_corpus_is_large_enough(self):
        """O1."""
        assert len(set(SSRF_CORPUS)) == len(SSRF_CORPUS) == 78

    @pytest.mark.parametrize("host", SSRF_CORPUS)
    def test_addresses_that_are_never_called(self, guarded, partner, host):
        """O1: refused at connect time, whatever way it is written; nobody was connected to."""
        kind, may_have_been_stored = failure(
            f"http://{host}:{partner.port}/ocpi/emsp/versions", timeout_seconds=2
        )
        # Forms that this system's resolver does not know are refused by it.
        assert kind in ("guard", "connect")
        assert kind == "guard" or not re.fullmatch(r"[\d.]+|\[.*\]|localhost.?", host)
        assert (may_have_been_stored, partner.requests) == (False, [])

    @pytest.mark.parametrize("address", PUBLIC)
    def test_the_internet_is_not_refused(self, address):
        assert is_public(ipaddress.ip_address(address))

    def test_what_development_may_call(self):
        """Loopback and private networks, never the metadata service, multicast or nothing at all."""
        allowed = ["127.0.0.1", "::1", "10.1.2.3", "192.168.1.1", "fd00::1", "::ffff:127.0.0.1"]
        refused = ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::", "255.255.255.255", "8.8.8.8"]
        assert [is_local(ipaddress.ip_address(each)) for each in allowed] == [True] * 6
        assert [is_local(ipaddress.ip_address(each)) for each in refused] == [False] * 7

    def test_one_bad_address_spoils_a_name(self, guarded, partner, monkeypatch):
        """O2: a name that points to the internet and inwards is refused as a whole."""
        answers = [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, partner.port))
            for address in ("93.184.215.14", "127.0.0.1")
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
        assert failure(f"http://rebinding.example:{partner.port}/") == ("guard", False)

    def test_a_name_is_resolved_once_and_that_address_is_used(self, guarded, partner, monkeypatch):
        """O2: what was checked is what is connected to; a second answer is never asked for."""
        asked, connected = [], []

        def resolve(host, port, **_):
            asked.append(host)
            address = "93.184.215.14" if len(asked) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        def connect(address, *_, **__):
            connected.append(address)
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket, "create_connection", connect)
        assert failure(f"http://rebinding.example:{partner.port}/") == ("refused", False)
        assert (asked, connected) == (["rebinding.example"], [("93.184.215.14", partner.port)])

    def test_a_slow_resolver_is_cut_off(self, monkeypatch):
        """The system's resolver knows no deadline."""
        released = threading.Event()

        def resolve(*_, **__):
            released.wait(5)
            return []

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        begun = time.monotonic()
        assert failure("http://slow.example/", timeout_seconds=0.3) == ("timeout", False)
        assert time.monotonic() - begun < 1
        released.set()

    @pytest.mark.parametrize(
        "url",
        [
            "ftp://partner.example/", "file:///etc/passwd", "//partner.example/", "partner.example", "",
            "http://user:secret@partner.example/", "http://user@partner.example/", "http://partner.example/#x",
            "http://partner.example/\r\nX: y", "http://partner.example/a b", "http://pärtner.example/",
            "http://", "http:///x", "http://[::1", "http://[fe80::1%25eth0]/", "http://partner.example:99999/",
            "http://partner.example:x/", "http://a\\@b/", "http://.example/", "http://-a.example/", "http://@/",
        ],
    )  # fmt: skip
    def test_urls_that_are_never_called(self, url):
        """O3, O7."""
        assert failure(url) == ("guard", False)

    def test_https_is_demanded(self, settings, partner):
        """AUT-10: a token never travels in the clear, unless this is a development machine."""
        settings.OUTBOUND_REQUIRE_HTTPS = True
        assert failure(partner.versions_url) == ("guard", False)
        assert partner.requests == []

    def test_proxies_of_the_environment_are_ignored(self, partner, monkeypatch):
        """A proxy would connect for us, past the guard."""
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
        assert get(partner.versions_url).is_success

    def test_origins(self):
        assert str(origin("https://OCPI.Partner.example./x")) == "ocpi.partner.example"
        assert str(origin("https://ocpi.partner.example:8443")) == "ocpi.partner.example:8443"
        assert str(origin("http://[2606:4700::1]:80/")) == "[2606:4700::1]"


class TestRequests:
    def test_headers(self, partner):
        """AUT-01, AUT-02, MID-01, MID-03: the token in Base64, fresh ids, JSON, no compression."""
        for _ in range(3):
            get(partner.versions_url)
        seen = [each.headers for each in partner.requests]
        assert [each["authorization"] for each in seen] == ["Token dG9rZW4tb2Ytb3Vycw=="] * 3
        assert len({uuid.UUID(each["x-request-id"]) for each in seen}) == 3
        assert len({uuid.UUID(each["x-correlation-id"]) for each in seen}) == 3
        assert {each["accept-encoding"] for each in seen} == {"identity"}
        assert {each["host"] for each in seen} == {f"127.0.0.1:{partner.port}"}
        assert all("content-type" not in each for each in seen)

    def test_given_headers_win(self, partner):
        """MID-05, MID-07: an answer to a command keeps its correlation id and has a new request id."""
        get(partner.versions_url, headers={"x-correlation-id": "C-1", "OCPI-to-party-id": "EMS"})
        sent = partner.requests[0].headers
        assert (sent["x-correlation-id"], sent["ocpi-to-party-id"]) == ("C-1", "EMS")
        assert uuid.UUID(sent["x-request-id"])

    def test_raw_tokens(self, partner):
        """AUT-04: for peers that never encode."""
        get(partner.versions_url, raw_token=True)
        assert partner.requests[0].headers["authorization"] == "Token token-of-ours"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
    def test_bodies(self, partner, method):
        """HTP-02: exact bytes, with their type and length."""
        call(method, f"{partner.url}/x?a=b%20c", token=TOKEN, timeout_seconds=5, body=b'{"a": 1.50}')
        sent = partner.requests[0]
        assert (sent.method, sent.path, sent.query, sent.body) == (method, "/x", {"a": "b c"}, b'{"a": 1.50}')
        assert (sent.headers["content-type"], sent.headers["content-length"]) == ("application/json", "11")

    @pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "a\0b"])
    def test_headers_cannot_be_injected(self, partner, value):
        assert failure(partner.versions_url, headers={"X-Correlation-ID": value}) == ("guard", False)
        assert partner.requests == []

    def test_connections_are_kept(self, partner):
        """Ten calls, one connection."""
        for _ in range(10):
            assert get(partner.versions_url).is_success
        assert len(partner._server.open_sockets) == 1

    def test_the_deadline_belongs_to_the_call(self, partner):
        """A kept connection starts each call with the whole time."""
        partner.fail("slow", seconds=0.3)
        for _ in range(3):
            assert get(partner.versions_url, timeout_seconds=0.6).is_success
        assert len(partner._server.open_sockets) == 1

    def test_a_peer_that_hung_up_is_connected_to_again(self, partner):
        """An idle connection that the peer closed costs no failure."""
        assert get(partner.versions_url).is_success
        partner._server.hang_up()
        time.sleep(0.05)
        assert get(partner.versions_url).is_success

    def test_slow_peers_do_not_hold_up_others(self, partner):
        """HTP-14."""
        with Partner() as slow:
            slow.accepted.add(TOKEN)
            slow.fail("slow", seconds=2)
            threads = [
                threading.Thread(target=failure, args=(slow.versions_url,), kwargs={"timeout_seconds": 1})
                for _ in range(20)
            ]
            for thread in threads:
                thread.start()
            begun = time.monotonic()
            assert get(partner.versions_url).is_success
            assert time.monotonic() - begun < 0.5
            for thread in threads:
                thread.join()

    def test_a_forked_process_has_connections_of_its_own(self, partner):
        """Two processes must never write into one connection."""
        assert get(partner.versions_url).is_success
        child = os.fork()
        if child == 0:
            os._exit(client._pool.cache_info().currsize)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class TestFailures:
    """HTP-14, O4, O5: each ends in time, small, and tells whether the peer may have acted."""

    def test_nobody_listens(self, partner):
        partner.stop()
        assert failure(partner.versions_url) == ("refused", False)

    def test_no_such_name(self):
        assert failure("http://no-such-host.invalid/") == ("connect", False)

    @pytest.mark.parametrize(
        ("kind", "how", "expected"),
        [
            ("slow", {"seconds": 3}, "timeout"),
            ("drip", {"seconds": 0.1}, "timeout"),
            ("drop", {}, "reset"),
            ("drop_after_storing", {}, "reset"),
            ("huge", {}, "too_large"),
            ("endless_headers", {}, "reset"),
        ],
    )
    def test_answers_that_do_not_come(self, partner, kind, how, expected):
        """O5: the request had left, so it may have been stored."""
        partner.fail(kind, **how)
        begun = time.monotonic()
        assert failure(partner.versions_url, "POST", body=b"{}", timeout_seconds=0.8) == (expected, True)
        assert time.monotonic() - begun < 1.5

    def test_silence_during_the_tls_handshake(self, settings):
        """Nothing of the request has left."""
        settings.OUTBOUND_REQUIRE_HTTPS = True
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"https://127.0.0.1:{silent.getsockname()[1]}/"
            assert failure(url, timeout_seconds=0.5) == ("timeout", False)

    def test_plain_text_where_tls_is_due(self, partner):
        assert failure(partner.versions_url.replace("http", "https"), timeout_seconds=2) == ("tls", False)

    def test_limits_of_the_caller(self, partner):
        """O5: CDR answers may be smaller still."""
        size = len(get(partner.versions_url).body)
        assert get(partner.versions_url, max_bytes=size).is_success
        assert failure(partner.versions_url, max_bytes=size - 1) == ("too_large", True)

    def test_redirects_are_not_followed(self, partner):
        """O4: an answer like any other, and no success."""
        partner.fail("redirect", target="http://169.254.169.254/latest/meta-data/")
        answer = get(partner.versions_url)
        assert (answer.http_status, answer.is_success, len(partner.requests)) == (302, False, 1)

    def test_no_time_at_all(self, partner):
        assert failure(partner.versions_url, timeout_seconds=0) == ("timeout", False)
        assert partner.requests == []


def serve(content, headers="", status="200 OK"):
    """A server that answers these bytes to whoever connects; returns its URL."""
    listening = socket.create_server(("127.0.0.1", 0))

    def answer():
        with listening, listening.accept()[0] as connection:
            connection.recv(65_536)
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\n{headers}\r\n"
            connection.sendall(head.encode("latin-1") + content)

    threading.Thread(target=answer, daemon=True).start()
    return f"http://127.0.0.1:{listening.getsockname()[1]}/x"


class TestReading:
    @pytest.mark.parametrize(
        ("body", "code", "data", "success"),
        [
            (b'{"status_code":1000,"timestamp":"2026-03-11T08:00:00Z"}', 1000, None, True),
            (b'{"status_code":1000,"data":null}', 1000, None, True),
            (b'{"status_code":1000,"data":"ok"}', 1000, "ok", True),
            (b'{"status_code":1000,"data":{"id":"L1"}}', 1000, {"id": "L1"}, True),
            (b'{"status_code":"1000"}', 1000, None, True),
            (b'{"status_code":1000.0}', 1000, None, True),
            (b'{"status_code":1900,"x":[]}', 1900, None, True),
            (b'{"status_code":2001,"data":[]}', 2001, [], False),
            (b'{"status_code":2999}', 2999, None, False),
            (b'{"status_code":3950}', 3950, None, False),
            (b'{"status_code":4999}', 4999, None, False),
            (b'{"status_code":true}', None, None, False),
            (b'{"status_code":"ok"}', None, None, False),
            (b'{"status_code":99}', None, None, False),
            (b"[1000]", None, None, False),
            (b"", None, None, False),
            (b"<html>", None, None, False),
            (b"[" * 5000, None, None, False),
            (b'{"status_code":1000,"status_code":1000}', None, None, False),
        ],
    )
    def test_envelopes(self, body, code, data, success):
        """ENV-05, ENV-07, ENV-09, STS-08, O5: lenient about form, strict about success."""
        answer = get(serve(body))
        assert (answer.status_code, answer.data, answer.is_success, answer.body) == (
            code,
            data,
            success,
            body,
        )

    @pytest.mark.parametrize("status", ["201 Created", "204 No Content", "404 Not Found", "500 Oops"])
    def test_http_status_counts_as_well(self, status):
        """ENV-07, DIS-04, CRD-32: the envelope is read on any status; only 2xx can be a success."""
        answer = get(serve(b"" if "204" in status else b'{"status_code":1000}', status=status))
        assert answer.is_success == (status == "201 Created")

    def test_headers_in_any_case(self):
        """HTP-11."""
        answer = get(serve(b"{}", "LOCATION: https://x.example/cdrs/1\r\nx-total-COUNT: 7\r\n"))
        assert (answer.headers["Location"], answer.headers.get("X-Total-Count")) == (
            "https://x.example/cdrs/1",
            "7",
        )

    def test_messages_and_numbers(self):
        answer = get(serve(b'{"status_code":2001,"status_message":"no","data":{"kwh":12.10}}'))
        assert (answer.status_message, str(answer.data["kwh"])) == ("no", "12.10")

    def test_compressed_answers_are_not_unpacked(self):
        """O5: 200 kB of gzip can hold 200 MB."""
        answer = get(serve(b'{"status_code":1000}', "Content-Encoding: gzip\r\n"))
        assert (answer.status_code, answer.is_success) == (None, False)

    def test_large_answers(self):
        """The envelope is read up to the same limit as the answer."""
        objects = b",".join([b'{"uid":"%040d"}' % number for number in range(30_000)])
        answer = get(serve(b'{"status_code":1000,"data":[' + objects + b"]}"))
        assert len(answer.body) > 1_400_000
        assert len(answer.data) == 30_000


class TestPages:
    """PAG-12."""

    @pytest.fixture
    def pages(self):
        """A list whose links are what the test says; `pages.links[path]` is the next URL."""
        links: dict[str, str] = {}
        seen = []

        def handle(received):
            seen.append(received)
            key = received.path + (f"?{received.query['cursor']}" if "cursor" in received.query else "")
            link = links.get(key)
            headers = {"Link": f'<{link}>; rel="next"'} if link else {}
            return Reply(data=[key], headers=headers)

        server = Server(("127.0.0.1", 0), handle, lambda _: None)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        server.links, server.seen, server.url = links, seen, f"http://127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()
        server.server_close()

    def crawl(self, pages, **how):
        return [
            answer.data[0] for answer in paged(f"{pages.url}/tokens", token=TOKEN, timeout_seconds=5, **how)
        ]

    def test_opaque_links_are_followed(self, pages):
        """PAG-12: whatever they look like, with token, ids and headers on each page."""
        pages.links["/tokens"] = f"{pages.url}/tokens?cursor=x"
        pages.links["/tokens?x"] = "/elsewhere?cursor=y"
        assert self.crawl(pages, headers={"OCPI-to-party-id": "EMS"}) == [
            "/tokens",
            "/tokens?x",
            "/elsewhere?y",
        ]
        assert [each.headers["ocpi-to-party-id"] for each in pages.seen] == ["EMS"] * 3
        assert {each.token for each in pages.seen} == {TOKEN}
        assert len({each.headers["x-request-id"] for each in pages.seen}) == 3

    def test_a_loop_ends(self, pages):
        """O9."""
        pages.links["/tokens"] = f"{pages.url}/tokens?cursor=x"
        pages.links["/tokens?x"] = f"{pages.url}/tokens"
        with pytest.raises(CallFailed) as failed:
            self.crawl(pages)
        assert (failed.value.kind, len(pages.seen)) == ("guard", 2)

    def test_an_endless_list_ends(self, pages):
        """O9: after 10,000 pages; here after five."""
        pages.links |= {f"/tokens?{n}": f"{pages.url}/tokens?cursor={n + 1}" for n in range(100)}
        pages.links["/tokens"] = f"{pages.url}/tokens?cursor=0"
        with pytest.raises(CallFailed) as failed:
            self.crawl(pages, max_pages=5)
        assert (failed.value.kind, len(pages.seen), client.MAX_PAGES) == ("guard", 5, 10_000)

    @pytest.mark.parametrize(
        "link", ["http://localhost:{port}/tokens", "http://127.0.0.1:1/", "https://127.0.0.1:{port}/"]
    )
    def test_the_token_goes_to_no_other_host(self, pages, link):
        """O6, O9: another host, port or scheme ends the crawl."""
        pages.links["/tokens"] = link.format(port=pages.server_address[1])
        with pytest.raises(CallFailed) as failed:
            self.crawl(pages)
        assert (failed.value.kind, len(pages.seen)) == ("guard", 1)

    def test_a_refusal_is_the_last_page(self, partner):
        partner.accepted.clear()
        answers = list(paged(partner.endpoint("tokens"), token=TOKEN, timeout_seconds=5))
        assert [answer.http_status for answer in answers] == [401]


class TestShrinkingList:
    """PAG-13: objects leave a list while it is read."""

    @pytest.fixture
    def shrinking(self):
        """25 objects by ten; `drops` names what leaves before which request."""
        objects = list(range(25))
        drops: dict[int, list[int]] = {}
        seen = []

        def handle(received):
            for gone in drops.get(len(seen), []):
                objects.remove(gone)
            seen.append(int(received.query.get("offset", 0)))
            offset, limit = seen[-1], int(received.query.get("limit", 10))
            headers = {"X-Total-Count": str(len(objects)), "X-Limit": "10"}
            if offset + limit < len(objects):
                link = f"{server.url}/tokens?date_to=2026-03-11&offset={offset + limit}&limit={limit}"
                headers["Link"] = f'<{link}>; rel="next"'
            return Reply(data=objects[offset : offset + limit], headers=headers)

        server = Server(("127.0.0.1", 0), handle, lambda _: None)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        server.drops, server.seen, server.objects = drops, seen, objects
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield server
        server.shutdown()
        server.server_close()

    def crawl(self, server, query="date_to=2026-03-11&limit=10", **how):
        answers = paged(f"{server.url}/tokens?{query}", token=TOKEN, timeout_seconds=5, **how)
        return [int(number) for answer in answers for number in answer.data]

    def test_one_object_that_leaves_hides_no_other(self, shrinking):
        """PAG-13: re-read from offset-1, and on from there."""
        shrinking.drops[1] = [3]
        read = self.crawl(shrinking)
        assert shrinking.seen == [0, 10, 9, 19]
        assert set(read) == set(range(25))

    def test_several_that_leave_move_the_reading_back_as_far(self, shrinking):
        """PAG-13: three are gone, three places back; a second time one more."""
        shrinking.drops |= {1: [0, 1, 2], 3: [4]}
        read = self.crawl(shrinking)
        assert shrinking.seen == [0, 10, 7, 17, 16]
        assert set(read) == set(range(25))

    def test_a_whole_page_that_leaves_ends_in_no_loop(self, shrinking):
        """PAG-13, O9: the link was followed before, and leads elsewhere now."""
        shrinking.drops[2] = list(range(10))
        read = self.crawl(shrinking)
        assert shrinking.seen == [0, 10, 20, 10]
        assert set(read) == set(range(25))

    def test_it_goes_back_no_further_than_the_beginning(self, shrinking):
        shrinking.drops[1] = list(range(12))
        read = self.crawl(shrinking)
        assert shrinking.seen == [0, 10, 0, 10]
        # 10 and 11 were gone before anybody could read them.
        assert set(read) == set(range(25)) - {10, 11}

    def test_a_list_that_grows_is_read_straight_on(self, shrinking):
        """PAG-09: new objects come at the end."""
        answers = paged(f"{shrinking.url}/tokens?limit=10", token=TOKEN, timeout_seconds=5)
        next(answers)
        shrinking.objects.append(25)
        rest = [number for answer in answers for number in answer.data]
        assert (shrinking.seen, rest[-1]) == ([0, 10, 20], 25)

    def test_the_bound_of_pages_holds_while_a_list_shrinks(self, shrinking):
        """O9."""
        shrinking.drops |= {request: [request] for request in range(1, 20)}
        with pytest.raises(CallFailed) as failed:
            self.crawl(shrinking, max_pages=4)
        assert (failed.value.kind, len(shrinking.seen)) == ("guard", 4)


class TestTls:
    """AUT-10: certificates are checked, against the name in the URL and not the address behind it."""

    @pytest.fixture
    def secure(self, tmp_path, settings, partner):
        """Put the partner behind TLS with a certificate for `name`; returns how to do it."""
        settings.OUTBOUND_REQUIRE_HTTPS = True

        def wrap(name):
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
            now = datetime.now(UTC)
            certificate = (
                x509.CertificateBuilder()
                .subject_name(subject).issuer_name(subject).public_key(key.public_key())
                .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
                .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
                .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                .sign(key, hashes.SHA256())
            )  # fmt: skip
            file = tmp_path / "partner.pem"
            file.write_bytes(
                certificate.public_bytes(serialization.Encoding.PEM)
                + key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(file)
            server = partner._server
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            return file

        client._pool.cache_clear()
        yield wrap
        client._pool.cache_clear()

    def test_a_trusted_certificate(self, secure, settings, partner):
        settings.OUTBOUND_CA_FILE = str(secure("localhost"))
        assert get(f"https://localhost:{partner.port}/ocpi/emsp/versions").is_success
        # With a dot at its end it is the same name.
        assert get(f"https://localhost.:{partner.port}/ocpi/emsp/versions").is_success

    def test_an_unknown_authority(self, secure, partner):
        secure("localhost")
        assert failure(f"https://localhost:{partner.port}/") == ("tls", False)

    def test_a_certificate_for_another_name(self, secure, settings, partner):
        settings.OUTBOUND_CA_FILE = str(secure("somebody-else.example"))
        assert failure(f"https://localhost:{partner.port}/") == ("tls", False)
        assert partner.requests == []


def test_an_exchange_knows_its_time():
    """The total deadline is one moment, not a time per step."""
    exchange = network.Exchange.lasting(0.05)
    assert 0 < exchange.left() <= 0.05
    time.sleep(0.06)
    with pytest.raises(CallFailed) as failed:
        exchange.left()
    assert (failed.value.kind, failed.value.may_have_been_stored) == ("timeout", False)
