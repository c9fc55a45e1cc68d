"""The yardstick: a bare WSGI app that does the same SQL through libpq, prepared, and nothing else.

It authenticates by the same lookup, reads the same stored documents and joins them; it has no routing table, no
middleware, no limits and no validation, and answers only what the benchmark asks.
"""

import base64
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from urllib.parse import parse_qs

import psycopg

Start = Callable[[str, list[tuple[str, str]]], Any]

_local = threading.local()
_PEPPER = os.environ.get("TOKEN_PEPPER", "").encode()

_AUTH = b"""
SELECT p.id, o.id FROM roaming_credentialstoken t JOIN roaming_platform f ON f.id = t.platform_id
JOIN roaming_party p ON p.platform_id = f.id JOIN roaming_party o ON o.platform_id IS NULL
WHERE t.hash = $1 AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > now())
  AND f.status <> 'SUSPENDED' AND p.is_active
"""
_PAGE = b"""
SELECT document FROM locations_partnerview WHERE party_id = $1 AND own_party_id = $2 ORDER BY id LIMIT $3 OFFSET $4
"""
_PAGE_COUNT = b"SELECT count(*) FROM locations_partnerview WHERE party_id = $1 AND own_party_id = $2"
_INSTANT = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
_SESSION = f"""
SELECT p.country_code, p.party_id, s.id::text, {_INSTANT.format("s.started_at")}, {_INSTANT.format("s.ended_at")},
       trim_scale(s.kwh)::text, convert_from(s.cdr_token, 'UTF8'), s.auth_method, s.authorization_reference,
       convert_from(s.cdr_location, 'UTF8'), s.currency, convert_from(s.charging_periods, 'UTF8'),
       round(s.total_cost, 2)::text, round(s.total_cost_incl_vat, 2)::text, s.status, {_INSTANT.format("s.last_updated")}
FROM charging_sessions_session s JOIN roaming_party p ON p.id = s.own_party_id
WHERE s.party_id = $1 AND s.own_party_id = $2 ORDER BY s.created_at, s.id LIMIT $3 OFFSET $4
""".encode()
_SESSION_COUNT = b"SELECT count(*) FROM charging_sessions_session WHERE party_id = $1 AND own_party_id = $2"
_PUT = b"""
INSERT INTO tokens_token AS known (own_party_id, party_id, uid, uid_key, type, contract_id, group_id, valid,
                                   whitelist, is_blocked_here, document, last_updated, received_at)
VALUES ($2, $1, $3::varchar, upper($3::varchar), $4, $5, '', $6, $7, false, $8, $9, now())
ON CONFLICT (own_party_id, party_id, uid_key, type) DO UPDATE SET uid = excluded.uid, contract_id = excluded.contract_id,
    group_id = excluded.group_id, valid = excluded.valid, whitelist = excluded.whitelist,
    document = excluded.document, last_updated = excluded.last_updated, received_at = excluded.received_at
WHERE known.last_updated <= excluded.last_updated AND known.document <> excluded.document
RETURNING (xmax = 0)
"""
_STATEMENTS = (_AUTH, _PAGE, _PAGE_COUNT, _SESSION, _SESSION_COUNT, _PUT)


def _rows(sql: bytes, *parameters: bytes, binary: bool = True) -> list[list[bytes]]:
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
        for number, statement in enumerate(_STATEMENTS):
            _local.connection.pgconn.prepare(b"s%d" % number, statement)
    name = b"s%d" % _STATEMENTS.index(sql)
    result = _local.connection.pgconn.exec_prepared(name, list(parameters), result_format=int(binary))
    if result.status != psycopg.pq.ExecStatus.TUPLES_OK:
        raise RuntimeError(result.error_message.decode())
    columns = range(result.nfields)
    return [[result.get_value(row, column) for column in columns] for row in range(result.ntuples)]


def _parties(environ: dict[str, Any]) -> list[bytes]:
    """The caller's party and ours."""
    _, _, encoded = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    digest = hmac.digest(_PEPPER, base64.b64decode(encoded), hashlib.sha256)
    found = _rows(_AUTH, b"\\x" + digest.hex().encode(), binary=False)
    return found[0] if found else []


def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """Serve what the benchmark asks: a page of locations, a page of sessions, PUT of a token."""
    parties = _parties(environ)
    if not parties:
        return _answer(start, "401 Unauthorized", b'{"status_code":2000}')
    if environ["REQUEST_METHOD"] == "PUT":
        return _put(environ, start, parties)
    query = parse_qs(environ["QUERY_STRING"])
    window = query["limit"][0].encode(), query.get("offset", ["0"])[0].encode()
    if environ["PATH_INFO"].endswith("/locations"):
        documents, count = [row[0] for row in _rows(_PAGE, *parties, *window)], _PAGE_COUNT
    else:
        rows = _rows(_SESSION, *parties, *window, binary=False)
        documents, count = [_session(*row) for row in rows], _SESSION_COUNT
    total = _rows(count, *parties, binary=False)[0][0].decode()
    body = b'{"data":[' + b",".join(documents) + b'],"status_code":1000}'
    return _answer(start, "200 OK", body, [("X-Total-Count", total)])


def _session(
    country_code: bytes, party_id: bytes, key: bytes, started_at: bytes, ended_at: bytes, kwh: bytes, token: bytes,
    auth_method: bytes, reference: bytes, place: bytes, currency: bytes, periods: bytes, cost: bytes,
    cost_incl_vat: bytes, status: bytes, last_updated: bytes,
) -> bytes:  # fmt: skip
    where = json.loads(place)
    text = (
        b'{"country_code":"%b","party_id":"%b","id":"%b","start_date_time":"%b","end_date_time":"%b","kwh":%b,'
        b'"cdr_token":%b,"auth_method":"%b","authorization_reference":"%b","location_id":"%b","evse_uid":"%b",'
        b'"connector_id":"%b","currency":"%b","charging_periods":%b,"total_cost":{"excl_vat":%b,"incl_vat":%b},'
        b'"status":"%b","last_updated":"%b"}'
    ) % (
        country_code, party_id, key, started_at, ended_at, kwh, token, auth_method, reference, where["id"].encode(),
        where["evse_uid"].encode(), where["connector_id"].encode(), currency, periods, cost, cost_incl_vat, status,
        last_updated,
    )  # fmt: skip
    return text.replace(b'.000Z"', b'Z"')


def _put(environ: dict[str, Any], start: Start, parties: Sequence[bytes]) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    token = json.loads(body)
    _rows(
        _PUT, *parties, *(token[name].encode() for name in ("uid", "type", "contract_id")),
        b"true" if token["valid"] else b"false", token["whitelist"].encode(), b"\\x" + body.hex().encode(),
        token["last_updated"].encode(),
    )  # fmt: skip
    return _answer(start, "200 OK", b'{"status_code":1000}')


def _answer(start: Start, status: str, body: bytes, extra: Iterable[tuple[str, str]] = ()) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *extra])
    return [body]
