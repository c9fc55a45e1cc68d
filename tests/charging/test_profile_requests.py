"""GET, PUT and DELETE of charging profiles: what the station is asked, and the one result of each."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from chargers import calls
from chargers.models import Station, StationCall
from chargers.outgoing import CallOutcome, CallStatus
from charging.commands import Order
from charging.models import ChargingProfile, ProfileRequest, Transaction
from charging.profile_answers import expire_requests
from charging.profile_requests import clear_profile, read_profile, set_profile
from charging.profiles import schedule_of
from charging.steering import supply_of
from charging.sweeps import sweep
from charging.transactions import Begin, End, started, stopped
from locations.models import EVSE, Connector
from ocpi import codec, v221
from roaming.models import Endpoint, Obligation, Party
from roaming.pushes import get as push_of
from sessions.models import Session
from tests.charging.conftest import OPEN, connected_partner
from tests.charging.test_commands import start
from tests.charging.test_profiles import profile, shown

pytestmark = pytest.mark.django_db

Answer = v221.ChargingProfileResponseType
Result = v221.ChargingProfileResultType
A, W = v221.ChargingRateUnit.A, v221.ChargingRateUnit.W
NOW = OPEN + timedelta(minutes=10)
SOON = timedelta(seconds=31)
HALF = profile((0, "16"), (600, "8.1"))


@pytest.fixture
def ac_bay(gent: Any) -> EVSE:
    """Bay 2: a socket of three phases and 32 A, whose station takes profiles."""
    bay = EVSE.objects.get(station_identity="GENT-02")
    bay.capabilities = ["CHARGING_PROFILE_CAPABLE"]
    bay.save()
    return bay


@pytest.fixture
def session(ac_bay: EVSE, order: Order) -> Session:
    """A charge of Randstad Taxi, begun when the window opened."""
    give_endpoint(order.party)
    start(order, ac_bay, OPEN)
    tag = order.party.commands.get().id_tag
    started(begin=Begin("GENT-02", 1, tag, OPEN, 1000), now=OPEN)
    StationCall.objects.all().delete()
    return Session.objects.get(status="ACTIVE")


def give_endpoint(party: Party) -> None:
    Endpoint.objects.create(
        platform=party.platform,
        module="chargingprofiles",
        role="SENDER",
        url="https://partner.example/profiles",
    )


def an_scsp(party: Party, party_id: str = "FLX") -> Party:
    """A smart charging service provider on the platform of a party."""
    return Party.objects.create(
        platform=party.platform, role="SCSP", country_code="NL", party_id=party_id, name="Flex"
    )


def order_of(party: Party, order: Order) -> Order:
    return Order(party, order.own_party, order.response_url, "c-9")


def put(order: Order, session: Session, asked: v221.ChargingProfile = HALF, now: datetime = NOW) -> Answer:
    return set_profile(order=order, session_id=str(session.pk), profile=asked, now=now).result


def get(order: Order, session: Session, seconds: int = 900, now: datetime = NOW) -> Answer:
    return read_profile(order=order, session_id=str(session.pk), duration_seconds=seconds, now=now).result


def delete(order: Order, session: Session, now: datetime = NOW) -> Answer:
    return clear_profile(order=order, session_id=str(session.pk), now=now).result


def call_of(action: str) -> StationCall:
    return StationCall.objects.get(action=action, state="NEW")


def say(
    payload: dict[str, Any], now: datetime = NOW, status: CallStatus = CallStatus.ANSWERED, **more: Any
) -> None:
    """Let the station answer the call that waits."""
    call = StationCall.objects.get(state="NEW")
    StationCall.objects.filter(pk=call.pk).update(state="SENT", sent_at=now)
    calls.close(call.pk, CallOutcome(status, payload, **more), now=now)


def set_and_take(
    order: Order, session: Session, asked: v221.ChargingProfile = HALF, now: datetime = NOW
) -> None:
    assert put(order, session, asked, now) is Answer.ACCEPTED
    say({"status": "Accepted"}, now)


def results() -> list[tuple[str, Any]]:
    """The owed results: to whom, and what."""
    rows = Obligation.objects.filter(kind="profile_result").order_by("pk").select_related("party")
    return [(row.party.party_id, codec.parse(bytes(row.body))) for row in rows]


def told(now: datetime = NOW) -> dict[str, tuple[int, v221.ActiveChargingProfile]]:
    """Who is owed the limits in force: how many versions so far, and what would be sent now."""
    found = {}
    for row in Obligation.objects.filter(kind="active_profile").select_related("party"):
        message = push_of("active_profile").message(row, now=now)
        assert message is not None
        assert (message.method, message.segments) == ("PUT", (row.object_key,))
        limits = codec.decode_bytes(v221.ActiveChargingProfile, message.body or b"")
        found[row.party.party_id] = (row.wanted_version, limits)
    return found


def nothing_happened() -> bool:
    kinds = ("profile_result", "active_profile")
    return not (
        StationCall.objects.exists()
        or ProfileRequest.objects.exists()
        or ChargingProfile.objects.exists()
        or Obligation.objects.filter(kind__in=kinds).exists()
    )


# --- what the station is asked


def test_a_profile_goes_to_the_transaction_from_the_start_of_charging_to_its_end(
    order: Order, session: Session
) -> None:
    """CHP-01, CHP-09, CHP-10: the OCPP profile produced; no start and no duration were given."""
    reply = set_profile(order=order, session_id=str(session.pk), profile=HALF, now=NOW)
    assert (reply.result, reply.timeout) == (Answer.ACCEPTED, settings.COMMAND_TIMEOUT_SECONDS)
    call, key = call_of("SetChargingProfile"), Transaction.objects.get().pk
    assert (call.identity, call.not_after) == ("GENT-02", NOW + timedelta(seconds=35))
    assert call.payload == {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": key,
            "transactionId": key,
            "stackLevel": 1,
            "chargingProfilePurpose": "TxProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "startSchedule": "2026-11-24T19:00:00Z",
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [
                    {"startPeriod": 0, "limit": 16},
                    {"startPeriod": 600, "limit": Decimal("8.1")},
                ],
            },
        },
    }
    assert results() == []


def test_a_profile_is_cut_to_what_the_connector_gives(order: Order, session: Session) -> None:
    """CHP-09: an upper limit never raises anything."""
    put(order, session, profile((0, "63")))
    schedule = call_of("SetChargingProfile").payload["csChargingProfiles"]["chargingSchedule"]
    assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 32}]


def test_a_station_that_takes_watts_only_is_asked_in_watts(order: Order, session: Session) -> None:
    """CHP-11: A is per phase, W in total."""
    Station.objects.update(rate_units="W")
    put(order, session, profile((0, "10")))
    schedule = call_of("SetChargingProfile").payload["csChargingProfiles"]["chargingSchedule"]
    assert (schedule["chargingRateUnit"], schedule["chargingSchedulePeriod"]) == (
        "W",
        [{"startPeriod": 0, "limit": 6900}],
    )


def test_a_refused_unit_is_followed_by_the_other_one_and_remembered(order: Order, session: Session) -> None:
    """MicroOCPP (charging.md 5.4): one result in the end, for what the station took."""
    put(order, session, profile((0, "10")))
    say({"status": "Rejected"})
    assert results() == []
    second = call_of("SetChargingProfile").payload["csChargingProfiles"]["chargingSchedule"]
    assert second["chargingRateUnit"] == "W"
    say({"status": "Accepted"})
    assert results() == [("EMS", {"result": "ACCEPTED"})]
    assert Station.objects.get(identity="GENT-02").rate_units == "W"
    assert shown(told()["EMS"][1]) == [(0, "10.0")]


def test_a_profile_that_is_refused_in_both_units_is_rejected(order: Order, session: Session) -> None:
    put(order, session)
    say({"status": "Rejected"})
    say({"status": "Rejected"})
    assert results() == [("EMS", {"result": "REJECTED"})]
    assert not StationCall.objects.filter(state="NEW").exists()
    assert not ChargingProfile.objects.exists()
    assert Station.objects.get(identity="GENT-02").rate_units == "W,A"


# --- what is answered at once


def test_an_unknown_session_is_said_to_be_unknown(order: Order, session: Session) -> None:
    """CHP-05, CHP-19: only the ids of our own Sessions are ids."""
    for key in ("nope", "5c6a2c6e-0000-4000-8000-000000000000", "scsp-17"):
        for reply in (
            set_profile(order=order, session_id=key, profile=HALF, now=NOW),
            read_profile(order=order, session_id=key, duration_seconds=900, now=NOW),
            clear_profile(order=order, session_id=key, now=NOW),
        ):
            assert (reply.result, reply.timeout) == (Answer.UNKNOWN_SESSION, 0)
    assert nothing_happened()


def test_a_foreign_session_answers_as_an_unknown_one(order: Order, session: Session, stranger: Party) -> None:
    """B13, and ADR 14 on what the chapter says of it: the station is not asked."""
    foreign = order_of(stranger, order)
    assert {ask(foreign, session) for ask in (put, get, delete)} == {Answer.UNKNOWN_SESSION}
    assert nothing_happened()


def test_a_session_that_is_over_is_unknown(order: Order, session: Session) -> None:
    end = End("GENT-02", session.transaction.pk, NOW, 5000)
    stopped(end=end, now=NOW)
    assert put(order, session) is Answer.UNKNOWN_SESSION
    assert nothing_happened()


@pytest.mark.parametrize("ask", [put, get, delete])
def test_an_evse_without_the_capability_does_not_support_it(
    order: Order, session: Session, ac_bay: EVSE, ask: Any
) -> None:
    """CHP-07."""
    EVSE.objects.filter(pk=ac_bay.pk).update(capabilities=[])
    assert ask(order, session) is Answer.NOT_SUPPORTED
    assert nothing_happened()


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
def test_a_station_that_does_not_know_profiles_is_asked_once_and_never_again(
    order: Order, session: Session, code: str
) -> None:
    """CHP-07: a CALLERROR is a fact about the station."""
    put(order, session)
    say({}, status=CallStatus.REFUSED, error_code=code)
    assert results() == [("EMS", {"result": "REJECTED"})]
    later = NOW + SOON
    assert {ask(order, session, now=later) for ask in (put, get, delete)} == {Answer.NOT_SUPPORTED}
    assert StationCall.objects.count() == 1


@pytest.mark.parametrize("ask", [put, get, delete])
def test_an_offline_station_is_refused_at_once(order: Order, session: Session, ask: Any) -> None:
    """CHP-01: ACCEPTED only when the request can go to the station."""
    Station.objects.update(is_online=False)
    assert ask(order, session) is Answer.REJECTED
    assert nothing_happened()


def test_before_the_car_is_plugged_in_there_is_nothing_to_limit(order: Order, ac_bay: EVSE) -> None:
    start(order, ac_bay, OPEN)
    StationCall.objects.all().delete()
    assert put(order, Session.objects.get(status="PENDING"), now=OPEN) is Answer.REJECTED
    assert nothing_happened()


def test_a_second_change_within_half_a_minute_is_too_often(order: Order, session: Session) -> None:
    """CHP-08: nothing is stored, and the station is not asked."""
    set_and_take(order, session)
    early = NOW + timedelta(seconds=29)
    assert (put(order, session, now=early), delete(order, session, now=early)) == (
        Answer.TOO_OFTEN,
        Answer.TOO_OFTEN,
    )
    assert (ProfileRequest.objects.count(), StationCall.objects.count()) == (1, 1)
    assert put(order, session, now=NOW + timedelta(seconds=30)) is Answer.ACCEPTED


def test_a_session_is_read_once_at_a_time(order: Order, session: Session) -> None:
    """CHP-08."""
    assert [get(order, session), get(order, session)] == [Answer.ACCEPTED, Answer.TOO_OFTEN]
    say({"status": "Rejected"})
    assert get(order, session) is Answer.ACCEPTED


# --- exactly one result


def test_the_result_fits_the_request_and_goes_to_its_url(order: Order, session: Session) -> None:
    """CHP-01, CHP-02, MID-07: GET, PUT and DELETE each with the form of their own."""
    set_and_take(order, session)
    get(order, session)
    say({"status": "Accepted"})
    delete(order, session, NOW + SOON)
    say({"status": "Accepted"}, NOW + SOON)
    rows = Obligation.objects.filter(kind="profile_result")
    assert {(row.url, row.correlation_id) for row in rows} == {
        ("https://partner.example/results/1?id=7", "c-1")
    }
    first, second, third = (body for _, body in results())
    assert (first, third) == ({"result": "ACCEPTED"}, {"result": "ACCEPTED"})
    assert (second["result"], sorted(second["profile"])) == (
        "ACCEPTED",
        ["charging_profile", "start_date_time"],
    )


@pytest.mark.parametrize("ask", [put, get, delete])
@pytest.mark.parametrize(
    ("status", "payload"),
    [
        (CallStatus.TIMEOUT, {}),
        (CallStatus.LOST, {}),
        (CallStatus.NOT_SENT, {}),
        (CallStatus.INVALID, {"x": 1}),
    ],
)
def test_whatever_goes_wrong_at_the_station_is_rejected(
    order: Order, session: Session, ask: Any, status: CallStatus, payload: dict[str, Any]
) -> None:
    """CHP-02: the chapter has no word for a silence (docs/adr/0014)."""
    ask(order, session)
    say(payload, status=status)
    assert results() == [("EMS", {"result": "REJECTED"})]
    assert not ChargingProfile.objects.exists()


def test_a_silent_station_is_rejected_within_the_promise_and_a_late_answer_changes_nothing(
    order: Order, session: Session
) -> None:
    """CHP-01: exactly one result."""
    put(order, session)
    assert expire_requests(now=NOW + timedelta(seconds=39)) == 0
    assert expire_requests(now=NOW + timedelta(seconds=41)) == 1
    say({"status": "Accepted"}, NOW + timedelta(seconds=42))
    assert expire_requests(now=NOW + timedelta(hours=1)) == 0
    assert results() == [("EMS", {"result": "REJECTED"})]
    assert not ChargingProfile.objects.exists()


def test_clearing_what_is_not_there_is_unknown(order: Order, session: Session) -> None:
    """CHP-13."""
    delete(order, session)
    call = call_of("ClearChargingProfile")
    assert call.payload == {"id": session.transaction.pk}
    say({"status": "Unknown"})
    assert results() == [("EMS", {"result": "UNKNOWN"})]
    assert told() == {}


# --- what the station will follow


def composite(*periods: tuple[int, str], unit: str = "A", duration: int = 900) -> dict[str, Any]:
    return {
        "status": "Accepted",
        "connectorId": 1,
        "scheduleStart": "2001-01-01T00:00:00Z",
        "chargingSchedule": {
            "duration": duration,
            "chargingRateUnit": unit,
            "chargingSchedulePeriod": [
                {"startPeriod": start, "limit": Decimal(limit)} for start, limit in periods
            ],
        },
    }


def read(
    order: Order, session: Session, payload: dict[str, Any], **more: Any
) -> v221.ActiveChargingProfileResult:
    Obligation.objects.filter(kind="profile_result").delete()
    assert get(order, session) is Answer.ACCEPTED
    say(payload, **more)
    body = Obligation.objects.get(kind="profile_result").body
    return codec.decode_bytes(v221.ActiveChargingProfileResult, bytes(body))


def test_a_get_asks_the_station_and_shows_what_it_said_over_the_asked_time(
    order: Order, session: Session
) -> None:
    """CHP-12: from now on by our clock, in the unit of the partner's profile."""
    set_and_take(order, session)
    found = read(order, session, composite((0, "16.0"), (400, "8.1")))
    call = StationCall.objects.get(action="GetCompositeSchedule")
    assert call.payload == {"connectorId": 1, "duration": 900, "chargingRateUnit": "A"}
    assert found.profile is not None
    assert (found.result, found.profile.start_date_time) == (Result.ACCEPTED, NOW)
    assert found.profile.charging_profile.duration == 900
    assert shown(found.profile) == [(0, "16.0"), (400, "8.1")]


