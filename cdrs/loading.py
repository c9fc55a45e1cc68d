"""The facts of a finished session, from its rows."""

from cdrs import corrections
from cdrs.facts import Anomaly, SessionFacts
from cdrs.models import Correction
from locations.models import Connector
from ocpi import codec, v221
from sessions.models import Session
from sessions.services import readings_of

_PHASES = {
    v221.PowerType.AC_2_PHASE.value: 2,
    v221.PowerType.AC_2_PHASE_SPLIT.value: 2,
    v221.PowerType.AC_3_PHASE.value: 3,
}


def session_facts(row: Session) -> SessionFacts:
    """Return what a CDR is made of; fetch the row with ``own_party`` and ``party``. Corrections are laid
    over."""
    changes = Correction.objects.filter(session=row).order_by("id").values_list("changes", flat=True)
    facts = SessionFacts(
        session_id=str(row.pk),
        country_code=row.own_party.country_code,
        party_id=row.own_party.party_id,
        payer=(row.party.country_code.upper(), row.party.party_id.upper()),
        started_at=row.started_at,
        ended_at=row.ended_at or row.started_at,
        meter_start_wh=row.meter_start_wh,
        meter_stop_wh=row.meter_last_wh,
        readings=tuple(readings_of(row)),
        suspended_ev_from=row.suspended_ev_from,
        cdr_token=codec.decode_bytes(v221.CdrToken, bytes(row.cdr_token)),
        auth_method=v221.AuthMethod(row.auth_method),
        authorization_reference=row.authorization_reference,
        cdr_location=codec.decode_bytes(v221.CdrLocation, bytes(row.cdr_location)),
        currency=row.currency,
        time_zone=row.time_zone,
        tariffs=codec.decode_bytes(tuple[v221.Tariff, ...], bytes(row.tariffs)),
        end_reason=row.end_reason,
        decision_ref=row.decision_ref,
        is_estimated=row.is_estimated,
        anomalies=tuple(Anomaly(code=each["code"], text=each["text"]) for each in row.anomalies),
        overlaps=_overlaps(row),
        max_power_w=_max_power_w(row),
    )
    return corrections.corrected(facts, (corrections.restored(each) for each in changes))


def _overlaps(row: Session) -> tuple[str, ...]:
    """Other sessions that charged at the same EVSE at the same time; [start, end) on both sides."""
    ended_at = row.ended_at or row.started_at
    others = Session.objects.filter(
        evse_id=row.evse_id,
        status__in=(v221.SessionStatus.ACTIVE.value, v221.SessionStatus.COMPLETED.value),
        started_at__lt=ended_at,
    ).exclude(pk=row.pk)
    running = others.filter(ended_at__isnull=True) | others.filter(ended_at__gt=row.started_at)
    return tuple(str(key) for key in running.order_by("started_at", "pk").values_list("pk", flat=True)[:5])


def _max_power_w(row: Session) -> int | None:
    connector = Connector.objects.filter(evse_id=row.evse_id, ocpi_id=row.connector_id).first()
    if connector is None:
        return None
    if connector.max_electric_power:
        return connector.max_electric_power
    # OCPI gives the voltage of three phases between line and neutral, so each phase counts.
    return connector.max_voltage * connector.max_amperage * _PHASES.get(connector.power_type, 1)
