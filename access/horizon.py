"""Keeps the published schedules and the planned edges two weeks ahead of the clock."""

from datetime import datetime

from access.services import republish
from locations.models import Location


def extend(*, now: datetime) -> int:
    """Publish every Location again; documents that do not change push nothing. Returns how many were looked at."""
    locations = Location.objects.order_by("pk")
    for location in locations.iterator(chunk_size=200):
        republish(location=location, now=now)
    return locations.count()
