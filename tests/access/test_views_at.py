"""What a partner sees: audience, phases, schedule, masks and hours, as whole values."""

from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from access.grants import Presentation
from access.views_at import publication
from access.windows import DatedException
from locations.publication import (
    BEGINNING,
    Phase,
    Publication,
    next_edge,
    phase_at,
    status_schedule,
)
from ocpi import v221
from tests.access.cases import PARTNER, calendar, evse, grant, local, nightly, terms, utc, window
from tests.access.seeing import HALF_PAST_SEVEN, phases, schedule, seen, view

S = v221.Status


def test_a_party_without_a_grant_sees_nothing() -> None:
    for grants in ((), (grant(party="NL-TNM"),)):
        shown = publication(
            party=PARTNER, grants=grants, evses=(evse(),), now=HALF_PAST_SEVEN, kill_switch=False
        )
        assert shown is None


def test_a_night_has_three_phases_and_the_first_holds_now() -> None:
    shown = view(grant())
    assert shown.phases[:5] == phases(
        ("2026-11-23 05:00", "CLOSED"),
        ("2026-11-23 20:00", "OPEN"),
        ("2026-11-24 04:40", "LAST_START_PASSED"),
        ("2026-11-24 05:00", "CLOSED"),
        ("2026-11-24 20:00", "OPEN"),
    )
    assert len(shown.phases) == 1 + 16 * 3
    assert shown.phases[-1] == Phase(starts_at=local("2026-12-09 05:00"), mask="CLOSED")


def test_phases_cover_the_horizon_and_the_end_of_the_second_opening_after_it() -> None:
    fridays = calendar(window("20:00", "05:00", frozenset({5})))
    shown = view(grant(calendar=fridays), now=local("2026-11-28 12:00"))
    assert [p.starts_at for p in shown.phases if p.mask == "CLOSED"] == [
        local("2026-11-28 05:00"),
        local("2026-12-05 05:00"),
        local("2026-12-12 05:00"),
        local("2026-12-19 05:00"),
        local("2026-12-26 05:00"),
    ]


def test_within_an_opening_the_phases_begin_with_that_opening() -> None:
    shown = view(grant(), now=local("2026-11-24 04:50"))
    assert shown.phases[:3] == phases(
        ("2026-11-23 20:00", "OPEN"),
        ("2026-11-24 04:40", "LAST_START_PASSED"),
        ("2026-11-24 05:00", "CLOSED"),
    )
    assert phase_at(shown, local("2026-11-24 04:50")).mask == "LAST_START_PASSED"


def test_a_long_opening_begins_where_it_began() -> None:
    open_days = tuple(DatedException(date(2026, 11, day), "OPEN") for day in range(10, 24))
    rules = nightly(exceptions=open_days)
    assert view(grant(calendar=rules)).phases[:3] == phases(
        ("2026-11-09 20:00", "OPEN"),
        ("2026-11-24 04:40", "LAST_START_PASSED"),
        ("2026-11-24 05:00", "CLOSED"),
    )


def test_before_the_first_phase_nothing_is_open() -> None:
    shown = view(grant(), now=local("2026-11-23 21:00"))
    assert phase_at(shown, local("2026-11-23 19:00")) == Phase(starts_at=BEGINNING, mask="CLOSED")


def test_the_next_edge_is_after_the_instant() -> None:
    shown = view(grant())
    assert next_edge(shown, local("2026-11-23 19:59:59.999")) == local("2026-11-23 20:00")
    assert next_edge(shown, local("2026-11-23 20:00")) == local("2026-11-24 04:40")
    assert next_edge(shown, local("2026-12-09 05:00")) is None


def test_the_schedule_of_the_specification_example() -> None:
    assert status_schedule(view(grant()), HALF_PAST_SEVEN) == schedule(
        ("2026-11-23 19:00", "2026-11-24 04:00", S.AVAILABLE),
        ("2026-11-24 04:00", None, S.INOPERATIVE),
    )