def test_a_station_that_answers_in_watts_is_shown_in_the_partners_amperes(
    order: Order, session: Session
) -> None:
    """CHP-11, CHP-12."""
    set_and_take(order, session)
    found = read(order, session, composite((0, "11040.0"), unit="W"))
    assert found.profile is not None
    assert shown(found.profile) == [(0, "16.0")]


def test_no_limit_and_more_than_the_connector_gives_are_its_maximum(order: Order, session: Session) -> None:
    """CHP-12, CHP-17: a limit of -1 is none (charging.md 5.4)."""
    found = read(order, session, composite((0, "-1"), (300, "99000.0"), unit="W"))
    assert found.profile is not None
    assert shown(found.profile) == [(0, "22080.0")]


@pytest.mark.parametrize(
    ("payload", "more"),
    [
        ({"status": "Accepted"}, {}),
        ({}, {"status": CallStatus.REFUSED, "error_code": "NotImplemented"}),
    ],
)
def test_a_station_without_a_composite_is_known_by_what_it_took_last(
    order: Order, session: Session, payload: dict[str, Any], more: dict[str, Any]
) -> None:
    """CHP-12: VCP and MicroOCPP (charging.md 5.4)."""
    set_and_take(order, session)
    found = read(order, session, payload, **more)
    assert found.profile is not None
    assert shown(found.profile) == [(0, "8.1")]


