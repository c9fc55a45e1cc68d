"""Numbers and instants: read in many forms, written in one.

TYP-04, 05, 06, 07, 08.
"""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example as with_example
from hypothesis import given
from hypothesis import strategies as st

from ocpi import codec, v221
from ocpi.codec import Invalid
from tests.ocpi.chapters import calm, example, example_value, refusal

# Numbers that energy, time, power and money can have, at any precision that fits the limit of a token.
plain_numbers = st.decimals(
    min_value=-999_999_999, max_value=999_999_999, allow_nan=False, allow_infinity=False, places=4
) | st.builds(
    lambda digits, places: Decimal(digits).scaleb(-places), st.integers(1, 10**12), st.integers(0, 12)
)
# To the millisecond, which is the precision that we write.
FIRST_DAY = datetime.fromisoformat("1900-01-02")
LAST_DAY = datetime.fromisoformat("2200-12-30")
instants = st.datetimes(FIRST_DAY, LAST_DAY, timezones=st.just(UTC)).map(
    lambda instant: instant.replace(microsecond=instant.microsecond // 1000 * 1000)
)


def number_of(text: Any) -> Decimal:
    return codec.decode(v221.Price, {"excl_vat": text}).excl_vat


@pytest.mark.parametrize(
    ("given_number", "read"),
    [
        ("1.5", "1.5"),
        ("12.10", "12.10"),
        ("-3", "-3"),
        ("0", "0"),
        (7, "7"),
        (Decimal("0.30000000000000004"), "0.30000000000000004"),
        (Decimal("1E+3"), "1000"),
        (Decimal("0E+400"), "0"),
        (Decimal("0.00"), "0.00"),
        (Decimal("1E-12"), "1E-12"),
        (Decimal("9999999999999.99"), "9999999999999.99"),
    ],
)
def test_numbers_are_read_exactly(given_number: Any, read: str) -> None:
    assert str(number_of(given_number)) == read


@pytest.mark.parametrize(
    "given_number",
    [
        *("1_0", "１２", "١٢", "1e3", " 1", "1 ", "+1", ".5", "1.", "01", "", "0x10", "NaN", "Infinity", "-"),
        *("1" * 33, "1,5", "-0", "-0.0"),
        *(True, False, 1.5, [1], {"a": 1}),
        *(
            Decimal("1E+400"),
            Decimal("1E-400"),
            Decimal("1E+13"),
            Decimal("1E-13"),
            Decimal("1.2345678901234567890123456E-12"),
            10**13,
            int("9" * 32),
        ),
        *(Decimal("-0"), Decimal("-0.00"), Decimal("NaN"), Decimal("Infinity"), Decimal("sNaN")),
    ],
)
def test_other_numbers_are_refused(given_number: Any) -> None:
    error = refusal("Price", {"excl_vat": given_number})
    assert error.path == "excl_vat"
    assert error.message.startswith("must ")


def test_negative_zero_is_refused_as_token_of_a_whole_number_too() -> None:
    with pytest.raises(Invalid, match="must not be negative zero, send 0"):
        codec.decode_bytes(v221.Price, b'{"excl_vat":-0}')
    with pytest.raises(Invalid, match="step_size: must not be negative zero"):
        codec.decode_bytes(v221.PriceComponent, b'{"type":"FLAT","price":1,"step_size":-0}')


@pytest.mark.parametrize("given_number", ["400", Decimal("400.0"), Decimal("4E+2"), 400])
def test_whole_numbers_are_read_from_every_form(given_number: Any) -> None:
    read = codec.decode(v221.Connector, example_value("Connector") | {"max_amperage": given_number})
    assert type(read.max_amperage) is int
    assert read == example("Connector")


@pytest.mark.parametrize("given_number", ["400.5", Decimal("0.1"), "4e2", "1_0"])
def test_a_fraction_is_no_whole_number(given_number: Any) -> None:
    error = refusal("Connector", example_value("Connector") | {"max_amperage": given_number})
    assert str(error).startswith("max_amperage: must be a whole number (given ")


def instant_of(text: Any) -> datetime:
    value = {"period_begin": text, "period_end": "2026-01-01T00:00:00Z"}
    return codec.decode(v221.ExceptionalPeriod, value).period_begin


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-03-29T01:30:00Z", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-03-29T01:30:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-03-29T01:30:00.5Z", datetime(2026, 3, 29, 1, 30, 0, 500_000, tzinfo=UTC)),
        ("2026-03-29T01:30:00.123", datetime(2026, 3, 29, 1, 30, 0, 123_000, tzinfo=UTC)),
        ("2026-03-29T01:30:00.1234567899Z", datetime(2026, 3, 29, 1, 30, 0, 123_456, tzinfo=UTC)),
        ("2026-03-29T03:30:00+02:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2026-03-28T20:00:00.250-05:30", datetime(2026, 3, 29, 1, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-03-29T01:30:00+00:00", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1900-01-01T00:00:00Z", datetime(1900, 1, 1, tzinfo=UTC)),
        ("2200-12-31T23:59:59.999999Z", datetime(2200, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    ],
)
def test_instants_are_read_in_the_forms_of_the_specification(text: str, read: datetime) -> None:
    instant = instant_of(text)
    assert instant == read
    assert instant.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *("0001-01-01T00:00:00+12:00", "9999-12-31T23:59:59-23:59", "1899-12-31T23:59:59Z"),
        *("2201-01-01T00:00:00Z", "2200-12-31T23:59:59-00:01", "1900-01-01T00:00:00+00:01"),
        *("2016-12-31T23:59:60Z", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:00Z"),
        *("2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+02:60", "2026-01-01T00:00:00+0200"),
        *("٢٠٢٦-01-01T00:00:00Z", "２026-01-01T00:00:00Z", "2026-01-01 00:00:00Z", "2026-01-01t00:00:00z"),
        *(
            "2026-01-01",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00,5Z",
            "20260101T000000Z",
        ),
        *(" 2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "2026-1-1T00:00:00Z", "", "now"),
        "2026-01-01T00:00:00." + "1" * 100 + "Z",
        *(1767225600, Decimal("1.5"), True, [], {}),
    ],
)
def test_other_instants_are_refused(text: Any) -> None:
    error = refusal("ExceptionalPeriod", {"period_begin": text, "period_end": "2026-01-01T00:00:00Z"})
    assert error.path == "period_begin"


@given(plain_numbers)
@with_example(Decimal("12.10"))
@with_example(Decimal("1E-12"))
@with_example(Decimal("1000000000000.0001"))
@calm
def test_numbers_survive_the_round_trip_digit_by_digit(number: Decimal) -> None:
    if number.is_zero() and number.is_signed():
        number = abs(number)
    price = v221.Price(excl_vat=number, incl_vat=-number if number else number)
    written = codec.encode(price)
    assert written == f'{{"excl_vat":{price.excl_vat:f},"incl_vat":{price.incl_vat:f}}}'.encode()
    assert codec.decode_bytes(v221.Price, written) == price


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("12.10", b"12.10"),
        ("0.0000001", b"0.0000001"),
        ("1E+3", b"1000"),
        ("1E-12", b"0.000000000001"),
        ("-0.00", b"0.00"),
        ("0E+2", b"0"),
        ("100", b"100"),
    ],
)
def test_numbers_are_written_plainly(number: str, text: bytes) -> None:
    assert codec.encode([Decimal(number)]) == b"[" + text + b"]"


