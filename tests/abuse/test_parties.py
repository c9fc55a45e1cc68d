"""Two operators on one installation and one partner of both: every route × the party that the call addresses.

What belongs to one operator does not exist when the other one is addressed, with the bytes of what nobody has.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from django.utils import timezone

from access.models import Schedule
from cdrs.models import CDR
from locations.models import EVSE, PartnerView
from roaming.models import Obligation, Party
from sessions.models import Session
from tests.abuse.test_matrix import BAD, RECEIVER, RULES, SENDER, check
from tests.abuse.world import World, bare, digest, world
from tests.cdrs.rows import sealed
from tests.sessions.material import tariff
from tests.sessions.rows import active
from tests.two_operators import OTHER, OWN, load_antwerp, routed
from tokens.models import Token

__all__ = ["world"]

LISTS = ("locations", "tariffs", "sessions", "cdrs")
# Each world of two operators takes a while to make: a test walks all functional routes in one.
CALLS = [
    (rule, method)
    for route, rules in RULES.items()
    # A configuration module knows no addressee.
    if route.startswith((SENDER, RECEIVER)) and "hubclientinfo" not in route
    for rule in rules
    for method in rule.methods
    # What only a hub serves answers alike to every method; HEAD is answered without a body.
    if method != "HEAD"
]


@pytest.fixture
def both(world: World, tmp_path: Path) -> World:
    """NL-EMS has at BE-ANT what it has at BE-YRD, but for the card: that one it told to BE-YRD alone."""
    now = timezone.now()
    taxi = Party.objects.get(party_id="EMS")
    bay = load_antwerp(tmp_path, now=now)
    Schedule.objects.get(depot=bay.location.depot).windows.update(opens="00:00", closes="00:00")
    second = EVSE.objects.get(station_identity="ANTW-02")
    prices = (tariff(party_id="ANT"),)
    active(party=taxi, evse=bay, now=now, tariffs=prices)
    sealed(party=taxi, evse=second, tariffs=prices)
    return dataclasses.replace(world, digest=digest())


def owners(world: World, module: str, routing: Mapping[str, str]) -> list[tuple[str, str]]:
    answer = world.call("owner", "GET", f"/{SENDER}/{module}", routing=routing)
    listed = json.loads(answer.content)["data"]
    assert answer["X-Total-Count"] == str(len(listed))
    return [(each["country_code"], each["party_id"]) for each in listed]


def test_a_list_is_of_the_addressed_operator_alone(both: World) -> None:
    """HUB-06, HUB-07, CRD-07: TO=A lists A's objects, TO=B lists B's, and none is in both."""
    for module in LISTS:
        ours = owners(both, module, routed(OWN))
        theirs = owners(both, module, routed(OTHER))
        assert (set(ours), set(theirs)) == ({OWN}, {OTHER}), module
        assert owners(both, module, routed(("be", "ant"))) == theirs, module


def test_what_is_the_other_operators_does_not_exist(both: World) -> None:
    """HUB-06: BE-YRD's object asked of BE-ANT answers as an id that nobody ever gave out; nothing changes."""
    for rule, method in CALLS:
        # To tell BE-ANT about the card too is its owner's right, see below.
        # An unknown reservation is told in a result, so it leaves a row (tests/charging/test_two_operators_reserving.py).
        is_told = rule.path.endswith("CANCEL_RESERVATION")
        if not rule.unknown or is_told or (method == "PUT" and "tokens" in rule.path):
            continue
        answer, has_changed = both.attempt("owner", method, rule.path, rule.body, routed(OTHER))
        unknown = both.call("owner", method, rule.path, rule.body, rule.unknown, routed(OTHER))
        assert bare(answer) == bare(unknown), (method, rule.path)
        assert not has_changed, (method, rule.path)
    assert not both.has_changed()


def test_its_own_operator_answers_as_if_it_were_alone(both: World) -> None:
    """HUB-02, HUB-06: what the matrix says of one operator holds for the addressed one of two."""
    for rule, method in CALLS:
        mine, _ = rule.methods[method]
        answer, _ = both.attempt("owner", method, rule.path, rule.body, routed(OWN))
        check(rule, method, answer, mine)
        swapped = {name: answer[name] for name in routed(OWN)}
        assert swapped == routed(("NL", "EMS"), from_=OWN), (method, rule.path)


def test_whoever_names_no_operator_of_ours_gets_nothing(both: World) -> None:
    """HUB-05, HUB-06, HUB-08: no TO, half of one, or a stranger's: 2001, nothing is read or written."""
    half = {"OCPI-to-party-id": "YRD"}
    for routing in ({}, half, routed(("ZZ", "ZZZ")), routed(("NL", "EMS"))):
        for rule, method in CALLS:
            answer = both.call("owner", method, rule.path, rule.body, routing=routing)
            check(rule, method, answer, BAD)
            assert json.loads(answer.content).get("data") is None
    assert not both.has_changed()


def test_a_card_that_one_operator_was_told_of_is_unknown_to_the_other(both: World) -> None:
    """HUB-06, TOK-01: each operator holds what it was told, and one word does not undo the other."""
    path, body = f"/{RECEIVER}/tokens/NL/EMS/{{uid}}", "{owner_token}"
    assert both.call("owner", "GET", path, routing=routed(OTHER)).status_code == 404
    assert both.call("owner", "PUT", path, body, routing=routed(OTHER)).status_code == 201
    patch = '{{"valid": false, "last_updated": "2026-03-11T09:00:00Z"}}'
    assert both.call("owner", "PATCH", path, patch, routing=routed(OTHER)).status_code == 200
    told = {
        party: json.loads(both.call("owner", "GET", path, routing=routed(party)).content)["data"]["valid"]
        for party in (OWN, OTHER)
    }
    assert told == {OWN: True, OTHER: False}
    assert sorted(Token.objects.values_list("own_party__party_id", "valid")) == [
        ("ANT", False),
        ("YRD", True),
    ]


def test_everything_that_is_owed_comes_from_the_operator_whose_it_is(both: World) -> None:
    """HUB-01: FROM of a push is the hosted party that owns the object."""
    wanted = {
        "location": dict(PartnerView.objects.values_list("location__ocpi_id", "own_party__party_id")),
        "session": {str(key): party for key, party in Session.objects.values_list("pk", "own_party__party_id")},
        "cdr": {str(key): party for key, party in CDR.objects.values_list("key", "own_party__party_id")},
        "tariff": {f"BE/{party}/GENT-TAXI".replace("GENT", city): party for party, city in (("YRD", "GENT"), ("ANT", "ANTW"))},
    }  # fmt: skip
    for kind, owner_of in wanted.items():
        owed = dict(Obligation.objects.filter(kind=kind).values_list("object_key", "own_party__party_id"))
        assert owed == owner_of, kind
        assert set(owed.values()) == {"YRD", "ANT"}, kind