# --- what senders are told


def test_a_sender_is_told_the_limits_in_force_after_its_first_profile_and_at_each_change(
    order: Order, session: Session
) -> None:
    """CHP-09, CHP-14, CHP-16: the second PUT replaces the first; half an hour from now is shown."""
    set_and_take(order, session)
    version, limits = told()["EMS"]
    assert (version, limits.charging_profile.duration, shown(limits)) == (1, 1800, [(0, "8.1")])
    set_and_take(order, session, profile((0, "10")), NOW + SOON)
    version, limits = told(NOW + SOON)["EMS"]
    assert (version, shown(limits)) == (2, [(0, "10.0")])
    assert ChargingProfile.objects.count() == 1


def test_the_same_profile_again_is_no_news(order: Order, session: Session) -> None:
    set_and_take(order, session)
    set_and_take(order, session, HALF, NOW + SOON)
    assert told()["EMS"][0] == 1


def test_after_a_delete_the_maximum_of_the_connector_is_told(order: Order, session: Session) -> None:
    """CHP-17."""
    set_and_take(order, session)
    delete(order, session, NOW + SOON)
    say({"status": "Accepted"}, NOW + SOON)
    version, limits = told(NOW + SOON)["EMS"]
    assert (version, shown(limits)) == (2, [(0, "32.0")])


