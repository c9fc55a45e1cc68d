"""JSON text to value and back, and PATCH: limits, exactness, merge.

HTP-05, 06, 12, 13; OBJ-01, 04, 12.
"""

import contextlib
import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import example as with_example
from hypothesis import given
from hypothesis import strategies as st

from ocpi import codec, v221
from ocpi.codec import MAX_BYTES, MAX_DEPTH, MAX_NODES, Invalid, MalformedJson
from tests.ocpi.chapters import EVERY_MEMBER, OBJECTS, calm, example, example_value, ids, json_values


def reason(body: bytes) -> str:
    with pytest.raises(MalformedJson) as caught:
        codec.parse(body)
    return str(caught.value)


def test_numbers_come_as_int_or_exact_decimal() -> None:
    parsed = codec.parse(b"[0, -17, 12.10, 1e3, 0.30000000000000004, 1.0]")
    assert [type(number) for number in parsed] == [int, int, Decimal, Decimal, Decimal, Decimal]
    assert [str(number) for number in parsed] == ["0", "-17", "12.10", "1E+3", "0.30000000000000004", "1.0"]


@pytest.mark.parametrize(
    ("body", "value"),
    [(b"null", None), (b"[]", []), (b' {"a" : "\\u00e9"} \r\n', {"a": "é"}), (b'"x"', "x"), (b"5", 5)],
)
def test_every_json_value_is_parsed(body: bytes, value: Any) -> None:
    assert codec.parse(body) == value


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"uid":', "body is not JSON"),
        (b"", "body is not JSON"),
        (b"  ", "body is not JSON"),
        (b'{"a":1}x', "body is not JSON"),
        (b"{'a':1}", "body is not JSON"),
        (b'{"a":01}', "body is not JSON"),
        (b'{"a":+1}', "body is not JSON"),
        (b'{"a":.5}', "body is not JSON"),
        (b'{"a":1,}', "body is not JSON"),
        (b'"tab\there"', "body is not JSON"),
        (b'"nul\x00here"', "body is not JSON"),
        (b'{"a":NaN}', "body holds NaN"),
        (b"[Infinity]", "body holds Infinity"),
        (b"[-Infinity]", "body holds -Infinity"),
        (b'{"a":1,"a":2}', "body names a member twice"),
        (b'[{"b":{"a":1,"\\u0061":1}}]', "body names a member twice"),
        (b"\xef\xbb\xbf{}", "body starts with a byte order mark"),
        (b'{"a":"\xff"}', "body is not UTF-8 at byte 6"),
        (b'{"a":"\xed\xa0\x80"}', "body is not UTF-8 at byte 6"),
        ('{"a":1}'.encode("utf-16"), "body is not UTF-8 at byte 0"),
        (b"1" * 33, "body holds a number of more than 32 characters"),
        (b"[0." + b"1" * 31 + b"]", "body holds a number of more than 32 characters"),
        (b"[" + b"9" * 5000 + b"]", "body holds a number of more than 32 characters"),
        (b"[1e99999999999999999999]", "body holds a number beyond any range"),
    ],
)
def test_what_is_no_json_is_malformed(body: bytes, text: str) -> None:
    assert reason(body).startswith(text)


def test_a_number_may_have_32_characters() -> None:
    assert codec.parse(b"9" * 32) == int("9" * 32)
    assert codec.parse(b"0." + b"1" * 30) == Decimal("0." + "1" * 30)


def test_a_body_may_have_one_mebibyte() -> None:
    assert codec.parse(b" " * (MAX_BYTES - 1) + b"5") == 5
    assert reason(b" " * MAX_BYTES + b"5") == f"body is longer than {MAX_BYTES} bytes"
    assert codec.parse(b" " * MAX_BYTES + b"5", max_bytes=2 * MAX_BYTES) == 5


def nested(depth: int, opener: bytes = b"[", closer: bytes = b"]", core: bytes = b"") -> bytes:
    return opener * depth + core + closer * depth


def test_a_body_may_be_nested_32_levels() -> None:
    assert str(codec.parse(nested(MAX_DEPTH))) == "[" * 32 + "]" * 32
    assert codec.parse(b"[" + b"[]," * 100 + nested(MAX_DEPTH - 1) + b"]")[0] == []
    for depth in (33, 5000, MAX_NODES - 1):
        assert reason(nested(depth)) == "body is nested deeper than 32 levels"
    assert reason(nested(MAX_NODES)) == "body holds more than 100000 values"
    assert reason(nested(33, b'{"a":', b"}", b"1")) == "body is nested deeper than 32 levels"


@pytest.mark.parametrize("text", ["[" * 100, "]" * 100, '\\"[{' * 50, "," * 200_000, "\\\\"])
def test_brackets_and_commas_in_texts_do_not_count(text: str) -> None:
    body = json.dumps({"a": text, "b": [[]] * 40, "c": text}).encode()
    assert codec.parse(body) == {"a": text, "b": [[]] * 40, "c": text}


