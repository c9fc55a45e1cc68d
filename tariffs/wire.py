"""Stored tariffs as OCPI objects, and the stamps of what partners see of them."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ocpi import codec, v221
from tariffs.models import Tariff

UNSTAMPED = datetime(1970, 1, 1, tzinfo=UTC)

_TICK = timedelta(milliseconds=1)


def tariff_object(tariff: Tariff) -> v221.Tariff:
    """The tariff as it was last accepted."""
    return codec.decode_bytes(v221.Tariff, bytes(tariff.document))


def document(tariff: v221.Tariff, stamp: datetime) -> bytes:
    """The tariff as JSON bytes with this `last_updated`."""
    return codec.encode(replace(tariff, last_updated=stamp))


def next_stamp(previous: datetime | None, now: datetime) -> datetime:
    """Return `now` in whole milliseconds, but later than `previous` even when the clock was set back."""
    stamp = now.astimezone(UTC)
    stamp = stamp.replace(microsecond=stamp.microsecond // 1000 * 1000)
    return stamp if previous is None or stamp > previous else previous + _TICK
