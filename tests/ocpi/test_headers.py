"""Authorization and routing headers."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi.headers import PartyId, Routing, authorization, parse_routing, read_authorization, routing_headers
from ocpi.status import OcpiError, StatusCode
from tests.ocpi.chapters import calm

RANDSTAD_TAXI = PartyId("NL", "EMS")
YARDGATE = PartyId("BE", "YRD")
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))
tokens = st.text(PRINTABLE, min_size=1, max_size=64)


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def test_a_token_is_sent_as_base64_of_its_bytes() -> None:
    assert authorization("example-token") == "Token ZXhhbXBsZS10b2tlbg=="


def test_a_token_is_sent_bare_to_peers_that_never_encode() -> None:
    assert authorization("example-token", raw=True) == "Token example-token"


@given(tokens)
@calm
def test_every_token_is_read_as_it_was_sent(token: str) -> None:
    assert read_authorization(authorization(token)) == token
    assert read_authorization(authorization(token, raw=True), raw=True) == token


@pytest.mark.parametrize("token", ["", "x" * 65, "two words", "é", "line\n", "\x7f"])
def test_a_token_that_cannot_be_one_is_not_sent(token: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 characters"):
        authorization(token)


@pytest.mark.parametrize("scheme", ["Token", "token", "TOKEN", "tOkEn"])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    assert read_authorization(f"{scheme} ZXhhbXBsZS10b2tlbg==") == "example-token"


def test_the_token_itself_keeps_its_case() -> None:
    assert read_authorization(authorization("aBc")) == "aBc"


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" ", b"\t\n"])
def test_white_space_at_the_end_of_the_decoded_token_is_dropped(end: bytes) -> None:
    assert read_authorization("Token " + encoded(b"example-token" + end)) == "example-token"
    assert read_authorization("Token " + encoded(b"x" * 64 + end)) == "x" * 64


DAMAGED = [
    "",
    "Token",
    "Token ",
    "Bearer x",
    "Bearer ZXhhbXBsZS10b2tlbg==",
    "token x",
    "Token  ZXhhbXBsZS10b2tlbg==",
    "Token\tZXhhbXBsZS10b2tlbg==",
    " Token ZXhhbXBsZS10b2tlbg==",
    "Token ZXhhbXBsZS10b2tlbg== ",
    "Token ZXhhbXBsZS10b2tlbg==, Token ZXhhbXBsZS10b2tlbg==",
    "ZXhhbXBsZS10b2tlbg==",
    "TokenZXhhbXBsZS10b2tlbg==",
    "Token " + "A" * 10_240,
    "Token ZXhhbXBsZS10b2tlbg",
    "Token ZXhhbXBsZS10b2tlbg=",
    "Token ZXhhbXBsZS10b2tlbg===",
    "Token ZXhhbXBsZS10b2tlbh==",
    "Token ZXhhb=XBsZS10b2tlbg=",
    "Token ZXhhbXBsZS10b2tlbg==\n",
    "Token ZXhhbXBs\nZS10b2tlbg==",
    "Token example-token",
    "Token ====",
    "Token é",
    "Token \x00",
    "Tokên ZXhhbXBsZS10b2tlbg==",
    "To\u212aen ZXhhbXBsZS10b2tlbg==",
    "Token " + base64.urlsafe_b64encode(b"\x3e\x3f~~?>").decode().replace("+", "-"),
    "Token " + encoded(b"\xff\xfe"),
    "Token " + encoded("é".encode()),
    "Token " + encoded(b"two words"),
    "Token " + encoded(b" leading"),
    "Token " + encoded(b"nul\x00"),
    "Token " + encoded(b"\n"),
    "Token " + encoded(b"x" * 65),
]


@pytest.mark.parametrize("value", DAMAGED)
def test_a_damaged_header_holds_no_token(value: str) -> None:
    assert read_authorization(value) is None


def test_the_url_safe_alphabet_is_refused() -> None:
    assert read_authorization("Token " + encoded(b">>>???")) == ">>>???"
    assert read_authorization("Token " + base64.urlsafe_b64encode(b">>>???").decode()) is None


def test_base64_of_base64_is_another_token() -> None:
    assert read_authorization("Token " + encoded(b"ZXhhbXBsZS10b2tlbg==")) == "ZXhhbXBsZS10b2tlbg=="


@pytest.mark.parametrize("value", ["Token " + "x" * 65, "Token two words", "Token", "Bearer x", "Token é"])
def test_a_damaged_raw_header_holds_no_token(value: str) -> None:
    assert read_authorization(value, raw=True) is None


@given(
    st.text()
    | st.text().map(lambda text: "Token " + text)
    | st.binary().map(lambda raw: "Token " + encoded(raw))
)
@calm
def test_no_header_makes_reading_fail(value: str) -> None:
    for raw in (False, True):
        token = read_authorization(value, raw=raw)
        assert token is None or (1 <= len(token) <= 64 and set(token) <= set(PRINTABLE))


def test_parties_are_the_same_in_any_case() -> None:
    assert PartyId.of("nl", "eMs") == RANDSTAD_TAXI
    assert str(PartyId.of("nl", "ems")) == "NL-EMS"


@pytest.mark.parametrize("party_id", ["ſms", "ＥMS", "emß", "\u212ams", "ıms"])
def test_look_alikes_stay_other_parties(party_id: str) -> None:
    assert PartyId.of("NL", party_id) == ("NL", party_id)


HEADERS = {
    "OCPI-to-country-code": "BE",
    "OCPI-to-party-id": "YRD",
    "OCPI-from-country-code": "NL",
    "OCPI-from-party-id": "EMS",
}


def test_routing_headers_are_written_and_read_back() -> None:
    assert routing_headers(to=YARDGATE, from_=RANDSTAD_TAXI) == HEADERS
    assert parse_routing(HEADERS) == Routing(to=YARDGATE, from_=RANDSTAD_TAXI)


def test_an_open_request_has_no_addressee() -> None:
    headers = routing_headers(from_=RANDSTAD_TAXI)
    assert list(headers) == ["OCPI-from-country-code", "OCPI-from-party-id"]
    assert parse_routing(headers) == Routing(to=None, from_=RANDSTAD_TAXI)


def test_messages_without_routing_headers_are_read() -> None:
    assert routing_headers() == {}
    assert parse_routing({"Accept": "*/*"}) == Routing(to=None, from_=None)
    assert parse_routing({"OCPI-to-party-id": "", "OCPI-to-country-code": " "}) == Routing(None, None)


def test_names_and_values_are_read_in_any_case() -> None:
    assert parse_routing({name.swapcase(): value.lower() for name, value in HEADERS.items()}) == Routing(
        to=YARDGATE, from_=RANDSTAD_TAXI
    )


@pytest.mark.parametrize("left_out", HEADERS)
def test_half_a_pair_is_refused(left_out: str) -> None:
    with pytest.raises(OcpiError) as caught:
        parse_routing({name: value for name, value in HEADERS.items() if name != left_out})
    assert (caught.value.status_code, caught.value.http_status) == (StatusCode.INVALID_PARAMETERS, 200)
    assert caught.value.message.endswith("send both or neither")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OCPI-to-country-code", "B"),
        ("OCPI-to-country-code", "BEL"),
        ("OCPI-to-country-code", "B1"),
        ("OCPI-to-party-id", "YR"),
        ("OCPI-to-party-id", "YRDX"),
        ("OCPI-from-party-id", "ＥMS"),
        ("OCPI-from-party-id", "E\u212aS"),
        ("OCPI-from-party-id", "E S"),
        ("OCPI-from-party-id", "E\x00S"),
    ],
)
def test_what_is_no_party_is_refused(name: str, value: str) -> None:
    with pytest.raises(OcpiError) as caught:
        parse_routing(HEADERS | {name: value})
    assert caught.value.status_code == 2001
    assert caught.value.message.startswith(f"{name}: must be ")
    assert caught.value.message.isprintable()
