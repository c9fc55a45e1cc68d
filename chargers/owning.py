"""Whose a station is: which connection counts, whether it still may be there, and who is shown as present."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from chargers.models import Station
from charging import stations


@dataclass(frozen=True, slots=True)
class Held:
    """One connection of this gateway: its epoch, and the password hash that let it in."""

    epoch: int
    password_hash: str


def password_hash(identity: str) -> str:
    """The hash that a station's password must match; empty for an unknown station, or one without a password."""
    return str(
        Station.objects.filter(identity=identity).values_list("password_hash", flat=True).first() or ""
    )


def connected(identity: str, epoch: int, now: datetime) -> None:
    """A connection begins; an older one that is still waiting to be reported does not take it back."""
    with transaction.atomic():
        newest = Station.objects.filter(identity=identity, epoch__lte=epoch)
        if newest.update(is_online=True, epoch=epoch, connected_at=now, last_seen_at=now):
            stations.connected(station_identity=identity, now=now)


def disconnected(identity: str, epoch: int, now: datetime) -> None:
    """A connection has ended: offline, unless a newer one has taken over meanwhile."""
    with transaction.atomic():
        if Station.objects.filter(identity=identity, epoch__lte=epoch).update(is_online=False):
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
        for identity, epoch, stored, is_online in Station.objects.filter(identity__in=held).values_list(
            "identity", "epoch", "password_hash", "is_online"
        )
    }
    leaving = {}
    for identity, mine in held.items():
        epoch, stored, is_online = rows.get(identity, (mine.epoch, "", True))
        if stored != mine.password_hash:
            leaving[identity] = "credentials revoked"
        elif epoch > mine.epoch:
            leaving[identity] = "connected elsewhere"
        elif epoch == mine.epoch and not is_online:
            connected(identity, mine.epoch, now)
    return leaving