def test_the_end_of_a_profile_is_told_as_the_maximum(order: Order, session: Session) -> None:
    """CHP-14, CHP-17."""
    set_and_take(order, session, profile((0, "16"), duration=1200))
    over = OPEN + timedelta(seconds=1200)
    sweep(now=over - timedelta(seconds=1))
    assert told(NOW)["EMS"][0] == 1
    sweep(now=over)
    sweep(now=over + timedelta(seconds=2))
    version, limits = told(over)["EMS"]
    assert (version, shown(limits)) == (2, [(0, "32.0")])


def test_a_limit_of_the_depot_that_cuts_the_profile_is_told(order: Order, session: Session) -> None:
    """CHP-14: a local limit changes."""
    set_and_take(order, session, profile((0, "16")))
    sweep(now=NOW + SOON)
    Connector.objects.filter(evse=session.evse).update(max_amperage=10)
    sweep(now=NOW + SOON)
    version, limits = told(NOW + SOON)["EMS"]
    assert (version, shown(limits)) == (2, [(0, "10.0")])


def test_who_never_set_a_profile_is_told_nothing(order: Order, session: Session) -> None:
    """CHP-15: also after a GET, a DELETE, a refused PUT, and a change of the depot's limits."""
    get(order, session)
    say(composite((0, "16.0")))
    delete(order, session)
    say({"status": "Accepted"})
    put(order, session, now=NOW + SOON)
    say({"status": "Rejected"}, NOW + SOON)
    say({"status": "Rejected"}, NOW + SOON)
    Connector.objects.filter(evse=session.evse).update(max_amperage=10)
    sweep(now=NOW + 2 * SOON)
    assert told() == {}


