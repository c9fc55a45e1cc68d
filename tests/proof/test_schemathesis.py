"""Our whole OCPI face against our own OpenAPI document, asked by a tool that knows nothing of OCPI (schemathesis).

It makes requests that the document allows and requests that break it, for every operation. What must hold of every
answer: HTTP below 500, an envelope in JSON, what the document promises, and that a refusal changes nothing. `make fuzz`
asks much longer, and something else each time.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from django.conf import settings as django_settings
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from config.openapi import described
from ocpi.headers import authorization
from roaming import throttle
from roaming.models import Platform
from tests.abuse.world import World, digest, world

__all__ = ["world"]

EXAMPLES = int(os.environ.get("YARDGATE_FUZZ_EXAMPLES", "0"))
BOUNDED = settings(
    max_examples=EXAMPLES or 4,
    derandomize=not EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
MODES = [
    pytest.param(GenerationMode.POSITIVE, id="sound"), pytest.param(GenerationMode.NEGATIVE, id="broken"),
]  # fmt: skip
# What an installation without a hub serves.
DOCUMENT = json.loads(described(tuple(django_settings.OCPI_INTERFACES)))
OPEN_TO_A = ("/ocpi/versions", "/ocpi/2.2.1", "/ocpi/2.2.1/credentials")
# What stands for what in our URLs, so that half of the requests are about something that is there.
PATH_WORDS = {
    "location_id": "{location}", "evse_uid": "{evse}", "connector_id": "{connector}", "session_id": "{session}",
    "token_uid": "{uid}", "country_code": "NL", "party_id": "EMS",
}  # fmt: skip


def operations(app: Any) -> dict[str, APIOperation[Any, Any, Any, Any]]:
    """All that our document has, to be asked of one application; by method and path."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.app = app
    return {result.ok().label: result.ok() for result in schema.get_all_operations()}


OPERATIONS = operations(get_wsgi_application())


@pytest.fixture(autouse=True)
def one_connection() -> Iterator[None]:
    """A request over WSGI hangs up the database behind itself; not here, where it is part of the test's transaction."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def site(world: World) -> World:
    """The world of the abuse tests; nobody's versions are asked for at a host that a request made up."""
    Platform.objects.update(approved_hosts=["127.0.0.1:9"], max_requests_per_second=0)
    return replace(world, digest=digest())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", OPERATIONS)
def test_every_caller_gets_ocpi_whatever_is_sent(site: World, label: str, mode: GenerationMode) -> None:
    """ENV-06, AUT-05, AUT-07, HTP-05: no HTTP 500, never HTML; a body that breaks the document is refused, and what is
    refused has changed nothing; nobody gets 401, and a token A opens the registration only."""
    operation = OPERATIONS[label]

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode), is_aimed=st.booleans())
    def ask(case: Case, is_aimed: bool) -> None:
        if is_aimed:
            aim(case, site.ids)
        assert answer(case, None)[:2] == (401, 2000)
        assert operation.path in OPEN_TO_A or answer(case, site.tokens["token_a"])[:2] == (401, 2000)
        for caller in ("token_a", "owner") if operation.path in OPEN_TO_A else ("owner",):
            with transaction.atomic():
                http, code, _ = answer(case, site.tokens[caller])
                assert code >= 2000 or (http in (200, 201) and not has_broken_body(case))
                assert code < 2000 or not site.has_changed()
                transaction.set_rollback(True)

    ask()
    assert not site.has_changed()


def test_a_fault_would_be_found() -> None:
    """The same question to another application: HTTP 200, and data that the document does not promise."""
    case = operations(wrong_answer)["GET /ocpi/2.2.1/sender/tariffs"].Case()
    with pytest.raises(FailureGroup, match="Response violates schema"):
        answer(case, None)


HEADERS = ("X-Request-ID", "X-Correlation-ID", "X-Total-Count", "X-Limit")


def wrong_answer(environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
    """A WSGI application that serves a tariff without anything in it."""
    start_response("200 OK", [(name, "1") for name in HEADERS] + [("Content-Type", "application/json")])
    return [b'{"status_code": 1000, "timestamp": "2026-03-11T08:00:00Z", "data": [{}]}']


def has_broken_body(case: Case) -> bool:
    """Whether this request was made to break the document by its body."""
    part = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return part is not None and part.mode is GenerationMode.NEGATIVE


def aim(case: Case, ids: Mapping[str, str]) -> None:
    """Point a request at something that is there; a body names what its URL names."""
    for name in case.path_parameters or {}:
        case.path_parameters[name] = PATH_WORDS[name].format(**ids)
    if isinstance(case.body, dict):
        words = {"uid": "{uid}"} | PATH_WORDS
        case.body |= {name: words[name].format(**ids) for name in words.keys() & case.body.keys()}


def answer(case: Case, token: str | None) -> tuple[int, int, Mapping[str, Any]]:
    """Send a request through the whole stack; return HTTP status, OCPI code and envelope of a fit answer."""
    throttle.LOCAL.full_at.clear()
    case.headers = {name: value for name, value in (case.headers or {}).items() if name != "Authorization"}
    response = case.call(headers={"Authorization": authorization(token)} if token else {})
    case.validate_response(response, checks=CHECKS)
    assert response.headers["content-type"] == ["application/json"]
    envelope = json.loads(response.content)
    assert 1000 <= envelope["status_code"] < 3000
    assert envelope["timestamp"].endswith("Z")
    return response.status_code, envelope["status_code"], envelope
