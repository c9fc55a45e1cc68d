"""From a finished session to its CDR (chapter "CDRs module"). [pure]"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from zoneinfo import ZoneInfo

import msgspec

from cdrs.facts import SessionFacts
from ocpi import v221
from sessions import reservation
from sessions.periods import Reading, curve, kwh, priced_periods
from tariffs.bill import Bill, CannotPrice
from tariffs.pricing import price
from tariffs.rounding import plain

NOT_AVAILABLE = "#NA"
"""What stands in a required string that truly cannot be filled (SYN-07); lint sends such a CDR to review."""

# Ends that need no word: the driver left, or the vehicle had enough.
_DRIVER_ENDS = frozenset({"", "Local", "EVDisconnected", "StoppedByEV"})
# Our causes and the stop reasons of OCPP, as the partner reads them. Others are given as they are.
_END_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "window end": "Stopped by operator: end of the charging window",
        "fleet priority": "Stopped by operator: fleet priority",
        "stopped by operator": "Stopped by operator",
        "stopped by partner": "Stopped on request of the eMSP",
        "reservation expired": "Reservation expired without a charge",
        "reservation canceled": "Reservation canceled by the eMSP",
        "Remote": "Stopped remotely",
        "DeAuthorized": "Stopped: token not accepted any more",
        "EmergencyStop": "Stopped: emergency stop at the station",
        "PowerLoss": "Stopped: power loss at the station",
        "HardReset": "Stopped: restart of the station",
        "SoftReset": "Stopped: restart of the station",
        "Reboot": "Stopped: restart of the station",
        "UnlockCommand": "Stopped: connector unlocked by operator",
    }
)
_MAX_REMARK = 255
_MAX_CREDIT_ID = 39
# CdrLocation is narrower than the Location that it was taken from (DIS-58).
_PLACE_LENGTHS: Mapping[str, int] = MappingProxyType(
    {"name": 255, "address": 45, "city": 45, "postal_code": 10, "state": 20}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """The periods that a session is billed by, and the bill."""

    periods: tuple[v221.ChargingPeriod, ...]
    bill: Bill


def price_session(facts: SessionFacts) -> Priced:
    """Cut a session into periods and price them. Raises CannotPrice with what to correct."""
    if not facts.tariffs:
        raise CannotPrice("the session has no tariff: name the one that was in force at its start")
    if facts.is_unused:
        return _price_reservation(facts)
    if facts.meter_start_wh is None or facts.meter_stop_wh is None:
        raise CannotPrice("the session has no meter value of its start or stop: enter it by a correction")
    readings = curve(
        start=Reading(facts.started_at, facts.meter_start_wh),
        stop=Reading(facts.ended_at, facts.meter_stop_wh),
        readings=facts.readings,
    )
    periods = priced_periods(
        tariffs=facts.tariffs,
        time_zone=facts.time_zone,
        readings=readings,
        suspended_ev_from=facts.suspended_ev_from,
        reserved_from=facts.reserved_from,
        changes=facts.tariff_changes,
    )
    bill = price(
        tariffs=facts.tariffs,
        charging_periods=periods,
        start=facts.begun_at,
        end=facts.ended_at,
        time_zone=facts.time_zone,
    )
    return Priced(periods=periods, bill=bill)


def _price_reservation(facts: SessionFacts) -> Priced:
    periods, bill = reservation.bill(
        tariffs=facts.tariffs,
        time_zone=facts.time_zone,
        start=facts.begun_at,
        end=facts.ended_at,
        is_expired=facts.is_reservation_expired,
        changes=facts.tariff_changes,
    )
    return Priced(periods=periods, bill=bill)


def build(*, cdr_id: str, facts: SessionFacts, priced: Priced, last_updated: datetime) -> v221.CDR:
    """Return the CDR of a session: its facts, its bill's totals, and the tariffs that were used (CDR-20).

    Parking time and reservation cost are left out when there were none. ``total_time`` covers both charging
    and parking (CDR-16). A reservation that was never used names no EVSE (CDR-23).
    """
    bill = priced.bill
    return v221.CDR(
        country_code=facts.country_code,
        party_id=facts.party_id,
        id=cdr_id,
        start_date_time=facts.begun_at,
        end_date_time=facts.ended_at,
        session_id=facts.session_id,
        cdr_token=facts.cdr_token,
        auth_method=facts.auth_method,
        authorization_reference=facts.authorization_reference or None,
        cdr_location=nowhere(fitted(facts.cdr_location)) if facts.is_unused else fitted(facts.cdr_location),
        currency=bill.currency,
        tariffs=used_tariffs(facts.tariffs, priced.periods),
        charging_periods=priced.periods,
        total_cost=bill.total_cost,
        total_fixed_cost=bill.total_fixed_cost,
        total_energy=plain(kwh((facts.meter_stop_wh or 0) - (facts.meter_start_wh or 0))),
        total_energy_cost=bill.total_energy_cost,
        total_time=bill.total_time,
        total_time_cost=bill.total_time_cost,
        total_parking_time=bill.total_parking_time or None,
        total_parking_cost=bill.total_parking_cost,
        total_reservation_cost=bill.total_reservation_cost,
        remark=remark(facts),
        last_updated=last_updated,
    )


def taken_back(cdr: v221.CDR, *, last_updated: datetime) -> v221.CDR:
    """Return the credit CDR of a CDR: all of its data, only ``total_cost`` negated (CDR-09, CDR-10).

    Raises ValueError when its id would be longer than the 39 characters of a credit CDR (CDR-08).
    """
    credit_id = f"{cdr.id}-C"
    if len(credit_id) > _MAX_CREDIT_ID:
        raise ValueError(f"id: {credit_id} is longer than {_MAX_CREDIT_ID} characters")
    total = cdr.total_cost
    negated = v221.Price(
        excl_vat=-total.excl_vat, incl_vat=None if total.incl_vat is None else -total.incl_vat
    )
    return msgspec.structs.replace(
        cdr,
        id=credit_id,
        credit=True,
        credit_reference_id=cdr.id,
        total_cost=negated,
        last_updated=last_updated,
    )


def used_tariffs(
    tariffs: tuple[v221.Tariff, ...], periods: tuple[v221.ChargingPeriod, ...]
) -> tuple[v221.Tariff, ...]:
    """The tariffs that periods name, a free one included, in the order of the session's snapshot (CDR-20)."""
    named = {period.tariff_id for period in periods}
    return tuple(tariff for tariff in tariffs if tariff.id in named)