def test_once_the_session_is_over_nothing_is_told_any_more(order: Order, session: Session) -> None:
    set_and_take(order, session)
    stopped(end=End("GENT-02", session.transaction.pk, NOW + SOON, 5000), now=NOW + SOON)
    row = Obligation.objects.get(kind="active_profile")
    assert push_of("active_profile").message(row, now=NOW + SOON) is None


# --- who steers for whom


def test_an_scsp_steers_the_sessions_of_its_own_platform_and_is_told_itself(
    order: Order, session: Session
) -> None:
    """CHP-14, CHP-15: the eMSP set nothing and hears nothing."""
    flex = order_of(an_scsp(order.party), order)
    set_and_take(flex, session)
    assert results() == [("FLX", {"result": "ACCEPTED"})]
    assert list(told()) == ["FLX"]


def test_an_scsp_of_another_platform_needs_a_contract(order: Order, session: Session) -> None:
    """Entered by the operator; what it may ends with it (docs/adr/0014)."""
    elsewhere = connected_partner("Flex Power", "DE", "FPW")
    give_endpoint(elsewhere)
    scsp = an_scsp(elsewhere)
    flex = order_of(scsp, order)
    assert put(flex, session) is Answer.UNKNOWN_SESSION
    assert nothing_happened()
    scsp.acts_for.add(order.party)
    set_and_take(flex, session)
    scsp.acts_for.clear()
    assert put(flex, session, now=NOW + SOON) is Answer.UNKNOWN_SESSION


