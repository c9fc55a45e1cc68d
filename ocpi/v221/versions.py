"""Versions and version details (chapter "Versions module")."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from ocpi.v221.types import Object, Url


class VersionNumber(StrEnum):
    """Versions that the specification names."""

    V2_0 = "2.0"
    V2_1 = "2.1"
    V2_1_1 = "2.1.1"
    V2_2 = "2.2"
    V2_2_1 = "2.2.1"


class InterfaceRole(StrEnum):
    """The side of a module that an endpoint serves."""

    SENDER = "SENDER"
    RECEIVER = "RECEIVER"


class ModuleID(StrEnum):
    """Modules that the specification names."""

    CDRS = "cdrs"
    CHARGINGPROFILES = "chargingprofiles"
    COMMANDS = "commands"
    CREDENTIALS = "credentials"
    HUBCLIENTINFO = "hubclientinfo"
    LOCATIONS = "locations"
    SESSIONS = "sessions"
    TARIFFS = "tariffs"
    TOKENS = "tokens"


class Version(Object, frozen=True, kw_only=True):
    """One supported version and where its details are."""

    version: VersionNumber
    url: Url


class Endpoint(Object, frozen=True, kw_only=True):
    """Where one side of one module is served."""

    identifier: ModuleID
    role: InterfaceRole
    url: Url


class VersionDetails(Object, frozen=True, kw_only=True):
    """The endpoints of one version."""

    version: VersionNumber
    endpoints: Annotated[tuple[Endpoint, ...], Meta(min_length=1)]
