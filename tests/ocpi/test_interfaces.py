"""The table of interfaces against the chapters' own tables of methods."""

import pytest

from ocpi import v221
from ocpi.interfaces import V221_INTERFACES, interface_path

OWNED = "/{country_code}/{party_id}"
CHAPTERS = {
    ("versions", "SENDER"): {"/versions": "GET", "/2.2.1": "GET"},
    ("credentials", "SENDER"): {"": "GET POST PUT DELETE"},
    ("locations", "SENDER"): {
        "": "GET",
        "/{location_id}": "GET",
        "/{location_id}/{evse_uid}": "GET",
        "/{location_id}/{evse_uid}/{connector_id}": "GET",
    },
    ("locations", "RECEIVER"): {
        OWNED + "/{location_id}": "GET PUT PATCH",
        OWNED + "/{location_id}/{evse_uid}": "GET PUT PATCH",
        OWNED + "/{location_id}/{evse_uid}/{connector_id}": "GET PUT PATCH",
    },
    ("sessions", "SENDER"): {"": "GET", "/{session_id}/charging_preferences": "PUT"},
    ("sessions", "RECEIVER"): {OWNED + "/{session_id}": "GET PUT PATCH"},
    ("cdrs", "SENDER"): {"": "GET"},
    ("cdrs", "RECEIVER"): {"": "POST", "/{cdr_id}": "GET"},
    ("tariffs", "SENDER"): {"": "GET"},
    ("tariffs", "RECEIVER"): {OWNED + "/{tariff_id}": "GET PUT DELETE"},
    ("tokens", "SENDER"): {"": "GET", "/{token_uid}/authorize": "POST"},
    ("tokens", "RECEIVER"): {OWNED + "/{token_uid}": "GET PUT PATCH"},
    ("commands", "SENDER"): {"/{command}/{uid}": "POST"},
    ("commands", "RECEIVER"): {
        "/CANCEL_RESERVATION": "POST",
        "/RESERVE_NOW": "POST",
        "/START_SESSION": "POST",
        "/STOP_SESSION": "POST",
        "/UNLOCK_CONNECTOR": "POST",
    },
    ("chargingprofiles", "SENDER"): {"/{result}/{uid}": "POST", "/{session_id}": "PUT"},
    ("chargingprofiles", "RECEIVER"): {"/{session_id}": "GET PUT DELETE"},
    ("hubclientinfo", "SENDER"): {"": "GET"},
    ("hubclientinfo", "RECEIVER"): {OWNED: "GET PUT"},
}


def test_both_sides_of_every_module_are_there() -> None:
    assert set(V221_INTERFACES) == set(CHAPTERS)
    assert {module for module, _ in V221_INTERFACES} == {*v221.ModuleID, "versions"}


@pytest.mark.parametrize("key", CHAPTERS)
def test_methods_are_those_of_the_chapter(key: tuple[str, str]) -> None:
    interface = V221_INTERFACES[key]
    assert (interface.module, interface.role) == key
    suffixes = dict.fromkeys(operation.path_suffix for operation in interface.operations)
    assert {suffix: " ".join(interface.methods(suffix)) for suffix in suffixes} == CHAPTERS[key]


def test_sides_have_different_paths_without_slash_at_the_end() -> None:
    paths = [interface.path for interface in V221_INTERFACES.values()]
    assert len(set(paths)) == len(paths)
    assert not any(path.endswith("/") for path in paths)
    assert interface_path("tokens", "RECEIVER") == "/ocpi/2.2.1/receiver/tokens"


def test_every_list_understands_the_four_parameters_of_pages() -> None:
    lists = {
        key: operation.query
        for key, interface in V221_INTERFACES.items()
        for operation in interface.operations
        if operation.is_list and key[0] != "versions"
    }
    senders = ("locations", "sessions", "cdrs", "tariffs", "tokens", "hubclientinfo")
    assert lists == {(module, "SENDER"): ("date_from", "date_to", "offset", "limit") for module in senders}


def test_charging_profiles_demand_their_parameters() -> None:
    operations = V221_INTERFACES["chargingprofiles", "RECEIVER"].operations
    assert {operation.method: operation.required_query for operation in operations} == {
        "GET": ("duration", "response_url"),
        "PUT": (),
        "DELETE": ("response_url",),
    }
