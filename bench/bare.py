"""The yardstick: a bare WSGI app that does the same SQL through libpq and nothing else.

It authenticates by the same lookup, reads the same stored documents and joins them; it has no routing table, no
middleware, no validation of headers, and answers only what the benchmark asks.
"""

import base64
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import psycopg

Start = Callable[[str, list[tuple[str, str]]], Any]

_local = threading.local()
_PEPPER = bytes.fromhex(os.environ.get("BENCH_PEPPER", "00" * 32))

_AUTH = b"""
SELECT p.id FROM roaming_credentialstoken t JOIN roaming_platform f ON f.id = t.platform_id
JOIN roaming_party p ON p.platform_id = f.id WHERE t.hash = $1 AND t.revoked_at IS NULL AND f.status = 'CONNECTED'
"""
_PAGE = b"SELECT document FROM locations_partnerview WHERE party_id = $1 ORDER BY id LIMIT $2 OFFSET $3"
_COUNT = b"SELECT count(*) FROM locations_partnerview WHERE party_id = $1"
_VIEW = b"""
SELECT v.document FROM locations_partnerview v JOIN locations_location l ON l.id = v.location_id
WHERE v.party_id = $1 AND l.ocpi_id = $2
"""
_PUT = b"""
INSERT INTO tokens_token (party_id, uid, uid_key, type, contract_id, group_id, valid, whitelist, is_blocked_here,
                          document, last_updated)
VALUES ($1, $2, upper($2), $3, $4, '', $5, $6, false, $7, $8)
ON CONFLICT (party_id, uid_key, type) DO UPDATE SET document = excluded.document, valid = excluded.valid,
    last_updated = excluded.last_updated, received_at = now()
RETURNING (xmax = 0)
"""


def _pgconn() -> Any:
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(os.environ["BENCH_DATABASE_URL"], autocommit=True)
    return _local.connection.pgconn


def _rows(sql: bytes, *parameters: bytes) -> list[bytes]:
    result = _pgconn().exec_params(sql, list(parameters), result_format=1)
    if result.status not in (psycopg.pq.ExecStatus.TUPLES_OK, psycopg.pq.ExecStatus.COMMAND_OK):
        raise RuntimeError(result.error_message.decode())
    return [result.get_value(row, 0) for row in range(result.ntuples)]


def _party(environ: dict[str, Any]) -> bytes | None:
    _, _, encoded = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    token = base64.b64decode(encoded)
    digest = hmac.digest(_PEPPER, token, hashlib.sha256)
    found = _rows(_AUTH, b"\\x" + digest.hex().encode())
    return str(int.from_bytes(found[0], "big")).encode() if found else None


def application(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    """Serve the benchmark's requests: page of locations, one location, PUT of a token."""
    party = _party(environ)
    if party is None:
        return _answer(start, "401 Unauthorized", b'{"status_code":2000}')
    path = environ["PATH_INFO"]
    if environ["REQUEST_METHOD"] == "PUT":
        return _put(environ, start, party)
    if path.endswith("/locations"):
        return _page(environ, start, party)
    found = _rows(_VIEW, party, path.rsplit("/", 1)[1].encode())
    return _answer(start, "200 OK", b'{"data":' + found[0] + b',"status_code":1000}')


def _page(environ: dict[str, Any], start: Start, party: bytes) -> Iterable[bytes]:
    query = parse_qs(environ["QUERY_STRING"])
    limit, offset = query["limit"][0].encode(), query.get("offset", ["0"])[0].encode()
    documents = _rows(_PAGE, party, limit, offset)
    total = int.from_bytes(_rows(_COUNT, party)[0], "big")
    body = b'{"data":[' + b",".join(documents) + b'],"status_code":1000}'
    return _answer(start, "200 OK", body, [("X-Total-Count", str(total))])


def _put(environ: dict[str, Any], start: Start, party: bytes) -> Iterable[bytes]:
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    token = json.loads(body)
    _rows(_PUT, party, *(token[name].encode() for name in ("uid", "type", "contract_id")),
          b"true" if token["valid"] else b"false", token["whitelist"].encode(),
          b"\\x" + body.hex().encode(), token["last_updated"].encode())  # fmt: skip
    return _answer(start, "200 OK", b'{"status_code":1000}')


def _answer(start: Start, status: str, body: bytes, extra: Iterable[tuple[str, str]] = ()) -> Iterable[bytes]:
    start(status, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *extra])
    return [body]
