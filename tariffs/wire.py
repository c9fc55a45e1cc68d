"""Stored tariffs as OCPI objects, and the stamps of what partners see of them."""

from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from ocpi import codec, v221
from roaming.dialect import LAST_MINUTE, NEXT_DAY, Dialect
from tariffs.models import Tariff

UNSTAMPED = datetime(1970, 1, 1, tzinfo=UTC)

_TICK = timedelta(milliseconds=1)


def tariff_object(tariff: Tariff) -> v221.Tariff:
    """The tariff as it was last accepted."""
    return codec.decode_bytes(v221.Tariff, bytes(tariff.document))


def document(tariff: v221.Tariff, stamp: datetime) -> bytes:
    """The tariff as JSON bytes with this `last_updated`."""
    return codec.encode(replace(tariff, last_updated=stamp))


def worded(tariff: v221.Tariff, dialect: Dialect) -> v221.Tariff:
    """The tariff for a partner that reads the end of a day as 23:59: times that end at 00:00 end there.

    The other way round a tariff stays as it is: in it 23:59 is a price's own end, a minute before midnight.
    """
    if dialect.midnight_as != LAST_MINUTE:
        return tariff
    return replace(tariff, elements=tuple(_until_last_minute(element) for element in tariff.elements))


def _until_last_minute(element: v221.TariffElement) -> v221.TariffElement:
    restrictions = element.restrictions
    if restrictions is None or restrictions.end_time != NEXT_DAY:
        return element
    return replace(element, restrictions=replace(restrictions, end_time=LAST_MINUTE))


def next_stamp(previous: datetime | None, now: datetime) -> datetime:
    """Return `now` in whole milliseconds, but later than `previous` even when the clock was set back."""
    stamp = now.astimezone(UTC)
    stamp = stamp.replace(microsecond=stamp.microsecond // 1000 * 1000)
    return stamp if previous is None or stamp > previous else previous + _TICK
