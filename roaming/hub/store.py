"""Documents that were pushed to a party of ours: the statements that find and write them.

A document is the owner's own JSON text. Whoever writes locks its row, or writes in one statement: of two pushes at once
the one with the newer ``last_updated`` stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Any

from django.db.models import QuerySet

from roaming import rawsql
from roaming.hub.models import HubDocument
from roaming.models import Party

_TABLE = HubDocument._meta.db_table
_INSERT = f"""
INSERT INTO {_TABLE} AS known
    (recipient_id, owner_id, module, object_key, document, last_updated, received_at, is_deleted)
VALUES (%(recipient)s, %(owner)s, %(module)s, %(key)s, %(document)s, %(last_updated)s, %(now)s, false)
ON CONFLICT (recipient_id, owner_id, module, object_key)
"""
# Older news is acknowledged and ignored (DIS-28), also after a deletion; an equal repetition writes nothing (OBJ-13).
_KEEP = f"""
{_INSERT} DO UPDATE SET document = EXCLUDED.document, last_updated = EXCLUDED.last_updated,
    received_at = EXCLUDED.received_at, is_deleted = false
WHERE known.last_updated <= EXCLUDED.last_updated AND (known.document <> EXCLUDED.document OR known.is_deleted)
RETURNING (xmax = 0)
"""
_KEEP_ONCE = f"{_INSERT} DO NOTHING RETURNING true"


@dataclass(frozen=True)
class Place:
    """Where one object is kept: by who got it, whose it is, and its id in upper case (DIS-17)."""

    recipient: Party
    owner: Party
    module: str
    object_key: str


class Outcome(Enum):
    """What a push has changed."""

    ADDED = auto()
    CHANGED = auto()
    NOTHING = auto()


def find(place: Place) -> bytes | None:
    """Return the document, or None when there is none or its owner deleted it."""
    document = _rows(place).values_list("document", flat=True).first()
    return None if document is None else bytes(document)


def row_of(place: Place) -> HubDocument:
    """Return the row, deleted or not, without its document. Raises HubDocument.DoesNotExist."""
    rows = HubDocument.objects.filter(
        recipient=place.recipient, owner=place.owner, module=place.module, object_key=place.object_key
    )
    return rows.select_related("owner").defer("document").get()


def lock(place: Place) -> bytes | None:
    """As ``find``, and keep others from writing it until the end of the transaction."""
    row = _rows(place).select_for_update().only("document").first()
    return None if row is None else bytes(row.document)


def keep(place: Place, document: bytes, *, last_updated: datetime, now: datetime) -> Outcome:
    """Store a document unless a newer one is known."""
    written = rawsql.fetch_one(_KEEP, _values(place, document, last_updated, now))
    if written is None:
        return Outcome.NOTHING
    return Outcome.ADDED if written[0] else Outcome.CHANGED


def keep_once(place: Place, document: bytes, *, last_updated: datetime, now: datetime) -> bool:
    """Store a document that never changes; False when there is one under its id already (CDR-06)."""
    return rawsql.fetch_one(_KEEP_ONCE, _values(place, document, last_updated, now)) is not None


def forget(place: Place, *, now: datetime) -> bool:
    """Mark a document as deleted by its owner; False when there was none."""
    return bool(_rows(place).update(is_deleted=True, received_at=now))


def _rows(place: Place) -> QuerySet[HubDocument]:
    return HubDocument.objects.filter(
        recipient=place.recipient,
        owner=place.owner,
        module=place.module,
        object_key=place.object_key,
        is_deleted=False,
    )


def _values(place: Place, document: bytes, last_updated: datetime, now: datetime) -> Mapping[str, Any]:
    return {
        "recipient": place.recipient.pk,
        "owner": place.owner.pk,
        "module": place.module,
        "key": place.object_key,
        "document": document,
        "last_updated": last_updated,
        "now": now,
    }
