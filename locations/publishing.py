"""Stored views of Locations: rendering them anew, writing them and owing partners what changed, in one go.

Nothing here opens a transaction: callers hold the Location's row, so nobody else writes its views meanwhile.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import msgspec

from locations import rawsql, stored
from locations.changes import Notice, notices
from locations.models import Location, PartnerView
from locations.publication import Publication
from locations.render import LocationFacts, valid_until
from locations.wire import location_document
from ocpi import codec
from roaming.delivery.services import owe_state
from roaming.models import Party

_TABLE = PartnerView._meta.db_table
_WRITE = f"""
UPDATE {_TABLE} AS v SET document = n.document, last_updated = n.last_updated
FROM unnest(%b::bigint[], %b::bytea[], %b::timestamptz[]) AS n (id, document, last_updated)
WHERE v.id = n.id
"""
_PUBLICATION = msgspec.msgpack.Decoder(Publication)


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
    columns = ", ".join(("id", *View._fields[1:]))
    rows = rawsql.fetch(f"SELECT {columns} FROM {_TABLE} WHERE location_id = %s ORDER BY id", [location_id])
    return [View(*row) for row in rows]


def rerender(location: Location, facts: LocationFacts, views: Iterable[View], now: datetime) -> bool:
    """Render views with the Publication that they hold; write and owe what changed. True when anything did."""
    changes = []
    for view in views:
        publication = read_publication(view.publication)
        change = _rendered(view, facts, publication, now)
        if change is not None:
            changes.append(change)
        edge = valid_until(facts, publication, now)
        if edge != view.next_edge_at:
            PartnerView.objects.filter(pk=view.pk).update(next_edge_at=edge)
    apply(location, changes, now)
    return bool(changes)


def _rendered(view: View, facts: LocationFacts, publication: Publication, now: datetime) -> Change | None:
    previous = stored.read_location(view.document)
    current = location_document(
        facts=facts, publication=publication, viewer=view.party_id, previous=previous, now=now
    )
    if current is previous:
        return None
    told = notices(previous, current)
    return Change(view.pk, view.party_id, codec.encode(current), current.last_updated, told)


def apply(location: Location, changes: Sequence[Change], now: datetime) -> None:
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
    parties = Party.objects.select_related("platform").in_bulk({each.party_id for each in changes})
    for notice, party_ids in told.items():
        owe(location, [parties[key] for key in party_ids], notice, now)


def owe(location: Location, parties: Sequence[Party], notice: Notice, now: datetime) -> None:
    """Owe these partners the current state of the Location or of one of its EVSEs."""
    is_location = notice.evse_uid is None
    owe_state(
        own_party=location.depot.operator,
        parties=parties,
        kind="location" if is_location else "evse",
        object_key=location.ocpi_id if is_location else f"{location.ocpi_id}/{notice.evse_uid}",
        changed_fields=notice.changed,
        whole=not notice.changed,
        now=now,
    )
