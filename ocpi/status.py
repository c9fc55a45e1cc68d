"""OCPI status codes, and the one exception that carries one (chapter "Status codes"). [pure]"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any


class StatusCode(IntEnum):
    """Codes that the standard modules produce; 19xx to 49xx are custom and never ours (ENV-08)."""

    SUCCESS = 1000
    CLIENT_ERROR = 2000
    INVALID_PARAMETERS = 2001
    NOT_ENOUGH_INFORMATION = 2002
    UNKNOWN_LOCATION = 2003
    UNKNOWN_TOKEN = 2004
    SERVER_ERROR = 3000
    CLIENT_API_UNUSABLE = 3001
    UNSUPPORTED_VERSION = 3002
    NO_MATCHING_ENDPOINTS = 3003
    HUB_ERROR = 4000
    UNKNOWN_RECEIVER = 4001
    TIMEOUT = 4002
    CONNECTION_PROBLEM = 4003


def is_success(status_code: int) -> bool:
    """Tell whether a code of a peer means success; unknown ones go by their first digit (ENV-07, STS-08)."""
    return 1000 <= status_code < 2000


class OcpiError(Exception):
    """A refusal or fault as the other side shall see it.

    ``message`` goes into ``status_message``; ``http_status`` stays 200 when the content is at fault, since
    the call itself did reach the OCPI layer (STS-01). ``headers`` are added to the HTTP response.
    """

    def __init__(
        self,
        status_code: int,
        message: str,
        *,
        http_status: int = 200,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{int(status_code)}: {message}")
        self.status_code = int(status_code)
        self.message = message
        self.http_status = http_status
        self.data = data
        self.headers: dict[str, str] = dict(headers or {})


def invalid(message: str) -> OcpiError:
    """Content that breaks a rule: HTTP 200 with 2001 (STS-03)."""
    return OcpiError(StatusCode.INVALID_PARAMETERS, message)


def not_found(message: str = "not found", status_code: int = StatusCode.CLIENT_ERROR) -> OcpiError:
    """An object that is not there, or not the caller's: HTTP 404 (STS-02)."""
    return OcpiError(status_code, message, http_status=404)


def unauthorized() -> OcpiError:
    """No or no known credentials token: HTTP 401 with one fixed text for every reason (AUT-05, AUT-06)."""
    return OcpiError(
        StatusCode.CLIENT_ERROR,
        "credentials token missing or not valid here",
        http_status=401,
        headers={"WWW-Authenticate": "Token"},
    )


def method_not_allowed(allow: Iterable[str]) -> OcpiError:
    """A method that the module marks n/a: HTTP 405 with ``Allow`` (HTP-01)."""
    return OcpiError(
        StatusCode.CLIENT_ERROR,
        "method not allowed here",
        http_status=405,
        headers={"Allow": ", ".join(allow)},
    )
