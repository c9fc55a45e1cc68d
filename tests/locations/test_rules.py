"""Rules of the chapter that no document of ours can break, because the types refuse it."""

import pytest

from locations.render import render
from ocpi import codec, v221
from tests.locations.building import NOON, TAXI, publication, site

A_GROUP = v221.PublishTokenType(group_id="TAXI-A")


@pytest.mark.parametrize(
    "entry",
    [{}, {"type": "RFID"}, {"uid": "04A1"}, {"visual_number": "42"}, {"issuer": "Randstad Taxi"}],
)
def test_an_entry_of_publish_allowed_to_that_names_nobody_is_refused(entry: dict[str, str]) -> None:
    """LOC-20: at least one of uid, visual_number, group_id; uid needs type; visual_number needs issuer."""
    with pytest.raises(codec.Invalid):
        codec.decode(v221.PublishTokenType, entry)


def test_publish_allowed_to_needs_publish_false() -> None:
    """LOC-19."""
    with pytest.raises(ValueError, match="publish is false"):
        render(site(), publication(publish=True, publish_allowed_to=(A_GROUP,)), viewer=TAXI, at=NOON)


@pytest.mark.parametrize(
    "hours",
    [
        {"twentyfourseven": False},
        {
            "twentyfourseven": True,
            "regular_hours": [{"weekday": 1, "period_begin": "08:00", "period_end": "09:00"}],
        },
    ],
)
def test_hours_are_either_around_the_clock_or_a_list(hours: dict[str, object]) -> None:
    """LOC-24."""
    with pytest.raises(codec.Invalid, match="regular_hours"):
        codec.decode(v221.Hours, hours)
