"""How far the clocks of stations are off, as an operator sees it at the station."""

from datetime import datetime

from chargers.models import Station
from charging.moments import observed_skew

# Less is the time that messages travel; not worth a write for each of them.
NOTEWORTHY_SECONDS = 5


def observe(*, identity: str, said: datetime, now: datetime) -> int:
    """Learn from the time in one message; returns the seconds that the station's clock is ahead, as known now."""
    mine = Station.objects.filter(identity=identity)
    known = mine.values_list("clock_skew_seconds", flat=True).first()
    seconds = observed_skew(known=known, said=said, now=now)
    if known is None or abs(seconds - known) >= NOTEWORTHY_SECONDS:
        mine.update(clock_skew_seconds=seconds)
    return seconds
