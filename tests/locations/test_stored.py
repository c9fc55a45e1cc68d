"""Cutting and changing stored bytes gives the same as rendering anew."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from locations import stored
from locations.publication import Publication
from locations.render import render, shown_status, stamped
from ocpi import codec, v221
from tests.locations.building import NIGHT, NOON, TAXI, S, always_open, bay, publication, site

moments = st.integers(0, 24 * 60 * 60_000).map(lambda ms: NOON + timedelta(milliseconds=ms))
RFID = v221.TokenType.RFID
statuses = st.sampled_from(list(v221.Status))


def document(at=NIGHT, *states: v221.Status) -> bytes:
    facts = site(*(bay(number, status) for number, status in enumerate(states or (S.AVAILABLE, S.CHARGING))))
    return codec.encode(stamped(render(facts, always_open(), viewer=TAXI, at=at), None, at))


@given(
    st.lists(statuses, min_size=1, max_size=4),
    statuses,
    st.integers(0, 3),
    st.sampled_from(
        [
            always_open(),
            publication(),
            publication(publish=False, publish_allowed_to=(v221.PublishTokenType(uid="UID-1", type=RFID),)),
        ]
    ),
    st.integers(1, 6 * 60 * 60_000).map(lambda ms: NIGHT + timedelta(milliseconds=ms)),
)
def test_changing_a_status_in_the_bytes_equals_rendering_the_location_anew(
    before: list[v221.Status], status: v221.Status, index: int, shown: Publication, at: datetime
) -> None:
    index %= len(before)
    after = [*before[:index], status, *before[index + 1 :]]
    first_facts = site(*(bay(number, each, connectors=2) for number, each in enumerate(before)))
    second_facts = site(*(bay(number, each, connectors=2) for number, each in enumerate(after)))
    first = stamped(render(first_facts, shown, viewer=TAXI, at=NIGHT), None, NIGHT)
    second = stamped(render(second_facts, shown, viewer=TAXI, at=at), first, at)
    seen = shown_status(second_facts.evses[index].state, shown, viewer=TAXI, at=at)
    changed = stored.with_status(codec.encode(first), f"UID-{index}", seen, at)
    assert changed == (None if second is first else codec.encode(second))


@given(moments)
def test_reading_a_stored_document_gives_back_the_object(at) -> None:
    facts = site(bay(1), bay(2, S.CHARGING))
    location = stamped(render(facts, publication(), viewer=TAXI, at=at), None, at)
    assert stored.read_location(codec.encode(location)) == location


def test_an_evse_and_a_connector_are_cut_out_as_they_stand() -> None:
    """LOC-02."""
    location = stored.read_location(document())
    evse = stored.evse_document(document(), "UID-1")
    assert evse == codec.encode(location.evses[1])
    assert stored.connector_document(evse, "1") == codec.encode(location.evses[1].connectors[0])


def test_what_is_not_there_is_none() -> None:
    """LOC-03."""
    evse = stored.evse_document(document(), "UID-1")
    assert evse is not None
    assert stored.evse_document(document(), "UID-9") is None
    assert stored.connector_document(evse, "9") is None
    assert stored.with_status(document(), "UID-9", S.CHARGING, NIGHT) is None
    assert stored.evse_document(codec.encode(stamped_empty()), "UID-1") is None


def stamped_empty() -> v221.Location:
    return stamped(render(site(), publication(), viewer=TAXI, at=NIGHT), None, NIGHT)


def test_a_patch_has_the_members_that_changed_and_the_stamp() -> None:
    """LOC-12."""
    evse = stored.evse_document(document(), "UID-1")
    assert evse is not None
    assert stored.patch(evse, ("status",)) == b'{"status":"CHARGING","last_updated":"2026-03-11T21:00:00Z"}'
    # A member that the object does not have now is not made up.
    assert stored.patch(evse, ("status_schedule",)) == b'{"last_updated":"2026-03-11T21:00:00Z"}'
