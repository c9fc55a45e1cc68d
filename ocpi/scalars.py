"""Numbers and instants between text and value (chapter "Types"). [pure]

Reading is tolerant where peers differ (TYP-05 to TYP-07), writing has one form only (TYP-04).
Every reader raises ValueError with a text that names the rule and the value.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

MAX_NUMBER_CHARS = 32
MAX_EXPONENT = 12
"""Numbers from 10**13 on, and numbers other than 0 below 10**-12, are no energy, time, power or money."""
FIRST_YEAR = 1900
LAST_YEAR = 2200

_MAX_DATETIME_CHARS = 64
_MAX_GIVEN_CHARS = 16
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_DATETIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r"(?:\.([0-9]+))?(?:Z|([+-])([0-9]{2}):([0-9]{2}))?",
    re.ASCII,
)


def given(value: Any) -> str:
    """Return a short, harmless picture of a value for an error text."""
    if isinstance(value, dict):
        return "given an object"
    if isinstance(value, list | tuple):
        return "given an array"
    if value is None:
        return "given null"
    if isinstance(value, bool):
        return f"given {str(value).lower()}"
    if isinstance(value, str):
        shown = value if len(value) <= _MAX_GIVEN_CHARS else value[: _MAX_GIVEN_CHARS - 1] + "..."
        return f"given {shown!r}"
    return f"given {str(value)[: MAX_NUMBER_CHARS + 1]}"


def read_number(value: Any) -> Decimal:
    """Return a JSON number, or a string in plain decimal form, as Decimal."""
    number = _decimal(value)
    if number is None:
        raise ValueError(f"must be a number ({given(value)})")
    return _checked(number, value)


def read_int(value: Any) -> int:
    """Return a whole JSON number, or a string in plain decimal form, as int; 32.0 is whole."""
    number = _decimal(value)
    if number is None:
        raise ValueError(f"must be a whole number ({given(value)})")
    number = _checked(number, value)
    if number % 1:
        raise ValueError(f"must be a whole number ({given(value)})")
    return int(number)


def read_datetime(value: Any) -> datetime:
    """Return an RFC 3339 text as an instant in UTC; no designator means UTC; decimals beyond six are cut."""
    if isinstance(value, datetime):
        return require_aware(value)
    if not isinstance(value, str) or len(value) > _MAX_DATETIME_CHARS:
        raise ValueError(f"must be a date and time such as 2026-03-29T01:30:00Z ({given(value)})")
    match = _DATETIME.fullmatch(value)
    if match is None:
        raise ValueError(f"must be a date and time such as 2026-03-29T01:30:00Z ({given(value)})")
    year, month, day, hour, minute, second, decimals, sign, offset_hours, offset_minutes = match.groups()
    microsecond = int(decimals[:6].ljust(6, "0")) if decimals else 0
    try:
        instant = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), microsecond, UTC
        )
        if sign:
            instant = _shifted(instant, sign, int(offset_hours), int(offset_minutes))
    except (ValueError, OverflowError):
        raise ValueError(f"is no moment of the calendar (given {value!r})") from None
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise ValueError(f"must lie in the years {FIRST_YEAR} to {LAST_YEAR} (given {value!r})")
    return instant


def require_aware(instant: datetime) -> datetime:
    """Return the instant in UTC; raises ValueError when it does not say which time zone it means."""
    if instant.tzinfo is None:
        raise ValueError(f"naive datetime {instant.isoformat()}: state its time zone")
    return instant.astimezone(UTC)


def write_number(number: Decimal) -> str:
    """Return the exact decimal form, digits kept (12.10 stays 12.10), never with an exponent."""
    if not number.is_finite():
        raise ValueError(f"{number} is no JSON number")
    return format(number if number else abs(number), "f")


def write_datetime(instant: datetime) -> str:
    """Return the UTC form with ``Z``, no or three decimals; what is below a millisecond is cut (TYP-04)."""
    instant = require_aware(instant)
    precision = "milliseconds" if instant.microsecond >= 1000 else "seconds"
    return instant.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, str) and len(value) <= MAX_NUMBER_CHARS and _NUMBER.fullmatch(value):
        return Decimal(value)
    return None


def _checked(number: Decimal, value: Any) -> Decimal:
    if not number.is_finite():
        raise ValueError(f"must be a finite number ({given(value)})")
    if not number:
        if number.is_signed():
            raise ValueError("must not be negative zero, send 0")
        return Decimal(0) if "E" in str(number) else number
    if not -MAX_EXPONENT <= number.adjusted() <= MAX_EXPONENT:
        raise ValueError(f"must be 0 or between 1e-{MAX_EXPONENT} and 1e{MAX_EXPONENT + 1} ({given(value)})")
    # 1E+3 and 1000 are one number: keep the form that we would write ourselves, which must be readable again.
    plain = write_number(number)
    if len(plain) > MAX_NUMBER_CHARS:
        raise ValueError(f"must not need more than {MAX_NUMBER_CHARS} characters ({given(value)})")
    return Decimal(plain) if "E" in str(number) else number


def _shifted(instant: datetime, sign: str, hours: int, minutes: int) -> datetime:
    if hours > 23 or minutes > 59:
        raise ValueError("no such offset")
    offset = timedelta(hours=hours, minutes=minutes)
    return instant - offset if sign == "+" else instant + offset
