"""Rows around a session: two partners, one depot of ours with two bays, and sessions on them."""

from datetime import datetime, timedelta
from typing import Any

from locations.models import EVSE, Depot
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from sessions.periods import Reading
from sessions.services import OpenSession, activate_session, add_readings, complete_session, open_session
from tests.factories import DepotFactory, EVSEFactory, LocationFactory, PartyFactory, connect
from tests.sessions.material import START, ZONE, cdr_location, cdr_token, tariff

STATION = "GENT-NOORD-01"


def partner(party_id: str = "EMS", name: str = "Randstad Taxi") -> Party:
    """A Dutch eMSP on a connected platform of its own that takes sessions and CDRs."""
    party = PartyFactory(party_id=party_id, platform__name=name)
    connect(party)
    return party


def bay(number: int = 1, **members: Any) -> EVSE:
    """A bay at Gent Noord with one socket of 22 kW."""
    depot = Depot.objects.filter(code="gent-noord").first() or DepotFactory(code="gent-noord")
    pool = depot.locations.first() or LocationFactory(depot=depot, ocpi_id="LOC-GENT-NOORD")
    return EVSEFactory(
        location=pool,
        uid=f"EVSE-GENT-{number}",
        evse_id=f"BE*YRD*E{number:04}",
        station_identity=STATION,
        ocpp_connector=number,
        plug__standard=v221.ConnectorType.IEC_62196_T2.value,
        plug__format=v221.ConnectorFormat.SOCKET.value,
        plug__power_type=v221.PowerType.AC_3_PHASE.value,
        plug__max_voltage=230,
        plug__max_amperage=32,
        plug__max_electric_power=None,
        **members,
    )


def facts(*, party: Party, evse: EVSE, **members: Any) -> OpenSession:
    given: dict[str, Any] = {
        "own_party": evse.location.depot.operator,
        "party": party,
        "location": evse.location,
        "evse": evse,
        "connector_id": "1",
        "status": v221.SessionStatus.PENDING,
        "cdr_token": cdr_token(
            country_code=party.country_code,
            party_id=party.party_id,
            contract_id=f"{party.country_code}-{party.party_id}-C12345678-1",
        ),
        "token_group": "",
        "auth_method": v221.AuthMethod.COMMAND,
        "authorization_reference": "APP-77812",
        "tariffs": (tariff(),),
        "currency": "EUR",
        "time_zone": ZONE,
        "cdr_location": cdr_location(evse_uid=evse.uid, evse_id=evse.evse_id),
        "started_at": START,
        "meter_start_wh": None,
        "must_end_by": START + timedelta(hours=9),
        "grant_ref": "12/v3",
        "decision_ref": "d-7f3a000001",
    }
    return OpenSession(**{**given, **members})


def pending(*, party: Party, evse: EVSE, now: datetime = START, **members: Any) -> Session:
    return open_session(facts=facts(party=party, evse=evse, **members), now=now)


def active(*, party: Party, evse: EVSE, now: datetime = START, **members: Any) -> Session:
    """A session that started at ``started_at`` with the register at 1,000,000 Wh."""
    session = pending(party=party, evse=evse, now=now, **members)
    return activate_session(
        session=session,
        started_at=members.get("started_at", START),
        meter_start_wh=1_000_000,
        now=now,
    )


def completed(
    *, party: Party, evse: EVSE, hours: int = 2, energy_wh: int = 20_000, **members: Any
) -> Session:
    """Charged evenly; ended after ``hours`` with ``energy_wh`` more on the register."""
    session = active(party=party, evse=evse, **members)
    started_at = session.started_at
    middle = Reading(started_at + timedelta(hours=hours) / 2, 1_000_000 + energy_wh // 2)
    add_readings(session=session, readings=[middle], now=middle.at)
    ended_at = started_at + timedelta(hours=hours)
    return complete_session(
        session=session,
        ended_at=ended_at,
        meter_stop_wh=1_000_000 + energy_wh,
        end_reason="Local",
        now=ended_at + timedelta(seconds=1),
    )