def test_tenths_add_up() -> None:
    parts = [codec.decode_bytes(v221.Price, b'{"excl_vat":0.%d}' % tenth).excl_vat for tenth in (1, 2)]
    assert codec.encode(v221.Price(excl_vat=sum(parts, Decimal(0)))) == b'{"excl_vat":0.3}'


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "sNaN"])
def test_what_is_no_number_is_never_written(number: str) -> None:
    with pytest.raises(ValueError, match="is no JSON number"):
        codec.encode(v221.Price(excl_vat=Decimal(number)))


def test_floats_are_never_written() -> None:
    with pytest.raises(TypeError, match=r"0\.1 is a float: use Decimal"):
        codec.encode({"data": [0.1]})


@given(instants, st.integers(-14 * 60, 14 * 60))
@calm
def test_instants_survive_the_round_trip_from_every_zone(instant: datetime, offset_minutes: int) -> None:
    local = instant.astimezone(timezone(timedelta(minutes=offset_minutes)))
    period = v221.ExceptionalPeriod(period_begin=local, period_end=instant)
    assert codec.decode_bytes(v221.ExceptionalPeriod, codec.encode(period)) == period


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (datetime(2026, 3, 29, 1, 30, tzinfo=UTC), "2026-03-29T01:30:00Z"),
        (datetime(2026, 3, 29, 1, 30, 0, 250_000, tzinfo=UTC), "2026-03-29T01:30:00.250Z"),
        (datetime(2026, 3, 29, 1, 30, 0, 999_999, tzinfo=UTC), "2026-03-29T01:30:00.999Z"),
        (datetime(2026, 3, 29, 1, 30, 0, 999, tzinfo=UTC), "2026-03-29T01:30:00Z"),
        (datetime(2026, 3, 29, 3, 30, tzinfo=timezone(timedelta(hours=2))), "2026-03-29T01:30:00Z"),
    ],
)
def test_instants_are_written_in_utc_with_no_or_three_decimals(instant: datetime, text: str) -> None:
    assert codec.encode({"at": instant}) == f'{{"at":"{text}"}}'.encode()


def test_an_instant_without_zone_is_a_fault_of_ours() -> None:
    with pytest.raises(ValueError, match="naive datetime 2026-03-29T01:30:00: state its time zone"):
        codec.encode({"at": datetime(2026, 3, 29, 1, 30)})  # noqa: DTZ001 (that is the point)


def test_absent_members_and_empty_lists_of_objects_are_left_out() -> None:
    references = v221.LocationReferences(location_id="gent-noord", evse_uids=())
    assert codec.encode(references) == b'{"location_id":"gent-noord"}'
    assert codec.encode({"data": [references], "empty": [], "none": None}) == (
        b'{"data":[{"location_id":"gent-noord"}],"empty":[],"none":null}'
    )


def test_texts_are_written_as_utf8() -> None:
    assert codec.encode(v221.DisplayText(language="nl", text="Gênt ⚡")) == (
        '{"language":"nl","text":"Gênt ⚡"}'.encode()
    )
