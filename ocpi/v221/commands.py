"""Commands and their results (chapter "Commands module")."""

from enum import StrEnum

from ocpi.v221.tokens import Token
from ocpi.v221.types import CiString36, Count, DisplayText, Object, OcpiDateTime, Url


class CommandType(StrEnum):
    """Word of a command, the last segment of its URL."""

    CANCEL_RESERVATION = "CANCEL_RESERVATION"
    RESERVE_NOW = "RESERVE_NOW"
    START_SESSION = "START_SESSION"
    STOP_SESSION = "STOP_SESSION"
    UNLOCK_CONNECTOR = "UNLOCK_CONNECTOR"


class CommandResponseType(StrEnum):
    """Direct answer to a command."""

    ACCEPTED = "ACCEPTED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    UNKNOWN_SESSION = "UNKNOWN_SESSION"


class CommandResultType(StrEnum):
    """What became of an accepted command."""

    ACCEPTED = "ACCEPTED"
    CANCELED_RESERVATION = "CANCELED_RESERVATION"
    EVSE_INOPERATIVE = "EVSE_INOPERATIVE"
    EVSE_OCCUPIED = "EVSE_OCCUPIED"
    FAILED = "FAILED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    REJECTED = "REJECTED"
    TIMEOUT = "TIMEOUT"
    UNKNOWN_RESERVATION = "UNKNOWN_RESERVATION"


class CancelReservation(Object, frozen=True, kw_only=True):
    """Give up a reservation."""

    response_url: Url
    reservation_id: CiString36


class ReserveNow(Object, frozen=True, kw_only=True):
    """Reserve, from now until ``expiry_date``."""

    response_url: Url
    token: Token
    expiry_date: OcpiDateTime
    reservation_id: CiString36
    location_id: CiString36
    evse_uid: CiString36 | None = None
    authorization_reference: CiString36 | None = None


class StartSession(Object, frozen=True, kw_only=True):
    """Start to charge."""

    response_url: Url
    token: Token
    location_id: CiString36
    evse_uid: CiString36 | None = None
    connector_id: CiString36 | None = None
    authorization_reference: CiString36 | None = None

    def __post_init__(self) -> None:
        if self.connector_id is not None and self.evse_uid is None:
            raise ValueError("evse_uid: needed next to connector_id")


class StopSession(Object, frozen=True, kw_only=True):
    """Stop a Session."""

    response_url: Url
    session_id: CiString36


class UnlockConnector(Object, frozen=True, kw_only=True):
    """Unlock a Connector, on request of a help desk."""

    response_url: Url
    location_id: CiString36
    evse_uid: CiString36
    connector_id: CiString36


class CommandResponse(Object, frozen=True, kw_only=True):
    """Direct answer; ``timeout`` in seconds, after which no result is to be expected."""

    result: CommandResponseType
    timeout: Count
    message: tuple[DisplayText, ...] = ()


class CommandResult(Object, frozen=True, kw_only=True):
    """What the charge point made of a command."""

    result: CommandResultType
    message: tuple[DisplayText, ...] = ()
