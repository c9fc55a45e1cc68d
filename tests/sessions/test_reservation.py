"""The reserved time as a Session shows it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from ocpi import v221
from sessions import reservation
from sessions.periods import Reading, progress
from tariffs.choice import TariffChange
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


@pytest.mark.parametrize("is_used", [True, False])
def test_the_preference_of_the_token_prices_the_reservation_too(is_used: bool) -> None:
    """TAR-17, TAR-25, TOK-24: a session that begins under PROFILE_CHEAP is reserved under it; a later choice is not."""
    cheap = replace(reserving_tariff(), id="CHEAP", type=v221.TariffType.PROFILE_CHEAP)
    offered = (tariff(), cheap)
    changes = (TariffChange(tariff_id="CHEAP"), TariffChange(at=START + HOUR, tariff_id=offered[0].id))
    if is_used:
        readings = (Reading(START + HOUR, 0), Reading(START + 2 * HOUR, 10_000))
        shown = progress(
            tariffs=offered,
            time_zone=ZONE,
            readings=readings,
            suspended_ev_from=None,
            changes=changes,
            reserved_from=START,
        )
    else:
        shown = reservation.progress(
            tariffs=offered, time_zone=ZONE, start=START, end=START + HOUR, is_expired=False, changes=changes
        )
    first, *later = (period.tariff_id for period in shown.periods)
    assert (first, set(later)) == ("CHEAP", {offered[0].id} if is_used else set())
