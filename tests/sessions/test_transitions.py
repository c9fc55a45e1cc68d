"""The one whitelist of what a Session can become."""

import pytest

from ocpi import v221
from sessions.models import Session
from sessions.services import TRANSITIONS, WrongState, advance


@pytest.mark.parametrize("start", list(v221.SessionStatus))
@pytest.mark.parametrize("to", list(v221.SessionStatus))
def test_only_the_listed_passages_exist(start: v221.SessionStatus, to: v221.SessionStatus) -> None:
    """SES-11, SES-14: PENDING → ACTIVE → COMPLETED, with INVALID; RESERVATION → ACTIVE or COMPLETED."""
    allowed = {
        ("PENDING", "ACTIVE"),
        ("PENDING", "INVALID"),
        ("ACTIVE", "COMPLETED"),
        ("ACTIVE", "INVALID"),
        ("RESERVATION", "ACTIVE"),
        ("RESERVATION", "COMPLETED"),
        ("RESERVATION", "INVALID"),
    }
    assert (to in TRANSITIONS[start]) is ((start.value, to.value) in allowed)
    session = Session(status=start.value)
    if (start.value, to.value) in allowed:
        advance(session, to)
        assert session.status == to.value
    else:
        with pytest.raises(WrongState):
            advance(session, to)
        assert session.status == start.value
