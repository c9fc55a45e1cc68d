"""Edges: the moments at which a partner's view of a Location flips, planned as rows and swept when due.

Nothing is opened or closed by an edge: `decide` reads the clock. An edge only makes sure that partners are told.
"""

import hashlib
import logging
from datetime import datetime

import msgspec
from django.db import transaction

from access.models import Edge
from locations.models import Location
from locations.publication import Publication
from locations.services import rerender_location
from roaming.models import Party

log = logging.getLogger(__name__)

KINDS = {"OPEN": Edge.Kind.OPEN, "LAST_START_PASSED": Edge.Kind.LAST_START, "CLOSED": Edge.Kind.CLOSE}


def plan(*, party: Party, location: Location, publication: Publication | None, now: datetime) -> None:
    """Make the future edge rows of this view exactly those of the publication.

    Runs inside `republish`, which holds the Location's lock. Rows already swept stay as history.
    """
    phases = () if publication is None or publication.ended else publication.phases
    digest = hashlib.sha256(msgspec.msgpack.encode(publication)).hexdigest()[:16]
    wanted = {(KINDS[phase.mask], phase.starts_at) for phase in phases if phase.starts_at > now}
    mine = Edge.objects.filter(party=party, location=location, swept_at__isnull=True)
    known = {(edge.kind, edge.at): edge.pk for edge in mine if edge.at > now}
    Edge.objects.filter(pk__in=[pk for key, pk in known.items() if key not in wanted]).delete()
    Edge.objects.bulk_create(
        [
            Edge(party=party, location=location, kind=kind, at=at, policy_version=digest)
            for kind, at in sorted(wanted)
            if (kind, at) not in known
        ],
        ignore_conflicts=True,
    )


def sweep(*, now: datetime) -> int:
    """Render the Locations whose edges are due, and say how many edges that were.

    Any number of sweepers may run: rows are claimed with SKIP LOCKED, and rendering twice changes nothing.
    """
    swept = 0
    while True:
        with transaction.atomic():
            due = list(
                Edge.objects.select_for_update(skip_locked=True)
                .filter(swept_at__isnull=True, at__lte=now)
                .order_by("at")[:200]
            )
            if not due:
                return swept
            for location in Location.objects.filter(pk__in={edge.location_id for edge in due}).order_by("pk"):
                rerender_location(location=location, now=now)
            Edge.objects.filter(pk__in=[edge.pk for edge in due]).update(swept_at=now)
            swept += len(due)
            log.info("access.edges_swept count=%s", len(due))
