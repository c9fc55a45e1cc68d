"""Objects of OCPI 2.2.1 against the chapters' own tables.

Length, kind of text, cards and enum words of every member: TYP-01, 02, 03, 10, 11, 12; LOC-30; CDR-26; OBJ-02.
"""

import enum
import time
from typing import Any

import msgspec
import pytest

from ocpi import codec, v221
from tests.ocpi.chapters import (
    EVERY_MEMBER,
    FOLDER,
    MEMBERS,
    OBJECTS,
    WORDS,
    Member,
    example,
    example_bytes,
    example_value,
    file_of,
    ids,
    refusal,
)

FIXED_FORMS = {
    "country_code": "be",
    "party_id": "yrd",
    "country": "BEL",
    "currency": "EUR",
    "language": "nl",
    "latitude": "51.0824101",
    "longitude": "103.7411201",
    "start_time": "23:59",
    "end_time": "00:00",
    "start_date": "2026-02-28",
    "end_date": "2026-12-31",
}
TEXT_KINDS = ("string", "CiString", "URL")
TEXT_MEMBERS = [case for case in EVERY_MEMBER if case[1].kind in TEXT_KINDS]
ENUM_MEMBERS = [case for case in EVERY_MEMBER if case[1].type in WORDS]
OF_KIND = {
    kind: [case for case in EVERY_MEMBER if case[1].kind == kind]
    for kind in ("string", "CiString", "URL", "DateTime", "number", "int", "boolean")
}


def is_fixed(name: str, member: Member) -> bool:
    return member.name in FIXED_FORMS or (name == "RegularHours" and member.name.startswith("period"))


def longest(name: str, member: Member) -> str:
    """Return a text of exactly the listed length that is right for the member."""
    if name == "RegularHours":
        return "20:00"
    if member.name in FIXED_FORMS:
        return FIXED_FORMS[member.name]
    if member.kind == "URL":
        return "https://yardgate.example/".ljust(member.length, "a")
    return "é" * member.length if member.kind == "string" and member.name != "token" else "~" * member.length


def with_member(name: str, member: Member, given: Any) -> dict[str, Any]:
    return example_value(name) | {member.name: [given] if member.is_list else given}


def path_of(member: Member) -> str:
    return f"{member.name}[0]" if member.is_list else member.name


def test_every_object_of_the_chapters_is_declared() -> None:
    assert set(OBJECTS) - {"Envelope"} == set(MEMBERS)


def test_every_object_has_an_example_of_its_own() -> None:
    assert {path.name for path in (FOLDER / "examples").iterdir()} == {file_of(name).name for name in OBJECTS}


@pytest.mark.parametrize("name", MEMBERS)
def test_members_have_the_chapters_names_and_order(name: str) -> None:
    assert [field.name for field in msgspec.structs.fields(OBJECTS[name])] == [
        member.name for member in MEMBERS[name]
    ]


@pytest.mark.parametrize("name", MEMBERS)
def test_the_example_fills_every_member(name: str) -> None:
    assert list(example_value(name)) == [member.name for member in MEMBERS[name]]


@pytest.mark.parametrize("name", OBJECTS)
def test_example_survives_the_round_trip_byte_for_byte(name: str) -> None:
    written = codec.encode(example(name))
    assert written == example_bytes(name)
    assert codec.decode_bytes(OBJECTS[name], written) == example(name)


@pytest.mark.parametrize("name", OBJECTS)
def test_objects_cannot_be_changed(name: str) -> None:
    thing = example(name)
    with pytest.raises(AttributeError):
        setattr(thing, thing.__struct_fields__[0], None)


@pytest.mark.parametrize("name", WORDS)
def test_enums_hold_exactly_the_listed_words(name: str) -> None:
    assert {word.value for word in getattr(v221, name)} == set(WORDS[name])
    assert all(issubclass(getattr(v221, name), enum.StrEnum) for name in WORDS)


def lacking(name: str, member: Member) -> list[dict[str, Any]]:
    """Return the example without the member, and with the forms that mean the same."""
    without = {key: value for key, value in example_value(name).items() if key != member.name}
    forms = [without, without | {member.name: None}]
    return [*forms, without | {member.name: []}] if member.card == "*" else forms


def depends(name: str, member: Member) -> bool:
    """Tell whether a rule across members demands this one in the example."""
    return (name, member.name) in {
        ("Hours", "regular_hours"),
        ("CDR", "credit_reference_id"),
        ("PublishTokenType", "type"),
        ("PublishTokenType", "issuer"),
        ("StartSession", "evse_uid"),
    }


@pytest.mark.parametrize(("name", "member"), EVERY_MEMBER, ids=ids)
def test_cards_are_enforced(name: str, member: Member) -> None:
    if member.card in "1+":
        for form in lacking(name, member):
            error = refusal(name, form)
            assert (error.path, error.message) == (member.name, "is required")
    elif not depends(name, member):
        read = [codec.decode(OBJECTS[name], form) for form in lacking(name, member)]
        assert all(each == read[0] for each in read)
        assert getattr(read[0], member.name) == (() if member.card == "*" else None)
        assert member.name not in codec.parse(codec.encode(read[0]))


@pytest.mark.parametrize(("name", "member"), [case for case in EVERY_MEMBER if case[1].card == "+"], ids=ids)
def test_lists_of_one_or_more_refuse_an_empty_list(name: str, member: Member) -> None:
    error = refusal(name, example_value(name) | {member.name: []})
    assert (error.path, error.message) == (member.name, "needs at least 1 entry (given an array)")


