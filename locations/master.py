"""Changing what a Location is made of by hand: its texts, its bays, their connectors.

Whoever changes them holds the Location's row first, as everything else that writes its bays and views does;
the partners' views follow in the same transaction.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from django.db import transaction

from locations.models import Location
from locations.services import rerender_location


@contextmanager
def changing(*, location_id: int | None, now: datetime) -> Iterator[None]:
    """Hold a Location while its rows are written, then bring all views of it to the present.

    None: a Location that is about to be made; nobody is shown it yet.
    """
    with transaction.atomic():
        location = (
            Location.objects.select_for_update().filter(pk=location_id).first() if location_id else None
        )
        yield
        if location is not None:
            rerender_location(location=location, now=now)
