"""Who has to hear of a party: every connected platform that may know of it (chapter "HubClientInfo module", HCI-02)."""

from collections.abc import Iterable
from datetime import datetime

from django.db.models import Q

from ocpi import v221
from roaming import own
from roaming.delivery.services import owe_state
from roaming.hub.models import Agreement
from roaming.models import Party, Platform

KIND = "client_info"
"""The push that tells it (roaming/hub/pushes_clientinfo.py)."""


def object_key(party: Party) -> str:
    """The client in the words of its push: one per party and role (DIS-63)."""
    return f"{party.role}/{party.country_code}/{party.party_id}"


def take_turns() -> None:
    """Let who changes what others see of a party do so one after the other, until the end of the transaction.

    Two parties that change at once owe each other the news: each would wait for what the other has written.
    """
    list(
        Party.objects.select_for_update(no_key=True).filter(platform=None, role=v221.Role.HUB).order_by("pk")
    )


def tell_about(parties: Iterable[Party], *, now: datetime) -> None:
    """Owe what became of these parties to all platforms that see them; runs in the caller's transaction.

    Nothing without a hub here. Parties hosted here are seen by everybody, others by whom they have an agreement with.
    """
    hub = own.hub()
    if hub is None:
        return
    for party in parties:
        if party.role != hub.role:
            _owe(hub, party, _listeners(party), now)


def tell(party: Party, *, to: Party, now: datetime) -> None:
    """Owe one platform, that of ``to``, what it now sees of a party; runs in the caller's transaction."""
    hub = own.hub()
    if hub is not None and to.platform_id is not None:
        _owe(hub, party, [to.platform_id], now)


def _listeners(party: Party) -> Iterable[int]:
    connected = Platform.objects.filter(status=Platform.Status.CONNECTED)
    if party.platform_id is None:
        return connected.values_list("pk", flat=True)
    ones = Agreement.objects.filter(other=party, status=Agreement.Status.ACTIVE).values("one__platform")
    others = Agreement.objects.filter(one=party, status=Agreement.Status.ACTIVE).values("other__platform")
    elsewhere = connected.exclude(pk=party.platform_id)
    return elsewhere.filter(Q(pk__in=ones) | Q(pk__in=others)).values_list("pk", flat=True)


def _owe(hub: Party, party: Party, platform_ids: Iterable[int], now: datetime) -> None:
    """One PUT per platform, whoever is on it: the module knows no parties to address (HUB-03)."""
    on_it = Party.objects.filter(platform__in=list(platform_ids), is_active=True, is_behind_hub=False)
    reachable = on_it.filter(presence=Party.Presence.CONNECTED).order_by("platform_id", "pk")
    owe_state(
        own_party=hub,
        parties=reachable.distinct("platform_id"),
        kind=KIND,
        object_key=object_key(party),
        whole=True,
        now=now,
    )
