"""Who sees what was broadcast: by the roles of the standard, by agreement, and by the fences of its owner."""

from collections.abc import Iterable
from datetime import datetime

from ocpi import v221
from ocpi.status import unauthorized
from roaming.auth import Caller
from roaming.hub.agreements import is_agreed
from roaming.hub.fences import fence
from roaming.models import Party
from roaming.routing import audience


def visible_roles(asker: Party) -> frozenset[str]:
    """Return the roles of which this party sees what they broadcast."""
    return frozenset(role.value for role in v221.Role if asker.role in audience(role.value))


def may_see(asker: Party, owner: Party, *, module: str, object_key: str, now: datetime) -> bool:
    """Tell whether a party may see one object that was broadcast by another."""
    if asker.role not in audience(owner.role) or not owner.is_active:
        return False
    if not is_agreed(asker, owner, module=module):
        return False
    return is_open_to(asker, owner, module=module, object_key=object_key, now=now)


def is_open_to(asker: Party, owner: Party, *, module: str, object_key: str, now: datetime) -> bool:
    """Tell whether the owner's fences let this party see the object; only Locations are fenced."""
    if module != v221.ModuleID.LOCATIONS:
        return True
    return fence().may_see(party=asker, owner=owner, location_id=object_key, now=now)


def asking_party(caller: Caller, roles: Iterable[str]) -> Party:
    """Return the acting party in the role that a module is meant for: of one that is CPO and eMSP the right one.

    Raises OcpiError 401 when nobody acts.
    """
    acting = caller.party
    mine = [party for party in caller.parties if acting is not None and party.ocpi_id == acting.ocpi_id]
    found = role_of(mine, roles) or acting
    if found is None:
        raise unauthorized()
    return found


def role_of(parties: Iterable[Party], roles: Iterable[str]) -> Party | None:
    """Return, of the roles of one party, the one that a module is meant for; else any of them."""
    mine = list(parties)
    wanted = list(roles)
    mine.sort(key=lambda party: wanted.index(party.role) if party.role in wanted else len(wanted))
    return mine[0] if mine else None