def test_while_open_the_schedule_names_the_current_and_the_next_opening() -> None:
    expected = schedule(
        ("2026-11-23 19:00", "2026-11-24 04:00", S.AVAILABLE),
        ("2026-11-24 04:00", "2026-11-24 19:00", S.INOPERATIVE),
        ("2026-11-24 19:00", "2026-11-25 04:00", S.AVAILABLE),
        ("2026-11-25 04:00", None, S.INOPERATIVE),
    )
    for at in ("2026-11-23 20:00", "2026-11-24 01:00", "2026-11-24 04:59:59"):
        assert status_schedule(view(grant(), now=local(at)), local(at)) == expected


def test_the_schedule_changes_at_edges_only_whenever_it_was_published() -> None:
    closed = DatedException(date(2026, 11, 30), "CLOSED")
    rare = calendar(window("20:00", "05:00", frozenset({1})), exceptions=(closed,))
    for rules in (nightly(), rare):
        first = view(grant(calendar=rules), now=local("2026-11-24 12:00"))
        edges = {phase.starts_at for phase in first.phases}
        before = status_schedule(first, local("2026-11-24 12:00"))
        for hours in range(1, 14 * 24):
            at = local("2026-11-24 12:00") + timedelta(hours=hours)
            now = status_schedule(view(grant(calendar=rules), now=at), at)
            assert now == status_schedule(first, at), at
            if not any(at - timedelta(hours=1) < edge <= at for edge in edges):
                assert now == before, at
            before = now


def test_the_schedule_of_a_clock_change_night_is_in_utc() -> None:
    now = local("2026-03-28 12:00")
    assert status_schedule(view(grant(), now=now), now) == schedule(
        ("2026-03-28 19:00", "2026-03-29 03:00", S.AVAILABLE),
        ("2026-03-29 03:00", None, S.INOPERATIVE),
    )
    now = local("2026-10-24 12:00")
    assert status_schedule(view(grant(), now=now), now) == schedule(
        ("2026-10-24 18:00", "2026-10-25 04:00", S.AVAILABLE),
        ("2026-10-25 04:00", None, S.INOPERATIVE),
    )


def test_what_never_closes_has_one_phase_and_no_schedule() -> None:
    shown = view(grant(calendar=nightly("00:00", "00:00")))
    assert shown.phases == (Phase(starts_at=BEGINNING, mask="OPEN"),)
    assert status_schedule(shown, HALF_PAST_SEVEN) == ()
    assert shown.opening_times == v221.Hours(twentyfourseven=True)


def test_the_end_of_what_never_closed_is_scheduled_without_its_beginning() -> None:
    shown = view(grant(calendar=nightly("00:00", "00:00"), valid_to=utc("2026-12-01")))
    assert shown.phases == (
        Phase(starts_at=BEGINNING, mask="OPEN"),
        Phase(starts_at=utc("2026-11-30 23:40"), mask="LAST_START_PASSED"),
        Phase(starts_at=utc("2026-12-01"), mask="CLOSED"),
    )
    assert status_schedule(shown, HALF_PAST_SEVEN) == schedule(("2026-12-01 00:00", None, S.INOPERATIVE))


def test_a_grant_that_begins_later_is_announced() -> None:
    shown = view(grant(valid_from=utc("2026-12-20")))
    assert phase_at(shown, local("2026-11-23 21:00")).mask == "CLOSED"
    assert status_schedule(shown, HALF_PAST_SEVEN) == schedule(
        ("2026-12-20 00:00", "2026-12-20 04:00", S.AVAILABLE), ("2026-12-20 04:00", None, S.INOPERATIVE)
    )
    assert shown.opening_times.exceptional_closings == (
        v221.ExceptionalPeriod(period_begin=local("2026-11-23 00:00"), period_end=utc("2026-12-20")),
    )


