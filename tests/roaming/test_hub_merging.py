"""Putting objects together on their text: nothing that nobody touched may change, be dropped or be doubled."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi import codec
from ocpi.scalars import write_datetime
from roaming.hub import merging

START = datetime(2026, 3, 11, 8, 0, tzinfo=UTC)
# Numbers that a float would change, and members that no chapter knows.
ODD = b'{"x_price":0.100000000000000000010,"x_big":123456789012345678901234567890,"x_deep":{"a":[1, 2]}}'

stamps = st.integers(0, 600).map(lambda second: START + timedelta(seconds=second))
uids = st.sampled_from(["E1", "e1", "E2", "E3", "E*4"])


def at(second: int) -> str:
    return write_datetime(START + timedelta(seconds=second))


def evse(uid: str, stamp: str, **members: Any) -> dict[str, Any]:
    return {
        "uid": uid,
        "status": "AVAILABLE",
        "connectors": [{"id": "1", "last_updated": stamp}],
        "x_owner": f"of {uid}",
        "last_updated": stamp,
    } | members


def location(*evses: dict[str, Any], stamp: str = at(0)) -> bytes:
    whole = {"id": "LOC1", "evses": list(evses), "x_unknown": "odd", "last_updated": stamp}
    return json.dumps(whole).encode().replace(b'"odd"', ODD)


def parsed(document: bytes) -> Any:
    return codec.parse(document)


@st.composite
def locations(draw: st.DrawFn) -> bytes:
    names = draw(st.lists(st.sampled_from(["E1", "E2", "E3", "E*4"]), unique=True))
    evses = [evse(name, write_datetime(draw(stamps))) for name in names]
    # A Location is as new as the newest of its parts.
    return location(
        *evses, stamp=max([write_datetime(draw(stamps)), *(each["last_updated"] for each in evses)])
    )


@given(locations(), uids, stamps)
def test_a_part_that_was_put_is_there_and_the_others_are_as_before(
    whole: bytes, uid: str, stamp: datetime
) -> None:
    """LOC-15, LOC-16, HUB-14: byte by byte; the stamp above never goes back."""
    entry = json.dumps(evse(uid, write_datetime(stamp), status="CHARGING")).encode()
    merged = merging.with_part(whole, [uid], entry)
    assert merging.part(merged, [uid]) == entry
    before = {each["uid"].upper(): each for each in parsed(whole)["evses"]}
    after = {each["uid"].upper(): each for each in parsed(merged)["evses"]}
    assert after == before | {uid.upper(): parsed(entry)}
    assert len(parsed(merged)["evses"]) == len(after)
    assert merging.stamp_of(merged) == max(merging.stamp_of(whole), stamp)
    assert merging.members(merged)["x_unknown"] == merging.members(whole)["x_unknown"]


@given(locations(), uids, stamps)
def test_putting_a_part_twice_is_putting_it_once(whole: bytes, uid: str, stamp: datetime) -> None:
    """OBJ-13."""
    entry = json.dumps(evse(uid, write_datetime(stamp))).encode()
    once = merging.with_part(whole, [uid], entry)
    assert merging.with_part(once, [uid], entry) == once


@given(locations(), stamps)
def test_a_connector_moves_the_stamps_of_all_that_holds_it(whole: bytes, stamp: datetime) -> None:
    """LOC-15."""
    connector = json.dumps({"id": "2", "last_updated": write_datetime(stamp), "x": 1}).encode()
    ids = [each["uid"] for each in parsed(whole)["evses"]]
    if not ids:
        with pytest.raises(KeyError):
            merging.with_part(whole, ["E1", "2"], connector)
        return
    merged = merging.with_part(whole, [ids[0], "2"], connector)
    assert merging.part(merged, [ids[0].lower(), "2"]) == connector
    held, above = merging.part(whole, [ids[0]]), merging.part(merged, [ids[0]])
    assert held is not None
    assert above is not None
    assert merging.stamp_of(above) == max(merging.stamp_of(held), stamp)
    assert merging.stamp_of(merged) == max(merging.stamp_of(whole), stamp)
    assert [each["id"] for each in parsed(above)["connectors"]] == ["1", "2"]


@given(locations(), st.lists(uids, unique_by=str.upper), st.integers(0, 600))
def test_a_patch_of_a_location_never_drops_an_evse(whole: bytes, named: list[str], second: int) -> None:
    """DIS-24: told apart by uid; older ones are left as they are, new ones come last."""
    entries = [{"uid": uid, "status": "BLOCKED", "last_updated": at(second)} for uid in named]
    patch = json.dumps({"evses": entries, "name": "Gent", "last_updated": at(second)}).encode()
    merged = merging.patched_location(whole, patch)
    before = {each["uid"].upper(): each for each in parsed(whole)["evses"]}
    after = {each["uid"].upper(): each for each in parsed(merged)["evses"]}
    assert list(after) == [*before, *(uid.upper() for uid in named if uid.upper() not in before)]
    for uid, each in after.items():
        known = before.get(uid)
        is_named = uid in {name.upper() for name in named}
        if known is not None and (not is_named or at(second) < known["last_updated"]):
            assert each == known
        elif known is not None:
            assert (each["status"], each["x_owner"]) == ("BLOCKED", f"of {known['uid']}")
    assert (parsed(merged)["name"], parsed(merged)["x_unknown"]) == ("Gent", parsed(ODD))


@pytest.mark.parametrize("evses", [b"null", b"[]"])
def test_a_patch_with_no_evses_says_nothing_of_them(evses: bytes) -> None:
    """DIS-24."""
    whole = location(evse("E1", at(0)))
    merged = merging.patched_location(
        whole, b'{"evses":' + evses + b',"last_updated":"' + at(5).encode() + b'"}'
    )
    assert parsed(merged) == parsed(whole) | {"last_updated": at(5)}


def test_a_patch_replaces_what_it_names_and_null_removes() -> None:
    """OBJ-04, OBJ-12, HUB-14: what is left alone keeps its digits."""
    merged = merging.patched(
        b'{"kwh": 12.10, "x": 1.0e2, "gone": 1, "tariff_ids": ["1", "2"]}',
        b'{"tariff_ids": ["15"], "gone": null, "also_gone": null}',
    )
    assert merged == b'{"kwh":12.10,"x":1.0e2,"tariff_ids":["15"]}'


def periods(*starts: int, volume: str = "1.5") -> list[dict[str, Any]]:
    return [
        {"start_date_time": at(start), "dimensions": [{"type": "ENERGY", "volume": float(volume)}]}
        for start in starts
    ]


@given(st.lists(st.integers(0, 20), unique=True), st.lists(st.integers(0, 20), unique=True))
def test_periods_are_appended_once(known: list[int], given_: list[int]) -> None:
    """SES-10, DIS-25."""
    session = json.dumps({"id": "S1", "charging_periods": periods(*known), "last_updated": at(0)}).encode()
    patch = json.dumps({"charging_periods": periods(*given_), "last_updated": at(1)}).encode()
    merged = merging.patched_session(session, patch)
    starts = [each["start_date_time"] for each in parsed(merged).get("charging_periods", [])]
    assert starts == [at(each) for each in [*known, *(each for each in given_ if each not in known)]]
    assert merging.patched_session(merged, patch) == merged


def test_a_period_that_starts_alike_and_says_something_else_is_appended() -> None:
    """SES-10, DIS-25: only exact duplicates are dropped, whatever the notation of their start."""
    session = json.dumps({"charging_periods": periods(0), "last_updated": at(0)}).encode()
    other = json.dumps({"charging_periods": periods(0, volume="2.5"), "last_updated": at(1)}).encode()
    assert len(parsed(merging.patched_session(session, other))["charging_periods"]) == 2
    same = periods(0)
    same[0]["start_date_time"] = "2026-03-11T09:00:00.000+01:00"
    patch = json.dumps({"charging_periods": same, "last_updated": at(1)}).encode()
    assert len(parsed(merging.patched_session(session, patch))["charging_periods"]) == 1


@pytest.mark.parametrize("empty", [b"null", b"[]"])
def test_an_empty_list_of_periods_changes_nothing(empty: bytes) -> None:
    """SES-10."""
    session = json.dumps({"charging_periods": periods(0, 9), "last_updated": at(0)}).encode()
    merged = merging.patched_session(session, b'{"charging_periods":' + empty + b',"last_updated":"x"}')
    assert parsed(merged)["charging_periods"] == parsed(session)["charging_periods"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=3), json_values, max_size=4))
def test_order_spaces_and_null_do_not_make_a_difference(value: dict[str, Any]) -> None:
    """CDR-06: and neither does how a number is written."""
    shuffled = dict(reversed(value.items()))
    one, other = json.dumps(value), json.dumps(shuffled | {"x_null": None}, indent=2)
    assert merging.is_same(one.encode(), other.encode())
    assert not merging.is_same(one.encode(), json.dumps(value | {"x_more": 1}).encode())
    assert merging.is_same(b'{"a":12.10}', b'{"a":12.1}')
    assert not merging.is_same(b'{"a":true}', b'{"a":1}')


@pytest.mark.parametrize(
    ("patch", "path"),
    [
        (b'{"evses":"E1"}', "evses"),
        (b'{"evses":[1]}', "evses[0]"),
        (b'{"evses":[{}]}', "uid"),
        (b'{"evses":[{"uid":1}]}', "uid"),
        (b"[]", ""),
    ],
)
def test_a_patch_of_the_wrong_shape_names_the_member(patch: bytes, path: str) -> None:
    """HTP-06, STS-03."""
    with pytest.raises(codec.Invalid) as caught:
        merging.patched_location(location(evse("E1", at(0))), patch)
    assert caught.value.path == path


def test_half_a_character_is_refused() -> None:
    """HTP-05: it could be kept, but never be read again."""
    with pytest.raises(codec.MalformedJson):
        merging.members(b'{"x_unknown":"\\ud800"}')


def test_decimals_survive_every_way() -> None:
    """HUB-14."""
    merged = merging.with_part(location(evse("E1", at(0))), ["E1"], b'{"uid":"E1","last_updated":"%s","x":%s}' % (
        at(1).encode(), ODD))  # fmt: skip
    assert parsed(merged)["evses"][0]["x"]["x_price"] == Decimal("0.100000000000000000010")
    assert ODD in merged
