"""Rules of the chapters on the form of a member and across members."""

from typing import Any

import msgspec
import pytest

from ocpi import codec, v221
from tests.ocpi.chapters import example, example_value, refusal


def test_publish_allowed_to_needs_an_unpublished_location() -> None:
    error = refusal("Location", example_value("Location") | {"publish": True})
    assert str(error) == "publish_allowed_to: only allowed when publish is false"
    with pytest.raises(ValueError, match="only allowed when publish is false"):
        msgspec.structs.replace(example("Location"), publish=True)


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({}, "publish_allowed_to: set at least one of uid, visual_number, group_id"),
        ({"issuer": "De Lijn"}, "publish_allowed_to: set at least one of uid, visual_number, group_id"),
        ({"uid": "04C2"}, "type: needed next to uid"),
        ({"visual_number": "DL 1"}, "issuer: needed next to visual_number"),
        ({"group_id": "DELIJN", "visual_number": "DL 1"}, "issuer: needed next to visual_number"),
    ],
)
def test_publish_token_type_names_whom_it_means(members: dict[str, Any], text: str) -> None:
    assert str(refusal("PublishTokenType", members)) == text


@pytest.mark.parametrize(
    "members",
    [{"group_id": "DELIJN"}, {"uid": "04C2", "type": "RFID"}, {"visual_number": "DL 1", "issuer": "De Lijn"}],
)
def test_publish_token_type_with_one_identity_is_enough(members: dict[str, Any]) -> None:
    assert codec.encode(codec.decode(v221.PublishTokenType, members)) == codec.encode(members)


def test_hours_are_around_the_clock_or_listed() -> None:
    listed = example_value("Hours")
    assert str(refusal("Hours", listed | {"twentyfourseven": True})) == (
        "regular_hours: not allowed when twentyfourseven is true, leave them out"
    )
    assert str(refusal("Hours", {"twentyfourseven": False, "regular_hours": []})) == (
        "regular_hours: at least one entry is needed when twentyfourseven is false"
    )
    assert codec.decode(v221.Hours, {"twentyfourseven": True}) == v221.Hours(twentyfourseven=True)


@pytest.mark.parametrize(("begin", "end"), [("22:00", "06:00"), ("08:00", "08:00"), ("00:00", "00:00")])
def test_hours_past_midnight_are_read_as_they_are(begin: str, end: str) -> None:
    hours = {"weekday": 7, "period_begin": begin, "period_end": end}
    assert codec.decode(v221.RegularHours, hours).period_end == end


@pytest.mark.parametrize("text", ["24:00", "7:00", "07:60", "07.00", "0700", "０7:00", "07:00:00", " 7:00"])
def test_a_local_time_is_hours_and_minutes_of_the_day(text: str) -> None:
    assert refusal("RegularHours", example_value("RegularHours") | {"period_end": text}).path == "period_end"


@pytest.mark.parametrize(
    "text", ["2026-13-01", "2026-00-10", "2026-01-32", "26-01-01", "2026/01/01", "3026-01-01"]
)
def test_a_local_date_is_year_month_day(text: str) -> None:
    error = refusal("TariffRestrictions", {"start_date": text})
    assert error.path == "start_date"


@pytest.mark.parametrize(
    ("latitude", "accepted"),
    [
        ("52.10000", True),
        ("-3.7411201", True),
        ("0.00000", True),
        ("52.1", False),
        ("52.1000", False),
        ("52.12345678", False),
        ("-51.0824101", False),
        ("52,10000", False),
        ("+52.10000", False),
        ("５2.10000", False),
        ("152.10000", False),
        ("52.10000\n", False),
    ],
)
def test_coordinates_are_degrees_with_five_to_seven_decimals(latitude: str, accepted: bool) -> None:
    place = {"latitude": latitude, "longitude": "4.12345"}
    if accepted:
        assert codec.decode(v221.GeoLocation, place).latitude == latitude
    else:
        assert refusal("GeoLocation", place).path == "latitude"


@pytest.mark.parametrize(
    ("shares", "accepted"),
    [
        (["100"], True),
        (["62.5", "37.5"], True),
        (["33.3", "33.3", "33.3"], True),
        (["99.5"], True),
        (["99.4"], False),
        (["60", "41"], False),
        (["100.6"], False),
        (["150", "-50"], False),
        ([], True),
    ],
)
def test_energy_sources_add_up_to_100(shares: list[str], accepted: bool) -> None:
    mix = {
        "is_green_energy": True,
        "energy_sources": [{"source": "WIND", "percentage": share} for share in shares],
    }
    if accepted:
        assert len(codec.decode(v221.EnergyMix, mix).energy_sources) == len(shares)
    else:
        assert refusal("EnergyMix", mix).path.startswith("energy_sources")


