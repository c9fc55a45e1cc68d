"""What partners are told about Locations and EVSEs (chapter "Locations module", receiver interface).

Both kinds share one lane: were they sent side by side, a Location rendered before a status change could arrive after
it. Nothing is ever deleted: an EVSE ends with the status REMOVED (LOC-07).
"""

from datetime import datetime

from locations import stored
from locations.changes import STATUS_MEMBERS
from locations.models import PartnerView
from locations.publishing import WHOLE
from roaming.models import Lane, Obligation
from roaming.pushes import Message, Push, register


class LocationPush(Push):
    """PUT of the Location as the partner sees it when it is sent (LOC-10)."""

    kind = "location"
    module = "locations"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.STATIC

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """The stored bytes; nothing when the view is gone."""
        view = _view(obligation, obligation.object_key)
        if view is None:
            return None
        return Message(method="PUT", segments=_segments(view), body=bytes(view.document))


class EvsePush(Push):
    """PATCH of the status of one EVSE, or PUT of all of it after anything went wrong."""

    kind = "evse"
    module = "locations"
    shape = Obligation.Shape.STATE
    lane = Lane.Name.STATIC

    def message(self, obligation: Obligation, *, now: datetime) -> Message | None:
        """What changed, and `last_updated` (LOC-12), both as the partner sees them when it is sent."""
        location_id, _, evse_uid = obligation.object_key.rpartition("/")
        view = _view(obligation, location_id)
        evse = stored.evse_document(bytes(view.document), evse_uid) if view else None
        if view is None or evse is None:
            return None
        segments = (*_segments(view), evse_uid)
        names = tuple(name for name in STATUS_MEMBERS if name in obligation.changed_fields)
        if names and WHOLE not in obligation.changed_fields and _holds_the_evse(obligation, location_id):
            return Message(method="PATCH", segments=segments, body=stored.patch(evse, names))
        return Message(method="PUT", segments=segments, body=evse)


def _holds_the_evse(obligation: Obligation, location_id: str) -> bool:
    """Whether the partner has confirmed an earlier state: of the EVSE itself, or in its Location.

    What is owed for the first time asks for the whole; but then the Location has brought it already (LOC-10).
    """
    is_first = obligation.confirmed_version == 0 and obligation.attempts == 0 and not obligation.ambiguous
    if not is_first:
        return not obligation.force_put
    location = Obligation.objects.filter(
        party_id=obligation.party_id, kind=LocationPush.kind, object_key=location_id
    )
    return location.filter(state=Obligation.State.ACKED).exists()


def _view(obligation: Obligation, location_id: str) -> PartnerView | None:
    views = PartnerView.objects.select_related("own_party", "location")
    return views.filter(party_id=obligation.party_id, location__ocpi_id=location_id).first()


def _segments(view: PartnerView) -> tuple[str, ...]:
    """Owner and id, as they stand in the object itself (LOC-11)."""
    return (view.own_party.country_code, view.own_party.party_id, view.location.ocpi_id)


register(LocationPush())
register(EvsePush())
