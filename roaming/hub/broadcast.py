"""Telling everybody whom it concerns what one party pushed to the hub (HUB-30 to HUB-42).

Nothing is sent from here: what the parties must learn is owed in the transaction that keeps the object, and travels by
the lanes of each platform, so that one that hangs holds up nobody (HUB-37).
"""

import logging
from collections.abc import Sequence
from datetime import datetime

from django.http import HttpRequest

from roaming.auth import Caller
from roaming.delivery.services import owe_state
from roaming.hub import local, seeing, store
from roaming.hub.agreements import reachable_parties
from roaming.hub.pushes import hub_push
from roaming.hub.store import Place
from roaming.models import Party, Platform
from roaming.pushes import Message
from roaming.routing import audience

log = logging.getLogger(__name__)


def owe_broadcast(
    place: Place, *, sender: Platform, changed_fields: Sequence[str] = (), now: datetime
) -> int:
    """Owe the present state of a kept object to every party on another platform that may see it; returns to how many.

    Left out are parties that are not there now (HUB-36) and those on the sender's own platform (HUB-35); platforms that
    are not connected or offer no such receiver by ``owe_state`` itself. Without ``changed_fields`` it is owed as a whole.
    """
    parties = [
        party
        for party in _concerned(place)
        if not party.is_own
        and party.platform_id != sender.pk
        and party.presence == Party.Presence.CONNECTED
        and seeing.is_open_to(party, place.owner, module=place.module, object_key=place.object_key, now=now)
    ]
    if not parties:
        return 0
    push = hub_push(place.module)
    owed = owe_state(
        own_party=place.recipient,
        parties=parties,
        kind=push.kind,
        object_key=push.key_of(store.row_of(place)),
        changed_fields=changed_fields,
        now=now,
    )
    log.info("hub.broadcast module=%s owner=%s parties=%s", place.module, place.owner.ocpi_id, owed)
    return owed


def tell_own_parties(place: Place, request: HttpRequest, caller: Caller, *, now: datetime) -> None:
    """Hand the kept object as a whole to the views of the parties hosted here that learn of it.

    A view stores it as if its owner had put it there; that it could not is logged, and made good by the next push.
    """
    parties = [
        party
        for party in _concerned(place)
        if party.is_own
        and seeing.is_open_to(party, place.owner, module=place.module, object_key=place.object_key, now=now)
    ]
    if not parties:
        return
    document = store.find(place)
    for party in parties:
        answer = local.dispatched(
            request, caller, to=party, interface=(place.module, "RECEIVER"), message=_whole(place, document)
        )
        if not local.is_accepted(answer):
            log.error(
                "hub.own_party_missed module=%s party=%s http=%s",
                place.module, party.ocpi_id, answer.status_code,
            )  # fmt: skip


def _concerned(place: Place) -> list[Party]:
    """The parties that learn of what this owner broadcasts (HUB-30, HUB-34)."""
    return reachable_parties(place.owner, module=place.module, roles=audience(place.owner.role))


def _whole(place: Place, document: bytes | None) -> Message:
    push = hub_push(place.module)
    if document is not None:
        return push.whole(document)
    return Message("DELETE", (*place.owner.ocpi_id, place.object_key))