def test_start_session_names_the_evse_of_its_connector() -> None:
    value = example_value("StartSession")
    del value["evse_uid"]
    assert str(refusal("StartSession", value)) == "evse_uid: needed next to connector_id"
    del value["connector_id"]
    assert codec.decode(v221.StartSession, value).evse_uid is None


def test_a_credit_cdr_names_the_cdr_that_it_credits() -> None:
    value = example_value("CDR")
    del value["credit_reference_id"]
    assert str(refusal("CDR", value)) == "credit_reference_id: needed when credit is true"
    assert codec.decode(v221.CDR, value | {"credit": False}).credit_reference_id is None


def test_a_role_is_listed_once_in_any_case() -> None:
    value = example_value("Credentials")
    value["roles"].append(value["roles"][0] | {"party_id": "yrd", "country_code": "be"})
    assert str(refusal("Credentials", value)) == "roles: CPO BE-YRD is listed twice, list it once"
    value["roles"][2]["role"] = "EMSP"
    assert len(codec.decode(v221.Credentials, value).roles) == 3


@pytest.mark.parametrize("token", ["two words", "tab\there", "é", "x" * 65, "\x7f", "line\n"])
def test_a_credentials_token_is_printable_and_never_repeated_in_the_error(token: str) -> None:
    error = refusal("Credentials", example_value("Credentials") | {"token": token})
    assert error.path == "token"
    assert token not in str(error)
    assert f"(given {len(token)} characters)" in str(error)


def test_every_printable_character_may_be_in_a_credentials_token() -> None:
    printable = "".join(chr(code) for code in range(0x21, 0x7F))
    for token in (printable[:64], printable[64:]):
        assert codec.decode(v221.Credentials, example_value("Credentials") | {"token": token}).token == token


def test_a_charging_rate_is_not_rounded_before_it_is_judged() -> None:
    period = {"start_period": 0, "limit": "8." + "0" * 29 + "1"}
    assert refusal("ChargingProfilePeriod", period).path == "limit"


@pytest.mark.parametrize(("rate", "accepted"), [("8", True), ("8.1", True), ("8.10", True), ("8.15", False)])
def test_charging_rates_have_at_most_one_decimal(rate: str, accepted: bool) -> None:
    period = {"start_period": 0, "limit": rate}
    profile = {"charging_rate_unit": "A", "min_charging_rate": rate}
    if accepted:
        assert codec.decode(v221.ChargingProfilePeriod, period).start_period == 0
        assert codec.decode(v221.ChargingProfile, profile).duration is None
    else:
        assert str(refusal("ChargingProfilePeriod", period)) == "limit: at most one decimal (given 8.15)"
        assert (
            str(refusal("ChargingProfile", profile)) == "min_charging_rate: at most one decimal (given 8.15)"
        )


@pytest.mark.parametrize(
    "url",
    [
        "www.yardgate.example",
        "/ocpi/versions",
        "ftp://yardgate.example",
        "javascript:alert(1)",
        "https://",
        "https://yardgate.example/a b",
        "https://yardgate.example/\r\nX: 1",
        "https://yardgate.example/<script>",
        'https://yardgate.example/"',
        "https://yardgate.example\\@evil.example",
    ],
)
def test_a_url_is_absolute_and_has_no_blank(url: str) -> None:
    assert refusal("StopSession", {"response_url": url, "session_id": "S1"}).path == "response_url"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/r?id=7&x=%20", "HTTPS://Yardgate.example", "https://café.example/laden"]
)
def test_a_url_may_have_port_query_and_letters_of_any_script(url: str) -> None:
    assert codec.decode(v221.StopSession, {"response_url": url, "session_id": "S1"}).response_url == url


def test_signed_data_of_5000_characters_passes_unaltered() -> None:
    value = example_value("SignedData")
    value["signed_values"][0]["plain_data"] = "AP;0;3;" + "=" * 4993
    read = codec.decode(v221.SignedData, value)
    assert codec.parse(codec.encode(read)) == value
