"""What a partner is told about a change: a status, an EVSE, or the Location as a whole."""

from datetime import timedelta

from msgspec.structs import replace

from locations.changes import WHOLE_LOCATION, Notice, notices
from locations.publication import Publication
from locations.render import EvseFacts, LocationFacts, render, stamped
from ocpi import v221
from tests.locations.building import (
    CLOSES,
    NIGHT,
    NOON,
    OPENS,
    TAXI,
    S,
    always_open,
    bay,
    connector,
    publication,
    site,
)


def seen(
    facts: LocationFacts, shown: Publication, at=NIGHT, previous: v221.Location | None = None
) -> v221.Location:
    return stamped(render(facts, shown, viewer=TAXI, at=at), previous, at)


def told(before: LocationFacts, after: LocationFacts, shown: Publication | None = None) -> tuple[Notice, ...]:
    first = seen(before, shown or publication())
    return notices(first, seen(after, shown or publication(), NIGHT + timedelta(minutes=1), first))


def test_a_new_location_is_told_as_a_whole() -> None:
    """LOC-10."""
    assert notices(None, seen(site(bay(1)), publication())) == (WHOLE_LOCATION,)


def test_no_change_is_not_told() -> None:
    assert told(site(bay(1)), site(bay(1))) == ()


def test_a_status_is_a_patch_of_the_status() -> None:
    """LOC-10, LOC-12."""
    assert told(site(bay(1), bay(2)), site(bay(1, S.CHARGING), bay(2))) == (Notice("UID-1", ("status",)),)


def test_three_bays_at_once_are_one_put() -> None:
    """Two bays are two PATCHes, three are one PUT of the Location."""
    three = site(bay(1), bay(2), bay(3))
    two_busy = site(bay(1, S.CHARGING), bay(2, S.CHARGING), bay(3))
    all_busy = site(bay(1, S.CHARGING), bay(2, S.CHARGING), bay(3, S.CHARGING))
    assert told(three, two_busy) == (Notice("UID-1", ("status",)), Notice("UID-2", ("status",)))
    assert told(three, all_busy) == (WHOLE_LOCATION,)


def test_an_edge_is_told_with_the_schedule_that_follows() -> None:
    facts = site(bay(1), bay(2))
    closed = seen(facts, publication(), NOON)
    opened = seen(facts, publication(), OPENS, closed)
    after = seen(facts, publication(), CLOSES, opened)
    assert notices(closed, opened) == (Notice("UID-1", ("status",)), Notice("UID-2", ("status",)))
    # The last opening of the horizon is over: a schedule that goes away cannot be said in a PATCH (LOC-13).
    assert notices(opened, after) == (Notice("UID-1"), Notice("UID-2"))


def test_more_than_a_status_is_a_put_of_the_evse() -> None:
    """LOC-13: a PATCH cannot take a member away."""
    plain = bay(1)
    weaker = EvseFacts(
        evse=replace(plain.evse, connectors=(connector(max_electric_power=None),)), state=plain.state
    )
    assert told(site(plain), site(weaker)) == (Notice("UID-1"),)


def test_changes_of_the_location_itself_are_a_put_of_the_location() -> None:
    assert told(site(bay(1)), site(bay(1), name="Gent Noord")) == (WHOLE_LOCATION,)
    assert told(site(bay(1)), site(bay(1), bay(2))) == (WHOLE_LOCATION,)


def test_removal_is_told_by_its_status() -> None:
    """LOC-07: PATCH with REMOVED; with the schedule of the bay going away it is a PUT."""
    gone = site(bay(1, is_removed=True))
    assert told(site(bay(1)), gone, always_open()) == (Notice("UID-1", ("status",)),)
    assert told(site(bay(1)), gone) == (Notice("UID-1"),)
