"""Who is calling: from the Authorization header to a platform and its parties, in one query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection, models
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from ocpi.headers import PartyId, parse_routing, read_authorization
from ocpi.status import OcpiError, StatusCode, invalid, unauthorized
from roaming import throttle
from roaming.models import CredentialsToken, Party, Platform
from roaming.secrets import hash_token

# A timestamp per request would turn every read into a write.
LAST_USED_PRECISION = timedelta(minutes=1)


@dataclass(frozen=True)
class Caller:
    """A partner platform that presented a valid token, and the two parties that the call is between.

    ``token_kind`` is A, B or C; ``parties`` are the partner's active roles; ``party`` is the acting one of
    them and ``own_party`` the addressed one of ours, both set on functional modules.
    """

    platform: Platform
    token_id: int
    token_kind: str
    token: str
    parties: tuple[Party, ...]
    party: Party | None = None
    own_party: Party | None = None


@dataclass(frozen=True)
class _Known:
    """What the database knows about a presented token."""

    token: CredentialsToken
    platform: Platform
    parties: tuple[Party, ...]
    own_parties: tuple[Party, ...]


class CredentialsTokenAuthentication(BaseAuthentication):
    """Sets ``request.auth`` to a Caller; views name the kinds of token that open them in ``open_to``."""

    def authenticate(self, request: Request) -> tuple[None, Caller]:
        """Return the caller.

        Raises OcpiError 401 with one text for every reason, 2001 for bad routing headers, and Throttled.
        """
        now = timezone.now()
        view: Any = request.parser_context["view"]
        decoded, raw = _presented(request)
        known = _find(decoded, raw, now)
        if known is None:
            # A call without a token is no guess: it is refused, and not counted.
            if raw is not None:
                throttle.admit_failure(client_address(request))
            raise unauthorized()
        if known.token.kind not in view.open_to:
            raise unauthorized()
        platform = known.platform
        throttle.admit_partner(platform.pk, view.interface[0], platform.max_requests_per_second)
        _note_use(known, now)
        party, own_party = _addressed(request, known) if view.is_functional else (None, None)
        is_decoded = decoded is not None and bytes(known.token.hash) == hash_token(decoded)
        return None, Caller(
            platform=platform,
            token_id=known.token.pk,
            token_kind=known.token.kind,
            token=(decoded if is_decoded else raw) or "",
            parties=known.parties,
            party=party,
            own_party=own_party,
        )

    def authenticate_header(self, request: Request) -> str:
        """Return the scheme for ``WWW-Authenticate``."""
        return "Token"


def client_address(request: Request) -> str:
    """Return the address that a request came from, as the outermost proxy of ours saw it."""
    hops: int = settings.TRUSTED_PROXY_HOPS
    if hops > 0:
        chain = [entry.strip() for entry in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")]
        if len(chain) >= hops:
            return chain[-hops][:64]
    return str(request.META.get("REMOTE_ADDR", ""))


def _presented(request: Request) -> tuple[str | None, str | None]:
    """Return the token as it should be read (Base64), and as a peer that never encodes means it (AUT-04)."""
    value = request.META.get("HTTP_AUTHORIZATION", "")
    return read_authorization(value), read_authorization(value, raw=True)


def _find(decoded: str | None, raw: str | None, now: datetime) -> _Known | None:
    # A damaged header is looked up as well: it must not be told apart by its speed from a wrong token.
    by_decoded, by_raw = hash_token(decoded or ""), hash_token(raw or "")
    with connection.cursor() as cursor:
        cursor.execute(_QUERY, [by_decoded, by_raw, Platform.Status.SUSPENDED, now])
        rows = cursor.fetchall()
    for wanted in (by_decoded, by_raw):
        known = _known([row for row in rows if bytes(row[_HASH_COLUMN]) == wanted])
        if known and (wanted == by_decoded or known.platform.accept_raw_token):
            return known
    return None


def _known(rows: Sequence[tuple[Any, ...]]) -> _Known | None:
    if not rows:
        return None
    first = rows[0]
    party_rows = [row[_PARTY_FROM:] for row in rows if row[_PARTY_FROM] is not None]
    parties = [Party.from_db("default", _PARTY_FIELDS, row) for row in party_rows]
    return _Known(
        token=CredentialsToken.from_db("default", _TOKEN_FIELDS, first[:_PLATFORM_FROM]),
        platform=Platform.from_db("default", _PLATFORM_FIELDS, first[_PLATFORM_FROM:_PARTY_FROM]),
        parties=tuple(party for party in parties if not party.is_own),
        own_parties=tuple(party for party in parties if party.is_own),
    )


def _note_use(known: _Known, now: datetime) -> None:
    last_used_at = known.token.last_used_at
    if last_used_at is not None and now - last_used_at < LAST_USED_PRECISION:
        return
    # Two statements of their own: together they could wait for a handshake that waits for them.
    Platform.objects.filter(pk=known.platform.pk).update(last_seen_at=now)
    CredentialsToken.objects.filter(pk=known.token.pk).update(last_used_at=now)
    if last_used_at is None:
        # The partner holds the newer token now: the grace of the one before it is over (T16).
        CredentialsToken.objects.filter(
            platform_id=known.platform.pk,
            kind=CredentialsToken.Kind.SESSION,
            pk__lt=known.token.pk,
            expires_at__isnull=False,
            revoked_at__isnull=True,
        ).update(revoked_at=now)


def _addressed(request: Request, known: _Known) -> tuple[Party, Party]:
    """Return the acting party of the partner and the addressed party of ours.

    Raises OcpiError: 401 for a FROM that is not of this platform (HUB-09), 2001 for a TO that is not ours
    (HUB-05) and for headers that are missing where there is a choice.
    """
    routing = parse_routing(
        {name: request.META.get(meta_name, "") for name, meta_name in _ROUTING_META.items()}
    )
    party = _chosen(known.parties, routing.from_, "OCPI-from")
    own_party = _chosen(known.own_parties, routing.to, "OCPI-to")
    if party is None:
        raise unauthorized()
    if own_party is None:
        raise invalid(f"OCPI-to-party-id: {routing.to} is not served here")
    return party, own_party


def _chosen(parties: Sequence[Party], named: PartyId | None, header: str) -> Party | None:
    if named is not None:
        return next((party for party in parties if party.ocpi_id == named), None)
    if len({party.ocpi_id for party in parties}) > 1:
        raise invalid(f"{header}-party-id, {header}-country-code: needed where there are several parties")
    if not parties:
        raise OcpiError(StatusCode.SERVER_ERROR, "this connection has no party to act for")
    return parties[0]


def _columns(model: type[models.Model], alias: str, names: Iterable[str]) -> str:
    columns = {field.attname: field.column for field in model._meta.concrete_fields}
    return ", ".join(f'{alias}."{columns[name]}"' for name in names)


_ROUTING_META = {
    "ocpi-to-country-code": "HTTP_OCPI_TO_COUNTRY_CODE",
    "ocpi-to-party-id": "HTTP_OCPI_TO_PARTY_ID",
    "ocpi-from-country-code": "HTTP_OCPI_FROM_COUNTRY_CODE",
    "ocpi-from-party-id": "HTTP_OCPI_FROM_PARTY_ID",
}
_TOKEN_FIELDS = ("id", "platform_id", "kind", "hash", "last_used_at", "expires_at")
# What views need of a platform; all else is loaded when somebody asks for it.
_PLATFORM_FIELDS = (
    "id",
    "name",
    "status",
    "version",
    "approved_hosts",
    "accept_raw_token",
    "max_requests_per_second",
    "cdr_mode",
)
_PARTY_FIELDS = tuple(field.attname for field in Party._meta.concrete_fields)
_HASH_COLUMN = _TOKEN_FIELDS.index("hash")
_PLATFORM_FROM = len(_TOKEN_FIELDS)
_PARTY_FROM = _PLATFORM_FROM + len(_PLATFORM_FIELDS)
# One query by hand: the ORM needs three for token, platform and parties, and compiles them anew each time.
_QUERY = f"""
SELECT {_columns(CredentialsToken, "t", _TOKEN_FIELDS)},
       {_columns(Platform, "p", _PLATFORM_FIELDS)},
       {_columns(Party, "y", _PARTY_FIELDS)}
FROM {CredentialsToken._meta.db_table} t
JOIN {Platform._meta.db_table} p ON p.id = t.platform_id
LEFT JOIN {Party._meta.db_table} y ON (y.platform_id = p.id OR y.platform_id IS NULL) AND y.is_active
WHERE t.hash IN (%s, %s) AND p.status <> %s
  AND t.revoked_at IS NULL AND (t.expires_at IS NULL OR t.expires_at > %s)
ORDER BY y.country_code, y.party_id, y.role
"""
