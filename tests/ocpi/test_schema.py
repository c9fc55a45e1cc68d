"""JSON Schema drawn from the objects: it takes what we send, and refuses what the chapters refuse."""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ocpi import codec, v221
from ocpi.schema import json_schema
from tests.ocpi.chapters import EVERY_MEMBER, MEMBERS, OBJECTS, WORDS, Member, example, example_value, ids

COMPONENTS = json_schema(OBJECTS.values())


def faults(name: str, value: Any) -> list[str]:
    schema = {"components": {"schemas": COMPONENTS}, "$ref": f"#/components/schemas/{name}"}
    return [error.json_path for error in Draft202012Validator(schema).iter_errors(value)]


def test_the_schemas_are_json_and_follow_the_standard() -> None:
    assert set(COMPONENTS) == set(OBJECTS) | set(WORDS) - {
        "CommandType",
        "ChargingPreferencesResponse",
    }
    for schema in json.loads(json.dumps(COMPONENTS)).values():
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("name", MEMBERS)
def test_required_members_are_those_of_the_chapters(name: str) -> None:
    assert list(COMPONENTS[name]["properties"]) == [member.name for member in MEMBERS[name]]
    assert sorted(COMPONENTS[name].get("required", [])) == sorted(
        member.name for member in MEMBERS[name] if member.card in "1+"
    )


@pytest.mark.parametrize("name", OBJECTS)
def test_what_we_send_fits_the_schema(name: str) -> None:
    written = json.loads(codec.encode(example(name)), parse_float=Decimal)
    assert faults(name, written) == []


@pytest.mark.parametrize(("name", "member"), EVERY_MEMBER, ids=ids)
def test_the_schema_refuses_null_and_other_types(name: str, member: Member) -> None:
    for wrong in (None, {"x": 1} if member.type not in MEMBERS or member.is_list else "nonsense"):
        assert faults(name, example_value(name) | {member.name: wrong}) == [f"$.{member.name}"]


@pytest.mark.parametrize(
    ("name", "member"),
    [case for case in EVERY_MEMBER if case[1].kind in ("string", "CiString", "URL")],
    ids=ids,
)
def test_the_schema_knows_lengths_and_characters(name: str, member: Member) -> None:
    schema = COMPONENTS[name]["properties"][member.name]
    schema = schema["items"] if member.is_list else schema
    assert schema["maxLength"] == member.length
    for wrong in ("", "x" * (member.length + 1), "a\n", "\ttab", "a\x00"):
        value = [wrong] if member.is_list else wrong
        assert faults(name, example_value(name) | {member.name: value}) != []


def test_numbers_are_numbers_and_instants_are_utc() -> None:
    assert COMPONENTS["Price"]["properties"] == {
        "excl_vat": {"type": "number"},
        "incl_vat": {"type": "number"},
    }
    session = example_value("Session")
    assert faults("Session", session | {"kwh": "41.3"}) == ["$.kwh"]
    for wrong in ("2026-03-29T01:30:00", "2026-03-29T01:30:00+00:00", "2026-03-29T01:30:00.1234Z"):
        assert faults("Session", session | {"last_updated": wrong}) == ["$.last_updated"]


def test_patterns_are_read_alike_by_other_dialects() -> None:
    patterns = re.findall(r'"pattern": "((?:[^"\\]|\\.)*)"', json.dumps(COMPONENTS))
    assert patterns != []
    for pattern in patterns:
        # What ECMA-262 lacks or reads otherwise: \A, \Z, possessive and atomic groups, inline flags.
        assert not re.search(r"\\\\[AZz]|\+\+|\*\+|\(\?>|\(\?[a-z]", pattern)


def test_schemas_can_be_drawn_for_a_choice_of_types() -> None:
    assert set(json_schema([v221.CommandResponse])) == {
        "CommandResponse",
        "CommandResponseType",
        "DisplayText",
    }
    assert set(json_schema([v221.CiString36])) == set()
