"""How a session comes to be: from a verdict of access, a token and a bay to the frozen facts of the session."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from access.decisions import Allow
from access.models import Decision, Grant
from locations.models import EVSE, Location
from locations.services import set_reserved, set_serving
from locations.wire import cdr_location
from ocpi import codec, v221
from roaming.models import Party
from sessions.models import Session
from sessions.services import OpenSession, open_session
from tariffs.choice import is_valid
from tariffs.models import Tariff


class Permit(NamedTuple):
    """A yes of access, and its receipt."""

    allow: Allow
    receipt: Decision


@dataclass(frozen=True)
class Guest:
    """Who charges: the partner that pays, its token, and how it was authorized."""

    party: Party
    token: v221.Token
    auth_method: v221.AuthMethod
    authorization_reference: str = ""

    @property
    def cdr_token(self) -> v221.CdrToken:
        """The part of the token that sessions and CDRs carry."""
        return v221.CdrToken(
            country_code=self.token.country_code,
            party_id=self.token.party_id,
            uid=self.token.uid,
            type=self.token.type,
            contract_id=self.token.contract_id,
        )


@dataclass(frozen=True)
class Start:
    """When it starts: no meter value yet means that the session waits for the station (PENDING).

    `is_reserved`: it only keeps the bay for its driver (RESERVATION).
    """

    at: datetime
    meter_start_wh: int | None = None
    is_reserved: bool = False

    @property
    def status(self) -> v221.SessionStatus:
        """The status in which such a session opens."""
        if self.is_reserved:
            return v221.SessionStatus.RESERVATION
        return v221.SessionStatus.PENDING if self.meter_start_wh is None else v221.SessionStatus.ACTIVE


def open_for(
    *, guest: Guest, allow: Allow, receipt: Decision, connector_id: str | None, start: Start, now: datetime
) -> Session:
    """Open the session that a verdict allowed, on the bay that it chose.

    Errors: sessions.services.EvseTaken when another session won the bay; then nothing was stored. ValueError for a
    verdict without a grant: the fleet charges without sessions.
    """
    if allow.grant_id is None:
        raise ValueError("a session needs the grant that allowed it")
    evse = EVSE.objects.select_related("location__depot__operator").get(uid=allow.evse_uid)
    connectors = {connector.ocpi_id: connector for connector in evse.connectors.all()}
    connector = connectors[connector_id] if connector_id in connectors else next(iter(connectors.values()))
    grant = Grant.objects.select_related("tariff").get(pk=int(allow.grant_id))
    location: Location = evse.location
    # Bays are locked before sessions, everywhere; when the session is refused, this is undone with it.
    if start.is_reserved:
        set_reserved(evse=evse, is_reserved=True, now=now)
    else:
        set_serving(evse=evse, party=guest.party, now=now)
    return open_session(
        facts=OpenSession(
            own_party=location.depot.operator,
            party=guest.party,
            location=location,
            evse=evse,
            connector_id=connector.ocpi_id,
            status=start.status,
            cdr_token=guest.cdr_token,
            token_group=guest.token.group_id or "",
            auth_method=guest.auth_method,
            authorization_reference=guest.authorization_reference,
            tariffs=_tariffs(grant, start.at),
            currency=grant.tariff.currency,
            time_zone=location.depot.time_zone,
            cdr_location=cdr_location(evse=evse, connector=connector),
            started_at=start.at,
            meter_start_wh=start.meter_start_wh,
            must_end_by=allow.must_end_by,
            grant_ref=receipt.grant_ref,
            decision_ref=receipt.ref,
            profile_type=_profile_type(guest, evse),
        ),
        now=now,
    )


def _tariffs(grant: Grant, at: datetime) -> tuple[v221.Tariff, ...]:
    """The tariffs of a session, frozen for its whole life (TAR-27): the grant's own first, then those of profiles."""
    profiles = [_document(tariff) for tariff in grant.profile_tariffs.order_by("pk")]
    return (_document(grant.tariff), *(tariff for tariff in profiles if is_valid(tariff, at)))


def _document(tariff: Tariff) -> v221.Tariff:
    return codec.decode_bytes(v221.Tariff, bytes(tariff.document))


def _profile_type(guest: Guest, evse: EVSE) -> v221.ProfileType | None:
    """The preference that the token brings, where the bay takes preferences (TOK-24)."""
    if v221.Capability.CHARGING_PREFERENCES_CAPABLE.value not in evse.capabilities:
        return None
    return guest.token.default_profile_type
