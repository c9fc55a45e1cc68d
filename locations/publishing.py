"""Stored views of Locations: rendering them anew, writing them and owing partners what changed, in one go.

Nothing here opens a transaction: callers hold the Location's row, so nobody else writes its views meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, Self

import msgspec

from locations import stored
from locations.changes import Notice, notices
from locations.models import Location, PartnerView
from locations.publication import Publication
from locations.render import LocationFacts, valid_until
from locations.wire import location_document
from ocpi import codec
from roaming import rawsql
from roaming.delivery.services import owe_state
from roaming.dialect import Dialect
from roaming.models import Party
from roaming.quirks import dialects_of

_TABLE = PartnerView._meta.db_table
COLUMNS = "v.id, v.party_id, v.publication, v.document, v.last_updated, v.next_edge_at"
"""The columns of a View, in its order."""

WHOLE = "*"
"""Among the changed members of an obligation: more has changed than a PATCH can say."""

_WRITE = f"""
UPDATE {_TABLE} AS v SET document = n.document, last_updated = n.last_updated
FROM unnest(%b::bigint[], %b::bytea[], %b::timestamptz[]) AS n (id, document, last_updated)
WHERE v.id = n.id
"""
_PUBLICATION = msgspec.msgpack.Decoder(Publication)


class Place(NamedTuple):
    """A Location as far as telling about it goes: its key, its id, and the key of our party that operates it."""

    pk: int
    ocpi_id: str
    operator_id: int

    @classmethod
    def of(cls, location: Location) -> Self:
        """The place of a row that was loaded with its depot."""
        return cls(location.pk, location.ocpi_id, location.depot.operator_id)


class View(NamedTuple):
    """One stored view, as much of it as rendering needs."""

    pk: int
    party_id: int
    publication: bytes
    document: bytes
    last_updated: datetime
    next_edge_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """A view whose document is not the stored one any more, and what to tell about it."""

    pk: int
    party_id: int
    document: bytes
    last_updated: datetime
    notices: tuple[Notice, ...]


def write_publication(publication: Publication) -> bytes:
    """Return a Publication as it is stored."""
    return msgspec.msgpack.encode(publication)


@lru_cache(maxsize=2048)
def read_publication(content: bytes) -> Publication:
    """Return a stored Publication; most views keep theirs for hours, so the last ones are remembered."""
    return _PUBLICATION.decode(content)


def views_of(location_id: int) -> list[View]:
    """All stored views of a Location."""
    rows = rawsql.fetch(
        f"SELECT {COLUMNS} FROM {_TABLE} v WHERE v.location_id = %s ORDER BY v.id", [location_id]
    )
    return [View(*row) for row in rows]


def rerender(location: Location, facts: LocationFacts, views: Iterable[View], now: datetime) -> bool:
    """Render views with the Publication that they hold; write and owe what changed. True when anything did."""
    changes = []
    views = list(views)
    dialects = dialects_of(view.party_id for view in views)
    for view in views:
        publication = read_publication(view.publication)
        change = _rendered(view, facts, publication, dialects[view.party_id], now)
        if change is not None:
            changes.append(change)
        edge = valid_until(facts, publication, now)
        if edge != view.next_edge_at:
            PartnerView.objects.filter(pk=view.pk).update(next_edge_at=edge)
    apply(Place.of(location), changes, now)
    return bool(changes)


def _rendered(
    view: View, facts: LocationFacts, publication: Publication, dialect: Dialect, now: datetime
) -> Change | None:
    previous = stored.read_location(view.document)
    current = location_document(
        facts=facts,
        publication=publication,
        viewer=view.party_id,
        dialect=dialect,
        previous=previous,
        now=now,
    )
    if current is previous:
        return None
    told = notices(previous, current)
    return Change(view.pk, view.party_id, codec.encode(current), current.last_updated, told)


def apply(place: Place, changes: Sequence[Change], now: datetime) -> None:
    """Write changed documents in one statement, and owe the partners what they must learn."""
    if not changes:
        return
    rawsql.execute(
        _WRITE,
        [
            [each.pk for each in changes],
            [each.document for each in changes],
            [each.last_updated for each in changes],
        ],
    )
    told: dict[Notice, list[int]] = defaultdict(list)
    for each in changes:
        for notice in each.notices:
            told[notice].append(each.party_id)
    for notice, party_ids in told.items():
        owe(place, party_ids, notice, now)


def owe(place: Place, party_ids: Iterable[int], notice: Notice, now: datetime) -> None:
    """Owe these partners the current state of the Location or of one of its EVSEs."""
    is_location = notice.evse_uid is None
    owe_state(
        # Only the keys are looked at: what else there is to know of a party is a join away.
        own_party=Party(pk=place.operator_id),
        parties=[Party(pk=key) for key in party_ids],
        kind="location" if is_location else "evse",
        object_key=place.ocpi_id if is_location else f"{place.ocpi_id}/{notice.evse_uid}",
        changed_fields=notice.changed or (WHOLE,),
        whole=not notice.changed,
        now=now,
    )
