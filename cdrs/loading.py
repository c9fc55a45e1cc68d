"""The facts of a finished session, from its rows."""

from django.db import connection

from cdrs import corrections
from cdrs.facts import Anomaly, SessionFacts
from cdrs.models import Correction
from locations.electrical import Supply
from locations.models import Connector
from ocpi import codec, v221
from sessions.models import MeterReading, Session
from sessions.periods import Reading
from tariffs.choice import TariffChange

_MAX_OVERLAPS = 5
# One statement by hand: sealing is the busiest moment of a depot, when all leave at once.
_AROUND = f"""
SELECT
    ARRAY(SELECT at FROM {MeterReading._meta.db_table} WHERE session_id = s.id ORDER BY at),
    ARRAY(SELECT energy_wh FROM {MeterReading._meta.db_table} WHERE session_id = s.id ORDER BY at),
    ARRAY(SELECT changes::text FROM {Correction._meta.db_table} WHERE session_id = s.id ORDER BY id),
    ARRAY(
        SELECT o.id::text FROM {Session._meta.db_table} o
        WHERE o.evse_id = s.evse_id AND o.id <> s.id AND o.status IN ('ACTIVE', 'COMPLETED')
            AND o.started_at < s.ended_at AND (o.ended_at > s.started_at OR o.ended_at IS NULL)
        ORDER BY o.started_at, o.id LIMIT {_MAX_OVERLAPS}
    ),
    c.power_type, c.max_voltage, c.max_amperage, c.max_electric_power
FROM {Session._meta.db_table} s
LEFT JOIN {Connector._meta.db_table} c ON c.evse_id = s.evse_id AND c.ocpi_id = s.connector_id
WHERE s.id = %s
"""


def session_facts(row: Session) -> SessionFacts:
    """Return what a CDR is made of, with its corrections laid over; fetch the row with both parties.

    ``overlaps`` are other sessions at the same EVSE at the same time, [start, end) on both sides.
    """
    with connection.cursor() as cursor:
        cursor.execute(_AROUND, [row.pk])
        instants, registers, changes, overlaps, *connector = cursor.fetchone()
    facts = SessionFacts(
        session_id=str(row.pk),
        country_code=row.own_party.country_code,
        party_id=row.own_party.party_id,
        payer=(row.party.country_code.upper(), row.party.party_id.upper()),
        started_at=row.started_at,
        ended_at=row.ended_at or row.started_at,
        meter_start_wh=row.meter_start_wh,
        meter_stop_wh=row.meter_last_wh,
        readings=tuple(Reading(at, wh) for at, wh in zip(instants, registers, strict=True)),
        suspended_ev_from=row.suspended_ev_from,
        cdr_token=codec.decode_bytes(v221.CdrToken, bytes(row.cdr_token)),
        auth_method=v221.AuthMethod(row.auth_method),
        authorization_reference=row.authorization_reference,
        cdr_location=codec.decode_bytes(v221.CdrLocation, bytes(row.cdr_location)),
        currency=row.currency,
        time_zone=row.time_zone,
        tariffs=codec.decode_bytes(tuple[v221.Tariff, ...], bytes(row.tariffs)),
        tariff_changes=codec.decode_bytes(tuple[TariffChange, ...], bytes(row.tariff_changes)),
        end_reason=row.end_reason,
        decision_ref=row.decision_ref,
        is_estimated=row.is_estimated,
        anomalies=tuple(Anomaly(code=each["code"], text=each["text"]) for each in row.anomalies),
        overlaps=tuple(overlaps),
        max_power_w=_max_power_w(*connector),
        reserved_from=row.reserved_from,
        is_reservation_expired=row.is_reservation_expired,
        is_unused=row.is_unused_reservation,
    )
    return corrections.corrected(facts, (corrections.read(each) for each in changes))


def _max_power_w(
    power_type: str | None, volts: int | None, amperes: int | None, watts: int | None
) -> int | None:
    """What the connector can deliver; None when it is not there any more."""
    if power_type is None or volts is None or amperes is None:
        return None
    return int(Supply.of(power_type=power_type, volts=volts, amperes=amperes, watts=watts).watts)
