"""Every OCPI URL × every method × every caller: what is not yours does not exist, and refusals change nothing.

The cells come from the URL conf, so a new route fails here until somebody says what it answers to whom.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver

from tests.abuse.world import STRANGERS, World, bare, world

__all__ = ["world"]

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
SENDER, RECEIVER = "ocpi/2.2.1/sender", "ocpi/2.2.1/receiver"
OWNED = "<str:country_code>/<str:party_id>"


class Cell(NamedTuple):
    """HTTP status, OCPI status code, and for commands the result inside."""

    http: int
    code: int
    result: str = ""


OK, REFUSED = Cell(200, 1000), Cell(401, 2000)
BAD, NOT_ALLOWED = Cell(200, 2001), Cell(405, 2000)
NOBODYS, NO_LOCATION = Cell(404, 2000), Cell(404, 2003)


@dataclass(frozen=True)
class Rule:
    """What one URL answers: `methods` to (its owner, another partner); every other method is 405.

    `path` and `body` are templates; `unknown` has the words for an id that nobody has. `open_to_a` is for
    the holder of a token A. A URL without objects is the same to every partner.
    """

    path: str
    methods: Mapping[str, tuple[Cell, Cell]]
    body: str = "{{}}"
    unknown: Mapping[str, str] = field(default_factory=dict)
    open_to_a: Mapping[str, Cell] = field(default_factory=dict)
    is_public: bool = False

    def is_allowed(self, allow: str, method: str) -> bool:
        """Tell whether an ``Allow`` is true: all that this URL has, and not what was just refused."""
        return method not in (named := set(allow.split(", "))) and named >= set(self.methods)


def shared(method: str, cell: Cell) -> dict[str, tuple[Cell, Cell]]:
    return {method: (cell, cell)}


def below_location(depth: int) -> Rule:
    ids = ("{location}", "{evse}", "{connector}")[:depth]
    unknown = {"location": "GENT-NOORD-NIGHT"}
    return Rule("/".join((f"/{SENDER}/locations", *ids)), {"GET": (OK, NO_LOCATION)}, unknown=unknown)


def command(name: str, mine: Cell, other: Cell, unknown: Mapping[str, str], **members: Any) -> Rule:
    body = json.dumps({"response_url": "http://127.0.0.1:9/results/1"} | members)
    body = re.sub(r'"\{own_token\}"', "{own_token}", "{" + body + "}")
    return Rule(f"/{RECEIVER}/commands/{name}", {"POST": (mine, other)}, body, unknown)


_AT = {"location_id": "{location}", "evse_uid": "{evse}"}
_LOCATION, _SESSION = {"location": "GENT-NOORD-NIGHT"}, {"session": "7b0c7f6e-4b38-4c0c-a7f5-0d4b9f2f6f10"}
_COMMANDS = (
    command(
        "START_SESSION",
        Cell(200, 1000, "ACCEPTED"),
        Cell(200, 2003, "REJECTED"),
        _LOCATION,
        token="{own_token}",
        **_AT,
    ),
    command(
        "STOP_SESSION",
        Cell(200, 1000, "REJECTED"),
        Cell(200, 1000, "UNKNOWN_SESSION"),
        _SESSION,
        session_id="{session}",
    ),
    command(
        "RESERVE_NOW",
        Cell(200, 1000, "ACCEPTED"),
        Cell(200, 2003, "REJECTED"),
        _LOCATION,
        token="{own_token}",
        expiry_date="{soon}",
        reservation_id="R1",
        **_AT,
    ),
    # Whose id it is shows in the result only (UNKNOWN_RESERVATION): see tests/charging/test_reserving.py.
    command(
        "CANCEL_RESERVATION",
        Cell(200, 1000, "ACCEPTED"),
        Cell(200, 1000, "ACCEPTED"),
        {},
        reservation_id="R1",
    ),
    command(
        "UNLOCK_CONNECTOR",
        Cell(200, 1000, "ACCEPTED"),
        Cell(200, 2003, "REJECTED"),
        _LOCATION,
        connector_id="1",
        **_AT,
    ),
    command("FLY_AWAY", BAD, BAD, {}),
)
_UNKNOWN, _NOT_CAPABLE = Cell(200, 1000, "UNKNOWN_SESSION"), Cell(200, 1000, "NOT_SUPPORTED")
_RESULT_URL = "http%3A%2F%2F127.0.0.1%3A9%2Fresults%2F1"
_PROFILE = {
    "response_url": "http://127.0.0.1:9/results/1",
    "charging_profile": {
        "charging_rate_unit": "A",
        "charging_profile_period": [{"start_period": 0, "limit": 16}],
    },
}


def hub_only(route: str, methods: Iterable[str] = METHODS) -> Rule:
    """What only a hub serves: for partners of an installation without one it does not exist."""
    path = "/" + route.replace("<str:country_code>/<str:party_id>", "NL/EMS")
    return Rule(re.sub(r"<str:\w+>", "X1", path), dict.fromkeys(methods, (NOBODYS, NOBODYS)))


_CHANGED = ("GET", "PUT", "PATCH")
# Where a party of ours may hold the object, the other methods are n/a as ever; all else is only ever forwarded.
_OF_HUBS = {
    f"{SENDER}/tokens": METHODS,
    f"{SENDER}/tokens/<str:token_uid>/authorize": METHODS,
    f"{SENDER}/commands/<str:command>/<str:uid>": METHODS,
    f"{SENDER}/chargingprofiles/<str:result>/<str:uid>": METHODS,
    f"{SENDER}/chargingprofiles/<str:session_id>": METHODS,
    f"{SENDER}/hubclientinfo": ("GET",),
    f"{RECEIVER}/locations/{OWNED}/<str:location_id>": _CHANGED,
    f"{RECEIVER}/locations/{OWNED}/<str:location_id>/<str:evse_uid>": _CHANGED,
    f"{RECEIVER}/locations/{OWNED}/<str:location_id>/<str:evse_uid>/<str:connector_id>": _CHANGED,
    f"{RECEIVER}/tariffs/{OWNED}/<str:tariff_id>": ("GET", "PUT", "DELETE"),
    f"{RECEIVER}/sessions/{OWNED}/<str:session_id>": _CHANGED,
    f"{RECEIVER}/cdrs": ("POST",),
    f"{RECEIVER}/cdrs/<str:cdr_id>": ("GET",),
}
_CREDENTIALS = {"GET": (OK, OK), "PUT": (BAD, BAD), "DELETE": (OK, OK)}
_TOKEN = "/".join((f"/{RECEIVER}/tokens", "NL", "EMS", "{uid}"))
RULES: dict[str, tuple[Rule, ...]] = {
    "ocpi/versions": (Rule("/ocpi/versions", shared("GET", OK), open_to_a={"GET": OK}),),
    "ocpi/2.2.1": (Rule("/ocpi/2.2.1", shared("GET", OK), open_to_a={"GET": OK}),),
    "ocpi/2.2.1/openapi.json": (Rule("/ocpi/2.2.1/openapi.json", shared("GET", OK), is_public=True),),
    "ocpi/2.2.1/credentials": (
        Rule(
            "/ocpi/2.2.1/credentials",
            _CREDENTIALS,
            open_to_a={"GET": OK, "POST": BAD},
        ),
    ),
    "ocpi/decisions/<str:ref>": (
        Rule("/ocpi/decisions/{ref}", {"GET": (OK, NOBODYS)}, unknown={"ref": "D-0000000000"}),
    ),
    f"{SENDER}/locations": (Rule(f"/{SENDER}/locations", shared("GET", OK)),),
    f"{SENDER}/locations/<str:location_id>": (below_location(1),),
    f"{SENDER}/locations/<str:location_id>/<str:evse_uid>": (below_location(2),),
    f"{SENDER}/locations/<str:location_id>/<str:evse_uid>/<str:connector_id>": (below_location(3),),
    f"{SENDER}/tariffs": (Rule(f"/{SENDER}/tariffs", shared("GET", OK)),),
    f"{SENDER}/sessions": (Rule(f"/{SENDER}/sessions", shared("GET", OK)),),
    f"{SENDER}/cdrs": (Rule(f"/{SENDER}/cdrs", shared("GET", OK)),),
    f"{SENDER}/sessions/<str:session_id>/charging_preferences": (
        Rule(
            f"/{SENDER}/sessions/{{session}}/charging_preferences",
            {"PUT": (OK, NOBODYS)},
            '{{"profile_type": "CHEAP"}}',
            _SESSION,
        ),
    ),
    f"{RECEIVER}/tokens/{OWNED}/<str:token_uid>": (
        Rule(
            _TOKEN,
            {"GET": (OK, NOBODYS), "PUT": (OK, NOBODYS), "PATCH": (OK, NOBODYS)},
            "{owner_token}",
            {"uid": "04FFFFFFFFFFFF"},
        ),
    ),
    f"{RECEIVER}/commands/<str:command>": _COMMANDS,
    # Who is no hub itself has no clients to tell us of.
    f"{RECEIVER}/hubclientinfo/{OWNED}": (
        Rule(
            f"/{RECEIVER}/hubclientinfo/NL/EMS",
            shared("GET", NOBODYS) | shared("PUT", NOBODYS),
            '{{"country_code": "NL", "party_id": "EMS", "role": "EMSP", "status": "SUSPENDED",'
            ' "last_updated": "2026-03-11T08:00:00Z"}}',
        ),
    ),
    f"{RECEIVER}/chargingprofiles/<str:session_id>": (
        Rule(
            f"/{RECEIVER}/chargingprofiles/{{session}}?duration=900&response_url={_RESULT_URL}",
            dict.fromkeys(("GET", "PUT", "DELETE"), (_NOT_CAPABLE, _UNKNOWN)),
            "{" + json.dumps(_PROFILE).replace("{", "{{").replace("}", "}}")[1:-1] + "}",
            _SESSION,
        ),
    ),
    **{route: (hub_only(route, methods),) for route, methods in _OF_HUBS.items()},
}


def ocpi_routes() -> Iterator[str]:
    """The patterns of all URLs below /ocpi, as the URL conf has them."""

    def walk(resolver: URLResolver, prefix: str) -> Iterator[str]:
        for entry in resolver.url_patterns:
            route = prefix + str(entry.pattern)
            if isinstance(entry, URLPattern):
                yield route
            else:
                yield from walk(entry, route)

    return (route for route in walk(get_resolver(), "") if route.startswith("ocpi"))


CASES = [pytest.param(rule, id=rule.path) for rules in RULES.values() for rule in rules]


def check(rule: Rule, method: str, answer: HttpResponse, expected: Cell) -> None:
    """The whole cell: status, envelope, headers."""
    where = f"{method} {rule.path}"
    assert (answer["X-Request-ID"], answer["X-Correlation-ID"]) == ("request-7", "correlation-7"), where
    assert (answer.status_code, answer["Content-Type"]) == (expected.http, "application/json"), where
    assert ("Allow" in answer, "WWW-Authenticate" in answer) == (expected.http == 405, expected.http == 401)
    if method == "HEAD":
        assert answer.content == b"", where
        return
    body = json.loads(answer.content)
    if rule.is_public and expected == OK:
        assert body["openapi"].startswith("3."), where
        return
    assert (body["status_code"], "timestamp" in body) == (expected.code, True), (where, body)
    assert not expected.result or body["data"]["result"] == expected.result, (where, body)


def test_every_route_has_a_rule() -> None:
    """B1: a route that nobody described cannot be forgotten, nor a rule outlive its route."""
    assert set(ocpi_routes()) == set(RULES)


@pytest.mark.parametrize("rule", [pytest.param(rules[0], id=route) for route, rules in RULES.items()])
def test_strangers_are_refused_alike(rule: Rule, world: World) -> None:
    """AUT-05, AUT-07, MID-02, ENV-06: one answer for every reason, on every URL, and nothing changes."""
    for method in METHODS:
        texts = set()
        for caller in STRANGERS if not rule.is_public else ():
            answer = world.call(caller, method, rule.path, rule.body)
            check(rule, method, answer, REFUSED)
            texts.add(repr(bare(answer)))
        assert len(texts) <= 1, texts
    assert not world.has_changed()


@pytest.mark.parametrize("rule", [pytest.param(rules[0], id=route) for route, rules in RULES.items()])
def test_token_a_opens_the_registration_only(rule: Rule, world: World) -> None:
    """AUT-07, T6, T11."""
    for method in METHODS:
        answer = world.call("token_a", method, rule.path, rule.body)
        closed = NOT_ALLOWED if rule.open_to_a else REFUSED
        public = rule.methods.get(method, (NOT_ALLOWED,))[0]
        check(rule, method, answer, public if rule.is_public else rule.open_to_a.get(method, closed))
    assert not world.has_changed()


@pytest.mark.parametrize("rule", CASES)
def test_partners_get_their_own_and_nothing_else(rule: Rule, world: World) -> None:
    """B1, HTP-01, HTP-04, STS-07, MID-02: 404 for what is another's, with the bytes of what nobody has."""
    for method in METHODS:
        for caller, expected in zip(("owner", "other"), rule.methods.get(method, (NOT_ALLOWED,) * 2)):
            answer, has_changed = world.attempt(caller, method, rule.path, rule.body)
            check(rule, method, answer, expected)
            if expected.http == 405:
                assert rule.is_allowed(answer["Allow"], method), (method, answer["Allow"])
            is_done = method != "GET" and expected.code == 1000 and expected.result in ("", "ACCEPTED")
            assert is_done or not has_changed, (caller, method)
            if caller == "other" and rule.unknown:
                unknown = world.call(caller, method, rule.path, rule.body, rule.unknown)
                assert bare(unknown) == bare(answer), method


