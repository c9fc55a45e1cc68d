"""What a station's clock can be believed. [pure]

A station may tell today what happened days ago, and it may have a wrong clock: one is history, which is decided and
billed by its own time, the other is a fault, which must neither open a closed window nor be billed.
"""

from datetime import datetime, timedelta

# No station keeps its queue for longer; what claims to be older comes from a clock that was never set.
HISTORY = timedelta(days=31)
# More than a station may be ahead, and more than lies between a permission and its start.
TOLERANCE = timedelta(minutes=5)
# From here on a clock is said to be wrong (charging.md 4.4).
ALARM = timedelta(seconds=60)


def is_possible(said: datetime, *, now: datetime, not_before: datetime | None = None) -> bool:
    """Whether something can have happened when the station says; `not_before`: what must have come first."""
    earliest = now - HISTORY if not_before is None else not_before - TOLERANCE
    return earliest <= said <= now + TOLERANCE


def possible(said: datetime, *, now: datetime, not_before: datetime | None = None) -> datetime:
    """The station's time if it is possible, never ahead of ours; else ours."""
    return min(said, now) if is_possible(said, now=now, not_before=not_before) else now


def observed_skew(*, known: int | None, said: datetime, now: datetime) -> int:
    """Seconds that a station's clock is ahead (negative: behind), as far as one more message tells.

    A message may have waited, so it shows the clock at least as far behind as it is: the greatest difference since
    the boot counts. One that is about right is believed at once, as nothing can have made it look so.
    """
    seconds = round((said - now).total_seconds())
    if known is None or seconds > known or abs(seconds) <= ALARM.total_seconds():
        return seconds
    return known


def without_skew(said: datetime, *, skew_seconds: int | None) -> datetime:
    """The station's time on our clock, when its own is known to be wrong."""
    if skew_seconds is None or abs(skew_seconds) <= ALARM.total_seconds():
        return said
    try:
        return said - timedelta(seconds=skew_seconds)
    except OverflowError:
        return said
