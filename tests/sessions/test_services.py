"""The verbs of a session against a real PostgreSQL: what changes, what does not, and what the partner is
owed."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

from locations.models import EVSE
from ocpi import codec, v221
from roaming.models import Obligation, Party
from sessions.models import MeterReading, Session
from sessions.periods import Refusal
from sessions.services import (
    EvseTaken,
    Reading,
    WrongState,
    activate_session,
    add_readings,
    complete_session,
    invalidate_session,
    open_session,
    resume_ev,
    suspend_ev,
)
from sessions.wire import session_document
from tests.sessions.material import START, cdr_location, energy_of, tariff
from tests.sessions.rows import active, bay, completed, facts, partner, pending

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
ACTIVE, COMPLETED, INVALID = (
    v221.SessionStatus.ACTIVE.value,
    v221.SessionStatus.COMPLETED.value,
    v221.SessionStatus.INVALID.value,
)


@pytest.fixture
def taxi() -> Party:
    return partner()


@pytest.fixture
def evse() -> EVSE:
    return bay()


def row(session: Session) -> dict[str, Any]:
    values = Session.objects.filter(pk=session.pk).values().get()
    return {name: bytes(value) if isinstance(value, memoryview) else value for name, value in values.items()}


def owed() -> list[tuple[str, int, tuple[str, ...], bool]]:
    rows = Obligation.objects.order_by("id")
    return [
        (each.kind, each.wanted_version, tuple(sorted(each.changed_fields)), each.force_put) for each in rows
    ]


def unchanged(action: Callable[[], Any], session: Session) -> Any:
    """Run an action that must neither change the session nor owe anything; returns what it returned."""
    before, owed_before, readings = row(session), owed(), MeterReading.objects.count()
    result = action()
    assert (row(session), owed(), MeterReading.objects.count()) == (before, owed_before, readings)
    return result


def refused(error: type[Exception], action: Callable[[], Any], session: Session) -> None:
    def attempt() -> None:
        with pytest.raises(error), transaction.atomic():
            action()

    unchanged(attempt, session)


def test_a_new_session_is_pending_from_its_creation_and_owed_in_full(taxi: Party, evse: EVSE) -> None:
    """SES-05, SES-12, SES-16."""
    session = pending(party=taxi, evse=evse)
    document = session_document(Session.objects.select_related("own_party").get(pk=session.pk))
    assert document == v221.Session(
        country_code="BE",
        party_id="YRD",
        id=str(session.pk),
        start_date_time=START,
        kwh=Decimal(0),
        cdr_token=facts(party=taxi, evse=evse).cdr_token,
        auth_method=v221.AuthMethod.COMMAND,
        authorization_reference="APP-77812",
        location_id="LOC-GENT-NOORD",
        evse_uid="EVSE-GENT-1",
        connector_id="1",
        currency="EUR",
        status=v221.SessionStatus.PENDING,
        last_updated=START,
    )
    assert owed() == [("session", 1, (), True)]


@pytest.mark.parametrize("status", [v221.SessionStatus.COMPLETED, v221.SessionStatus.INVALID])
def test_a_session_cannot_open_as_ended(taxi: Party, evse: EVSE, status: v221.SessionStatus) -> None:
    """SES-11."""
    with pytest.raises(WrongState):
        pending(party=taxi, evse=evse, status=status)
    assert (Session.objects.count(), owed()) == (0, [])


def test_an_active_session_opens_only_with_its_meter_value(taxi: Party, evse: EVSE) -> None:
    with pytest.raises(WrongState, match="meter value"):
        pending(party=taxi, evse=evse, status=v221.SessionStatus.ACTIVE)
    assert (Session.objects.count(), owed()) == (0, [])


def test_a_bay_with_a_live_session_is_taken(taxi: Party, evse: EVSE) -> None:
    """I1: the database decides; the loser stores and owes nothing."""
    first = pending(party=taxi, evse=evse)
    refused(EvseTaken, lambda: open_session(facts=facts(party=taxi, evse=evse), now=START), first)
    assert Session.objects.count() == 1
    pending(party=taxi, evse=bay(2))
    assert Session.objects.count() == 2


def test_the_bay_is_free_again_after_the_session(taxi: Party, evse: EVSE) -> None:
    completed(party=taxi, evse=evse)
    later = START + timedelta(hours=3)
    again = pending(party=taxi, evse=evse, started_at=later, now=later)
    assert again.status == v221.SessionStatus.PENDING.value


def test_activation_moves_the_start_to_the_transaction(taxi: Party, evse: EVSE) -> None:
    """SES-12, SES-16, SES-17, CDR-22: start, authorization and its reference are the last ones."""
    session = pending(party=taxi, evse=evse)
    started_at = START + 2 * MINUTE + timedelta(microseconds=1_999)
    activated = activate_session(
        session=session,
        started_at=started_at,
        meter_start_wh=1_000_000,
        now=started_at,
        auth_method=v221.AuthMethod.WHITELIST,
        authorization_reference="RFID-1",
    )
    assert activated.started_at == START + 2 * MINUTE + timedelta(milliseconds=1)
    assert (activated.status, activated.auth_method, activated.authorization_reference) == (
        ACTIVE,
        "WHITELIST",
        "RFID-1",
    )
    ((_, version, changed, _),) = owed()
    assert (version, changed) == (
        2,
        ("auth_method", "authorization_reference", "start_date_time", "status"),
    )


def test_a_repeated_activation_changes_nothing_and_another_one_is_refused(taxi: Party, evse: EVSE) -> None:
    """I13."""
    session = active(party=taxi, evse=evse)
    unchanged(
        lambda: activate_session(session=session, started_at=START, meter_start_wh=1_000_000, now=START),
        session,
    )
    refused(
        WrongState,
        lambda: activate_session(session=session, started_at=START, meter_start_wh=5, now=START),
        session,
    )


def test_readings_move_energy_cost_and_periods(taxi: Party, evse: EVSE) -> None:
    """SES-19, I14."""
    session = active(party=taxi, evse=evse)
    report = add_readings(
        session=session,
        readings=[Reading(START + 30 * MINUTE, 1_011_000, 22_000)],
        now=START + 30 * MINUTE,
    )
    assert (report.stored, report.repeated, report.refused) == (1, 0, ())
    document = session_document(Session.objects.select_related("own_party").get(pk=session.pk))
    assert document.kwh == energy_of(document.charging_periods) == Decimal(11)
    assert len(document.charging_periods) == 2
    # 11 kWh x 0.35 + 0.50 = 4.35, VAT 21 %.
    assert document.total_cost == v221.Price(excl_vat=Decimal("4.35"), incl_vat=Decimal("5.26"))
    assert document.last_updated == START + 30 * MINUTE


def test_repeated_readings_are_stored_once(taxi: Party, evse: EVSE) -> None:
    """I13: the same message twice is the same state."""
    session = active(party=taxi, evse=evse)
    batch = [Reading(START + 10 * MINUTE, 1_002_000), Reading(START + 20 * MINUTE, 1_004_000)]
    add_readings(session=session, readings=batch, now=START + 20 * MINUTE)
    report = unchanged(
        lambda: add_readings(session=session, readings=batch, now=START + 20 * MINUTE + timedelta(seconds=1)),
        session,
    )
    assert (report.stored, report.repeated) == (0, 2)


def test_a_late_older_reading_is_kept_and_lowers_nothing(taxi: Party, evse: EVSE) -> None:
    """I14: kWh never falls; the older value makes the curve more exact."""
    session = active(party=taxi, evse=evse)
    add_readings(session=session, readings=[Reading(START + 20 * MINUTE, 1_004_000)], now=START + 20 * MINUTE)
    report = add_readings(
        session=session, readings=[Reading(START + 10 * MINUTE, 1_001_000)], now=START + 22 * MINUTE
    )
    stored = Session.objects.get(pk=session.pk)
    assert (report.stored, stored.kwh, stored.meter_last_wh) == (1, Decimal(4), 1_004_000)
    assert MeterReading.objects.count() == 2


def test_a_falling_register_is_refused_and_remembered(taxi: Party, evse: EVSE) -> None:
    """W8, I14: the value does not count, the partner is not told of it, and the session will be reviewed."""
    session = active(party=taxi, evse=evse)
    add_readings(session=session, readings=[Reading(START + 20 * MINUTE, 1_004_000)], now=START + 20 * MINUTE)
    before, owed_before = row(session), owed()
    falling = [Reading(START + 30 * MINUTE, 1_003_999)]
    for _ in range(2):
        report = add_readings(session=session, readings=falling, now=START + 30 * MINUTE)
        assert report.refused == ((falling[0], Refusal.BACKWARDS),)
    after = row(session)
    assert after.pop("anomalies") == [
        {"code": "READING_BACKWARDS", "text": "1003999 Wh at 2026-11-20T19:30:00+00:00"}
    ]
    assert before.pop("anomalies") == []
    assert (after, owed()) == (before, owed_before)
    assert MeterReading.objects.count() == 1


def test_partners_are_told_of_readings_at_most_once_a_minute(taxi: Party, evse: EVSE) -> None:
    """SES-19: three hours of readings every ten seconds are far fewer updates; the status is told at once."""
    session = active(party=taxi, evse=evse)
    versions = []
    for tens in range(1, 13):
        instant = START + timedelta(seconds=10 * tens)
        add_readings(session=session, readings=[Reading(instant, 1_000_000 + 60 * tens)], now=instant)
        versions.append(owed()[0][1])
    # Told with the first reading, and again a minute later.
    assert versions == [3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4]
    done = complete_session(
        session=session,
        ended_at=START + timedelta(seconds=121),
        meter_stop_wh=1_000_730,
        end_reason="Local",
        now=START + timedelta(seconds=121),
    )
    assert (done.status, owed()[0][1], done.kwh) == (COMPLETED, 5, Decimal("0.730"))


def test_a_suspended_vehicle_parks_until_energy_flows_again(taxi: Party, evse: EVSE) -> None:
    """CDR-17."""
    session = active(party=taxi, evse=evse)
    add_readings(session=session, readings=[Reading(START + 60 * MINUTE, 1_010_000)], now=START + 60 * MINUTE)
    suspended = suspend_ev(session=session, at=START + 60 * MINUTE, now=START + 61 * MINUTE)
    assert suspended.suspended_ev_from == START + 60 * MINUTE
    unchanged(lambda: suspend_ev(session=session, at=START + 62 * MINUTE, now=START + 62 * MINUTE), session)
    add_readings(session=session, readings=[Reading(START + 70 * MINUTE, 1_010_016)], now=START + 70 * MINUTE)
    assert Session.objects.get(pk=session.pk).suspended_ev_from == START + 60 * MINUTE
    add_readings(session=session, readings=[Reading(START + 80 * MINUTE, 1_010_500)], now=START + 80 * MINUTE)
    assert Session.objects.get(pk=session.pk).suspended_ev_from is None
    suspend_ev(session=session, at=START + 80 * MINUTE, now=START + 81 * MINUTE)
    assert resume_ev(session=session, now=START + 82 * MINUTE).suspended_ev_from is None


def test_completion_is_final_exact_and_told_in_full(taxi: Party, evse: EVSE) -> None:
    """SES-11, I14."""
    session = completed(party=taxi, evse=evse)
    document = session_document(Session.objects.select_related("own_party").get(pk=session.pk))
    assert (document.status, document.end_date_time, document.kwh) == (
        v221.SessionStatus.COMPLETED,
        START + timedelta(hours=2),
        Decimal(20),
    )
    assert energy_of(document.charging_periods) == Decimal(20)
    assert document.total_cost == v221.Price(excl_vat=Decimal("7.50"), incl_vat=Decimal("9.08"))
    ((_, _, _, force_put),) = owed()
    assert force_put is True


def test_nothing_changes_after_completion(taxi: Party, evse: EVSE) -> None:
    """SES-11: late readings, another stop, a suspension, an invalidation."""
    session = completed(party=taxi, evse=evse)
    later = START + timedelta(hours=3)
    report = unchanged(
        lambda: add_readings(session=session, readings=[Reading(later, 1_050_000)], now=later), session
    )
    assert report.is_session_over is True
    unchanged(
        lambda: complete_session(
            session=session, ended_at=later, meter_stop_wh=1_050_000, end_reason="Remote", now=later
        ),
        session,
    )
    unchanged(lambda: suspend_ev(session=session, at=START, now=later), session)
    unchanged(lambda: resume_ev(session=session, now=later), session)
    refused(WrongState, lambda: invalidate_session(session=session, reason="late", now=later), session)
    refused(
        WrongState,
        lambda: activate_session(session=session, started_at=later, meter_start_wh=1, now=later),
        session,
    )


@pytest.mark.parametrize(
    ("ended_after", "meter_stop_wh", "code", "kept_end", "kept_wh"),
    [
        (-5, 1_020_000, "STOP_BEFORE_START", 30, 1_020_000),
        (99 * 365 * 24 * 60, 1_020_000, "STOP_IN_FUTURE", 60, 1_020_000),
        (60, 1_004_999, "STOP_BELOW_READING", 60, 1_005_000),
        (60, 2_001_000_001, "STOP_IMPOSSIBLE", 60, 1_005_000),
    ],
)
def test_a_stop_that_cannot_be_ends_the_session_and_is_remembered(
    taxi: Party, evse: EVSE, ended_after: int, meter_stop_wh: int, code: str, kept_end: int, kept_wh: int
) -> None:
    """W8: the station is believed nowhere that it cannot be right; nothing crashes, nothing is lost."""
    session = active(party=taxi, evse=evse)
    add_readings(session=session, readings=[Reading(START + 30 * MINUTE, 1_005_000)], now=START + 30 * MINUTE)
    done = complete_session(
        session=session,
        ended_at=START + ended_after * MINUTE,
        meter_stop_wh=meter_stop_wh,
        end_reason="Local",
        now=START + 60 * MINUTE,
    )
    assert (done.status, done.ended_at, done.meter_last_wh) == (COMPLETED, START + kept_end * MINUTE, kept_wh)
    assert [each["code"] for each in done.anomalies] == [code]


def test_an_end_without_a_meter_value_is_an_estimate_from_the_last_reading(taxi: Party, evse: EVSE) -> None:
    session = active(party=taxi, evse=evse)
    add_readings(session=session, readings=[Reading(START + 30 * MINUTE, 1_005_000)], now=START + 30 * MINUTE)
    done = complete_session(
        session=session,
        ended_at=START + 40 * MINUTE,
        meter_stop_wh=None,
        end_reason="no stop received",
        now=START + 60 * MINUTE,
    )
    assert (done.is_estimated, done.kwh) == (True, Decimal(5))


def test_a_pending_session_that_never_started_is_invalid_not_completed(taxi: Party, evse: EVSE) -> None:
    """SES-11."""
    session = pending(party=taxi, evse=evse)
    refused(
        WrongState,
        lambda: complete_session(
            session=session, ended_at=START, meter_stop_wh=1, end_reason="Local", now=START
        ),
        session,
    )
    ended = invalidate_session(session=session, reason="start TIMEOUT", now=START + MINUTE)
    assert (ended.status, ended.ended_at, ended.end_reason) == (INVALID, START + MINUTE, "start TIMEOUT")
    unchanged(lambda: invalidate_session(session=session, reason="again", now=START + 2 * MINUTE), session)


def test_every_change_is_stamped_later_than_all_before_it(taxi: Party, evse: EVSE) -> None:
    """delivery.md 4.3: also when our clock stands still or steps back."""
    first = pending(party=taxi, evse=evse)
    second = pending(party=taxi, evse=bay(2), now=START - timedelta(hours=1))
    third = activate_session(session=first, started_at=START, meter_start_wh=1, now=START)
    assert [first.last_updated, second.last_updated, third.last_updated] == [
        START,
        START + timedelta(milliseconds=1),
        START + timedelta(milliseconds=2),
    ]


def test_edits_after_the_start_change_nothing_that_was_frozen(taxi: Party, evse: EVSE) -> None:
    """CDR-12, TAR-27."""
    session = active(party=taxi, evse=evse)
    evse.location.depot.address = "Elsewhere 1"
    evse.location.depot.save()
    stored = Session.objects.get(pk=session.pk)
    assert codec.decode_bytes(v221.CdrLocation, bytes(stored.cdr_location)) == cdr_location(
        evse_uid=evse.uid, evse_id=evse.evse_id
    )
    assert codec.decode_bytes(tuple[v221.Tariff, ...], bytes(stored.tariffs)) == (tariff(),)
