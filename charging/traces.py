"""What a tag has left with us already, in one look: nearly every card that comes has left nothing."""

from datetime import datetime
from typing import NamedTuple

from charging.models import Command, Reservation, Transaction
from locations.models import EVSE
from ocpi import v221
from roaming import rawsql
from sessions.models import Session

_SQL = f"""
SELECT
    EXISTS (
        SELECT FROM {Command._meta.db_table}
        WHERE id_tag = %(tag)s AND id_tag <> '' AND type = '{v221.CommandType.START_SESSION.value}'
            AND session_id IS NOT NULL AND created_at >= %(since)s
    ),
    EXISTS (
        SELECT FROM {Session._meta.db_table} s JOIN {EVSE._meta.db_table} e ON e.id = s.evse_id
        WHERE e.station_identity = %(station)s AND s.status = '{v221.SessionStatus.PENDING.value}'
            AND upper(s.token_uid) = upper(%(tag)s::text) AND s.created_at >= %(since)s
    ),
    EXISTS (
        SELECT FROM {Reservation._meta.db_table} r JOIN {Session._meta.db_table} s ON s.id = r.session_id
        WHERE r.state IN ({", ".join(f"'{state.value}'" for state in Reservation.LIVE)})
            AND upper(%(tag)s::text) IN (upper(r.id_tag), upper(s.token_uid))
    ),
    EXISTS (
        SELECT FROM {Transaction._meta.db_table} t LEFT JOIN {Session._meta.db_table} s ON s.id = t.session_id
        WHERE t.stopped_at IS NULL AND upper(%(tag)s::text) IN (upper(t.id_tag), upper(s.token_uid))
    )
"""


class Traces(NamedTuple):
    """Where a tag may be found; False: it surely is not there.

    `is_commanded`: a START_SESSION was given this tag. `is_awaited`: a session waits for it at the station.
    `has_reservation`: a live reservation is for it, anywhere. `has_charge`: it runs a charge, at any station.
    """

    is_commanded: bool
    is_awaited: bool
    has_reservation: bool
    has_charge: bool


def traces_of(*, station_identity: str, id_tag: str, since: datetime) -> Traces:
    """Look for a tag (case ignored) that is held to a station; commands and sessions count from `since` on."""
    values = {"station": station_identity, "tag": id_tag, "since": since}
    (row,) = rawsql.fetch(_SQL, values)
    return Traces(*row)
