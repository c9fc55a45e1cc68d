"""Which way a request to a hub goes: the table of cases, and what holds for every request."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi.headers import PartyId
from ocpi.interfaces import V221_INTERFACES
from ocpi.status import OcpiError
from ocpi.v221 import InterfaceRole, ModuleID, Role
from roaming.routing import (
    CONFIGURATION,
    METHODS,
    PUSHES,
    SHAREABLE,
    Ask,
    Case,
    Route,
    acting_roles,
    addressed_roles,
    audience,
    case_of,
    route_of,
)

HUB, OWN = PartyId("DE", "HUB"), PartyId("BE", "YRD")
CPO, EMSP = PartyId("NL", "TNM"), PartyId("NL", "EMS")
FUNCTIONAL = sorted(module.value for module in ModuleID if module.value not in CONFIGURATION)

parties = st.sampled_from([HUB, OWN, CPO, EMSP])
segments = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
routes = st.builds(
    Route,
    st.sampled_from(FUNCTIONAL),
    st.sampled_from(["SENDER", "RECEIVER"]),
    st.lists(segments, max_size=4).map(tuple),
)
asks = st.builds(Ask, routes, st.sampled_from(sorted(METHODS)), st.none() | parties, parties)


def ask(method: str, module: str, role: str, *rest: str, to: PartyId | None) -> Ask:
    return Ask(Route(module, role, rest), method, to, EMSP)


@pytest.mark.parametrize(
    ("asked", "case"),
    [
        (ask("GET", "locations", "SENDER", to=CPO), Case.FORWARD),
        (ask("PUT", "tokens", "RECEIVER", "NL", "EMS", "1", to=CPO), Case.FORWARD),
        (ask("GET", "locations", "SENDER", to=OWN), Case.LOCAL),
        (ask("GET", "locations", "SENDER", to=HUB), Case.GET_ALL),
        (ask("GET", "cdrs", "SENDER", to=HUB), Case.GET_ALL),
        (ask("GET", "locations", "SENDER", "LOC1", to=HUB), Case.OPEN),
        (ask("POST", "tokens", "SENDER", "04A2", "authorize", to=HUB), Case.OPEN),
        (ask("PUT", "locations", "RECEIVER", "NL", "TNM", "1", to=HUB), Case.BROADCAST),
        (ask("DELETE", "tariffs", "RECEIVER", "NL", "TNM", "1", to=HUB), Case.BROADCAST),
        (ask("GET", "locations", "RECEIVER", "NL", "TNM", "1", to=HUB), Case.KEPT),
        (ask("POST", "cdrs", "RECEIVER", to=None), Case.OPEN),
        (ask("GET", "locations", "SENDER", "LOC1", to=None), Case.OPEN),
    ],
)  # fmt: skip
def test_cases(asked: Ask, case: Case) -> None:
    """HUB-38: a GET is never broadcast."""
    assert case_of(asked, hub=HUB, own=[HUB, OWN]) is case


@pytest.mark.parametrize("module", ["locations", "tokens", "cdrs", "sessions", "tariffs"])
def test_a_list_without_addressee_is_refused(module: str) -> None:
    """HUB-47."""
    with pytest.raises(OcpiError) as refused:
        case_of(ask("GET", module, "SENDER", to=None), hub=HUB, own=[HUB, OWN])
    assert (refused.value.status_code, refused.value.http_status) == (2001, 200)


@given(asks)
def test_every_request_has_one_way_or_a_refusal(asked: Ask) -> None:
    """HUB-39: what is refused is a list for nobody, or one party's own business for the hub."""
    is_list = asked.to is None and asked.route.is_list
    is_private = asked.to == HUB and asked.route.module not in SHAREABLE and asked.route.role == "RECEIVER"
    if is_list or is_private:
        with pytest.raises(OcpiError) as refused:
            case_of(asked, hub=HUB, own=[HUB, OWN])
        assert refused.value.status_code == (2001 if is_list else 2000)
        return
    case = case_of(asked, hub=HUB, own=[HUB, OWN])
    assert (case is Case.FORWARD) == (asked.to not in (None, HUB, OWN))
    assert (case is Case.LOCAL) == (asked.to == OWN)
    assert case is not Case.BROADCAST or (asked.method in PUSHES and asked.route.module in SHAREABLE)
    assert case not in (Case.GET_ALL, Case.KEPT) or asked.method == "GET"


@given(asks)
def test_without_a_hub_everything_is_local(asked: Ask) -> None:
    assert case_of(asked, hub=None, own=[OWN]) is Case.LOCAL


@given(routes)
def test_a_route_is_read_from_the_path_that_names_it(route: Route) -> None:
    """HUB-13: whatever stands in the ids, slashes and percent signs included."""
    path = "/".join(
        [V221_INTERFACES[route.module, route.role].path, *(quote(each, safe="") for each in route.rest)]
    )
    assert route_of(path) == route


@given(st.text(max_size=60))
def test_any_text_is_a_path_or_none(text: str) -> None:
    found = route_of(text)
    assert found is None or text.startswith(V221_INTERFACES[found.module, found.role].path)


@pytest.mark.parametrize("module", sorted(CONFIGURATION))
def test_configuration_modules_are_never_routed(module: str) -> None:
    """HUB-54."""
    paths = [each.path for each in V221_INTERFACES.values() if each.module == module]
    assert [route_of(path) for path in paths] == [None] * len(paths)
    assert [route_of(f"{path}/x") for path in paths] == [None] * len(paths)


@given(routes)
def test_each_side_is_called_by_one_side_and_served_by_the_other(route: Route) -> None:
    other = Route(route.module, {"SENDER": "RECEIVER", "RECEIVER": "SENDER"}[route.role])
    sides = {addressed_roles(route)[0], acting_roles(route)[0]}
    assert sides == {Role.CPO.value, Role.EMSP.value}
    assert addressed_roles(other) == acting_roles(route)


def test_who_serves_what() -> None:
    """Chapter by chapter: the CPO has Locations, Sessions, CDRs and Tariffs, and receives the rest."""
    served_by_cpo = {
        (module, role.value)
        for module in FUNCTIONAL
        for role in InterfaceRole
        if addressed_roles(Route(module, role.value)) == ("CPO",)
    }
    assert served_by_cpo == {
        ("locations", "SENDER"), ("sessions", "SENDER"), ("cdrs", "SENDER"), ("tariffs", "SENDER"),
        ("tokens", "RECEIVER"), ("commands", "RECEIVER"), ("chargingprofiles", "RECEIVER"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("role", "heard_by"),
    [("CPO", {"EMSP", "NSP", "NAP", "OTHER"}), ("EMSP", {"CPO"}), ("OTHER", {"CPO"}), ("NSP", set()), ("HUB", set())],
)  # fmt: skip
def test_who_hears_whom(role: str, heard_by: set[str]) -> None:
    """HUB-34."""
    assert audience(role) == heard_by
