"""One partner with one of everything, another with nothing, and all who may not be let in."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone

from access.models import Decision, Grant
from chargers.models import Station
from charging import stations
from config import depot_file, depots
from config.datadir import ROOT
from locations.models import EVSE
from ocpi import codec
from ocpi.headers import authorization
from roaming import throttle
from roaming.models import CredentialsToken, Party, Platform
from roaming.secrets import hash_token
from tests.cdrs.rows import sealed
from tests.factories import LocationFactory, OwnPartyFactory, PlatformFactory, token_object
from tests.sessions.rows import active, bay, partner
from tokens.services import put_token

# Who is refused with 401 on every URL, whatever the method.
STRANGERS = ("nobody", "random", "revoked", "expired", "suspended", "token_b")


@dataclass(frozen=True)
class World:
    """The ids of what the owner has, the token of every caller, and what each would send of its own;
    `digest` is of the tables as they are before any call."""

    ids: Mapping[str, str]
    tokens: Mapping[str, str]
    own_tokens: Mapping[str, str]
    digest: Mapping[str, str | None]

    def call(
        self,
        caller: str,
        method: str,
        path: str,
        body: str = "{{}}",
        ids: Mapping[str, str] = {},
        routing: Mapping[str, str] = {},
    ) -> HttpResponse:
        """Make one call from templates."""
        own_token = self.own_tokens.get(caller, self.own_tokens["owner"])
        words = {**self.ids, "own_token": own_token, **ids}
        headers = {"X-Request-ID": "request-7", "X-Correlation-ID": "correlation-7", **routing}
        if caller != "nobody":
            headers["Authorization"] = authorization(self.tokens[caller])
        throttle.LOCAL.full_at.clear()
        client = Client(headers=headers)
        return client.generic(method, path.format(**words), body.format(**words), "application/json")

    def attempt(
        self, caller: str, method: str, path: str, body: str, routing: Mapping[str, str] = {}
    ) -> tuple[HttpResponse, bool]:
        """As `call`, and tell whether anything changed; then take it back."""
        with transaction.atomic():
            answer = self.call(caller, method, path, body, routing=routing)
            has_changed = self.has_changed()
            transaction.set_rollback(True)
        return answer, has_changed

    def has_changed(self) -> bool:
        """Whether any row is other than before all calls."""
        return digest() != self.digest


@cache
def _digest_statement() -> str:
    with connection.cursor() as cursor:
        tables = connection.introspection.table_names(cursor)
    return " UNION ALL ".join(
        f"SELECT '{name}', md5(string_agg(line, '' ORDER BY line)) FROM (SELECT"
        f" (to_jsonb(t) - ARRAY['last_used_at', 'last_seen_at'])::text AS line FROM \"{name}\" t) AS lines"
        for name in tables
        if name not in ("roaming_attempt", "django_session")
    )


def digest() -> dict[str, str | None]:
    """Every table as one hash of its rows, without the columns that merely note that somebody called."""
    with connection.cursor() as cursor:
        cursor.execute(_digest_statement())
        return dict(cursor.fetchall())


def bare(answer: HttpResponse) -> tuple[int, bytes, dict[str, str]]:
    """Status, bytes and headers of an answer without the time of day."""
    content = re.sub(rb'"timestamp":"[^"]*"', b"", answer.content)
    kept = {name.lower(): value for name, value in answer.items() if name.lower() != "content-length"}
    return answer.status_code, content, kept


def _open_depot() -> EVSE:
    """Gent Noord as its operator loads it, its guest bays open to NL-EMS at any hour, one station online."""
    now = timezone.now()
    depots.load(file=depot_file.read(ROOT / "examples" / "gent-noord.yaml"), now=now)
    schedule = Grant.objects.get().schedule
    schedule.windows.update(opens="00:00", closes="00:00")
    schedule.exceptions.all().delete()
    EVSE.objects.update(capabilities=["RESERVABLE", "UNLOCK_CAPABLE"])
    stations.connected(station_identity="GENT-01", now=now)
    stations.connector_status(
        station_identity="GENT-01", ocpp_connector=1, status="Available", at=now, now=now
    )
    Station.objects.update(is_online=True)
    return EVSE.objects.get(station_identity="GENT-01")


def _key(platform: Platform | None, token: str, kind: str = "C", **members: object) -> str:
    CredentialsToken.objects.create(platform=platform, kind=kind, hash=hash_token(token), **members)
    return token


def _tokens(taxi: Party, other: Party) -> dict[str, str]:
    now = timezone.now()
    Platform.objects.filter(pk__in=(taxi.platform_id, other.platform_id)).update(max_requests_per_second=0)
    invited = PlatformFactory(name="Vlotte Kar", status=Platform.Status.INVITED)
    suspended = PlatformFactory(name="Elbstrom", status=Platform.Status.SUSPENDED)
    return {
        "owner": "token-C-of-NL-EMS",
        "other": "token-C-of-NL-NLM",
        "token_a": _key(invited, "token-A-of-Vlotte-Kar", "A"),
        "random": "nobody-ever-gave-this-out",
        "revoked": _key(taxi.platform, "revoked-token", revoked_at=now),
        "expired": _key(taxi.platform, "expired-token", expires_at=now),
        "suspended": _key(suspended, "token-C-of-Elbstrom"),
        "token_b": "token-for-NL-EMS",
    }


@pytest.fixture
def world(db: None) -> World:
    """NL-EMS with a bay, a running session, a CDR, a receipt and a card; NL-NLM with nothing of it."""
    taxi, other = partner("EMS"), partner("NLM", name="Nordlicht Mobil")
    guest_bay = _open_depot()
    running = active(
        party=taxi, evse=bay(3, capabilities=["CHARGING_PREFERENCES_CAPABLE"]), now=timezone.now()
    )
    cdr = sealed(party=taxi, evse=bay(4))
    receipt = Decision.objects.create(
        ref="D-7F3A000001",
        at=timezone.now(),
        source="START_SESSION",
        party=taxi,
        outcome="DENY",
        reason="CLOSED",
    )
    card = token_object()
    put_token(own_party=OwnPartyFactory(), party=taxi, token=card, now=timezone.now())
    own_tokens = {
        "owner": codec.encode(card).decode(),
        "other": codec.encode(token_object(party_id="NLM", contract_id="NL-NLM-C1")).decode(),
    }
    ids = {
        "location": guest_bay.location.ocpi_id,
        "fenced": LocationFactory(depot=guest_bay.location.depot, ocpi_id="GENT-NOORD-FLEET").ocpi_id,
        "evse": guest_bay.uid,
        "connector": "1",
        "session": str(running.pk),
        "cdr": cdr.ocpi_id,
        "ref": receipt.ref,
        "uid": card.uid,
        "owner_token": own_tokens["owner"],
        "soon": (timezone.now() + timedelta(minutes=30)).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    return World(ids, _tokens(taxi, other), own_tokens, digest())
