"""The status that a partner sees for each status of the device, in each phase."""

import pytest

from locations.publication import status_schedule
from ocpi import v221
from tests.access.cases import grant, terms
from tests.access.seeing import HALF_PAST_SEVEN, seen, view

S = v221.Status
OPEN, LATE, CLOSED = "2026-11-23 21:00", "2026-11-24 04:45", "2026-11-24 06:00"


@pytest.mark.parametrize(
    ("device", "while_open", "after_last_start", "while_closed"),
    [
        (S.AVAILABLE, S.AVAILABLE, S.INOPERATIVE, S.INOPERATIVE),
        (S.RESERVED, S.RESERVED, S.INOPERATIVE, S.INOPERATIVE),
        (S.CHARGING, S.CHARGING, S.CHARGING, S.INOPERATIVE),
        (S.BLOCKED, S.BLOCKED, S.BLOCKED, S.INOPERATIVE),
        (S.UNKNOWN, S.UNKNOWN, S.UNKNOWN, S.INOPERATIVE),
        (S.INOPERATIVE, S.INOPERATIVE, S.INOPERATIVE, S.INOPERATIVE),
        (S.PLANNED, S.PLANNED, S.PLANNED, S.PLANNED),
        (S.OUTOFORDER, S.OUTOFORDER, S.OUTOFORDER, S.OUTOFORDER),
        (S.REMOVED, S.REMOVED, S.REMOVED, S.REMOVED),
    ],
)
def test_the_mask_over_each_device_status(
    device: v221.Status, while_open: v221.Status, after_last_start: v221.Status, while_closed: v221.Status
) -> None:
    shown = view(grant())
    assert seen(shown, OPEN, device) is while_open
    assert seen(shown, LATE, device) is after_last_start
    assert seen(shown, CLOSED, device) is while_closed


def test_the_mask_flips_at_the_edges_to_the_millisecond() -> None:
    shown = view(grant())
    assert seen(shown, "2026-11-23 19:59:59.999", S.AVAILABLE) is S.INOPERATIVE
    assert seen(shown, "2026-11-23 20:00:00.000", S.AVAILABLE) is S.AVAILABLE
    assert seen(shown, "2026-11-24 04:39:59.999", S.AVAILABLE) is S.AVAILABLE
    assert seen(shown, "2026-11-24 04:40:00.000", S.AVAILABLE) is S.INOPERATIVE
    assert seen(shown, "2026-11-24 04:59:59.999", S.CHARGING) is S.CHARGING
    assert seen(shown, "2026-11-24 05:00:00.000", S.CHARGING) is S.INOPERATIVE


def test_the_owner_of_a_session_sees_it_charging_until_it_is_over() -> None:
    shown = view(grant())
    for at in (OPEN, LATE, CLOSED):
        assert seen(shown, at, S.CHARGING, own_session=True) is S.CHARGING
        assert seen(shown, at, S.OUTOFORDER, own_session=True) is S.OUTOFORDER
        assert seen(shown, at, S.REMOVED, own_session=True) is S.REMOVED


def test_a_fleet_hold_shows_as_reserved_inside_the_hours_only() -> None:
    shown = view(grant())
    assert seen(shown, OPEN, S.AVAILABLE, held=True) is S.RESERVED
    assert seen(shown, OPEN, S.CHARGING, held=True) is S.RESERVED
    assert seen(shown, OPEN, S.BLOCKED, held=True) is S.BLOCKED
    assert seen(shown, OPEN, S.CHARGING, held=True, own_session=True) is S.CHARGING
    assert seen(shown, LATE, S.AVAILABLE, held=True) is S.INOPERATIVE
    assert seen(shown, CLOSED, S.AVAILABLE, held=True) is S.INOPERATIVE


def test_a_truthful_partner_sees_the_device_also_while_closed() -> None:
    shown = view(grant(terms=terms(status_mask="TRUTHFUL")))
    for device in (S.AVAILABLE, S.CHARGING, S.BLOCKED):
        assert seen(shown, CLOSED, device) is device
    assert status_schedule(shown, HALF_PAST_SEVEN) == ()
