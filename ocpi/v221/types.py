"""Data types that more than one chapter of OCPI 2.2.1 uses (chapter "Types").

Lengths and patterns are part of each type, so that decoding, encoding and JSON Schema share one declaration.
Patterns end in ``(?![\\s\\S])`` because ``$`` lets a trailing line feed pass in Python; both Python and
ECMA-262 (JSON Schema) read it as "end of text". Every pattern is linear in the length of its input.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, get_args

from msgspec import Meta, Struct

_END = r"(?![\s\S])"
_PRINTABLE_ASCII = rf"^[ -~]*{_END}"
# Control characters, lone surrogates, line and paragraph separators, and the marks that reverse or
# isolate the direction of text: none is printable, and the last ones make a name read as another one.
_PRINTABLE = rf"^[^\u0000-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*{_END}"
_HTTP_URL = (
    r"^[hH][tT][tT][pP][sS]?://"
    r"[^\u0000-\u0020\u007f-\u00a0\u2028-\u202e\u2066-\u2069\ud800-\udfff\u0022<>\\]+" + _END
)

INT32_MAX = 2_147_483_647


class Object(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every OCPI object: immutable, members by name only, absent members are left out of the JSON."""


CiString2 = Annotated[str, Meta(min_length=1, max_length=2, pattern=_PRINTABLE_ASCII)]
CiString3 = Annotated[str, Meta(min_length=1, max_length=3, pattern=_PRINTABLE_ASCII)]
CiString4 = Annotated[str, Meta(min_length=1, max_length=4, pattern=_PRINTABLE_ASCII)]
CiString32 = Annotated[str, Meta(min_length=1, max_length=32, pattern=_PRINTABLE_ASCII)]
CiString36 = Annotated[str, Meta(min_length=1, max_length=36, pattern=_PRINTABLE_ASCII)]
CiString39 = Annotated[str, Meta(min_length=1, max_length=39, pattern=_PRINTABLE_ASCII)]
CiString48 = Annotated[str, Meta(min_length=1, max_length=48, pattern=_PRINTABLE_ASCII)]

String4 = Annotated[str, Meta(min_length=1, max_length=4, pattern=_PRINTABLE)]
String10 = Annotated[str, Meta(min_length=1, max_length=10, pattern=_PRINTABLE)]
String16 = Annotated[str, Meta(min_length=1, max_length=16, pattern=_PRINTABLE)]
String20 = Annotated[str, Meta(min_length=1, max_length=20, pattern=_PRINTABLE)]
String45 = Annotated[str, Meta(min_length=1, max_length=45, pattern=_PRINTABLE)]
String64 = Annotated[str, Meta(min_length=1, max_length=64, pattern=_PRINTABLE)]
String100 = Annotated[str, Meta(min_length=1, max_length=100, pattern=_PRINTABLE)]
String255 = Annotated[str, Meta(min_length=1, max_length=255, pattern=_PRINTABLE)]
String512 = Annotated[str, Meta(min_length=1, max_length=512, pattern=_PRINTABLE)]
String5000 = Annotated[str, Meta(min_length=1, max_length=5000, pattern=_PRINTABLE)]

Url = Annotated[str, Meta(min_length=1, max_length=255, pattern=_HTTP_URL)]

CountryCode = Annotated[str, Meta(min_length=2, max_length=2, pattern=rf"^[A-Za-z]{{2}}{_END}")]
"""ISO 3166-1 alpha-2, read in any case."""
PartyCode = Annotated[str, Meta(min_length=3, max_length=3, pattern=rf"^[A-Za-z0-9]{{3}}{_END}")]
"""ISO 15118 party id, read in any case."""
Country = Annotated[str, Meta(min_length=3, max_length=3, pattern=rf"^[A-Za-z]{{3}}{_END}")]
"""ISO 3166-1 alpha-3."""
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern=rf"^[A-Z]{{3}}{_END}")]
"""ISO 4217."""
Language = Annotated[str, Meta(min_length=2, max_length=2, pattern=rf"^[A-Za-z]{{2}}{_END}")]
"""ISO 639-1."""
CredentialsToken = Annotated[str, Meta(min_length=1, max_length=64, pattern=rf"^[!-~]*{_END}")]
"""Printable ASCII without space, U+0021 to U+007E."""

LocalTime = Annotated[
    str, Meta(min_length=5, max_length=5, pattern=rf"^(?:[01][0-9]|2[0-3]):[0-5][0-9]{_END}")
]
"""HH:MM on the clock of the Location."""
LocalDate = Annotated[
    str,
    Meta(
        min_length=10,
        max_length=10,
        pattern=rf"^[12][0-9]{{3}}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]){_END}",
    ),
]
"""YYYY-MM-DD on the calendar of the Location."""
Latitude = Annotated[str, Meta(max_length=10, pattern=rf"^-?[0-9]{{1,2}}\.[0-9]{{5,7}}{_END}")]
Longitude = Annotated[str, Meta(max_length=11, pattern=rf"^-?[0-9]{{1,3}}\.[0-9]{{5,7}}{_END}")]

PATTERN_RULES: dict[str, str] = {
    str(get_args(alias)[1].pattern): rule
    for alias, rule in (
        (CiString36, "holds a character that is not printable ASCII"),
        (String255, "holds a control character or one that cannot be printed"),
        (Url, "must be an absolute http or https URL"),
        (CountryCode, "must be two letters"),
        (PartyCode, "must be three letters or digits"),
        (Country, "must be three letters"),
        (Currency, "must be three capital letters"),
        (Language, "must be two letters"),
        (CredentialsToken, "holds a character outside U+0021 to U+007E"),
        (LocalTime, "must be a time HH:MM"),
        (LocalDate, "must be a date YYYY-MM-DD"),
        (Latitude, "must be degrees with a dot and five to seven decimals"),
        (Longitude, "must be degrees with a dot and five to seven decimals"),
    )
}
"""What each pattern asks for, in words for error texts."""

OcpiDateTime = Annotated[datetime, Meta(tz=True)]
"""An instant; aware, in UTC."""
Number = Decimal
Int = Annotated[int, Meta(ge=-INT32_MAX - 1, le=INT32_MAX)]
Count = Annotated[int, Meta(ge=0, le=INT32_MAX)]
"""A whole number that cannot be negative: volts, watts, seconds, step sizes."""
Pixels = Annotated[int, Meta(ge=0, le=99_999)]
Weekday = Annotated[int, Meta(ge=1, le=7)]
"""1 = Monday … 7 = Sunday."""


class Role(StrEnum):
    """Role of a party (chapter "Types")."""

    CPO = "CPO"
    EMSP = "EMSP"
    HUB = "HUB"
    NAP = "NAP"
    NSP = "NSP"
    OTHER = "OTHER"
    SCSP = "SCSP"


class DisplayText(Object, frozen=True, kw_only=True):
    """A text for people in one language, without markup."""

    language: Language
    text: String512


class Price(Object, frozen=True, kw_only=True):
    """An amount in the currency of the object around it; ``incl_vat`` is absent when VAT is not known."""

    excl_vat: Number
    incl_vat: Number | None = None


class Envelope(Object, frozen=True, kw_only=True):
    """What every OCPI answer looks like (chapter "Transport and format").

    As reader one tolerates a missing ``timestamp``; as writer one always states it.
    """

    data: Any = None
    status_code: Annotated[int, Meta(ge=1000, le=9999)]
    status_message: str | None = None
    timestamp: OcpiDateTime | None = None
