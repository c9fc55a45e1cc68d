"""Parsed JSON to objects: tolerance, and errors that say what to do."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ocpi import codec, v221
from ocpi.codec import Invalid
from tests.ocpi.chapters import OBJECTS, calm, example, example_value, json_values, refusal


@given(name=st.sampled_from(sorted(OBJECTS)), value=json_values)
@settings(calm, max_examples=1000)
def test_decode_raises_nothing_but_invalid_on_any_value(name: str, value: Any) -> None:
    text = ""
    try:
        codec.decode(OBJECTS[name], value)
    except Invalid as error:
        text = str(error)
    assert text.isprintable()


def slots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container and key inside a parsed value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in list(pairs):
        yield value, key
        yield from slots(member)


@pytest.mark.parametrize("name", ["Location", "CDR", "StartSession", "SetChargingProfile", "Credentials"])
@given(data=st.data())
@calm
def test_one_wild_value_in_a_sound_object_is_read_or_refused(name: str, data: st.DataObject) -> None:
    value = example_value(name)
    container, key = data.draw(st.sampled_from(list(slots(value))))
    container[key] = data.draw(json_values)
    text = ""
    try:
        written = codec.encode(codec.decode(OBJECTS[name], value))
    except Invalid as error:
        text = str(error)
    else:
        assert codec.encode(codec.decode_bytes(OBJECTS[name], written)) == written
    assert text.isprintable()


@pytest.mark.parametrize("value", [None, [], "x", 5, True, Decimal("1.5")])
def test_json_of_the_wrong_shape_is_invalid_not_malformed(value: Any) -> None:
    assert str(refusal("Token", value)).startswith("must be an object (given ")


def test_unknown_members_are_ignored_whatever_they_hold() -> None:
    value = example_value("Location") | {"x_new": {"a": ["\ud800", "\x00"]}, "data": Decimal("1E+400")}
    value["evses"][0]["connectors"][0]["colour"] = None
    assert codec.decode(v221.Location, value) == example("Location")


def test_null_is_absence_at_every_depth() -> None:
    value = example_value("Location")
    value["evses"][0] |= {"capabilities": None, "floor_level": None}
    value["operator"]["logo"]["width"] = None
    read = codec.decode(v221.Location, value)
    assert (read.evses[0].capabilities, read.evses[0].floor_level) == ((), None)
    assert read.operator is not None
    assert read.operator.logo is not None
    assert read.operator.logo.width is None


def test_null_inside_a_list_is_no_absence() -> None:
    value = example_value("Location")
    value["evses"].append(None)
    assert str(refusal("Location", value)) == "evses[1]: must be an object (given null)"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"id": "a" * 40},
            "evses[0].connectors[0].id: longer than 36 characters (given 'aaaaaaaaaaaaaaa...')",
        ),
        (
            {"id": "lijn\n5"},
            "evses[0].connectors[0].id: holds a character that is not printable ASCII (given 'lijn\\n5')",
        ),
        (
            {"standard": "iec"},
            "evses[0].connectors[0].standard: is none of the words that the specification lists, case counts "
            "(given 'iec')",
        ),
        ({"max_voltage": -1}, "evses[0].connectors[0].max_voltage: must be at least 0 (given -1)"),
        (
            {"max_voltage": 2**31},
            "evses[0].connectors[0].max_voltage: must be at most 2147483647 (given 2147483648)",
        ),
        ({"tariff_ids": "GAST"}, "evses[0].connectors[0].tariff_ids: must be an array (given 'GAST')"),
        ({"tariff_ids": ["GAST", 5]}, "evses[0].connectors[0].tariff_ids[1]: must be a string (given 5)"),
        ({"power_type": None}, "evses[0].connectors[0].power_type: is required"),
        (
            {"last_updated": "soon"},
            "evses[0].connectors[0].last_updated: must be a date and time such as 2026-03-29T01:30:00Z "
            "(given 'soon')",
        ),
        (
            {"terms_and_conditions": "none"},
            "evses[0].connectors[0].terms_and_conditions: must be an absolute http or https URL "
            "(given 'none')",
        ),
    ],
)
def test_errors_name_path_rule_and_value(change: dict[str, Any], text: str) -> None:
    value = example_value("Location")
    value["evses"][0]["connectors"][0] |= change
    assert str(refusal("Location", value)) == text


def test_errors_of_rules_across_members_name_the_member_to_change() -> None:
    value = example_value("Location")
    value["opening_times"]["twentyfourseven"] = True
    error = refusal("Location", value)
    assert error.path == "opening_times.regular_hours"
    assert error.message == "not allowed when twentyfourseven is true, leave them out"


@pytest.mark.parametrize("member", ["uid", "contract_id", "visual_number"])
def test_errors_never_repeat_what_identifies_a_driver(member: str) -> None:
    text = "04E1A2B3C4D5F6" * 5
    error = refusal(
        "StartSession", example_value("StartSession") | {"token": example_value("Token") | {member: text}}
    )
    assert error.path == f"token.{member}"
    assert text[:4] not in error.message
    assert error.message.endswith("(given 70 characters)")


def test_broken_objects_of_a_pulled_list_are_skipped() -> None:
    sound = example_value("Token")
    no_valid = {key: value for key, value in sound.items() if key != "valid"}
    read, broken = codec.decode_each(v221.Token, [sound, no_valid, None, sound | {"uid": "2"}])
    assert [token.uid for token in read] == ["04E1A2B3C4D5F6", "2"]
    assert [str(error) for error in broken] == [
        "[1].valid: is required",
        "[2]: must be an object (given null)",
    ]


def test_unknown_versions_modules_and_roles_of_a_peer_can_be_left_out() -> None:
    endpoint = example_value("Endpoint")
    versions = [example_value("Version"), {"version": "9.9", "url": "https://peer.example/9.9"}]
    endpoints = [endpoint, endpoint | {"identifier": "nltnm-tokens"}, endpoint | {"role": "OBSERVER"}]
    assert [each.version for each in codec.decode_each(v221.Version, versions)[0]] == ["2.2.1"]
    assert codec.decode_each(v221.Endpoint, endpoints)[0] == [example("Endpoint")]


def test_an_envelope_is_read_without_timestamp_and_with_its_code_as_text() -> None:
    read = codec.decode_bytes(v221.Envelope, b'{"status_code":"1000","data":{"a":null}}')
    assert read == v221.Envelope(status_code=1000, data={"a": None})