@pytest.mark.parametrize(("name", "member"), TEXT_MEMBERS, ids=ids)
def test_the_longest_text_is_accepted_and_kept(name: str, member: Member) -> None:
    text = longest(name, member)
    assert len(text) == member.length
    read = getattr(codec.decode(OBJECTS[name], with_member(name, member, text)), member.name)
    assert read == ((text,) if member.is_list else text)


@pytest.mark.parametrize(("name", "member"), TEXT_MEMBERS, ids=ids)
def test_one_character_more_is_refused(name: str, member: Member) -> None:
    text = longest(name, member)
    error = refusal(name, with_member(name, member, text + text[-1]))
    assert error.path == path_of(member)
    if not is_fixed(name, member):
        assert error.message.startswith(f"longer than {member.length} characters (given ")


@pytest.mark.parametrize(("name", "member"), TEXT_MEMBERS, ids=ids)
def test_a_text_without_characters_is_refused(name: str, member: Member) -> None:
    assert refusal(name, with_member(name, member, "")).path == path_of(member)


@pytest.mark.parametrize(
    "character", ["\x00", "\t", "\n", "\r", "\x1f", "\x7f", "\x85", "\ud800", "\u202e", "\u2028"]
)
@pytest.mark.parametrize(("name", "member"), TEXT_MEMBERS, ids=ids)
def test_what_cannot_be_printed_is_refused_at_any_place(name: str, member: Member, character: str) -> None:
    text = longest(name, member)[: member.length - 1]
    for given in (character + text, text + character, text[:2] + character + text[2:]):
        error = refusal(name, with_member(name, member, given))
        assert error.path == path_of(member)
        assert character not in str(error)


@pytest.mark.parametrize(("name", "member"), OF_KIND["CiString"], ids=ids)
@pytest.mark.parametrize("text", ["é", "Ａ", "\u212a", "ß", "😀"])
def test_a_cistring_is_ascii(name: str, member: Member, text: str) -> None:
    assert refusal(name, with_member(name, member, text)).path == path_of(member)


@pytest.mark.parametrize(
    "text", ["Gênt Nöord", "Зарядка", "充電", "🔌 perron 3", "O'Hara & <zoon>", " Gent "]
)
def test_a_string_takes_every_printable_character(text: str) -> None:
    place = codec.decode(v221.Location, example_value("Location") | {"name": text})
    assert place.name == text
    assert codec.decode_bytes(v221.Location, codec.encode(place)) == place


def test_a_cistring_keeps_the_case_in_which_it_came() -> None:
    assert codec.decode(v221.Token, example_value("Token") | {"uid": "AbC"}).uid == "AbC"


@pytest.mark.parametrize(("name", "member"), ENUM_MEMBERS, ids=ids)
def test_words_of_enums_are_exact(name: str, member: Member) -> None:
    for word in WORDS[member.type]:
        read = getattr(codec.decode(OBJECTS[name], with_member(name, member, word)), member.name)
        assert read == ((word,) if member.is_list else word)
    for wrong in (WORDS[member.type][0].swapcase(), WORDS[member.type][0] + " ", "NONSENSE", ""):
        if wrong not in WORDS[member.type]:
            error = refusal(name, with_member(name, member, wrong))
            assert error.path == path_of(member)
            assert error.message.startswith("is none of the words that the specification lists")


@pytest.mark.parametrize(("name", "member"), EVERY_MEMBER, ids=ids)
def test_a_value_of_another_type_is_refused_with_its_path(name: str, member: Member) -> None:
    wrong: list[Any] = [True, {"x": 1}, "nonsense", 17]
    if member.type in MEMBERS:
        wrong = [True, "nonsense", 17]
    elif member.kind in TEXT_KINDS:
        wrong = [True, {"x": 1}, 17]
    elif member.kind == "boolean":
        wrong = [1, 0, "true", "yes", {"x": 1}]
    elif member.kind in ("number", "int"):
        wrong = [True, False, {"x": 1}, "nonsense"]
    for given in [*wrong, [[]]]:
        assert refusal(name, with_member(name, member, given)).path.startswith(member.name)


@pytest.mark.parametrize(("name", "member"), OF_KIND["int"], ids=ids)
def test_whole_numbers_stay_within_their_bounds(name: str, member: Member) -> None:
    most = {"weekday": 7, "width": 99_999, "height": 99_999}.get(member.name, 2**31 - 1)
    least = {"weekday": 1, "encoding_method_version": -(2**31)}.get(member.name, 0)
    for good in (most, least):
        assert getattr(codec.decode(OBJECTS[name], with_member(name, member, good)), member.name) == good
    for bad in (most + 1, least - 1, 2**63, int("9" * 32)):
        assert refusal(name, with_member(name, member, bad)).path == member.name


@pytest.mark.parametrize(("name", "member"), TEXT_MEMBERS, ids=ids)
def test_no_pattern_is_slow_on_hostile_text(name: str, member: Member) -> None:
    for hostile in ("a" * 100_000 + "!", "https://" + "a" * 100_000 + " ", "1" * 100_000 + "\n"):
        value = with_member(name, member, hostile)
        spent = []
        for _ in range(3):
            begun = time.perf_counter()
            refusal(name, value)
            spent.append(time.perf_counter() - begun)
        assert min(spent) < 0.05
