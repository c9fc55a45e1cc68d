"""Whose sessions a partner may limit, and the facts of such a session."""

import uuid

from django.db.models import Q

from locations.connectors import supply_at
from locations.electrical import Supply
from ocpi import v221
from roaming.models import Party
from sessions.models import Session

RUNNING = (v221.SessionStatus.PENDING.value, v221.SessionStatus.ACTIVE.value)


def steerable_session(*, party: Party, own_party: Party, session_id: str) -> Session | None:
    """The running session of this id that the party may limit: its own; as SCSP also one of an eMSP on its platform,
    or of one that has contracted it (chapter "ChargingProfiles module"). None: it has no such session."""
    try:
        key = uuid.UUID(session_id)
    except ValueError:
        return None
    # One party may be there in several roles: what it may is the sum of them.
    roles = Party.objects.filter(
        platform=party.platform_id, country_code=party.country_code, party_id=party.party_id, is_active=True
    )
    scsp = roles.filter(role=v221.Role.SCSP.value)
    own = Q(party__in=roles)
    of_its_platform = Q(party__platform__in=scsp.values("platform"))
    contracted = Q(party__steered_by__in=scsp)
    found: Session | None = (
        Session.objects.select_related("evse", "own_party")
        .filter(own | of_its_platform | contracted, pk=key, own_party=own_party, status__in=RUNNING)
        .first()
    )
    return found


def supply_of(session: Session) -> Supply | None:
    """What the connector of a session gives; None when it is not there any more."""
    return supply_at(evse_id=session.evse_id, connector_id=session.connector_id)
