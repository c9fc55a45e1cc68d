"""What a partner reads: stored documents of its own views as bytes, with no work per object."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from locations.models import Location, PartnerView
from locations.services import refresh_due_views
from ocpi.http import Page
from ocpi.paging import PageQuery
from roaming.models import Party
from roaming.rawsql import fetch

_VIEWS = PartnerView._meta.db_table
_LOCATIONS = Location._meta.db_table
_MINE = "party_id = %s AND own_party_id = %s"


def view_page(*, party: Party, own_party: Party, query: PageQuery, now: datetime) -> Page:
    """One page of what `party` sees of our `own_party`, oldest first: one statement to count, one to read.

    When an edge has passed that no worker has swept yet, the views that it concerns are rendered first.
    """
    where, params = _conditions(party, own_party, query)
    total = _count(where, params, party, own_party, now)
    rows = fetch(
        f"SELECT document FROM {_VIEWS} WHERE {where} ORDER BY id LIMIT %s OFFSET %s",
        [*params, query.limit, query.offset],
    )
    return Page(documents=[row[0] for row in rows], total=total)


def view_document(*, party: Party, own_party: Party, location_id: str, now: datetime) -> bytes | None:
    """The document of one Location, or None when there is none for this party: unknown and forbidden are one."""
    if not (location_id.isascii() and location_id.isprintable()):
        return None
    found = _document(party, own_party, location_id)
    if found and found[1] is not None and found[1] <= now:
        refresh_due_views(party=party, now=now)
        found = _document(party, own_party, location_id)
    return found[0] if found else None


def _document(party: Party, own_party: Party, location_id: str) -> tuple[Any, ...] | None:
    rows = fetch(
        f"SELECT v.document, v.next_edge_at FROM {_VIEWS} v JOIN {_LOCATIONS} l ON l.id = v.location_id"
        " WHERE v.party_id = %s AND v.own_party_id = %s AND l.ocpi_id = %s",
        [party.pk, own_party.pk, location_id.upper()],
    )
    return rows[0] if rows else None


def _conditions(party: Party, own_party: Party, query: PageQuery) -> tuple[str, list[Any]]:
    where = [_MINE]
    params: list[Any] = [party.pk, own_party.pk]
    if query.date_from is not None:
        where.append("last_updated >= %s")
        params.append(query.date_from)
    if query.date_to is not None:
        where.append("last_updated < %s")
        params.append(query.date_to)
    return " AND ".join(where), params


def _count(where: str, params: Sequence[Any], party: Party, own_party: Party, now: datetime) -> int:
    # Counted and looked for in one statement; what is overdue may lie outside the caller's filter.
    counted, is_overdue = fetch(
        f"SELECT (SELECT count(*) FROM {_VIEWS} WHERE {where}),"
        f" EXISTS (SELECT 1 FROM {_VIEWS} WHERE {_MINE} AND next_edge_at <= %s)",
        [*params, party.pk, own_party.pk, now],
    )[0]
    if not is_overdue:
        return int(counted)
    refresh_due_views(party=party, now=now)
    return int(fetch(f"SELECT count(*) FROM {_VIEWS} WHERE {where}", params)[0][0])
