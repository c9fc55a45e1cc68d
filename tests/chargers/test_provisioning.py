"""After each boot: what a station is configured to is read, changed where it differs, and what it refuses is kept."""

from datetime import timedelta

import pytest
from django.utils import timezone

from chargers.models import Station, StationCall
from locations.models import EVSE
from tests.chargers.gateway import Yard, eventually
from tests.chargers.test_gateway_faults import report

pytestmark = pytest.mark.django_db(transaction=True)

UNSAFE = {
    "AuthorizationCacheEnabled": "true",
    "LocalPreAuthorize": "TRUE",
    "AllowOfflineTxForUnknownId": "true",
    "StopTransactionOnInvalidId": "false",
    "MeterValueSampleInterval": "0.3",
}
SAFE = {
    "AuthorizationCacheEnabled": "false",
    "LocalPreAuthorize": "false",
    "AllowOfflineTxForUnknownId": "false",
    "StopTransactionOnInvalidId": "true",
}


def station_row() -> Station:
    return Station.objects.get(identity="GENT-01")


def wait_until_configured() -> None:
    eventually(lambda: station_row().configuration_read_at)
    eventually(lambda: not StationCall.objects.filter(state__in=["NEW", "SENT"]).exists())


def changes() -> list[str]:
    return [
        call.payload["key"]
        for call in StationCall.objects.filter(action="ChangeConfiguration").order_by("pk")
    ]


def test_a_station_that_would_open_the_fence_is_changed_and_read_again(yard: Yard, bay: EVSE) -> None:
    """charging.md 2.3: no cache, no permission of its own, no unknown card while it is offline."""
    station = yard.station(configuration=dict(UNSAFE))
    wait_until_configured()
    assert {key: station.station.configuration.values[key] for key in SAFE} == SAFE
    assert changes() == list(SAFE)
    assert StationCall.objects.filter(action="GetConfiguration", state="DONE").count() == 2
    assert station_row().refused_configuration == {}


def test_a_station_that_is_right_is_only_read(yard: Yard, bay: EVSE) -> None:
    yard.station()
    wait_until_configured()
    assert changes() == []
    assert StationCall.objects.filter(action="GetConfiguration").count() == 1


def test_what_a_station_refuses_is_kept_as_a_fact(yard: Yard, bay: EVSE) -> None:
    station = yard.station(configuration=dict(UNSAFE), boots=False)
    station.station.misbehaviour.rejects.add("ChangeConfiguration")
    station.wait(lambda each: each.is_registered)
    wait_until_configured()
    assert station_row().refused_configuration == {
        key: {"wanted": value, "has": UNSAFE[key], "answer": "Rejected"} for key, value in SAFE.items()
    }


def test_a_station_that_does_not_know_a_key_or_keeps_it_to_itself_is_noted(yard: Yard, bay: EVSE) -> None:
    with yard.raw() as raw:
        raw.boot()
        raw.answer_configuration(
            StopTransactionOnInvalidId="True", HeartbeatInterval="60", MeterValueSampleInterval="0.30"
        )
        eventually(lambda: station_row().configuration_read_at)
    assert station_row().refused_configuration == {
        key: {"wanted": "false", "has": "", "answer": "read-only"}
        for key in ("AuthorizationCacheEnabled", "LocalPreAuthorize", "AllowOfflineTxForUnknownId")
    }


def test_a_station_that_cannot_answer_is_noted_and_asked_again_after_its_next_boot(
    yard: Yard, bay: EVSE
) -> None:
    with yard.raw() as raw:
        raw.boot()
        raw.refuse("GetConfiguration", "NotImplemented")
        eventually(lambda: station_row().refused_configuration)
        assert station_row().refused_configuration == {"GetConfiguration": {"answer": "NotImplemented"}}
        raw.boot()
        raw.answer_configuration(**SAFE, HeartbeatInterval="60", MeterValueSampleInterval="0.3")
        eventually(lambda: station_row().refused_configuration == {})


def test_a_boot_makes_the_questions_before_it_void(yard: Yard, bay: EVSE) -> None:
    with yard.raw() as raw:
        for _ in range(3):
            raw.boot()
    calls = StationCall.objects.filter(action="GetConfiguration")
    assert calls.count() == 3
    assert calls.filter(state="NEW").count() + calls.filter(state="SENT").count() <= 1


@pytest.mark.parametrize("minutes", [-90, 10])
def test_a_clock_that_is_wrong_is_noted_at_the_station(yard: Yard, bay: EVSE, minutes: int) -> None:
    with yard.raw() as raw:
        raw.boot()
        assert station_row().clock_skew_seconds is None
        report(raw, "Available", timezone.now() + timedelta(minutes=minutes))
    assert abs(station_row().clock_skew_seconds - minutes * 60) <= 2


def test_a_message_that_has_waited_is_no_wrong_clock(yard: Yard, bay: EVSE) -> None:
    with yard.raw() as raw:
        raw.boot()
        report(raw, "Unavailable", timezone.now() - timedelta(hours=3))
        report(raw, "Available", timezone.now())
        report(raw, "Unavailable", timezone.now() - timedelta(hours=2))
    assert abs(station_row().clock_skew_seconds) <= 2
    bay.refresh_from_db()
    assert bay.ocpp_status == "Available"
