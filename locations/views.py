"""The OCPI face of locations (chapter "Locations module", sender interface)."""

from datetime import datetime
from typing import ClassVar

from locations.reading import view_document, view_page
from locations.stored import connector_document, evse_document
from ocpi.http import Page
from ocpi.paging import PageQuery
from ocpi.status import StatusCode, unauthorized
from ocpi.views import SenderView
from roaming.auth import Caller
from roaming.models import Party


class LocationsView(SenderView):
    """GET of the Locations that the caller's grants open, and of single Locations, EVSEs and Connectors.

    What is not granted does not exist: same bytes as for an id that nobody ever gave out (access rules, 5.3).
    """

    interface: ClassVar[tuple[str, str]] = ("locations", "SENDER")
    not_found_code: ClassVar[StatusCode] = StatusCode.UNKNOWN_LOCATION

    def page(self, caller: Caller, query: PageQuery, now: datetime) -> Page:
        """The stored documents of the acting party (LOC-01)."""
        party, own_party = _between(caller)
        return view_page(party=party, own_party=own_party, query=query, now=now)

    def document(self, caller: Caller, ids: dict[str, str], now: datetime) -> bytes | None:
        """A Location by one id, its EVSE by two, a Connector by three (LOC-02); ids in any case."""
        party, own_party = _between(caller)
        location = view_document(party=party, own_party=own_party, location_id=ids["location_id"], now=now)
        if location is None or "evse_uid" not in ids:
            return location
        evse = evse_document(location, ids["evse_uid"].upper())
        if evse is None or "connector_id" not in ids:
            return evse
        return connector_document(evse, ids["connector_id"])


def _between(caller: Caller) -> tuple[Party, Party]:
    """The acting party and the addressed one of ours, which are known on all functional modules."""
    if caller.party is None or caller.own_party is None:
        raise unauthorized()
    return caller.party, caller.own_party
