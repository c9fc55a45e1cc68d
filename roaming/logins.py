"""Whose password it is, and how often may be tried: the same count for logins and for signatures (S2)."""

from typing import Any

from django.contrib.auth import authenticate
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from roaming import throttle
from roaming.auth import client_address

# Per user and address, so that a stranger cannot lock anybody out who sits somewhere else.
PASSWORDS = throttle.Rate(20 / 900, 20)


def count_attempt(request: HttpRequest, name: str) -> None:
    """Count one attempt for a user name from this address. Raises ValidationError after too many."""
    wait = throttle.seconds_to_wait(f"password:{name.lower()}:{client_address(request)}", PASSWORDS)
    if wait > 0:
        raise ValidationError(f"Too many attempts from here: try again in {int(wait) + 1} seconds.")


def person(request: HttpRequest, name: str, password: str) -> Any:
    """Return the user whose name and password these are, or None. Raises ValidationError after too many tries."""
    count_attempt(request, name)
    return authenticate(request, username=name, password=password)