def test_the_open_spans_of_several_grants_are_joined() -> None:
    early = grant(id="1", calendar=nightly("18:00", "22:00"))
    late = grant(id="2", calendar=nightly("21:00", "05:00"), terms=terms(min_useful_minutes=60))
    now = local("2026-11-23 12:00")
    expected = phases(
        ("2026-11-23 05:00", "CLOSED"),
        ("2026-11-23 18:00", "OPEN"),
        ("2026-11-24 04:00", "LAST_START_PASSED"),
        ("2026-11-24 05:00", "CLOSED"),
    )
    assert view(early, late, now=now).phases[:4] == expected
    assert view(late, early, now=now) == view(early, late, now=now)


def test_a_gap_in_which_nobody_can_start_lies_within_one_opening() -> None:
    first = grant(id="1", calendar=nightly("18:00", "22:00"))
    second = grant(id="2", calendar=nightly("22:00", "05:00"))
    now = local("2026-11-23 12:00")
    shown = view(first, second, now=now)
    assert shown.phases[1:6] == phases(
        ("2026-11-23 18:00", "OPEN"),
        ("2026-11-23 21:40", "LAST_START_PASSED"),
        ("2026-11-23 22:00", "OPEN"),
        ("2026-11-24 04:40", "LAST_START_PASSED"),
        ("2026-11-24 05:00", "CLOSED"),
    )
    assert status_schedule(shown, now) == schedule(
        ("2026-11-23 17:00", "2026-11-24 04:00", S.AVAILABLE), ("2026-11-24 04:00", None, S.INOPERATIVE)
    )


def test_publish_is_for_all_customers_or_for_the_groups_that_are_granted() -> None:
    everyone = grant(id="1")
    taxis = grant(id="2", token_groups=frozenset({"TAXI-B", "TAXI-A"}))
    fleet = grant(id="3", token_groups=frozenset({"FLEET", "TAXI-A"}), status="SUSPENDED")
    assert (view(everyone, taxis).publish, view(everyone, taxis).publish_allowed_to) == (True, ())
    shown = view(taxis, fleet)
    assert (shown.publish, shown.publish_allowed_to) == (
        False,
        tuple(v221.PublishTokenType(group_id=group) for group in ("FLEET", "TAXI-A", "TAXI-B")),
    )


@pytest.mark.parametrize(
    ("policies", "charging_when_closed"),
    [
        (("STOP",), False),
        (("GRACE",), False),
        (("FINISH",), True),
        (("STOP", "GRACE"), False),
        (("STOP", "FINISH"), True),
    ],
)
def test_charging_when_closed_is_true_only_when_somebody_may_finish(
    policies: tuple[str, ...], charging_when_closed: bool
) -> None:
    grants = [grant(id=str(number), terms=terms(end_policy=policy)) for number, policy in enumerate(policies)]
    assert view(*grants).charging_when_closed is charging_when_closed


def test_the_tariffs_of_all_live_grants_are_named_once() -> None:
    grants = (
        grant(id="1", terms=terms(tariff_id="NIGHT")),
        grant(id="2", terms=terms(tariff_id="DAY")),
        grant(id="3", terms=terms(tariff_id="DAY")),
        grant(id="4", terms=terms(tariff_id=None)),
        grant(id="5", terms=terms(tariff_id="OLD"), status="ENDED"),
    )
    assert view(*grants).tariff_ids == ("DAY", "NIGHT")


def test_one_grant_that_hides_outweighs_one_that_is_truthful() -> None:
    hiding, truthful = grant(id="1"), grant(id="2", terms=terms(status_mask="TRUTHFUL"))
    assert view(truthful).status_mask == "TRUTHFUL"
    assert view(truthful, hiding).status_mask == "INOPERATIVE"


def test_what_the_grants_present_is_joined_and_absent_means_unchanged() -> None:
    assert (view(grant()).capabilities, view(grant()).parking_restrictions) == (None, None)
    gate = v221.DisplayText(language="en", text="Enter by gate 2.")
    customers = Presentation(
        capabilities=(v221.Capability.RFID_READER,),
        parking_restrictions=(v221.ParkingRestriction.EV_ONLY, v221.ParkingRestriction.CUSTOMERS),
        directions=(gate,),
    )
    roaming = Presentation(parking_restrictions=(v221.ParkingRestriction.EV_ONLY,))
    shown = view(grant(id="1", presentation=customers), grant(id="2", presentation=roaming))
    assert shown.capabilities == (v221.Capability.RFID_READER,)
    assert shown.parking_restrictions == customers.parking_restrictions
    assert shown.directions == (gate,)