def test_two_senders_of_one_session_are_both_told(order: Order, session: Session) -> None:
    """CHP-14: each has set a profile once; the newest one is in force."""
    flex = order_of(an_scsp(order.party), order)
    set_and_take(order, session)
    set_and_take(flex, session, profile((0, "10")), NOW + SOON)
    found = {name: shown(limits) for name, (_, limits) in told(NOW + SOON).items()}
    assert found == {"EMS": [(0, "10.0")], "FLX": [(0, "10.0")]}


def test_an_emsp_is_no_scsp_for_its_neighbour_on_the_platform(order: Order, session: Session) -> None:
    neighbour = Party.objects.create(
        platform=order.party.platform, role="EMSP", country_code="NL", party_id="TWO", name="Two"
    )
    assert put(order_of(neighbour, order), session) is Answer.UNKNOWN_SESSION
    assert nothing_happened()


def test_the_stations_plan_is_the_partners_profile_below_the_connectors_maximum(
    order: Order, session: Session
) -> None:
    """CHP-09: what is kept is the partner's own word, so that a larger connector later gives it room again."""
    set_and_take(order, session, profile((0, "63")))
    row = ChargingProfile.objects.get()
    supply = supply_of(session)
    assert supply is not None
    kept = codec.decode_bytes(v221.ChargingProfile, bytes(row.profile))
    assert kept == profile((0, "63"))
    assert schedule_of(kept, supply=supply, charging_since=OPEN).steps[0].limit == 32