@pytest.mark.parametrize("route", [route for route in RULES if "<str:" in route])
def test_a_word_that_is_no_id_is_nothing_worse_than_unknown(route: str, world: World) -> None:
    """I5, I12: whatever stands where an id should."""
    for word in ("%00", "%0a", "%ff", "%F0%9F%9A%8C", "%2F", "..", "'", "A" * 3000):
        path = "/" + re.sub(r"<str:\w+>", word, route).replace(f"tokens/{word}/{word}", "tokens/NL/EMS")
        for method in ("GET", "PUT", "POST"):
            answer = world.call("owner", method, path, "{owner_token}")
            assert answer.status_code in (200, 404, 405), (method, path, answer.content)
            assert json.loads(answer.content)["status_code"] in (2000, 2001, 2003), (method, path)
    assert not world.has_changed()


@pytest.mark.parametrize("module", ["locations", "tariffs", "sessions", "cdrs"])
def test_lists_hold_the_callers_objects_only(module: str, world: World) -> None:
    """B2, B6: counted after the filter, whatever the query asks for."""
    for query in ("", "?party_id=EMS&country_code=NL&tenant=1&_connector=OR%201=1&pk__in=1"):
        lists = [world.call(caller, "GET", f"/{SENDER}/{module}{query}") for caller in ("owner", "other")]
        data = [json.loads(each.content)["data"] for each in lists]
        assert data[0]
        assert data[1] == []
        assert [each["X-Total-Count"] for each in lists] == [str(len(data[0])), "0"]


@pytest.mark.parametrize("below", ["", "/{evse}", "/{evse}/{connector}"])
def test_a_location_that_was_not_granted_does_not_exist(below: str, world: World) -> None:
    """B16: a guessed id of the same depot, for the very partner that has a grant there."""
    path = f"/{SENDER}/locations/{{location}}{below}"
    fenced, unknown = (
        world.call("owner", "GET", path, ids={"location": location})
        for location in (world.ids["fenced"], "GENT-NOORD-NIGHT")
    )
    assert (fenced.status_code, json.loads(fenced.content)["status_code"]) == (404, 2003)
    assert bare(fenced) == bare(unknown)
