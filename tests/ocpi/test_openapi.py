"""The OpenAPI document, and the check of responses that the whole test suite uses."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ocpi import codec
from ocpi.interfaces import V221_INTERFACES
from ocpi.openapi import document
from tests.ocpi.chapters import example, example_bytes
from tests.openapi_check import check_response

DOCUMENT = document(
    V221_INTERFACES, base_url="https://ocpi.yardgate.example/", title="Yardgate", version="2.2.1"
)
ROOT = "/ocpi/2.2.1"
STAMP = '"timestamp":"2026-03-11T21:04:10.007Z"'
OPERATIONS = [
    (interface, operation) for interface in V221_INTERFACES.values() for operation in interface.operations
]


def answer(status_code: int = 1000, data: bytes | None = None, more: str = "") -> bytes:
    inner = b"" if data is None else b',"data":' + data
    return f'{{"status_code":{status_code},{STAMP}{more}'.encode() + inner + b"}"


def check(method: str, path: str, status: int, body: bytes) -> list[str]:
    return check_response(DOCUMENT, method, path, status, body)


def references(value: Any) -> set[str]:
    if isinstance(value, dict):
        found = {value["$ref"]} if "$ref" in value else set()
        return found.union(*map(references, value.values()))
    return set().union(*map(references, value)) if isinstance(value, list) else set()


def test_the_document_is_plain_json_and_all_references_lead_somewhere() -> None:
    read = json.loads(json.dumps(DOCUMENT))
    assert read == DOCUMENT
    assert (read["openapi"], read["info"]) == ("3.1.0", {"title": "Yardgate", "version": "2.2.1"})
    assert read["servers"] == [{"url": "https://ocpi.yardgate.example"}]
    for reference in references(read):
        _, components, kind, name = reference.split("/")
        assert name in read[components][kind]


def test_every_operation_is_there_once_with_an_id_of_its_own() -> None:
    described = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]
    assert len(described) == len(OPERATIONS) == 50
    assert len({operation["operationId"] for operation in described}) == 50


@pytest.mark.parametrize(("interface", "operation"), OPERATIONS)
def test_placeholders_bodies_and_routing_headers_are_described(interface: Any, operation: Any) -> None:
    path = interface.path + operation.path_suffix
    described = DOCUMENT["paths"][path][operation.method.lower()]
    named = {(each["in"], each["name"]) for each in described["parameters"]}
    assert {name for place, name in named if place == "path"} == {
        part[1:-1] for part in path.split("/") if part.startswith("{")
    }
    assert {name for place, name in named if place == "query"} == set(operation.query)
    is_functional = interface.module not in ("versions", "credentials", "hubclientinfo")
    assert (("header", "OCPI-to-party-id") in named) is is_functional
    assert ("requestBody" in described) is (operation.request_type is not None)
    assert {"200", "4XX", "5XX"} <= set(described["responses"])
    for response in described["responses"].values():
        if "content" in response:
            Draft202012Validator.check_schema(response["content"]["application/json"]["schema"])


def test_lists_describe_their_headers_and_cdrs_their_location() -> None:
    def shown(method: str, path: str) -> set[str]:
        headers = DOCUMENT["paths"][ROOT + path][method]["responses"]["200"]["headers"]
        return set(headers) - {"X-Request-ID", "X-Correlation-ID"}

    assert shown("get", "/sender/tokens") == {"Link", "X-Total-Count", "X-Limit"}
    assert shown("post", "/receiver/cdrs") == {"Location"}
    assert shown("get", "/receiver/cdrs/{cdr_id}") == set()


def test_a_choice_of_interfaces_describes_only_these() -> None:
    chosen = {key: V221_INTERFACES[key] for key in (("versions", "SENDER"), ("tokens", "RECEIVER"))}
    small = document(chosen, base_url="http://127.0.0.1:8000/depot", title="Gent Noord", version="1")
    assert list(small["paths"]) == [
        "/ocpi/versions",
        "/ocpi/2.2.1",
        "/ocpi/2.2.1/receiver/tokens/{country_code}/{party_id}/{token_uid}",
    ]
    assert "Location" not in small["components"]["schemas"]
    path = "/depot/ocpi/2.2.1/receiver/tokens/NL/EMS/04E1"
    assert check_response(small, "GET", path, 200, answer(data=example_bytes("Token"))) == []


SOUND = [
    ("GET", "/ocpi/versions", 200, answer(data=b"[" + example_bytes("Version") + b"]")),
    ("GET", ROOT, 200, answer(data=example_bytes("VersionDetails"))),
    ("POST", f"{ROOT}/credentials", 200, answer(data=example_bytes("Credentials"))),
    ("DELETE", f"{ROOT}/credentials", 200, answer()),
    ("GET", f"{ROOT}/sender/locations?limit=2", 200, answer(data=b"[" + example_bytes("Location") + b"]")),
    ("GET", f"{ROOT}/sender/locations/", 200, answer(data=b"[]")),
    ("GET", f"{ROOT}/sender/locations/gent%20noord/7f1c", 200, answer(data=example_bytes("EVSE"))),
    ("GET", f"{ROOT}/sender/locations/gent/7f1c/1/", 200, answer(data=example_bytes("Connector"))),
    ("PUT", f"{ROOT}/receiver/tokens/NL/EMS/04E1?type=RFID", 201, answer()),
    ("PATCH", f"{ROOT}/receiver/tokens/NL/EMS/04E1", 200, answer(more=',"status_message":"ok"')),
    ("POST", f"{ROOT}/receiver/commands/START_SESSION", 200, answer(data=example_bytes("CommandResponse"))),
    ("PUT", f"{ROOT}/sender/sessions/S1/charging_preferences", 200, answer(data=b'"DEPARTURE_REQUIRED"')),
    ("POST", f"{ROOT}/sender/tokens/04E1/authorize", 200, answer(data=example_bytes("AuthorizationInfo"))),
    ("POST", f"{ROOT}/sender/tokens/04E1/authorize", 404, answer(2004)),
    # A refusal for content is HTTP 200 too, with or without data.
    ("GET", f"{ROOT}/sender/locations?limit=0", 200, answer(2001, more=',"status_message":"limit: ..."')),
    (
        "POST",
        f"{ROOT}/receiver/commands/UNLOCK_CONNECTOR",
        200,
        answer(2003, example_bytes("CommandResponse")),
    ),
    ("POST", f"{ROOT}/receiver/commands/FLY_AWAY", 404, answer(2001)),
    ("GET", f"{ROOT}/nonsense", 404, answer(2000)),
    ("DELETE", f"{ROOT}/receiver/tokens/NL/EMS/04E1", 405, answer(2000)),
    ("GET", f"{ROOT}/sender/locations", 401, answer(2000)),
    ("GET", f"{ROOT}/sender/locations", 500, answer(3000)),
    ("GET", "https://ocpi.yardgate.example/ocpi/2.2.1/sender/cdrs", 200, answer(4001)),
]


@pytest.mark.parametrize(("method", "path", "status", "body"), SOUND)
def test_sound_responses_pass(method: str, path: str, status: int, body: bytes) -> None:
    assert check(method, path, status, body) == []


LOCATION = f"{ROOT}/sender/locations/gent-noord"
FAULTY = [
    ("GET", LOCATION, 200, b"<html>", "body is no JSON"),
    ("GET", LOCATION, 200, b"", "body is no JSON"),
    ("GET", LOCATION, 200, b"[]", "is not of type 'object'"),
    ("GET", LOCATION, 200, answer(), "'data' is a required property"),
    ("GET", LOCATION, 200, answer(data=b"null"), "$.data"),
    ("GET", LOCATION, 200, answer(data=b"[]"), "$.data"),
    ("GET", LOCATION, 200, answer(data=b"{}"), "'country_code' is a required property"),
    ("GET", LOCATION, 200, answer(data=example_bytes("Location").replace(b"AVAILABLE", b"FREE")), "status"),
    (
        "GET",
        LOCATION,
        200,
        answer(data=example_bytes("Location").replace(b'"BEL"', b'"BE"')),
        "$.data.country",
    ),
    ("GET", LOCATION, 200, b'{"status_code":1000,"data":{}}', "'timestamp' is a required property"),
    ("GET", LOCATION, 200, b'{"status_code":"2000",' + STAMP.encode() + b"}", "$.status_code"),
    ("GET", LOCATION, 200, answer(999), "$.status_code"),
    ("GET", LOCATION, 404, answer(5000), "$.status_code"),
    ("GET", LOCATION, 404, b'{"detail":"Not found."}', "'status_code' is a required property"),
    ("GET", LOCATION, 404, b'{"status_code":2000,"timestamp":"2026-03-11T21:04:10+00:00"}', "$.timestamp"),
    ("GET", LOCATION, 200, b'{"status_code":2000,"status_code":2000,' + STAMP.encode() + b"}", "named twice"),
    ("GET", LOCATION, 200, answer(data=b'{"a":NaN}'), "NaN is no JSON"),
    ("GET", LOCATION, 302, answer(2000), "HTTP 302 is not among the documented answers"),
    ("GET", LOCATION, 201, answer(data=b"{}"), "HTTP 201 is not among the documented answers"),
    ("PUT", f"{ROOT}/receiver/tokens/NL/EMS/04E1", 200, answer(data=b"{}"), "should not be valid"),
    ("GET", f"{ROOT}/sender/cdrs", 200, answer(data=b"{}"), "is not of type 'array'"),
    ("GET", f"{ROOT}/nonsense", 200, answer(), "HTTP 200 is not among the documented answers"),
    ("DELETE", f"{ROOT}/receiver/tokens/NL/EMS/04E1", 200, answer(), "HTTP 200 is not among"),
    ("PUT", f"{ROOT}/sender/sessions/S1/charging_preferences", 200, answer(data=b'"MAYBE"'), "$.data"),
]


@pytest.mark.parametrize(("method", "path", "status", "body", "fault"), FAULTY)
def test_faulty_responses_are_found(method: str, path: str, status: int, body: bytes, fault: str) -> None:
    found = check(method, path, status, body)
    assert any(fault in line for line in found)


def test_what_the_codec_writes_as_envelope_passes() -> None:
    envelope = {"data": [example("CDR")], "status_code": 1000, "timestamp": example("Envelope").timestamp}
    assert check("GET", f"{ROOT}/sender/cdrs", 200, codec.encode(envelope)) == []
