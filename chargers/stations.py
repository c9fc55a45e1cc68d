"""Verbs of stations."""

import secrets

from django.db import transaction

from chargers.bus import wake_gateway
from chargers.models import Station
from chargers.passwords import hash_password


def give_new_password(*, station: Station) -> str:
    """Replace the password of a station and return it; only its hash is kept.

    The former one opens no connection any more, and the gateway ends a connection that it has opened within a second
    (W11).
    """
    password = secrets.token_hex(16)
    with transaction.atomic():
        Station.objects.filter(pk=station.pk).update(password_hash=hash_password(password))
        wake_gateway(identity=station.identity)
    return password
