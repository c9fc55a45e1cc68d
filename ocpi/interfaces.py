"""Which methods, paths and objects each side of each module has: the chapters' interface tables. [pure]

``V221_INTERFACES`` is complete; what an installation serves is a choice from it. Methods that are not listed
for a path are n/a there (HTP-01).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ocpi import v221

ROOT = "/ocpi"
VERSIONS = "versions"
"""Served like a module, but not one: it has no ModuleID and is in no list of endpoints."""

_PAGE = ("date_from", "date_to", "offset", "limit")
_OWNED = "/{country_code}/{party_id}"
_SENDER = v221.InterfaceRole.SENDER
_RECEIVER = v221.InterfaceRole.RECEIVER


@dataclass(frozen=True, slots=True)
class Operation:
    """One method on one path; a type of None means that there is no body, or an answer without data.

    ``request_optional`` marks a body that may be left out. ``query`` names parameters, those that
    ``required_query`` repeats must be there.
    """

    method: str
    path_suffix: str
    request_type: Any = None
    response_type: Any = None
    is_list: bool = False
    query: tuple[str, ...] = ()
    required_query: tuple[str, ...] = ()
    request_optional: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """One side of one module below ``path``, which has no slash at its end (HTP-08)."""

    module: str
    role: v221.InterfaceRole
    path: str
    operations: tuple[Operation, ...]

    def methods(self, path_suffix: str) -> tuple[str, ...]:
        """Return the methods that the chapter gives to a path, for ``Allow``."""
        return tuple(each.method for each in self.operations if each.path_suffix == path_suffix)


InterfaceTable = Mapping[tuple[str, str], Interface]


def interface_path(module: str, role: str) -> str:
    """Return the path of a side of a module; sides differ, as their object paths would collide (VER-08)."""
    return f"{ROOT}/2.2.1/{role.lower()}/{module}"


def _interface(module: v221.ModuleID, role: v221.InterfaceRole, *operations: Operation) -> Interface:
    return Interface(module, role, interface_path(module, role), operations)


def _list(type_: Any) -> Operation:
    return Operation("GET", "", response_type=type_, is_list=True, query=_PAGE)


def _stored(
    suffix: str, type_: Any, *, partly: bool = True, query: tuple[str, ...] = ()
) -> tuple[Operation, ...]:
    """Return GET and PUT, and PATCH where an object may be changed ``partly``."""
    get = Operation("GET", suffix, response_type=type_, query=query)
    put = Operation("PUT", suffix, request_type=type_, query=query)
    patch = Operation("PATCH", suffix, request_type=dict[str, Any], query=query)
    return (get, put, patch) if partly else (get, put)


_LOCATIONS_SENDER = _interface(
    v221.ModuleID.LOCATIONS,
    _SENDER,
    _list(v221.Location),
    Operation("GET", "/{location_id}", response_type=v221.Location),
    Operation("GET", "/{location_id}/{evse_uid}", response_type=v221.EVSE),
    Operation("GET", "/{location_id}/{evse_uid}/{connector_id}", response_type=v221.Connector),
)
_LOCATIONS_RECEIVER = _interface(
    v221.ModuleID.LOCATIONS,
    _RECEIVER,
    *_stored(_OWNED + "/{location_id}", v221.Location),
    *_stored(_OWNED + "/{location_id}/{evse_uid}", v221.EVSE),
    *_stored(_OWNED + "/{location_id}/{evse_uid}/{connector_id}", v221.Connector),
)
_SESSIONS_SENDER = _interface(
    v221.ModuleID.SESSIONS,
    _SENDER,
    _list(v221.Session),
    Operation(
        "PUT",
        "/{session_id}/charging_preferences",
        request_type=v221.ChargingPreferences,
        response_type=v221.ChargingPreferencesResponse,
    ),
)
_SESSIONS_RECEIVER = _interface(
    v221.ModuleID.SESSIONS, _RECEIVER, *_stored(_OWNED + "/{session_id}", v221.Session)
)
_CDRS_SENDER = _interface(v221.ModuleID.CDRS, _SENDER, _list(v221.CDR))
_CDRS_RECEIVER = _interface(
    v221.ModuleID.CDRS,
    _RECEIVER,
    Operation("POST", "", request_type=v221.CDR),
    # The receiver chooses this URL and states it in the header Location of its answer to the POST.
    Operation("GET", "/{cdr_id}", response_type=v221.CDR),
)
_TARIFFS_SENDER = _interface(v221.ModuleID.TARIFFS, _SENDER, _list(v221.Tariff))
_TARIFFS_RECEIVER = _interface(
    v221.ModuleID.TARIFFS,
    _RECEIVER,
    *_stored(_OWNED + "/{tariff_id}", v221.Tariff, partly=False),
    Operation("DELETE", _OWNED + "/{tariff_id}"),
)
_TOKENS_SENDER = _interface(
    v221.ModuleID.TOKENS,
    _SENDER,
    _list(v221.Token),
    Operation(
        "POST",
        "/{token_uid}/authorize",
        request_type=v221.LocationReferences,
        response_type=v221.AuthorizationInfo,
        query=("type",),
        request_optional=True,
    ),
)
_TOKENS_RECEIVER = _interface(
    v221.ModuleID.TOKENS, _RECEIVER, *_stored(_OWNED + "/{token_uid}", v221.Token, query=("type",))
)
# The sender chooses the URL for results and states it as response_url in its command.
_COMMANDS_SENDER = _interface(
    v221.ModuleID.COMMANDS,
    _SENDER,
    Operation("POST", "/{command}/{uid}", request_type=v221.CommandResult),
)
_COMMANDS_RECEIVER = _interface(
    v221.ModuleID.COMMANDS,
    _RECEIVER,
    *(
        Operation("POST", f"/{command}", request_type=type_, response_type=v221.CommandResponse)
        for command, type_ in (
            (v221.CommandType.CANCEL_RESERVATION, v221.CancelReservation),
            (v221.CommandType.RESERVE_NOW, v221.ReserveNow),
            (v221.CommandType.START_SESSION, v221.StartSession),
            (v221.CommandType.STOP_SESSION, v221.StopSession),
            (v221.CommandType.UNLOCK_CONNECTOR, v221.UnlockConnector),
        )
    ),
)
_CHARGINGPROFILES_SENDER = _interface(
    v221.ModuleID.CHARGINGPROFILES,
    _SENDER,
    # ChargingProfileResult and ClearProfileResult have the same form without ``profile``.
    Operation("POST", "/{result}/{uid}", request_type=v221.ActiveChargingProfileResult),
    Operation("PUT", "/{session_id}", request_type=v221.ActiveChargingProfile),
)
_CHARGINGPROFILES_RECEIVER = _interface(
    v221.ModuleID.CHARGINGPROFILES,
    _RECEIVER,
    Operation(
        "GET",
        "/{session_id}",
        response_type=v221.ChargingProfileResponse,
        query=("duration", "response_url"),
        required_query=("duration", "response_url"),
    ),
    Operation(
        "PUT",
        "/{session_id}",
        request_type=v221.SetChargingProfile,
        response_type=v221.ChargingProfileResponse,
    ),
    Operation(
        "DELETE",
        "/{session_id}",
        response_type=v221.ChargingProfileResponse,
        query=("response_url",),
        required_query=("response_url",),
    ),
)
_HUBCLIENTINFO_SENDER = _interface(v221.ModuleID.HUBCLIENTINFO, _SENDER, _list(v221.ClientInfo))
_HUBCLIENTINFO_RECEIVER = _interface(
    v221.ModuleID.HUBCLIENTINFO, _RECEIVER, *_stored(_OWNED, v221.ClientInfo, partly=False)
)
# One symmetric endpoint, listed once with the role SENDER (VER-04).
_CREDENTIALS = Interface(
    v221.ModuleID.CREDENTIALS,
    _SENDER,
    f"{ROOT}/2.2.1/credentials",
    (
        Operation("GET", "", response_type=v221.Credentials),
        Operation("POST", "", request_type=v221.Credentials, response_type=v221.Credentials),
        Operation("PUT", "", request_type=v221.Credentials, response_type=v221.Credentials),
        Operation("DELETE", ""),
    ),
)
_VERSIONS = Interface(
    VERSIONS,
    _SENDER,
    ROOT,
    (
        # A plain list: the chapter gives it no parameters for pages.
        Operation("GET", "/versions", response_type=v221.Version, is_list=True),
        Operation("GET", "/2.2.1", response_type=v221.VersionDetails),
    ),
)

V221_INTERFACES: InterfaceTable = {
    (interface.module, interface.role): interface
    for interface in (
        _VERSIONS,
        _CREDENTIALS,
        _LOCATIONS_SENDER,
        _LOCATIONS_RECEIVER,
        _SESSIONS_SENDER,
        _SESSIONS_RECEIVER,
        _CDRS_SENDER,
        _CDRS_RECEIVER,
        _TARIFFS_SENDER,
        _TARIFFS_RECEIVER,
        _TOKENS_SENDER,
        _TOKENS_RECEIVER,
        _COMMANDS_SENDER,
        _COMMANDS_RECEIVER,
        _CHARGINGPROFILES_SENDER,
        _CHARGINGPROFILES_RECEIVER,
        _HUBCLIENTINFO_SENDER,
        _HUBCLIENTINFO_RECEIVER,
    )
}
