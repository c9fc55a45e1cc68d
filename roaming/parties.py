"""Whose parties are whose: what a partner may claim, and what it has claimed."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from django.db import transaction
from django.db.models import Q

from ocpi import codec, v221
from ocpi.headers import PartyId
from ocpi.status import invalid
from roaming import own
from roaming.hub.presence import set_presence
from roaming.hub.telling import tell_about
from roaming.models import Agreement, Party, Platform

_COUNTRY_CODE = re.compile(r"[A-Z]{2}", re.ASCII)
_PARTY_ID = re.compile(r"[A-Z0-9]{3}", re.ASCII)


class RoleId(NamedTuple):
    """One role of one party, in upper case: what may be claimed once only."""

    role: str
    country_code: str
    party_id: str

    @classmethod
    def of(cls, role: str, country_code: str, party_id: str) -> "RoleId":
        """Return the triple; raises ValueError when it is none (chapter "Types")."""
        party = PartyId.of(country_code, party_id)
        if role not in set(v221.Role):
            raise ValueError(f"role must be one of {', '.join(v221.Role)} (given {role!r})")
        if not _COUNTRY_CODE.fullmatch(party.country_code) or not _PARTY_ID.fullmatch(party.party_id):
            raise ValueError(
                f"a party is two letters and three letters or digits (given {country_code!r} {party_id!r})"
            )
        return cls(role, *party)

    def __str__(self) -> str:
        return f"{self.role} {self.country_code}-{self.party_id}"


def role_ids(credentials: v221.Credentials) -> list[RoleId]:
    """Return the roles that a partner claims."""
    return [RoleId.of(entry.role, entry.country_code, entry.party_id) for entry in credentials.roles]


def require_allowed(credentials: v221.Credentials, allowed_roles: Sequence[Sequence[str]]) -> None:
    """Refuse roles that were not agreed (T12 to T14).

    Raises OcpiError 2001.
    """
    allowed = {RoleId(*entry) for entry in allowed_roles}
    for position, claimed in enumerate(role_ids(credentials)):
        if claimed not in allowed:
            raise invalid(f"roles[{position}]: {claimed} is not agreed for this connection")


def collisions(claimed: Iterable[RoleId], platform: Platform | None) -> list[str]:
    """Return, in words, the claims that belong to somebody else: to us, or to another platform (CRD-08)."""
    found = []
    for role, country_code, party_id in claimed:
        party = (
            Party.objects.filter(role=role, country_code=country_code, party_id=party_id)
            .select_related("platform")
            .first()
        )
        if party is None or (platform is not None and party.platform_id == platform.pk):
            continue
        owner = f"platform '{party.platform}'" if party.platform else "this installation itself"
        found.append(f"{role} {country_code}-{party_id} belongs to {owner}")
    return found


def replace_parties(platform: Platform, credentials: v221.Credentials, now: datetime) -> None:
    """Make the platform's active parties exactly those of its credentials; given-up ones stay as history.

    Who may reach them is told what became of them: CONNECTED, or SUSPENDED when given up (HCI-10). Parties that the
    platform announced as a hub are not its own, and stay as they are.

    Runs in the caller's transaction with the platform's row locked. Raises OcpiError 2001 when a party
    belongs to somebody else, IntegrityError when somebody claims it at this very moment.
    """
    claimed = role_ids(credentials)
    if collisions(claimed, platform):
        raise invalid("roles: a party in this list belongs to another platform")
    kept: list[Party] = []
    for identity, entry in zip(claimed, credentials.roles, strict=True):
        party, _ = Party.objects.update_or_create(
            role=identity.role,
            country_code=identity.country_code,
            party_id=identity.party_id,
            platform=platform,
            defaults={
                "name": entry.business_details.name,
                "website": entry.business_details.website or "",
                "is_active": True,
                "is_behind_hub": False,
            },
        )
        kept.append(party)
    given_up = platform.parties.filter(is_behind_hub=False).exclude(pk__in=[party.pk for party in kept])
    given_up.update(is_active=False)
    set_presence(parties=kept, presence=Party.Presence.CONNECTED, now=now)
    set_presence(parties=given_up, presence=Party.Presence.SUSPENDED, now=now)


def plan_parties(platform: Platform, invited: Iterable[RoleId], now: datetime) -> None:
    """Let a hub's operators prepare for parties that are only invited: they are PLANNED until the handshake (HCI-04).

    Runs in the caller's transaction with the platform's row locked. What was planned before and is not meant any more
    vanishes, or is SUSPENDED where somebody was told of it. Nothing without a hub here.
    """
    if own.hub() is None:
        return
    planned = [_planned(platform, identity) for identity in invited]
    others = platform.parties.filter(is_active=False, presence=Party.Presence.PLANNED)
    dropped = others.exclude(pk__in=[party.pk for party in planned])
    set_presence(parties=planned, presence=Party.Presence.PLANNED, now=now)
    for party in dropped:
        if Agreement.objects.filter(Q(one=party) | Q(other=party)).exists():
            set_presence(parties=[party], presence=Party.Presence.SUSPENDED, now=now)
        else:
            party.delete()


def _planned(platform: Platform, identity: RoleId) -> Party:
    party, _ = Party.objects.get_or_create(
        role=identity.role,
        country_code=identity.country_code,
        party_id=identity.party_id,
        platform=platform,
        defaults={"name": platform.name, "is_active": False, "presence": Party.Presence.PLANNED},
    )
    return party


def add_own_party(
    *, role: str, country_code: str, party_id: str, name: str, now: datetime, website: str = ""
) -> Party:
    """Set up a party of ours, or give it another name; the same call again changes nothing.

    On a hub everybody who is connected is told of a new one (HCI-02).
    Raises ValueError for a triple that is none, a name that OCPI cannot carry, a partner's party, or a hub and another
    role of ours under one id: who is addressed by it would not be clear.
    """
    identity = RoleId.of(role, country_code, party_id)
    try:
        codec.decode(v221.BusinessDetails, {"name": name, "website": website or None})
    except codec.Invalid as error:
        raise ValueError(str(error)) from None
    same = Party.objects.filter(platform=None, country_code=identity.country_code, party_id=identity.party_id)
    others = same.exclude(role=identity.role)
    if v221.Role.HUB.value in (identity.role, *others.values_list("role", flat=True)) and others.exists():
        raise ValueError(
            f"a hub needs an id of its own: {identity.country_code}-{identity.party_id} is a party of ours already"
        )
    with transaction.atomic():
        party, is_new = Party.objects.get_or_create(
            role=identity.role,
            country_code=identity.country_code,
            party_id=identity.party_id,
            defaults={"name": name, "website": website},
        )
        if not party.is_own:
            raise ValueError(f"{identity} belongs to platform '{party.platform}'")
        party.name, party.website, party.is_active = name, website, True
        party.save()
        if is_new:
            tell_about([party], now=now)
    return party
