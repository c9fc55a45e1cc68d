"""Verbs of stations."""

import secrets

from chargers.models import Station
from chargers.passwords import hash_password


def give_new_password(*, station: Station) -> str:
    """Replace the password of a station and return it; only its hash is kept.

    The former one opens no connection any more; a connection that is open stays so.
    """
    password = secrets.token_hex(16)
    Station.objects.filter(pk=station.pk).update(password_hash=hash_password(password))
    return password
