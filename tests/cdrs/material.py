"""The facts of one evening's charge at Gent Noord, sound in every respect, for the tests of CDRs."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from cdrs.build import Priced, build, price_session
from cdrs.facts import Limits, SessionFacts
from ocpi import v221
from sessions.periods import Reading
from tests.sessions.material import START, ZONE, cdr_location, cdr_token, tariff

CDR_ID = "5f0c4a58-3b52-5b8e-9d2e-7a1c53f1b0aa"
END = START + timedelta(hours=2)
SEALED_AT = END + timedelta(seconds=3)
LIMITS = Limits(max_total={"EUR": Decimal(500)}, vat_countries=frozenset({"BEL", "NLD"}))


def facts(**members: Any) -> SessionFacts:
    """Two hours from 20:00 local time: 20 kWh, no parking."""
    given: dict[str, Any] = {
        "session_id": "0b0e7a52-5b6e-4a83-8f4e-8a3b5d7f2c11",
        "country_code": "BE",
        "party_id": "YRD",
        "payer": ("NL", "EMS"),
        "started_at": START,
        "ended_at": END,
        "meter_start_wh": 1_000_000,
        "meter_stop_wh": 1_020_000,
        "readings": (Reading(START + timedelta(hours=1), 1_010_000),),
        "suspended_ev_from": None,
        "cdr_token": cdr_token(),
        "auth_method": v221.AuthMethod.COMMAND,
        "authorization_reference": "APP-77812",
        "cdr_location": cdr_location(),
        "currency": "EUR",
        "time_zone": ZONE,
        "tariffs": (tariff(),),
        "end_reason": "Local",
        "decision_ref": "d-7f3a000001",
        "is_estimated": False,
        "anomalies": (),
        "overlaps": (),
        "max_power_w": 22_080,
    }
    return SessionFacts(**{**given, **members})


def made(some: SessionFacts) -> tuple[v221.CDR, Priced]:
    priced = price_session(some)
    return build(cdr_id=CDR_ID, facts=some, priced=priced, last_updated=SEALED_AT), priced
