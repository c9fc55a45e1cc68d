"""GET all over 20 CPOs with 500 Locations each: the first and the last page of 50, against a bare read of the same rows.

Rates are per second of processor time, ours and the database's together, as in core.py.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.http import HttpResponse

from bench.core import side_by_side
from bench.hub_members import Members, caller, location, members, request
from bench.seed import Seed
from bench.table import Row, share
from locations.models import PartnerView
from roaming.hub import aggregate
from roaming.models import HubDocument
from roaming.routing import Route

CPOS, PAGE = 20, 50
PATH = "/ocpi/2.2.1/sender/locations"
_TABLE = HubDocument._meta.db_table
_BARE = f"SELECT document FROM {_TABLE} WHERE recipient_id = %s AND module = 'locations' ORDER BY id LIMIT %s OFFSET %s"
_COUNT = f"SELECT count(*) FROM {_TABLE} WHERE recipient_id = %s AND module = 'locations'"


def measure(seed: Seed, *, quick: bool, now: datetime) -> Iterator[Row]:
    """Yield the lines of GET all."""
    each = 50 if quick else 500
    with (
        members(cpos=CPOS, emsps=1) as behind,
        psycopg.connect(settings.DATABASE_URL, autocommit=True) as bare,
    ):
        _keep(behind, each, now)
        total = CPOS * each
        for name, query, offset in (
            ("first", f"limit={PAGE}", 0),
            ("last", f"limit={PAGE}&offset={total - PAGE}&totals=KEPT.{total}", total - PAGE),
        ):
            yield _page(behind, bare, name, query, offset, seconds=0.3 if quick else 1.0, total=total)


def _keep(behind: Members, each: int, now: datetime) -> None:
    document = json.loads(bytes(PartnerView.objects.order_by("id")[0].document))
    HubDocument.objects.bulk_create(
        [
            HubDocument(
                recipient=behind.hub, owner=cpo, module="locations", object_key=f"L{number}",
                document=json.dumps(location(document, cpo, f"L{number}", now), separators=(",", ":")).encode(),
                last_updated=now - timedelta(seconds=number),
            )
            for number in range(each)
            for cpo in behind.cpos
        ],
        batch_size=500,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(f"VACUUM ANALYZE {_TABLE}")


def _page(
    behind: Members,
    bare: psycopg.Connection[Any],
    name: str,
    query: str,
    offset: int,
    *,
    seconds: float,
    total: int,
) -> Row:
    (emsp,) = behind.emsps
    asker, route = caller(emsp, behind.hub), Route("locations", "SENDER")

    def ours() -> None:
        answer = aggregate.answer(request("GET", PATH, query=query), route, asker)
        if answer["X-Total-Count"] != str(total):
            raise RuntimeError(f"the list was answered {answer.content[:200]!r}")

    def theirs() -> None:
        rows = bare.execute(_BARE, [behind.hub.pk, PAGE, offset], prepare=True, binary=True).fetchall()
        if offset == 0:
            bare.execute(_COUNT, [behind.hub.pk], prepare=True).fetchone()
        HttpResponse(b'{"data":[' + b",".join(row[0] for row in rows) + b'],"status_code":1000}')

    rate, bare_rate = side_by_side(ours, theirs, bare, seconds)
    return share(
        f"GET all, {total:,} Locations of {CPOS} CPOs, {name} {PAGE}", ours=rate, bare=bare_rate, of_bare=0.5
    )
