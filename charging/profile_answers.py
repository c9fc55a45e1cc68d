"""What became of requests about charging profiles: each is closed by exactly one result.

What a station refuses or does not answer ends as REJECTED, what it does not find as UNKNOWN (docs/adr/0014).
"""

import uuid
from datetime import datetime, timedelta
from typing import Any, assert_never

from django.db import transaction

from charging.active_profiles import accepted, forgotten, schedule_in_force
from charging.commands import MARGIN_SECONDS
from charging.locks import lock_transaction
from charging.models import ChargingProfile, ProfileRequest, Transaction
from charging.outcomes import Outcome
from charging.ports import charger_gateway
from charging.profile_requests import not_after, send_limits
from charging.profiles import active
from charging.steering import supply_of
from ocpi import codec, v221
from roaming.delivery.services import owe_once

Method = ProfileRequest.Method
_Result = v221.ChargingProfileResultType
_Unit = v221.ChargingRateUnit
_FORMS: dict[str, Any] = {
    Method.GET.value: v221.ActiveChargingProfileResult,
    Method.PUT.value: v221.ChargingProfileResult,
    Method.DELETE.value: v221.ClearProfileResult,
}


def answered(*, request_id: uuid.UUID, outcome: Outcome, now: datetime) -> None:
    """Take the station's answer; whoever comes second (late answer, timeout) changes nothing."""
    with transaction.atomic():
        request, running = _locked(request_id)
        if request.state != ProfileRequest.State.SENT:
            return
        if _try_other_unit(request, running, outcome, now):
            return
        match Method(request.method):
            case Method.GET:
                _read(request, outcome, now)
            case Method.PUT:
                _set(request, outcome, now)
            case Method.DELETE:
                _cleared(request, outcome, now)
            case never:
                assert_never(never)


def _locked(request_id: uuid.UUID) -> tuple[ProfileRequest, Transaction | None]:
    """The Transaction before the request (charging/locks.py)."""
    key = (
        Transaction.objects.filter(session__profile_requests=request_id).values_list("pk", flat=True).first()
    )
    running = lock_transaction(transaction_id=key) if key is not None else None
    request = (
        ProfileRequest.objects.select_for_update(of=("self",))
        .select_related("party", "own_party", "session__own_party")
        .get(pk=request_id)
    )
    return request, running


def _try_other_unit(
    request: ProfileRequest, running: Transaction | None, outcome: Outcome, now: datetime
) -> bool:
    """Some stations refuse a unit that their configuration does not exclude: ask once more in the other one."""
    is_over = running is None or running.stopped_at is not None or now >= not_after(request)
    if request.method != Method.PUT or outcome.status != "Rejected" or request.is_second_unit or is_over:
        return False
    units = charger_gateway().rate_units(station_identity=request.session.evse.station_identity)
    supply = supply_of(request.session)
    other = _Unit.A if request.unit == _Unit.W.value else _Unit.W
    if other not in units or supply is None or running is None:
        return False
    request.unit, request.is_second_unit = other.value, True
    request.save(update_fields=["unit", "is_second_unit"])
    send_limits(request, running, supply, request.session)
    return True


def _set(request: ProfileRequest, outcome: Outcome, now: datetime) -> None:
    if outcome.status != "Accepted":
        _close(request, _Result.REJECTED, outcome, now)
        return
    _close(request, _Result.ACCEPTED, outcome, now)
    accepted(
        session=request.session,
        sender=request.party,
        profile=codec.decode_bytes(v221.ChargingProfile, bytes(request.profile)),
        now=now,
    )


def _cleared(request: ProfileRequest, outcome: Outcome, now: datetime) -> None:
    results = {"Accepted": _Result.ACCEPTED, "Unknown": _Result.UNKNOWN}
    result = results.get(outcome.status, _Result.REJECTED)
    _close(request, result, outcome, now)
    if result is not _Result.REJECTED:
        forgotten(session=request.session, now=now)


def _read(request: ProfileRequest, outcome: Outcome, now: datetime) -> None:
    """What the station will follow; where it has no words for that, the profile that it took last (CHP-12)."""
    supply = supply_of(request.session)
    if supply is None or not (outcome.status == "Accepted" or outcome.is_unable):
        _close(request, _Result.REJECTED, outcome, now)
        return
    row = ChargingProfile.objects.filter(session=request.session).select_related("session").first()
    schedule = outcome.limits or schedule_in_force(row, supply, now)
    found = active(
        schedule,
        supply=supply,
        unit=_Unit(row.unit if row else request.unit),
        start=now,
        seconds=request.duration_seconds or 0,
    )
    _close(request, _Result.ACCEPTED, outcome, now, profile=found)


def expire_requests(*, now: datetime) -> int:
    """Give REJECTED to every request whose station stayed silent; returns how many."""
    bound = now + timedelta(seconds=MARGIN_SECONDS / 2)
    late = ProfileRequest.objects.filter(state=ProfileRequest.State.SENT, expires_at__lte=bound)
    keys = list(late.values_list("pk", flat=True))
    for key in keys:
        answered(request_id=key, outcome=Outcome(is_timeout=True), now=now)
    return len(keys)


def _close(
    request: ProfileRequest,
    result: v221.ChargingProfileResultType,
    outcome: Outcome,
    now: datetime,
    *,
    profile: v221.ActiveChargingProfile | None = None,
) -> None:
    """Keep the result and owe it, in the form that fits the request (CHP-02)."""
    request.state, request.result, request.answered_at = ProfileRequest.State.ANSWERED, result.value, now
    silence = "The station did not answer in time." if outcome.is_timeout else ""
    request.message = (outcome.error or silence)[:255]
    request.save(update_fields=["state", "result", "message", "answered_at"])
    members = {"profile": profile} if request.method == Method.GET else {}
    owe_once(
        own_party=request.own_party,
        party=request.party,
        kind="profile_result",
        object_key=str(request.pk),
        url=request.response_url,
        body=codec.encode(_FORMS[request.method](result=result, **members)),
        expires_at=request.expires_at,
        correlation_id=request.correlation_id,
        now=now,
    )
