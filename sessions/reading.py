"""What a partner reads: its sessions as JSON bytes, put together from the bytes that their rows hold."""

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from ocpi import v221
from ocpi.http import Page
from ocpi.paging import PageQuery
from ocpi.scalars import write_datetime, write_number
from roaming.models import Party
from roaming.rawsql import fetch
from sessions.models import Session
from tariffs.rounding import plain, round_money

_SESSIONS = Session._meta.db_table


class _Row(NamedTuple):
    """The columns of a session that partners see, under their names."""

    id: UUID
    started_at: datetime
    ended_at: datetime | None
    kwh: Decimal
    cdr_token: bytes
    auth_method: str
    authorization_reference: str
    cdr_location: bytes
    currency: str
    charging_periods: bytes
    total_cost: Decimal | None
    total_cost_incl_vat: Decimal | None
    status: str
    last_updated: datetime


class _Place(msgspec.Struct):
    id: str
    evse_uid: str
    connector_id: str


_PLACE = msgspec.json.Decoder(_Place)
_ENCODER = msgspec.json.Encoder()
_COLUMNS = ", ".join(_Row._fields)


def session_page(*, party: Party, own_party: Party, query: PageQuery) -> Page:
    """One page of what `party` pays for at our `own_party` (SES-04), oldest created first (PAG-09)."""
    where, params = _conditions(party, own_party, query)
    rows = fetch(
        f"SELECT {_COLUMNS} FROM {_SESSIONS} WHERE {where} ORDER BY created_at, id LIMIT %s OFFSET %s",
        [*params, query.limit, query.offset],
    )
    [(total,)] = fetch(f"SELECT count(*) FROM {_SESSIONS} WHERE {where}", params)
    return Page(documents=[_document(_Row(*row), own_party) for row in rows], total=total)


def _conditions(party: Party, own_party: Party, query: PageQuery) -> tuple[str, list[Any]]:
    where = ["party_id = %s", "own_party_id = %s"]
    params: list[Any] = [party.pk, own_party.pk]
    if query.date_from is not None:
        where.append("last_updated >= %s")
        params.append(query.date_from)
    if query.date_to is not None:
        where.append("last_updated < %s")
        params.append(query.date_to)
    return " AND ".join(where), params


def _document(row: _Row, own_party: Party) -> bytes:
    """The bytes of `wire.session_document`, without reading what is JSON already."""
    place = _PLACE.decode(row.cdr_location)
    members = {
        "country_code": own_party.country_code,
        "party_id": own_party.party_id,
        "id": str(row.id),
        "start_date_time": write_datetime(row.started_at),
        "end_date_time": None if row.ended_at is None else write_datetime(row.ended_at),
        "kwh": _number(plain(row.kwh)),
        "cdr_token": msgspec.Raw(row.cdr_token),
        "auth_method": row.auth_method,
        "authorization_reference": row.authorization_reference or None,
        "location_id": place.id,
        "evse_uid": place.evse_uid,
        "connector_id": place.connector_id,
        "currency": row.currency,
        "charging_periods": None if row.charging_periods == b"[]" else msgspec.Raw(row.charging_periods),
        "total_cost": _cost(row),
        "status": row.status,
        "last_updated": write_datetime(row.last_updated),
    }
    return _ENCODER.encode({name: value for name, value in members.items() if value is not None})


def _cost(row: _Row) -> dict[str, msgspec.Raw] | None:
    if row.total_cost is None:
        return None
    cost = v221.Price(excl_vat=row.total_cost, incl_vat=row.total_cost_incl_vat)
    rounded = round_money(cost, currency=row.currency)
    sides = {"excl_vat": rounded.excl_vat, "incl_vat": rounded.incl_vat}
    return {name: _number(amount) for name, amount in sides.items() if amount is not None}


def _number(value: Decimal) -> msgspec.Raw:
    return msgspec.Raw(write_number(value).encode("ascii"))
