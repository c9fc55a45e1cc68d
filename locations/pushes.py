"""What partners are told about Locations and EVSEs (chapter "Locations module", receiver interface).

Both kinds share one lane: were they sent side by side, a Location rendered before a status change could arrive after
it. Nothing is ever deleted: an EVSE ends with the status REMOVED (LOC-07).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from locations import stored
from locations.changes import STATUS_MEMBERS
from locations.models import Location, PartnerView
from locations.publishing import WHOLE
from locations.services import reword_views
from roaming.models import Lane, Obligation, Party, Platform
from roaming.pushes import Message, Push, register
from roaming.rawsql import fetch

LOCATION = "location"

_VIEWS = f"""
SELECT v.party_id, l.ocpi_id, v.document, o.country_code, o.party_id, EXISTS (
    SELECT FROM {Obligation._meta.db_table} told WHERE told.party_id = v.party_id
        AND told.kind = '{LOCATION}' AND told.object_key = l.ocpi_id AND told.state = '{Obligation.State.ACKED.value}')
FROM {PartnerView._meta.db_table} v JOIN {Location._meta.db_table} l ON l.id = v.location_id
JOIN {Party._meta.db_table} o ON o.id = v.own_party_id
WHERE v.party_id = ANY(%s) AND l.ocpi_id = ANY(%s)
"""


class _View(NamedTuple):
    """What one partner is shown of one Location, and owner and id as they stand in it (LOC-11).

    `is_told`: the partner has confirmed the Location as it was once.
    """

    document: bytes
    segments: tuple[str, str, str]
    is_told: bool


class _ViewPush(Push):
    """What both pushes render: a partner's view of the Location that the object key begins with."""

    def load(self, obligations: Sequence[Obligation]) -> Mapping[int, _View]:
        """The views of a whole batch in one query: most of its EVSEs lie in few Locations."""
        places = {each.pk: (each.party_id, each.object_key.partition("/")[0]) for each in obligations}
        parties, locations = (list(set(column)) for column in zip(*places.values()))
        views = {
            (party, location): _View(document, (country_code, party_id, location), is_told)
            for party, location, document, country_code, party_id, is_told in fetch(
                _VIEWS, [parties, locations]
            )
        }
        return {key: views[place] for key, place in places.items() if place in views}

    def _view(self, obligation: Obligation) -> _View | None:
        view: _View | None = obligation.loaded or self.load([obligation]).get(obligation.pk)
        return view


class LocationPush(_ViewPush):
    """PUT of the Location as the partner sees it when it is sent (LOC-10)."""

    kind = LOCATION
    module = "locations"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.STATIC

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The stored bytes; nothing when the view is gone."""
        view = self._view(obligation)
        return Message(method="PUT", segments=view.segments, body=view.document) if view else None

    def reworded(self, platform: Platform, *, now: datetime) -> None:
        """Opening hours and connectors depend on the platform; this does for EVSEs too."""
        reword_views(platform=platform, now=now)


class EvsePush(_ViewPush):
    """PATCH of the status of one EVSE, or PUT of all of it after anything went wrong."""

    kind = "evse"
    module = "locations"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.STATIC

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """What changed, and `last_updated` (LOC-12), both as the partner sees them when it is sent."""
        _, _, evse_uid = obligation.object_key.rpartition("/")
        view = self._view(obligation)
        evse = stored.evse_document(view.document, evse_uid) if view else None
        if view is None or evse is None:
            return None
        segments = (*view.segments, evse_uid)
        names = tuple(name for name in STATUS_MEMBERS if name in obligation.changed_fields)
        if names and WHOLE not in obligation.changed_fields and _holds_the_evse(obligation, view):
            return Message(method="PATCH", segments=segments, body=stored.patch(evse, names))
        return Message(method="PUT", segments=segments, body=evse)


def _holds_the_evse(obligation: Obligation, view: _View) -> bool:
    """Whether the partner has confirmed an earlier state: of the EVSE itself, or in its Location.

    What is owed for the first time asks for the whole; but then the Location has brought it already (LOC-10).
    """
    is_first = obligation.confirmed_version == 0 and obligation.attempts == 0 and not obligation.ambiguous
    return view.is_told if is_first else not obligation.force_put


register(LocationPush())
register(EvsePush())
