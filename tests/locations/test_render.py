"""One bay pool as each partner sees it, and when its stamps move."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from locations.render import (
    OFFLINE_GRACE,
    UNSTAMPED,
    BayState,
    EvseFacts,
    LocationFacts,
    device_status,
    next_stamp,
    render,
    stamped,
    valid_until,
)
from ocpi import v221
from tests.locations.building import (
    CLOSES,
    NIGHT,
    NOON,
    OPENS,
    TAXI,
    VANS,
    S,
    always_open,
    bay,
    connector,
    publication,
    site,
)


def statuses(facts: LocationFacts, viewer: int = TAXI, at=NIGHT, **changes) -> list[v221.Status]:
    return [evse.status for evse in render(facts, publication(**changes), viewer=viewer, at=at).evses]


def test_a_rendered_location_has_everything_that_the_publication_and_the_bays_say() -> None:
    """LOC-01, LOC-25, LOC-29: whole value."""
    group = v221.PublishTokenType(group_id="TAXI-A")
    text = v221.DisplayText(language="en", text="Gate 2, code from the app")
    shown = publication(
        publish=False,
        publish_allowed_to=(group,),
        capabilities=(v221.Capability.RESERVABLE,),
        parking_restrictions=(v221.ParkingRestriction.CUSTOMERS,),
        directions=(text,),
    )
    facts = site(bay(1))
    rendered = render(facts, shown, viewer=TAXI, at=NIGHT)
    schedule = (
        v221.StatusSchedule(period_begin=OPENS, period_end=CLOSES, status=S.AVAILABLE),
        v221.StatusSchedule(period_begin=CLOSES, status=S.INOPERATIVE),
    )
    assert rendered == replace(
        facts.location,
        publish=False,
        publish_allowed_to=(group,),
        directions=(text,),
        opening_times=shown.opening_times,
        charging_when_closed=False,
        evses=(
            replace(
                facts.evses[0].evse,
                status=S.AVAILABLE,
                status_schedule=schedule,
                capabilities=(v221.Capability.RESERVABLE,),
                parking_restrictions=(v221.ParkingRestriction.CUSTOMERS,),
                connectors=(connector(tariff_ids=("GUEST",)),),
            ),
        ),
    )


def test_what_a_partner_is_not_told_otherwise_is_as_the_bay_has_it() -> None:
    facts = site(bay(1), directions=(v221.DisplayText(language="en", text="Gate 2"),))
    rendered = render(facts, always_open(), viewer=TAXI, at=NOON)
    assert rendered.directions == facts.location.directions
    assert rendered.evses[0].capabilities == (v221.Capability.RFID_READER,)


def test_the_mask_lies_over_idle_and_busy_bays_alike_while_closed() -> None:
    """A closed depot does not show how busy its fleet is."""
    facts = site(bay(1), bay(2, S.CHARGING), bay(3, S.BLOCKED), bay(4, S.OUTOFORDER))
    assert statuses(facts, at=NOON) == [S.INOPERATIVE, S.INOPERATIVE, S.INOPERATIVE, S.OUTOFORDER]
    assert statuses(facts, at=NIGHT) == [S.AVAILABLE, S.CHARGING, S.BLOCKED, S.OUTOFORDER]


def test_the_edges_are_where_the_phases_say() -> None:
    facts = site(bay(1))
    tick = timedelta(milliseconds=1)
    assert statuses(facts, at=OPENS - tick) == [S.INOPERATIVE]
    assert statuses(facts, at=OPENS) == [S.AVAILABLE]
    assert statuses(facts, at=CLOSES - tick) == [S.INOPERATIVE]


def test_only_the_partner_whose_session_runs_sees_it_behind_the_mask() -> None:
    facts = site(bay(1, S.CHARGING, serving_party=TAXI))
    assert statuses(facts, viewer=TAXI, at=NOON) == [S.CHARGING]
    assert statuses(facts, viewer=VANS, at=NOON) == [S.INOPERATIVE]


def test_a_removed_bay_stays_and_is_removed_for_ever() -> None:
    """LOC-06: whatever its device says, and nothing is planned for it."""
    evse = render(site(bay(1, is_removed=True)), publication(), viewer=TAXI, at=NIGHT).evses[0]
    assert (evse.status, evse.status_schedule) == (S.REMOVED, ())
    assert statuses(site(bay(1)), ended=True) == [S.REMOVED]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (BayState(device_status=S.AVAILABLE), S.AVAILABLE),
        (BayState(device_status=S.AVAILABLE, is_online=False), S.UNKNOWN),
        (BayState(device_status=S.CHARGING, is_online=False, offline_since=NOON), S.CHARGING),
        (BayState(device_status=S.CHARGING, is_online=False, offline_since=NOON - OFFLINE_GRACE), S.UNKNOWN),
        (BayState(device_status=S.OUTOFORDER, is_online=False), S.OUTOFORDER),
        (BayState(device_status=S.PLANNED, is_online=False), S.PLANNED),
        (BayState(device_status=S.AVAILABLE, is_removed=True), S.REMOVED),
    ],
)
def test_a_station_that_stays_away_makes_its_bays_unknown(state: BayState, expected: v221.Status) -> None:
    assert device_status(state, NOON) is expected


def test_a_document_is_exact_until_the_next_edge_or_until_a_lost_station_counts_as_lost() -> None:
    lost = bay(1, is_online=False, offline_since=NOON)
    assert valid_until(site(bay(1)), publication(), NOON) == OPENS
    assert valid_until(site(lost), publication(), NOON) == NOON + OFFLINE_GRACE
    assert valid_until(site(lost), publication(), NOON + OFFLINE_GRACE) == OPENS
    assert valid_until(site(bay(1)), always_open(), NOON) is None


def test_the_first_document_has_one_stamp_everywhere() -> None:
    fresh = render(site(bay(1, connectors=2)), publication(), viewer=TAXI, at=NOON)
    first = stamped(fresh, None, NOON)
    evse = first.evses[0]
    stamps = {first.last_updated, evse.last_updated, *(each.last_updated for each in evse.connectors)}
    assert stamps == {NOON}


def test_equal_content_keeps_the_object_that_is_known() -> None:
    """LOC-05."""
    facts = site(bay(1), bay(2))
    first = stamped(render(facts, publication(), viewer=TAXI, at=NOON), None, NOON)
    later = NOON + timedelta(hours=1)
    assert stamped(render(facts, publication(), viewer=TAXI, at=later), first, later) is first


def test_a_change_of_a_connector_moves_its_evse_and_location_and_nothing_else() -> None:
    """LOC-04."""
    facts = site(bay(1, connectors=2), bay(2))
    first = stamped(render(facts, always_open(), viewer=TAXI, at=NOON), None, NOON)
    later = NOON + timedelta(minutes=5)
    changed = facts.evses[0].evse
    changed = replace(changed, connectors=(changed.connectors[0], connector("2", max_amperage=200)))
    edited = site(replace_evse(facts, changed), facts.evses[1])
    second = stamped(render(edited, always_open(), viewer=TAXI, at=later), first, later)
    assert second.last_updated == later
    assert [evse.last_updated for evse in second.evses] == [later, NOON]
    assert [plug.last_updated for plug in second.evses[0].connectors] == [NOON, later]


def replace_evse(facts: LocationFacts, evse: v221.EVSE) -> EvseFacts:
    return EvseFacts(evse=evse, state=facts.evses[0].state)


def test_stamps_rise_even_when_the_clock_steps_back() -> None:
    """Fault 36: max(clock, previous + 1 ms), whole milliseconds."""
    assert next_stamp(None, NOON + timedelta(microseconds=1999)) == NOON + timedelta(milliseconds=1)
    assert next_stamp(NOON, NOON - timedelta(hours=1)) == NOON + timedelta(milliseconds=1)
    assert next_stamp(NOON, NOON) == NOON + timedelta(milliseconds=1)
    assert next_stamp(NOON, NOON + timedelta(seconds=1)) == NOON + timedelta(seconds=1)


states = st.builds(
    BayState,
    device_status=st.sampled_from(list(v221.Status)),
    is_removed=st.booleans(),
    is_online=st.booleans(),
    serving_party=st.sampled_from([None, TAXI, VANS]),
)
moments = st.integers(0, 24 * 60).map(lambda minutes: NOON + timedelta(minutes=minutes))


@given(st.lists(states, max_size=4), moments, moments)
def test_stamps_tell_exactly_what_changed(bays: list[BayState], before, after) -> None:
    """LOC-04, LOC-05: an object is stamped anew if and only if it differs from the one that was known."""
    facts = site(*(bay(number, **as_members(state)) for number, state in enumerate(bays)))
    first = stamped(render(facts, publication(), viewer=TAXI, at=before), None, before)
    second = stamped(render(facts, publication(), viewer=TAXI, at=after), first, after)
    for old, new in zip(first.evses, second.evses, strict=True):
        same = (old.status, old.status_schedule) == (new.status, new.status_schedule)
        assert (new.last_updated == old.last_updated) is same
        assert (new is old) is same
    same = first.evses == second.evses
    assert (second is first) is same
    assert second.last_updated > first.last_updated or same
    assert UNSTAMPED not in {second.last_updated, *(evse.last_updated for evse in second.evses)}


def as_members(state: BayState) -> dict[str, object]:
    return {
        "status": state.device_status,
        "is_removed": state.is_removed,
        "is_online": state.is_online,
        "serving_party": state.serving_party,
    }
