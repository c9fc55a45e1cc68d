"""The reserved time as a Session shows it."""

from datetime import timedelta
from decimal import Decimal

import pytest

from ocpi import v221
from sessions import reservation
from sessions.periods import Reading, progress
from tests.sessions.material import START, ZONE, component, tariff

HOUR = timedelta(hours=1)
KINDS = v221.ReservationRestrictionType


def reserving_tariff() -> v221.Tariff:
    """5.00 an hour reserved, 9.00 when nobody comes; 0.35 per kWh."""
    return tariff(
        v221.TariffElement(
            price_components=(component("TIME", "5.00"),),
            restrictions=v221.TariffRestrictions(reservation=KINDS.RESERVATION),
        ),
        v221.TariffElement(
            price_components=(component("TIME", "9.00"),),
            restrictions=v221.TariffRestrictions(reservation=KINDS.RESERVATION_EXPIRES),
        ),
        v221.TariffElement(price_components=(component("ENERGY", "0.35"),)),
    )


@pytest.mark.parametrize(("is_expired", "cost"), [(True, "9.00"), (False, "5.00")])
def test_an_unused_reservation_costs_what_the_tariff_asks(is_expired: bool, cost: str) -> None:
    """TAR-17, TAR-18: expiry replaces the price of reserving, and nothing of the charge is billed."""
    shown = reservation.progress(
        tariffs=(reserving_tariff(),), time_zone=ZONE, start=START, end=START + HOUR, is_expired=is_expired
    )
    assert shown.total_cost is not None
    assert (shown.total_cost.excl_vat, shown.energy_kwh, len(shown.periods)) == (Decimal(cost), 0, 1)


@pytest.mark.parametrize(
    ("tariffs", "hours", "cost"), [((tariff(),), 1, Decimal(0)), ((tariff(),), 0, Decimal(0)), ((), 1, None)]
)
def test_what_is_free_and_what_is_unknown(tariffs: tuple, hours: int, cost: Decimal | None) -> None:
    """SES-18: 0 is free, None is unknown."""
    shown = reservation.progress(
        tariffs=tariffs, time_zone=ZONE, start=START, end=START + hours * HOUR, is_expired=True
    )
    assert (None if shown.total_cost is None else shown.total_cost.excl_vat) == cost


def test_a_used_one_is_a_period_before_the_charge() -> None:
    """SES-19, TAR-17: not divided, and in the cost from the first moment on."""
    readings = (Reading(START, 0), Reading(START + HOUR, 10_000))
    shown = progress(
        tariffs=(reserving_tariff(),),
        time_zone=ZONE,
        readings=readings,
        suspended_ev_from=None,
        reserved_from=START - HOUR,
    )
    assert shown.total_cost is not None
    assert (shown.total_cost.excl_vat, len(shown.periods)) == (Decimal("8.50"), 5)
    assert shown.periods[0].dimensions == (
        v221.CdrDimension(type=v221.CdrDimensionType.RESERVATION_TIME, volume=Decimal(1)),
    )
    assert shown.periods[0].start_date_time == START - HOUR


def test_a_start_before_its_reservation_has_no_reserved_time() -> None:
    """A station's clock may be a little behind."""
    readings = (Reading(START, 0), Reading(START + HOUR, 10_000))
    shown = progress(
        tariffs=(reserving_tariff(),),
        time_zone=ZONE,
        readings=readings,
        suspended_ev_from=None,
        reserved_from=START + timedelta(seconds=1),
    )
    assert shown.total_cost is not None
    assert shown.total_cost.excl_vat == Decimal("3.50")
