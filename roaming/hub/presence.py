"""Whether a party can be reached: the one writer of it, and the still-alive check (HubClientInfo, HCI-04 to HCI-10).

Of parties that are connected here we find out by ourselves; what is behind another hub we are told (clients.py).
"""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Q

from roaming import own
from roaming.delivery import lanes
from roaming.delivery.partner import Partner
from roaming.delivery.services import release_states, withhold_states
from roaming.hub.telling import take_turns, tell_about
from roaming.models import Party, Platform
from roaming.secrets import SecretUnreadableError

log = logging.getLogger(__name__)

Presence = Party.Presence

# Platforms that are asked in one round, all at the same time: together they take no longer than the slowest.
MAX_ASKED = 32
# One that is away is asked again after this time, so that it is back soon after it is back.
AGAIN_SECONDS = 60.0

# A platform is claimed by moving its mark before it is asked, so any number of rounds may run at the same time.
_CLAIM = """
UPDATE roaming_platform SET checked_at = %(now)s WHERE id IN (
    SELECT p.id FROM roaming_platform p
    WHERE p.status = 'CONNECTED'
      AND coalesce(greatest(p.last_seen_at, p.checked_at, p.connected_at), p.created_at)
          <= CASE WHEN EXISTS (
                 SELECT 1 FROM roaming_party y
                 WHERE y.platform_id = p.id AND y.is_active AND y.presence = 'OFFLINE' AND NOT y.is_behind_hub
             ) THEN %(again)s ELSE %(silent)s END
    ORDER BY p.checked_at NULLS FIRST, p.id LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED
) RETURNING id
"""


def set_presence(*, parties: Iterable[Party], presence: Presence, now: datetime) -> list[Party]:
    """Note how these parties are connected from now on; return those of which it is news.

    Whoever may reach them is owed the news (HCI-02). What was owed to a party that went OFFLINE is withdrawn, not
    kept waiting (HCI-09); what one that is CONNECTED again missed is owed as it is then (HCI-14). Safe to
    run beside itself: all take turns, and what is so already changes nothing. Who also locks the parties' platform
    does so before.
    """
    keys = [party.pk for party in parties]
    if not keys:
        return []
    with transaction.atomic():
        take_turns()
        locked = Party.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=keys)
        news = list(locked.exclude(presence=presence).select_related("platform").order_by("pk"))
        for party in news:
            party.presence = presence
            # Never back, whatever our clock does: partners read what is newer than what they have.
            party.presence_at = max(now, party.presence_at + timedelta(milliseconds=1))
        Party.objects.bulk_update(news, ["presence", "presence_at"])
        if presence == Presence.CONNECTED:
            release_states(parties=news)
        elif presence == Presence.OFFLINE:
            withhold_states(parties=news)
        tell_about(news, now=now)
    for party in news:
        log.info("presence.changed party=%s role=%s presence=%s", party.ocpi_id, party.role, presence)
    return news


def heard(*, parties: Iterable[Party], now: datetime) -> None:
    """Note that a platform has just called us; ``parties`` are its parties. One that was OFFLINE is back (HCI-07).

    What another hub passes on says nothing about the parties behind it: that hub tells us.
    """
    silent = [party for party in parties if party.presence == Presence.OFFLINE and not party.is_behind_hub]
    if not silent:
        return
    with transaction.atomic():
        platform_ids = sorted({party.platform_id for party in silent if party.platform_id is not None})
        # The platform before its parties, like everybody who locks both.
        list(Platform.objects.select_for_update(no_key=True).filter(pk__in=platform_ids).order_by("pk"))
        if set_presence(parties=silent, presence=Presence.CONNECTED, now=now):
            for pk in platform_ids:
                lanes.release(platform_id=pk)
                _doubt(pk)


def check_failed(*, platform: Platform, now: datetime) -> None:
    """Note that a platform did not answer GET versions: all its parties are OFFLINE (HCI-07).

    Nothing without a hub here, and nothing when it has called us since: ``now`` is when it was asked.
    """
    if own.hub() is None:
        return
    with transaction.atomic():
        locked = Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)
        has_called = locked.last_seen_at is not None and locked.last_seen_at > now
        if locked.status == Platform.Status.CONNECTED and not has_called:
            reachable = locked.parties.filter(presence=Presence.CONNECTED)
            set_presence(parties=reachable, presence=Presence.OFFLINE, now=now)


def check_silent(*, clock: Callable[[], datetime]) -> int:
    """Ask the platforms that we have not heard of for HUB_PRESENCE_SECONDS for their versions (HCI-06, HCI-08).

    Returns how many were asked. All at the same time, with no transaction open; each is judged as soon as it has
    answered, so one that hangs keeps no other back. Nothing without a hub here.
    """
    if own.hub() is None:
        return 0
    asked_at = clock()
    partners = _loaded(_claim(asked_at))
    if not partners:
        return 0
    with ThreadPoolExecutor(len(partners), thread_name_prefix="presence") as pool:
        asked = {pool.submit(partner.is_alive): partner for partner in partners}
        for answer in as_completed(asked):
            platform = asked[answer].platform
            if answer.result():
                _back(platform, clock())
            else:
                check_failed(platform=platform, now=asked_at)
    return len(partners)


def _claim(now: datetime) -> list[int]:
    silence = timedelta(seconds=settings.HUB_PRESENCE_SECONDS)
    again = min(silence, timedelta(seconds=AGAIN_SECONDS))
    moments: dict[str, Any] = {"now": now, "silent": now - silence, "again": now - again, "limit": MAX_ASKED}
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, moments)
        return [pk for (pk,) in cursor.fetchall()]


def _loaded(platform_ids: Iterable[int]) -> list[Partner]:
    partners = []
    for pk in platform_ids:
        try:
            partners.append(Partner.load(pk))
        except SecretUnreadableError as error:
            # A fault of ours says nothing about the partner.
            log.error("presence.no_token platform=%s reason=%s", pk, error)
    return partners


def _back(platform: Platform, now: datetime) -> None:
    """It answered, with our token: what waited for a sign of it goes on without asking once more."""
    is_here = Q(presence=Presence.OFFLINE, is_behind_hub=False, is_active=True)
    with transaction.atomic():
        locked = Platform.objects.select_for_update(no_key=True).get(pk=platform.pk)
        if locked.status != Platform.Status.CONNECTED:
            return
        if set_presence(parties=locked.parties.filter(is_here), presence=Presence.CONNECTED, now=now):
            lanes.unblock(platform_id=platform.pk)
            _doubt(platform.pk)


def _doubt(platform_id: int) -> None:
    """What is behind this platform, if it is a hub, may have changed while it was away (HCI-13)."""
    Platform.objects.filter(pk=platform_id).update(clients_next_at=None)
