"""What partners ask of us over HTTP, beside a bare app and the usual way, each behind the same web server."""

import contextlib
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.forms.models import model_to_dict

from bench import load
from bench.seed import Seed, card
from bench.servers import Server, serving
from bench.table import Row, against
from ocpi import codec, v221
from ocpi.headers import authorization
from tokens.models import Token

OURS, BARE, DRF = "ours", "bare", "DRF"
PATHS = {OURS: "/ocpi/2.2.1/sender", BARE: "/bare", DRF: "/drf"}
UIDS = 500
_STAMP = re.compile(r'"last_updated":"[^"]*"')

Requests = Callable[[str], Callable[[int], bytes]]


@contextlib.contextmanager
def servers() -> Iterator[dict[str, Server]]:
    """The three of them, by name."""
    with (
        serving(OURS, "config.wsgi:application") as ours,
        serving(BARE, "bench.bare:application") as bare,
        serving(DRF, "config.wsgi:application", {"DJANGO_SETTINGS_MODULE": "bench.drf_settings"}) as drf,
    ):
        yield {OURS: ours, BARE: bare, DRF: drf}


def measure(seed: Seed, *, quick: bool, now: datetime) -> Iterator[Row]:
    """Yield the lines of serving."""
    headers = {"Authorization": authorization(seed.token)}
    last = seed.locations - 50
    rounds, seconds = (4, 0.4) if quick else (8, 0.6)
    with servers() as running:
        pages = {
            "GET locations, page of 50, first": "locations?limit=50&offset=0",
            "GET locations, page of 50, last": f"locations?limit=50&offset={last}",
            f"GET locations, page of {seed.locations:,}": f"locations?limit={seed.locations}&offset=0",
            "GET sessions, one session": "sessions?limit=1&offset=0",
        }
        ours = {}
        for job, query in pages.items():
            requests = _gets(query, headers)
            _require_same_data(running, requests)
            is_long = f"limit={seed.locations}&" in query
            figures = _compared(running, requests, rounds=rounds // 4 if is_long else rounds, seconds=seconds,
                                connections=2 if is_long else 8 if "locations" in job else 32)  # fmt: skip
            ours[job] = figures[OURS].per_core
            yield _line(job, figures, of_bare=0.7 if "locations" in job else 0.5,
                        times_drf=0 if is_long else 50 if "locations" in job else 3)  # fmt: skip
        times = ours["GET locations, page of 50, first"] / ours["GET locations, page of 50, last"]
        yield Row(
            job="the last page against the first", ours=f"× {times:.2f}", goal="≤ × 1.3", met=times <= 1.3
        )
        puts = _puts(seed, headers, now - timedelta(days=1))
        _require_same_token(running, puts)
        yield _line("PUT token", _compared(running, puts, rounds=rounds, seconds=seconds, connections=32),
                    of_bare=0.5, times_drf=3)  # fmt: skip


def _compared(
    running: dict[str, Server], requests: Requests, *, rounds: int, seconds: float, connections: int
) -> dict[str, load.Figure]:
    targets = [
        load.Target(name, server.port, requests(name), server.cpu_seconds) for name, server in running.items()
    ]
    return load.compare(targets, rounds=rounds, seconds=seconds, connections=connections)


def _line(job: str, figures: dict[str, load.Figure], *, of_bare: float, times_drf: float) -> Row:
    ours, bare, drf = figures[OURS], figures[BARE], figures[DRF]
    return against(
        job, ours=ours.per_core, bare=bare.per_core, drf=drf.per_core, of_bare=of_bare, times_drf=times_drf,
        seen=(ours.per_second, bare.per_second, drf.per_second),
    )  # fmt: skip


def _gets(query: str, headers: dict[str, str]) -> Requests:
    def for_target(name: str) -> Callable[[int], bytes]:
        request = load.http_request("GET", f"{PATHS[name]}/{query}", headers=headers)
        return lambda _: request

    return for_target


def _puts(seed: Seed, headers: dict[str, str], since: datetime) -> Requests:
    """PUTs of cards that each server has to itself, every one newer than the one before it."""

    def for_target(name: str) -> Callable[[int], bytes]:
        def request(number: int) -> bytes:
            uid = f"{name.upper()}{number % UIDS:04}"
            token = card(seed.reader, uid, since + timedelta(milliseconds=number))
            path = {
                OURS: f"/ocpi/2.2.1/receiver/tokens/{token.country_code}/{token.party_id}/{uid}",
                BARE: f"/bare/tokens/{uid}",
                DRF: f"/drf/tokens/{uid}",
            }[name]
            return load.http_request("PUT", path, headers=headers, body=codec.encode(token))

        return request

    return for_target


def _require_same_data(running: dict[str, Server], requests: Requests) -> None:
    """The bare app must answer the same bytes as we do, and DRF the same objects."""
    answers = {name: load.fetch(server.port, requests(name)(0)) for name, server in running.items()}
    ours, bare = (msgspec.json.decode(answers[name], type=dict[str, msgspec.Raw]) for name in (OURS, BARE))
    if bytes(ours["data"]) != bytes(bare["data"]):
        raise RuntimeError(
            f"not the same data:\n{bytes(ours['data'])[:2000]!r}\n{bytes(bare['data'])[:2000]!r}"
        )
    objects, usual = msgspec.json.decode(ours["data"]), msgspec.json.decode(answers[DRF])
    for mine, theirs in zip(objects, usual["results"], strict=True):
        if _as_object(mine) != _as_object(theirs):
            raise RuntimeError(f"DRF answers another object:\n{_as_object(mine)}\n{_as_object(theirs)}")


def _as_object(value: dict[str, Any]) -> v221.Location | v221.Session:
    """As an OCPI object with one stamp everywhere: no row says when one EVSE or Connector was changed last."""
    stamped = _STAMP.sub('"last_updated":"2026-01-01T00:00:00Z"', msgspec.json.encode(value).decode())
    if "evses" in value:
        return codec.decode_bytes(v221.Location, stamped.encode())
    return codec.decode_bytes(v221.Session, stamped.encode())


def _require_same_token(running: dict[str, Server], requests: Requests) -> None:
    """After the same PUT there must be the same row, whoever took it."""
    rows = []
    for name in (OURS, BARE):
        request = requests(name)(0)
        load.fetch(running[name].port, request)
        row = model_to_dict(Token.objects.get(uid_key=f"{name.upper()}0000"), exclude=["id", "received_at"])
        document = bytes(Token.objects.get(uid_key=f"{name.upper()}0000").document)
        rows.append((str(row) + str(document)).replace(f"{name.upper()}0000", "CARD"))
    if rows[0] != rows[1]:
        raise RuntimeError(f"not the same row:\n{rows[0]}\n{rows[1]}")
