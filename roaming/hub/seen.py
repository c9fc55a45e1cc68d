"""What a connected platform sees of the parties that it may reach through this hub (chapter "HubClientInfo module").

The list, the push and each single answer come from one statement, so they cannot disagree. A party is never taken out
of it (HCI-05): an agreement that ended is SUSPENDED, one that is planned PLANNED, and one in force shows how the party
is connected. Without any agreement a party is not there at all (HUB-28); parties hosted here are there for everybody.
"""

from typing import Any

from ocpi import codec, v221
from ocpi.http import Page
from ocpi.paging import PageQuery
from roaming import rawsql
from roaming.models import Party, Platform

# Of several agreements of one platform with a party the best counts; the moment is the latest that could have
# changed what is seen, so it never goes back. Stamps are cut to what is written on the wire: a partner that asks
# again from the last stamp that it saw gets that entry, and nothing older.
_SEEN = """
WITH mine AS (
    SELECT id FROM roaming_party
    WHERE platform_id = %(platform)s AND (is_active OR presence <> 'SUSPENDED')
), seen AS (
    SELECT t.id, t.country_code, t.party_id, t.role,
           CASE WHEN t.platform_id IS NULL AND NOT t.is_active THEN 'SUSPENDED'
                WHEN t.platform_id IS NULL OR bool_or(a.status = 'ACTIVE') THEN t.presence
                WHEN bool_or(a.status = 'PLANNED') THEN 'PLANNED' ELSE 'SUSPENDED' END AS status,
           date_trunc('milliseconds', greatest(
               max(a.changed_at),
               CASE WHEN t.platform_id IS NULL OR bool_or(a.status = 'ACTIVE') THEN t.presence_at END
           )) AS changed_at
    FROM roaming_party t LEFT JOIN roaming_agreement a
      ON (a.one_id = t.id AND a.other_id IN (SELECT id FROM mine))
      OR (a.other_id = t.id AND a.one_id IN (SELECT id FROM mine))
    WHERE t.role <> 'HUB' AND t.platform_id IS DISTINCT FROM %(platform)s
      AND (t.platform_id IS NULL OR a.id IS NOT NULL)
    GROUP BY t.id
), matching AS (
    SELECT * FROM seen
    WHERE (%(party)s::bigint IS NULL OR id = %(party)s)
      AND (%(date_from)s::timestamptz IS NULL OR changed_at >= %(date_from)s)
      AND (%(date_to)s::timestamptz IS NULL OR changed_at < %(date_to)s)
)
"""
_PAGE = f"""{_SEEN}
SELECT country_code, party_id, role, status, changed_at FROM matching ORDER BY id
LIMIT %(limit)s OFFSET %(offset)s
"""
_COUNT = f"{_SEEN} SELECT count(*) FROM matching"


def seen_page(platform: Platform, query: PageQuery) -> Page:
    """Return one page of ClientInfo objects, the parties known longest first; two statements (HCI-01)."""
    parameters = _parameters(platform) | query._asdict()
    documents = [codec.encode(_client_info(row)) for row in rawsql.fetch(_PAGE, parameters)]
    [(total,)] = rawsql.fetch(_COUNT, parameters)
    return Page(documents=documents, total=total)


def seen_one(platform: Platform, party: Party) -> v221.ClientInfo | None:
    """Return what a platform sees of one party; None when it does not know of it."""
    row = rawsql.fetch_one(_PAGE, _parameters(platform) | {"party": party.pk})
    return _client_info(row) if row is not None else None


def _parameters(platform: Platform) -> dict[str, Any]:
    return {
        "platform": platform.pk,
        "party": None,
        "date_from": None,
        "date_to": None,
        "limit": 1,
        "offset": 0,
    }


def _client_info(row: tuple[Any, ...]) -> v221.ClientInfo:
    country_code, party_id, role, status, changed_at = row
    return v221.ClientInfo(
        party_id=party_id,
        country_code=country_code,
        role=v221.Role(role),
        status=v221.ConnectionStatus(status),
        last_updated=changed_at,
    )
