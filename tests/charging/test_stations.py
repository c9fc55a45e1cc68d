"""What stations say about themselves, in the words of OCPP 1.6, and what becomes of it."""

from datetime import timedelta

import pytest

from charging import stations
from charging.authorize import tap
from charging.models import Transaction
from charging.transactions import Begin, started
from locations.models import EVSE
from ocpi import v221
from roaming.models import Party
from sessions.models import Session
from tests.charging.conftest import OPEN, token_of
from tests.factories import OwnPartyFactory
from tokens.services import put_token

pytestmark = pytest.mark.django_db

CARD = "04A2B3C4D5E680"
MINUTE = timedelta(minutes=1)


def report(status: str, *, minutes: float = 0, connector: int = 1, skew_seconds: int | None = None) -> bool:
    at = OPEN + minutes * MINUTE
    return stations.connector_status(
        station_identity="GENT-01",
        ocpp_connector=connector,
        status=status,
        at=at + timedelta(seconds=skew_seconds or 0),
        now=at,
        skew_seconds=skew_seconds,
    )


@pytest.fixture
def charge(bay: EVSE, taxi: Party) -> Transaction:
    put_token(
        own_party=OwnPartyFactory(), party=taxi, token=token_of(taxi, CARD, v221.TokenType.RFID), now=OPEN
    )
    tap(station_identity="GENT-01", id_tag=CARD, now=OPEN)
    answer = started(begin=Begin("GENT-01", 1, CARD, OPEN, 0), now=OPEN)
    return Transaction.objects.get(pk=answer.transaction_id)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        ("Available", "AVAILABLE"),
        ("Preparing", "BLOCKED"),
        ("Charging", "CHARGING"),
        ("SuspendedEV", "CHARGING"),
        ("SuspendedEVSE", "CHARGING"),
        ("Finishing", "BLOCKED"),
        ("Reserved", "RESERVED"),
        ("Unavailable", "INOPERATIVE"),
        ("Faulted", "OUTOFORDER"),
    ],
)
def test_every_word_of_a_station_has_one_of_ocpi(bay: EVSE, status: str, shown: str) -> None:
    """charging.md 4.9: a cable that is in blocks the bay, whatever it waits for."""
    assert report(status)
    bay.refresh_from_db()
    assert (bay.ocpp_status, bay.device_status, bay.device_status_at) == (status, shown, OPEN)


def test_the_station_itself_and_connectors_without_a_bay_show_nowhere(bay: EVSE) -> None:
    before = EVSE.objects.values().get(pk=bay.pk)
    assert not report("Faulted", connector=0)
    assert not report("Faulted", connector=7)
    assert EVSE.objects.values().get(pk=bay.pk) == before


@pytest.mark.parametrize("skew_seconds", [-3_600, 3_600])
def test_a_wrong_clock_that_is_known_is_put_right(bay: EVSE, skew_seconds: int) -> None:
    assert report("Faulted", skew_seconds=skew_seconds)
    assert report("Available", minutes=1)
    bay.refresh_from_db()
    assert (bay.ocpp_status, bay.device_status_at) == ("Available", OPEN + MINUTE)


def test_a_free_bay_makes_what_ran_there_an_orphan(charge: Transaction) -> None:
    report("Available", minutes=5)
    charge.refresh_from_db()
    assert charge.orphaned_at == OPEN + 5 * MINUTE


def test_a_word_from_before_the_start_makes_no_orphan(charge: Transaction) -> None:
    """It was in the line when the driver came."""
    EVSE.objects.update(device_status_at=None)
    report("Available", minutes=-1)
    charge.refresh_from_db()
    assert charge.orphaned_at is None


@pytest.mark.parametrize("status", ["Charging", "SuspendedEV", "SuspendedEVSE"])
def test_a_sign_of_life_after_a_boot_takes_the_mark_away(charge: Transaction, status: str) -> None:
    stations.booted(station_identity="GENT-01", now=OPEN + MINUTE)
    charge.refresh_from_db()
    assert charge.orphaned_at == OPEN + MINUTE
    report(status, minutes=2)
    charge.refresh_from_db()
    assert charge.orphaned_at is None


def test_a_vehicle_that_has_enough_parks_until_it_draws_again(charge: Transaction) -> None:
    report("SuspendedEV", minutes=5)
    assert Session.objects.get().suspended_ev_from == OPEN + 5 * MINUTE
    report("Charging", minutes=6)
    assert Session.objects.get().suspended_ev_from is None


def test_a_pause_that_the_station_makes_is_no_parking(charge: Transaction) -> None:
    report("SuspendedEVSE", minutes=5)
    assert Session.objects.get().suspended_ev_from is None
