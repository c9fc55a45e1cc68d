"""Parties behind a hub (chapter "HubClientInfo module")."""

from enum import StrEnum

from ocpi.v221.types import CountryCode, Object, OcpiDateTime, PartyCode, Role


class ConnectionStatus(StrEnum):
    """How a party is connected to the hub."""

    CONNECTED = "CONNECTED"
    OFFLINE = "OFFLINE"
    PLANNED = "PLANNED"
    SUSPENDED = "SUSPENDED"


class ClientInfo(Object, frozen=True, kw_only=True):
    """One role of one party, and whether it can be reached."""

    party_id: PartyCode
    country_code: CountryCode
    role: Role
    status: ConnectionStatus
    last_updated: OcpiDateTime