def test_a_body_may_hold_100000_values() -> None:
    most = b"[" + b",".join([b"1"] * (MAX_NODES - 1)) + b"]"
    assert len(codec.parse(most)) == MAX_NODES - 1
    assert reason(most[:-1] + b",1]") == "body holds more than 100000 values"
    assert reason(b"[" + b"{}," * 100_000 + b"{}]") == "body holds more than 100000 values"


@pytest.mark.parametrize(
    "body", [b'"' + b'\\"' * 500_000, b'["' * 300_000, b"[" * MAX_BYTES, b'"\\' * 500_000, b'{"a":' * 200_000]
)
def test_hostile_bodies_are_refused_quickly(body: bytes) -> None:
    begun = time.perf_counter()
    reason(body)
    assert time.perf_counter() - begun < 0.5


@given(
    st.binary(max_size=200)
    | st.text(alphabet='[]{}",:0-9eE.\\ \ttrufalsn\ud800', max_size=60).map(
        lambda text: text.encode("utf-8", "replace")
    )
)
@with_example(b"\x00")
@calm
def test_parse_raises_nothing_but_malformed(body: bytes) -> None:
    with contextlib.suppress(MalformedJson):
        codec.parse(body)


@given(json_values)
@calm
def test_what_we_write_is_what_we_parse(value: Any) -> None:
    try:
        written = codec.encode(value)
    except UnicodeEncodeError:
        return
    assert codec.parse(written) == value


@pytest.mark.parametrize("name", OBJECTS)
def test_an_empty_patch_changes_nothing(name: str) -> None:
    thing = example(name)
    assert codec.merge(thing, {}) == thing


@pytest.mark.parametrize(("name", "member"), EVERY_MEMBER, ids=ids)
def test_a_patch_of_one_member_changes_only_that_member(name: str, member: Any) -> None:
    thing = example(name)
    value = example_value(name)[member.name]
    patched = codec.merge(thing, {member.name: value})
    assert patched == thing
    other = {
        "string": "Brugge",
        "CiString": "GENT",
        "number": Decimal("7.5"),
        "DateTime": "2026-06-01T12:00:00Z",
    }.get(member.kind)
    if other is None or member.is_list or member.length < 36:
        return
    patched = codec.merge(thing, {member.name: other})
    changed = [field for field in thing.__struct_fields__ if getattr(patched, field) != getattr(thing, field)]
    assert changed == [member.name]


def test_a_patch_keeps_what_is_not_named() -> None:
    token = example("Token")
    patched = codec.merge(token, {"valid": False, "last_updated": "2026-02-12T00:00:00Z", "x_new": 1})
    assert patched == msgspec.structs.replace(
        token, valid=False, last_updated=datetime(2026, 2, 12, tzinfo=UTC)
    )
    assert token == example("Token")


def test_null_in_a_patch_removes_an_optional_member() -> None:
    patched = codec.merge(example("Token"), {"group_id": None, "energy_contract": None})
    assert (patched.group_id, patched.energy_contract) == (None, None)


def test_null_in_a_patch_of_a_required_member_is_refused() -> None:
    with pytest.raises(Invalid, match=r"^issuer: is required$"):
        codec.merge(example("Token"), {"issuer": None})


def test_lists_and_objects_in_a_patch_replace_the_member_whole() -> None:
    connector = codec.merge(example("Connector"), {"tariff_ids": ["15"]})
    assert connector.tariff_ids == ("15",)
    place = codec.merge(example("Location"), {"operator": {"name": "De Lijn"}, "evses": []})
    assert place.operator == v221.BusinessDetails(name="De Lijn")
    assert place.evses == ()


def test_a_patch_is_checked_like_a_whole_object() -> None:
    with pytest.raises(Invalid, match=r"^publish_allowed_to: only allowed when publish is false$"):
        codec.merge(example("Location"), {"publish": True})
    with pytest.raises(Invalid, match=r"^valid: must be true or false"):
        codec.merge(example("Token"), {"valid": "yes"})


@pytest.mark.parametrize("patch", [None, [], "x", 5])
def test_a_patch_is_an_object(patch: Any) -> None:
    with pytest.raises(Invalid, match=r"^must be an object \(given "):
        codec.merge(example("Token"), patch)


@given(st.dictionaries(st.sampled_from([*v221.Token.__struct_fields__, "x"]), json_values, max_size=4))
@calm
def test_merging_twice_is_merging_once(patch: dict[str, Any]) -> None:
    try:
        patched = codec.merge(example("Token"), patch)
    except Invalid:
        return
    assert codec.merge(patched, patch) == patched
