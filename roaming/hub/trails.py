"""Whose an id is, learned from what passes by; the ids alone, never what was said about them."""

from datetime import datetime, timedelta

from roaming import rawsql
from roaming.models import HubTrail, Party

LEARNED = frozenset({"sessions", "locations"})
FRESH = timedelta(days=1)
"""So often at most the time of a trail is renewed: a session is pushed every minute."""
LIFE = timedelta(days=400)

_LEARN = f"""
INSERT INTO {HubTrail._meta.db_table} (module, object_key, owner_id, seen_at)
SELECT %s, %s, unnest(%s::bigint[]), %s
ON CONFLICT (module, object_key, owner_id) DO UPDATE SET seen_at = EXCLUDED.seen_at
WHERE {HubTrail._meta.db_table}.seen_at < EXCLUDED.seen_at - interval '{int(FRESH.total_seconds())} seconds'
"""


def learn(*, module: str, object_key: str, parties: list[Party], now: datetime) -> None:
    """Remember the parties that an object concerns; those of a Session are its CPO and its eMSP."""
    # In one order everywhere: two pushes of one object must not wait for each other.
    keys = sorted(party.pk for party in parties)
    rawsql.execute(_LEARN, [module, object_key.upper()[:80], keys, now])


def concerned(*, module: str, object_key: str) -> set[int]:
    """Return the primary keys of the parties that an object concerns."""
    rows = HubTrail.objects.filter(module=module, object_key=object_key.upper())
    return set(rows.values_list("owner_id", flat=True))


def sweep_trails(*, now: datetime) -> int:
    """Forget what was not seen for more than a year, and return how much it was."""
    deleted, _ = HubTrail.objects.filter(seen_at__lt=now - LIFE).delete()
    return deleted
