"""A partner as it calls us: real requests through the whole stack, each answer checked against our OpenAPI document."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from django.http import HttpResponse
from django.test import Client

from ocpi.headers import authorization
from ocpi.interfaces import V221_INTERFACES
from ocpi.openapi import document
from roaming.models import Party
from tests.factories import PartyFactory, connect
from tests.openapi_check import check_response


@cache
def openapi() -> Mapping[str, Any]:
    """Our OpenAPI document, all interfaces."""
    return document(
        V221_INTERFACES, base_url="https://ocpi.yardgate.example", title="Yardgate", version="2.2.1"
    )


@dataclass(frozen=True)
class Reply:
    """One answer: status, headers (any case), the parsed envelope and the exact bytes."""

    http_status: int
    headers: Mapping[str, str]
    envelope: Mapping[str, Any]
    body: bytes

    @property
    def status_code(self) -> int:
        """The OCPI status code."""
        return int(self.envelope["status_code"])

    @property
    def data(self) -> Any:
        """The payload, None when there is none."""
        return self.envelope.get("data")

    @property
    def next_url(self) -> str | None:
        """Path and query of the next page, None on the last."""
        link = self.headers.get("Link")
        if link is None:
            return None
        url = link.removeprefix("<").partition(">")[0]
        assert link == f'<{url}>; rel="next"'
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https")
        return f"{parts.path}?{parts.query}"

    def without_timestamp(self) -> tuple[int, bytes]:
        """Status and bytes of the answer, its time of day left out."""
        return self.http_status, self.body.partition(b'"timestamp"')[0]


@dataclass
class PartnerClient:
    """Calls us with the credentials token of one party's platform (None: without any)."""

    party: Party | None
    token: str | None
    client: Client = field(default_factory=lambda: Client(raise_request_exception=False))

    def call(
        self, method: str, url: str, body: Any = None, *, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send one request; `body` is JSON bytes, or a value to write as JSON."""
        sent = {"Authorization": authorization(self.token)} if self.token else {}
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        response: HttpResponse = self.client.generic(
            method, url, content, content_type="application/json", headers={**sent, **(headers or {})}
        )
        faults = check_response(openapi(), method, url, response.status_code, response.content)
        assert faults == []
        assert response.headers["Content-Type"] == "application/json"
        return Reply(response.status_code, response.headers, json.loads(response.content), response.content)

    def get(self, url: str, **parameters: str) -> Reply:
        """GET with query parameters."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return self.call("GET", f"{url}?{query}" if query else url)

    def put(self, url: str, body: Any) -> Reply:
        """PUT an object."""
        return self.call("PUT", url, body)

    def patch(self, url: str, body: Any) -> Reply:
        """PATCH an object."""
        return self.call("PATCH", url, body)

    def crawl(self, url: str, **parameters: str) -> list[Reply]:
        """GET a list to its end, following Link."""
        replies = [self.get(url, **parameters)]
        while (following := replies[-1].next_url) is not None:
            assert len(replies) < 100
            replies.append(self.call("GET", following))
        return replies


def a_partner(country_code: str = "NL", party_id: str = "EMS", **values: Any) -> PartnerClient:
    """A connected partner with one eMSP party."""
    party = PartyFactory(country_code=country_code, party_id=party_id, **values)
    return PartnerClient(party=party, token=connect(party))


NOBODY = PartnerClient(party=None, token=None)
