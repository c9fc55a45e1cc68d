"""From a partner's PUT to the power of the vehicle and back, over real sockets on both sides."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from chargers.models import Station
from chargers.simulator import ConnectorSpec
from charging.models import ChargingProfile
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party, Platform
from sessions.models import Session
from tests.chargers.conftest import load_open_depot
from tests.chargers.gateway import Gateway, LiveStation, Yard, eventually
from tests.charging.conftest import token_of
from tests.factories import OwnPartyFactory
from tests.partner_platform import Partner, connect, partner, yardgate
from tests.roaming.deliveries import drain, let_pass
from tokens.services import put_token

__all__ = ["partner", "yardgate"]

pytestmark = pytest.mark.django_db(transaction=True)

CARD = "04AABBCCDDEE80"
SOCKET = ConnectorSpec(max_w=Decimal(22_080))


@pytest.fixture
def taxi(yardgate: str, partner: Partner) -> Partner:
    """Randstad Taxi, which steers its own charges, with the run of Gent Noord at any hour."""
    partner.offered.append(("chargingprofiles", "SENDER"))
    connect(partner, yardgate)
    load_open_depot()
    EVSE.objects.update(capabilities=["RFID_READER", "CHARGING_PROFILE_CAPABLE"])
    party = Party.objects.get(party_id="EMS")
    card = token_of(party, CARD, v221.TokenType.RFID)
    put_token(own_party=OwnPartyFactory(), party=party, token=card, now=timezone.now())
    Platform.objects.update(requests_per_second=1000)
    return partner


@pytest.fixture
def yard(taxi: Partner) -> Iterator[Yard]:
    """The gateway, and where stations are."""
    with Gateway() as gateway, Yard(gateway.url) as stations:
        yield stations


def charging(yard: Yard, **options: Any) -> tuple[LiveStation, str]:
    """GENT-02, a socket of 22 kW, with a vehicle that takes all it gets; and the id of its session."""
    station = yard.station("GENT-02", connectors=[SOCKET], **options)
    eventually(lambda: Station.objects.get(identity="GENT-02").configuration_read_at)
    station.charge(CARD)
    return station, str(eventually(lambda: Session.objects.filter(status="ACTIVE").first()).pk)


def profile(limit: float, unit: str = "A") -> dict[str, Any]:
    return {
        "charging_rate_unit": unit,
        "charging_profile_period": [{"start_period": 0, "limit": limit}],
    }


def result_of(taxi: Partner, uid: str) -> Any:
    """What was POSTed to the response_url, exactly as it was given."""

    def look() -> Any:
        drain()
        return taxi.store.profile_results.get(uid)

    found = eventually(look)
    (request,) = [each for each in taxi.received("POST", "/chargingprofiles") if uid in each.path]
    assert request.query == {"request_id": "5678", "part": "2"}
    return found


def told(taxi: Partner, session_id: str) -> list[list[tuple[int, Any]]]:
    let_pass(60)
    drain()
    return [
        [
            (period["start_period"], period["limit"])
            for period in limits["charging_profile"]["charging_profile_period"]
        ]
        for limits in taxi.store.active_profiles.get(session_id, [])
    ]


def power_w(station: LiveStation) -> Decimal:
    return station.station.connectors[1].power_w


def test_a_partner_limits_its_charge_reads_the_limits_and_takes_them_away(taxi: Partner, yard: Yard) -> None:
    """CHP-01, CHP-02, CHP-04, CHP-09, CHP-12, CHP-14, CHP-16, CHP-17: the vehicle obeys, the partner is told."""
    station, session_id = charging(yard)
    assert power_w(station) == 22_080
    answer, uid = taxi.profile("PUT", session_id, charging_profile=profile(10))
    assert answer.data == {"result": "ACCEPTED", "timeout": 45}
    assert result_of(taxi, uid) == {"result": "ACCEPTED"}
    station.wait(lambda each: each.connectors[1].power_w == 6_900)
    assert told(taxi, session_id) == [[(0, 10)]]

    answer, uid = taxi.profile("GET", session_id, duration=900)
    assert answer.data["result"] == "ACCEPTED"
    found = result_of(taxi, uid)
    limits = found["profile"]["charging_profile"]
    assert (found["result"], limits["duration"], limits["charging_rate_unit"]) == ("ACCEPTED", 900, "A")
    assert limits["charging_profile_period"] == [{"start_period": 0, "limit": 10}]

    ChargingProfile.objects.get().session.profile_requests.update(
        created_at=timezone.now().replace(year=2020)
    )
    answer, uid = taxi.profile("DELETE", session_id)
    assert result_of(taxi, uid) == {"result": "ACCEPTED"}
    station.wait(lambda each: each.connectors[1].power_w == 22_080)
    assert told(taxi, session_id) == [[(0, 10)], [(0, 32)]]
    assert taxi.received("PUT", "/chargingprofiles")[0].headers["ocpi-to-party-id"] == "EMS"


def test_a_station_that_takes_power_only_obeys_amperes_in_watts(taxi: Partner, yard: Yard) -> None:
    """CHP-11: read from its configuration after the boot, so that it is asked once."""
    configuration = {"MeterValueSampleInterval": "0.3", "ChargingScheduleAllowedChargingRateUnit": "Power"}
    station, session_id = charging(yard, configuration=configuration)
    assert Station.objects.get(identity="GENT-02").rate_units == "W"
    _, uid = taxi.profile("PUT", session_id, charging_profile=profile(8.1))
    assert result_of(taxi, uid) == {"result": "ACCEPTED"}
    station.wait(lambda each: each.connectors[1].power_w == 5_589)


def test_a_station_that_keeps_its_unit_to_itself_is_asked_in_the_other_one(taxi: Partner, yard: Yard) -> None:
    """CHP-11: its configuration said nothing, and it refuses amperes."""
    configuration = {"MeterValueSampleInterval": "0.3", "ChargingScheduleAllowedChargingRateUnit": "Power"}
    station, session_id = charging(yard, configuration=configuration)
    Station.objects.filter(identity="GENT-02").update(rate_units="W,A")
    _, uid = taxi.profile("PUT", session_id, charging_profile=profile(10))
    assert result_of(taxi, uid) == {"result": "ACCEPTED"}
    station.wait(lambda each: each.connectors[1].power_w == 6_900)
    assert Station.objects.get(identity="GENT-02").rate_units == "W"
    assert told(taxi, session_id) == [[(0, 10)]]


def test_a_station_that_refuses_is_rejected_and_charges_on(taxi: Partner, yard: Yard) -> None:
    """CHP-01, CHP-15."""
    station, session_id = charging(yard)
    station.station.misbehaviour.rejects.add("SetChargingProfile")
    _, uid = taxi.profile("PUT", session_id, charging_profile=profile(10))
    assert result_of(taxi, uid) == {"result": "REJECTED"}
    assert power_w(station) == 22_080
    assert told(taxi, session_id) == []


def test_clearing_without_a_profile_is_unknown(taxi: Partner, yard: Yard) -> None:
    """CHP-13."""
    _, session_id = charging(yard)
    _, uid = taxi.profile("DELETE", session_id)
    assert result_of(taxi, uid) == {"result": "UNKNOWN"}
