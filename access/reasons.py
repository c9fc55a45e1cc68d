"""Why a start was refused, and the words that OCPI and OCPP have for it. [pure]

A policy refusal is answered at once and contacts nothing; a physical one is a fact about the bay, for which
OCPI has words only in the asynchronous result. A station that is offline is refused at once all the same:
ACCEPTED may be said only if the command can go to the charge point (OCPI 2.2.1, chapter "Commands module").
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from ocpi import v221
from ocpi.status import StatusCode


class Reason(StrEnum):
    """The rule that refused; stable codes, kept in every receipt."""

    UNKNOWN_LOCATION = "UNKNOWN_LOCATION"
    NOT_GRANTED = "NOT_GRANTED"
    GROUP_NOT_GRANTED = "GROUP_NOT_GRANTED"
    DEPOT_FLEET_ONLY = "DEPOT_FLEET_ONLY"
    SUSPENDED = "SUSPENDED"
    CONFIG_ERROR = "CONFIG_ERROR"
    OUTSIDE_WINDOW = "OUTSIDE_WINDOW"
    CUTOFF = "CUTOFF"
    QUOTA = "QUOTA"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    STATION_OFFLINE = "STATION_OFFLINE"
    EVSE_INOPERATIVE = "EVSE_INOPERATIVE"
    EVSE_OCCUPIED = "EVSE_OCCUPIED"
    HELD_FOR_FLEET = "HELD_FOR_FLEET"

    @property
    def is_physical(self) -> bool:
        """Tell whether the bay, not a rule, stands in the way."""
        return self in _PHYSICAL

    @property
    def is_hidden(self) -> bool:
        """Tell whether the partner is answered exactly as if the Location did not exist."""
        return self in _HIDDEN


_PHYSICAL = frozenset({Reason.STATION_OFFLINE, Reason.EVSE_INOPERATIVE, Reason.EVSE_OCCUPIED})
_HIDDEN = frozenset({Reason.UNKNOWN_LOCATION, Reason.NOT_GRANTED})

# What an ACCEPTED command ends with, for the reasons that are told asynchronously; all others have no result.
COMMAND_RESULT: Mapping[Reason, v221.CommandResultType] = MappingProxyType(
    {
        Reason.EVSE_OCCUPIED: v221.CommandResultType.EVSE_OCCUPIED,
        Reason.EVSE_INOPERATIVE: v221.CommandResultType.EVSE_INOPERATIVE,
    }
)

COMMAND_RESPONSE: Mapping[Reason, v221.CommandResponseType] = MappingProxyType(
    {
        reason: v221.CommandResponseType.ACCEPTED
        if reason in COMMAND_RESULT
        else v221.CommandResponseType.REJECTED
        for reason in Reason
    }
    | {Reason.NOT_SUPPORTED: v221.CommandResponseType.NOT_SUPPORTED}
)

# Status code of the envelope around the CommandResponse.
STATUS_CODE: Mapping[Reason, StatusCode] = MappingProxyType(
    {reason: StatusCode(2003) if reason.is_hidden else StatusCode(1000) for reason in Reason}
)

# OCPP 1.6 idTagInfo.status. "Blocked", not "Invalid", for the fence: the card is known and refused here.
ID_TAG_STATUS_16: Mapping[Reason, str] = MappingProxyType(
    {reason: "ConcurrentTx" if reason is Reason.QUOTA else "Blocked" for reason in Reason}
)

# OCPP 2.0.1 idTokenInfo.status.
ID_TOKEN_STATUS_201: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.UNKNOWN_LOCATION: "NotAtThisLocation",
        Reason.NOT_GRANTED: "NotAtThisLocation",
        Reason.GROUP_NOT_GRANTED: "NotAtThisLocation",
        Reason.DEPOT_FLEET_ONLY: "NotAtThisTime",
        Reason.SUSPENDED: "NotAtThisLocation",
        Reason.CONFIG_ERROR: "NotAtThisLocation",
        Reason.OUTSIDE_WINDOW: "NotAtThisTime",
        Reason.CUTOFF: "NotAtThisTime",
        Reason.QUOTA: "ConcurrentTx",
        Reason.NOT_SUPPORTED: "NotAllowedTypeEVSE",
        Reason.STATION_OFFLINE: "NotAtThisTime",
        Reason.EVSE_INOPERATIVE: "NotAtThisTime",
        Reason.EVSE_OCCUPIED: "NotAtThisTime",
        Reason.HELD_FOR_FLEET: "NotAtThisTime",
    }
)
