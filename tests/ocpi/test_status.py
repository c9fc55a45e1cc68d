"""Status codes and the exception that carries one."""

import pytest

from ocpi.status import (
    OcpiError,
    StatusCode,
    invalid,
    is_success,
    method_not_allowed,
    not_found,
    unauthorized,
)


def test_only_codes_of_the_standard_are_produced() -> None:
    """ENV-08."""
    assert [int(code) for code in StatusCode] == [
        *(1000, 2000, 2001, 2002, 2003, 2004, 3000, 3001, 3002, 3003, 4000, 4001, 4002, 4003),
    ]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (1000, True),
        (1900, True),
        (1999, True),
        (999, False),
        (2000, False),
        (2999, False),
        (3950, False),
        (4999, False),
    ],
)
def test_success_is_a_code_that_begins_with_1(code: int, verdict: bool) -> None:
    assert is_success(code) is verdict


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (invalid("uid: is required"), (2001, "uid: is required", 200, None, {})),
        (not_found(), (2000, "not found", 404, None, {})),
        (not_found("no such token", StatusCode.UNKNOWN_TOKEN), (2004, "no such token", 404, None, {})),
        (
            unauthorized(),
            (2000, "credentials token missing or not valid here", 401, None, {"WWW-Authenticate": "Token"}),
        ),
        (
            method_not_allowed(["GET", "PUT"]),
            (2000, "method not allowed here", 405, None, {"Allow": "GET, PUT"}),
        ),
        (
            OcpiError(2003, "no such place", data={"result": "REJECTED"}),
            (2003, "no such place", 200, {"result": "REJECTED"}, {}),
        ),
    ],
)
def test_errors_carry_what_the_other_side_shall_see(error: OcpiError, seen: tuple[object, ...]) -> None:
    assert (error.status_code, error.message, error.http_status, error.data, error.headers) == seen
    assert str(error) == f"{seen[0]}: {seen[1]}"


def test_every_401_is_the_same() -> None:
    assert vars(unauthorized()) == vars(unauthorized())
