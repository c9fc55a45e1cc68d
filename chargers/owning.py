"""Whose a station is: which connection counts, whether it still may be there, and who is shown as present.

The row counts connections, whichever gateway holds them and whatever the clocks of their machines say: the newest
one owns the station.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F

from chargers.models import Station
from charging import stations


@dataclass(frozen=True, slots=True)
class Held:
    """One connection of this gateway: its number, and the password hash that let it in."""

    epoch: int
    password_hash: str


def password_hash(identity: str) -> str:
    """The hash that a station's password must match; empty for an unknown station, or one without a password."""
    return str(
        Station.objects.filter(identity=identity).values_list("password_hash", flat=True).first() or ""
    )


def connected(identity: str, now: datetime) -> int | None:
    """A connection begins; returns its number, the newest one, or None when the station is not there any more."""
    with transaction.atomic():
        station = Station.objects.filter(identity=identity)
        if not station.update(epoch=F("epoch") + 1, is_online=True, connected_at=now, last_seen_at=now):
            return None
        stations.connected(station_identity=identity, now=now)
        return station.values_list("epoch", flat=True).get()


def disconnected(identity: str, epoch: int, now: datetime) -> None:
    """A connection has ended: offline, unless a newer one has taken over meanwhile."""
    with transaction.atomic():
        if Station.objects.filter(identity=identity, epoch=epoch).update(is_online=False):
            stations.disconnected(station_identity=identity, now=now)


def everybody_offline(now: datetime) -> None:
    """A gateway that starts holds no connection yet, whatever the rows of its predecessor say.

    Another gateway that runs beside it puts its own right again with its next look (`review`).
    """
    for identity, epoch in Station.objects.filter(is_online=True).values_list("identity", "epoch"):
        disconnected(identity, epoch, now)


def review(held: Mapping[str, Held], *, now: datetime) -> dict[str, str]:
    """Look at the rows of the stations that this gateway holds; returns whom to disconnect, and why (W11, W3).

    The row decides, so a password that was changed or a station that was removed in any way counts.
    """
    rows = {
        identity: (epoch, stored, is_online)
        for identity, epoch, stored, is_online in Station.objects.filter(
            identity__in=sorted(held)
        ).values_list("identity", "epoch", "password_hash", "is_online")
    }
    leaving = {}
    for identity, mine in held.items():
        epoch, stored, is_online = rows.get(identity, (mine.epoch, "", True))
        if stored != mine.password_hash:
            leaving[identity] = "credentials revoked"
        elif epoch > mine.epoch:
            leaving[identity] = "connected elsewhere"
        elif not is_online:
            _present_again(identity, mine.epoch, now)
    return leaving


def _present_again(identity: str, epoch: int, now: datetime) -> None:
    with transaction.atomic():
        if Station.objects.filter(identity=identity, epoch=epoch).update(is_online=True):
            stations.connected(station_identity=identity, now=now)
