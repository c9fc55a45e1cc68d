"""URLs of the hub that stand for URLs of a party: results, stored CDRs, next pages."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from demo.http import Answer, Reply, Request
from ocpi.scalars import write_datetime
from roaming.hub.relays import sweep_relays
from roaming.models import Agreement, Obligation, Relay
from roaming.tasks import sweep_hub
from tests.roaming.hub.peers import HUB, Hub, Peer, parties_of

ACCEPTED = Reply(data={"result": "ACCEPTED", "timeout": 30})
CDR = {"country_code": "NL", "party_id": "TNM", "id": "CDR1", "total_cost": {"excl_vat": 12.10}}
RESULT = {"result": "ACCEPTED"}


def start(emsp: Peer, cpo: Peer, url: str = "", **members: Any) -> tuple[Answer, str]:
    """START_SESSION from the eMSP; returns the answer and the URL that the CPO was given for the result."""
    cpo.on("POST", ACCEPTED)
    body = {"response_url": url or f"{emsp.url}/odd/results/7?key=a%2Fb&x=1", "location_id": "LOC1"} | members
    answer = emsp.ask("POST", "receiver/commands/START_SESSION", to=cpo.ocpi_id, body=body)
    return answer, cpo.calls[-1].json["response_url"] if cpo.calls else ""


def without_time(answer: Answer) -> tuple[int, dict[str, Any]]:
    return answer.http_status, {name: value for name, value in answer.json.items() if name != "timestamp"}


class TestResults:
    def test_a_result_comes_back_to_the_very_url(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-26, HUB-12, MID-05, H7: query included, with the hub's token for the eMSP, TO = eMSP, FROM = CPO."""
        answer, url = start(emsp, cpo)
        assert (answer.code, answer.data) == (1000, {"result": "ACCEPTED", "timeout": 30})
        assert url.startswith(f"{emsp.hub_url}/ocpi/2.2.1/sender/commands/START_SESSION/")
        assert (len(url.rpartition("/")[2]), len(url) <= 255) == (43, True)
        posted = cpo.ask("POST", url, to=emsp.ocpi_id, body=RESULT, headers={"X-Correlation-ID": "one-7"})
        assert (posted.code, parties_of(posted)) == (1000, (cpo.ocpi_id, emsp.ocpi_id))
        call = emsp.only_call
        assert (call.method, call.target, call.json) == ("POST", "/odd/results/7?key=a%2Fb&x=1", RESULT)
        assert (parties_of(call), call.headers["x-correlation-id"]) == ((emsp.ocpi_id, cpo.ocpi_id), "one-7")
        assert call.token in emsp.accepted

    def test_all_other_bytes_of_a_command_stay(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-14, H8."""
        url = f"{emsp.url}/odd/results/1"
        body = b'{"response_url":"' + url.encode() + b'", "location_id" : "L\\u00e9", "token":{"x":1.500000}}'
        emsp.ask("POST", "receiver/commands/UNLOCK_CONNECTOR", to=cpo.ocpi_id, body=body)
        sent = cpo.only_call
        assert sent.body.replace(sent.json["response_url"].encode(), url.encode()) == body

    def test_to_is_filled_in_for_a_result_that_names_nobody(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-45, HUB-46: the URL itself says whom it concerns; also when the hub is named."""
        for to in (None, HUB):
            _, url = start(emsp, cpo)
            assert cpo.ask("POST", url, to=to, body=RESULT).code == 1000
            assert parties_of(emsp.calls[-1]) == (emsp.ocpi_id, cpo.ocpi_id)

    @pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
    def test_charging_profiles(self, cpo: Peer, emsp: Peer, method: str) -> None:
        """HUB-26, CHP-18: in the body of PUT, in the query of GET and DELETE; the rest of the query stays."""
        original = f"{emsp.url}/odd/profiles/9?a=b"
        quoted = original.replace(":", "%3A").replace("/", "%2F").replace("?", "%3F").replace("=", "%3D")
        query = f"?duration=900&response_url={quoted}&x=%2F" if method != "PUT" else ""
        body = {"body": {"charging_profile": {}, "response_url": original}} if method == "PUT" else {}
        answer = emsp.ask(method, f"receiver/chargingprofiles/SES1{query}", to=cpo.ocpi_id, **body)
        assert answer.code == 1000
        call = cpo.only_call
        url = call.json["response_url"] if method == "PUT" else call.query["response_url"]
        if method != "PUT":
            assert call.target.startswith(
                "/odd/~tnm/v2.2.1;x/chargingprofiles/SES1?duration=900&response_url=http%3A"
            )
            assert call.target.endswith("&x=%2F")
        posted = cpo.ask("POST", url, to=emsp.ocpi_id, body=RESULT)
        assert (posted.code, "data" in posted.json) == (1000, False)
        assert (emsp.only_call.target, emsp.only_call.json) == ("/odd/profiles/9?a=b", RESULT)

    @pytest.mark.parametrize(
        "url", ["http://127.0.0.1:9/results", "https://evil.example/", "ftp://x", "http://169.254.169.254/", 7, None]
    )  # fmt: skip
    def test_a_response_url_that_is_not_the_commanders(self, cpo: Peer, emsp: Peer, url: Any) -> None:
        """O6: 2001, no command, nothing to call: the hub's token would go there."""
        body = {"response_url": url, "location_id": "LOC1"}
        answer = emsp.ask("POST", "receiver/commands/START_SESSION", to=cpo.ocpi_id, body=body)
        assert (answer.http_status, answer.code) == (200, 2001)
        assert (cpo.calls, Relay.objects.count(), Obligation.objects.count()) == ([], 0, 0)

    def test_it_lives_as_long_as_the_target_has_said(self, cpo: Peer, emsp: Peer) -> None:
        """H7: the promised timeout and a minute; 10 minutes when nothing was promised."""
        began = timezone.now()
        start(emsp, cpo)
        cpo.on("POST", Reply(data={"result": "REJECTED", "timeout": 0}))
        url = f"{emsp.url}/r"
        emsp.ask("POST", "receiver/commands/STOP_SESSION", to=cpo.ocpi_id, body={"response_url": url})
        lives = [(each.expires_at - began).total_seconds() for each in Relay.objects.order_by("pk")]
        assert [round(life / 30) for life in lives] == [3, 20]

    @pytest.mark.parametrize("timeout", [86_401, 10**15, 10**30])
    def test_no_promise_is_too_long_to_be_heeded(self, cpo: Peer, emsp: Peer, timeout: int) -> None:
        """H7, HUB-14: the target has accepted, so the requester learns it; the way stays open for a day at most."""
        began = timezone.now()
        cpo.on("POST", Reply(data={"result": "ACCEPTED", "timeout": timeout}))
        body = {"response_url": f"{emsp.url}/r"}
        answer = emsp.ask("POST", "receiver/commands/STOP_SESSION", to=cpo.ocpi_id, body=body)
        assert (answer.http_status, answer.code, answer.data["timeout"]) == (200, 1000, timeout)
        assert round((Relay.objects.get().expires_at - began) / timedelta(hours=1)) == 24

    def test_of_a_reservation_until_an_hour_after_its_end(self, cpo: Peer, emsp: Peer) -> None:
        cpo.on("POST", ACCEPTED)
        expiry = timezone.now().replace(microsecond=0) + timedelta(hours=5)
        body = {"response_url": f"{emsp.url}/r", "expiry_date": write_datetime(expiry), "location_id": "LOC1"}
        emsp.ask("POST", "receiver/commands/RESERVE_NOW", to=cpo.ocpi_id, body=body)
        assert Relay.objects.get().expires_at == expiry + timedelta(hours=1)

    def test_for_others_it_does_not_exist(self, cpo: Peer, emsp: Peer, other: Peer) -> None:
        """H7, STS-02: foreign, made up and expired ones answer alike, and nobody is called."""
        _, url = start(emsp, cpo)
        unknown = url[:-43] + "A" * 43
        answers = [emsp.ask("POST", url, body=RESULT), other.ask("POST", url, body=RESULT)]
        answers += [cpo.ask("POST", unknown, body=RESULT), emsp.ask("POST", unknown, body=RESULT)]
        Relay.objects.update(expires_at=timezone.now())
        answers.append(cpo.ask("POST", url, to=emsp.ocpi_id, body=RESULT))
        assert [without_time(each) for each in answers] == [without_time(answers[0])] * 5
        assert (answers[0].http_status, answers[0].code) == (404, 2000)
        assert (emsp.calls, other.calls) == ([], [])

    def test_other_methods_and_modules_do_not_open_it(self, cpo: Peer, emsp: Peer) -> None:
        _, url = start(emsp, cpo)
        for method, path in (
            ("GET", url), ("PUT", url), ("POST", url.replace("commands", "chargingprofiles")),
            ("GET", url.replace("sender/commands/START_SESSION", "receiver/cdrs")),
        ):  # fmt: skip
            answer = cpo.ask(method, path, body=RESULT if method != "GET" else {})
            assert answer.code != 1000, (method, path)
        assert emsp.calls == []

    def test_a_commander_that_is_gone(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-20, HUB-23: told to the CPO, not queued; when it is back the same URL leads to it."""
        _, url = start(emsp, cpo)
        emsp.stop()
        answer = cpo.ask("POST", url, to=emsp.ocpi_id, body=RESULT)
        assert (answer.http_status, answer.code, Obligation.objects.count()) == (200, 4003, 0)
        emsp.start()
        assert emsp.calls == []
        assert cpo.ask("POST", url, to=emsp.ocpi_id, body=RESULT).code == 1000

    def test_an_agreement_that_has_ended_ends_it_too(self, hub: Hub, cpo: Peer, emsp: Peer) -> None:
        """HUB-28."""
        _, url = start(emsp, cpo)
        hub.agree(emsp, cpo, Agreement.Status.ENDED)
        assert cpo.ask("POST", url, to=emsp.ocpi_id, body=RESULT).code == 4001
        assert emsp.calls == []


class TestStoredCdrs:
    def test_a_cdr_is_read_back_through_the_hub(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-25: the hub's own URL, and behind it the same bytes."""
        emsp.on("POST", Reply(201, headers={"Location": f"{emsp.url}/odd/store/77?v=1"}))
        stored = Reply(data=CDR)
        emsp.on("GET", stored)
        answer = cpo.ask("POST", "receiver/cdrs", to=emsp.ocpi_id, body=CDR)
        assert answer.http_status == 201
        url = answer.headers["location"]
        assert url.startswith(f"{cpo.hub_url}/ocpi/2.2.1/receiver/cdrs/")
        read = cpo.ask("GET", url, to=emsp.ocpi_id)
        assert (read.http_status, read.code, read.data) == (
            200, 1000, json.loads(json.dumps(CDR), parse_float=Decimal)
        )  # fmt: skip
        assert (emsp.calls[-1].target, emsp.calls[-1].body) == ("/odd/store/77?v=1", b"")
        assert parties_of(emsp.calls[-1]) == (emsp.ocpi_id, cpo.ocpi_id)
        assert (Relay.objects.get().expires_at - timezone.now()).days in (399, 400)

    def test_a_relative_location_is_the_targets(self, cpo: Peer, emsp: Peer) -> None:
        emsp.on("POST", Reply(201, headers={"Location": "/odd/store/77"}))
        cpo.ask("POST", "receiver/cdrs", to=emsp.ocpi_id, body=CDR)
        assert Relay.objects.get().url == f"{emsp.url}/odd/store/77"

    @pytest.mark.parametrize(
        "location", ["https://evil.example/x", "http://169.254.169.254/", "", "http://[::1"]
    )
    def test_a_location_elsewhere_is_left_out(self, cpo: Peer, emsp: Peer, location: str) -> None:
        """O8: the delivery counts."""
        emsp.on("POST", Reply(201, headers={"Location": location}))
        answer = cpo.ask("POST", "receiver/cdrs", to=emsp.ocpi_id, body=CDR)
        assert (answer.http_status, answer.code, "location" in answer.headers) == (201, 1000, False)
        assert not Relay.objects.exists()

    def test_for_others_it_does_not_exist(self, hub: Hub, cpo: Peer, emsp: Peer, other: Peer) -> None:
        """H7: the same answer for a foreign CDR, one that never was, and one that is over."""
        emsp.on("POST", Reply(201, headers={"Location": f"{emsp.url}/odd/store/77"}))
        url = cpo.ask("POST", "receiver/cdrs", to=emsp.ocpi_id, body=CDR).headers["location"]
        emsp.forget()
        answers = [other.ask("GET", url), emsp.ask("GET", url), cpo.ask("GET", url[:-43] + "B" * 43)]
        Relay.objects.update(expires_at=timezone.now())
        answers.append(cpo.ask("GET", url))
        assert [without_time(each) for each in answers] == [without_time(answers[0])] * 4
        assert (answers[0].http_status, answers[0].code, emsp.calls) == (404, 2000, [])


def numbered(total: int, link: Any) -> Any:
    """A list of `total` Locations; `link(offset)` is the URL of the page that begins there."""

    def page(received: Request) -> Reply:
        offset, limit = int(received.query.get("offset", 0)), int(received.query.get("limit", 10))
        found = [{"id": f"LOC{number}"} for number in range(total)][offset : offset + limit]
        headers = {"X-Total-Count": str(total), "X-Limit": "10"}
        if offset + limit < total:
            headers["Link"] = f'<{link(offset + limit)}>; rel="next"'
        return Reply(data=found, headers=headers)

    return page


class TestPages:
    def crawl(self, emsp: Peer, cpo: Peer) -> list[Answer]:
        pages = [emsp.ask("GET", "sender/locations?limit=10&date_from=2026-01-01T00:00:00Z", to=cpo.ocpi_id)]
        while (link := pages[-1].headers.get("link")) is not None and len(pages) < 10:
            pages.append(emsp.ask("GET", link[1 : link.index(">")], to=cpo.ocpi_id))
        return pages

    def test_a_crawl_through_the_hub(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-24: 25 Locations with the hub's token only; no row is needed for pages that are endpoint and query."""
        endpoint = cpo.endpoint("locations")
        cpo.on("GET", numbered(25, lambda offset: f"{endpoint}?limit=10&x=%2F&offset={offset}"))
        pages = self.crawl(emsp, cpo)
        assert [entry["id"] for page in pages for entry in page.data] == [
            f"LOC{number}" for number in range(25)
        ]
        assert [page.headers["x-total-count"] for page in pages] == ["25"] * 3
        assert pages[0].headers["link"] == (
            f'<{emsp.hub_url}/ocpi/2.2.1/sender/locations?limit=10&x=%2F&offset=10>; rel="next"'
        )
        assert not Relay.objects.exists()
        assert {call.token in cpo.accepted for call in cpo.calls} == {True}

    def test_pages_that_lie_anywhere_on_the_targets_host(self, cpo: Peer, emsp: Peer, other: Peer) -> None:
        """HUB-24: opaque links become links of ours, bound to who was given them."""
        base = f"{cpo.url}/odd/pages"
        cpo.on("GET", numbered(25, lambda offset: f"{base}/next-{offset}/?offset={offset}&limit=10"))
        pages = self.crawl(emsp, cpo)
        assert [len(page.data) for page in pages] == [10, 10, 5]
        assert [call.path for call in cpo.calls[1:]] == ["/odd/pages/next-10/", "/odd/pages/next-20/"]
        assert Relay.objects.count() == 2
        link = pages[0].headers["link"]
        assert other.ask("GET", link[1 : link.index(">")], to=cpo.ocpi_id).http_status == 404
        assert len(cpo.calls) == 3

    @pytest.mark.parametrize("url", ["https://evil.example/?offset=10", "http://[::1", "ftp://x/"])
    def test_a_next_page_elsewhere_is_a_fault(self, cpo: Peer, emsp: Peer, url: str) -> None:
        """HUB-24, O3: told, since a list that ends early would be taken for the whole."""
        cpo.on("GET", numbered(25, lambda _: url))
        answer = emsp.ask("GET", "sender/locations", to=cpo.ocpi_id)
        assert (answer.http_status, answer.code, "link" in answer.headers) == (200, 4000, False)

    def test_a_target_whose_links_look_like_ours(self, cpo: Peer, emsp: Peer) -> None:
        """HUB-24, HUB-29: another hub, whose next page is a relay of its own."""
        endpoint = cpo.endpoint("locations")
        cpo.on("GET", numbered(15, lambda offset: f"{endpoint}?offset={offset}&relay={'R' * 43}"))
        assert [len(page.data) for page in self.crawl(emsp, cpo)] == [10, 5]
        assert "R" * 43 in cpo.calls[-1].target


class TestSweep:
    def test_what_is_over_is_deleted(self, cpo: Peer, emsp: Peer) -> None:
        start(emsp, cpo)
        start(emsp, cpo)
        now = timezone.now()
        Relay.objects.filter(pk=Relay.objects.order_by("pk")[0].pk).update(expires_at=now)
        assert (sweep_relays(now=now), Relay.objects.count()) == (1, 1)
        sweep_hub()
        assert Relay.objects.count() == 1
