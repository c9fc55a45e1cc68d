"""Credentials of a platform (chapter "Credentials module")."""

from typing import Annotated

from msgspec import Meta

from ocpi.v221.locations import BusinessDetails
from ocpi.v221.types import CountryCode, CredentialsToken, Object, PartyCode, Role, Url


class CredentialsRole(Object, frozen=True, kw_only=True):
    """One role of one party on a platform."""

    role: Role
    business_details: BusinessDetails
    party_id: PartyCode
    country_code: CountryCode


class Credentials(Object, frozen=True, kw_only=True):
    """What one platform gives another: its token, its versions URL and the parties it serves."""

    token: CredentialsToken
    url: Url
    roles: Annotated[tuple[CredentialsRole, ...], Meta(min_length=1)]

    def __post_init__(self) -> None:
        seen = set()
        for role in self.roles:
            triple = (role.role, role.country_code.upper(), role.party_id.upper())
            if triple in seen:
                raise ValueError(f"roles: {triple[0]} {triple[1]}-{triple[2]} is listed twice, list it once")
            seen.add(triple)