@pytest.mark.parametrize("closed_by", ["suspension", "kill switch"])
def test_suspended_is_closed_for_the_whole_horizon_and_stays_published(closed_by: str) -> None:
    status = "SUSPENDED" if closed_by == "suspension" else "ACTIVE"
    truthful = grant(status=status, terms=terms(status_mask="TRUTHFUL"))
    shown = view(truthful, kill_switch=closed_by == "kill switch")
    assert (shown.suspended, shown.ended, shown.publish) == (True, False, True)
    assert shown.phases == (Phase(starts_at=BEGINNING, mask="CLOSED"),)
    assert status_schedule(shown, HALF_PAST_SEVEN) == ()
    assert len(shown.opening_times.regular_hours) == 14
    assert shown.opening_times.exceptional_closings == (
        v221.ExceptionalPeriod(period_begin=local("2026-11-23 00:00"), period_end=local("2027-02-21 00:00")),
    )
    assert seen(shown, "2026-11-23 21:00", S.AVAILABLE) is S.INOPERATIVE
    assert seen(shown, "2026-11-23 21:00", S.CHARGING) is S.INOPERATIVE
    assert seen(shown, "2026-11-23 21:00", S.CHARGING, own_session=True) is S.CHARGING
    assert seen(shown, "2026-11-23 21:00", S.OUTOFORDER) is S.OUTOFORDER


def test_one_active_grant_is_enough_to_stay_open() -> None:
    shown = view(grant(id="1", status="SUSPENDED"), grant(id="2"), now=local("2026-11-23 21:00"))
    assert shown.suspended is False
    assert phase_at(shown, local("2026-11-23 21:00")).mask == "OPEN"


def test_ended_grants_remove_every_bay_for_good() -> None:
    shown = view(grant(status="ENDED"), kill_switch=True)
    assert (shown.ended, shown.suspended, shown.tariff_ids, shown.charging_when_closed) == (
        True,
        False,
        (),
        False,
    )
    assert shown.phases == (Phase(starts_at=BEGINNING, mask="CLOSED"),)
    assert status_schedule(shown, HALF_PAST_SEVEN) == ()
    for device in S:
        assert seen(shown, "2026-11-23 21:00", device, own_session=True, held=True) is S.REMOVED


def test_a_broken_grant_and_a_location_without_bays_show_as_closed() -> None:
    broken = grant(calendar=nightly(time_zone="Europe/Atlantis"))
    closed = (Phase(starts_at=BEGINNING, mask="CLOSED"),)
    start = datetime(2026, 11, 23, tzinfo=UTC)
    shown = view(broken)
    assert shown.phases == closed
    assert shown.opening_times == v221.Hours(
        twentyfourseven=False,
        regular_hours=(v221.RegularHours(weekday=1, period_begin="00:00", period_end="00:01"),),
        exceptional_closings=(
            v221.ExceptionalPeriod(period_begin=start, period_end=start + timedelta(days=90)),
        ),
    )
    assert view(grant(), evses=()).phases == closed
    assert view(grant(), evses=(evse(removed=True),)).phases == closed


def test_a_grant_that_is_over_no_longer_shapes_the_hours() -> None:
    over = grant(id="1", calendar=nightly("08:00", "18:00"), valid_to=local("2026-11-23 12:00"))
    shown = view(over, grant(id="2"))
    assert shown.opening_times == view(grant(id="2")).opening_times


def test_a_publication_survives_being_stored() -> None:
    gate = Presentation(directions=(v221.DisplayText(language="en", text="Gate 2"),))
    shown = view(grant(token_groups=frozenset({"TAXI-A"}), presentation=gate))
    for codec in (msgspec.json, msgspec.msgpack):
        assert codec.decode(codec.encode(shown), type=Publication) == shown