def fitted(place: v221.CdrLocation) -> v221.CdrLocation:
    """The place with its texts cut to the lengths of CdrLocation, and a stand-in for a missing
    ``evse_id``."""
    cut = {
        name: text[:length].rstrip() or NOT_AVAILABLE
        for name, length in _PLACE_LENGTHS.items()
        if (text := getattr(place, name)) is not None
    }
    return msgspec.structs.replace(place, **cut, evse_id=place.evse_id or NOT_AVAILABLE)


def nowhere(place: v221.CdrLocation) -> v221.CdrLocation:
    """The place of a reservation that never became a charge: no EVSE was used (CDR-23)."""
    return msgspec.structs.replace(
        place, evse_uid=NOT_AVAILABLE, evse_id=NOT_AVAILABLE, connector_id=NOT_AVAILABLE
    )


def remark(facts: SessionFacts) -> str | None:
    """Why the session ended and the decision behind it, when it was not the driver who ended it; local
    time."""
    if facts.end_reason in _DRIVER_ENDS:
        return None
    text = _END_TEXTS.get(facts.end_reason, f"Ended: {facts.end_reason}")
    end = facts.ended_at.astimezone(ZoneInfo(facts.time_zone))
    reference = f" Ref {facts.decision_ref}." if facts.decision_ref else ""
    return f"{text}, end {end:%H:%M}.{reference}"[:_MAX_REMARK]
