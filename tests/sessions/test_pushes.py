"""What goes to the partner for a session: PUT of the whole, or PATCH of members that can be repeated."""

from datetime import timedelta

import msgspec
import pytest

from ocpi import codec, v221
from roaming import pushes
from roaming.models import Obligation
from sessions.models import Session
from sessions.services import Reading, activate_session, add_readings, invalidate_session
from sessions.wire import session_document
from tests.sessions.material import START
from tests.sessions.rows import active, bay, completed, partner, pending

pytestmark = pytest.mark.django_db


def obligation() -> Obligation:
    return Obligation.objects.get(kind="session")


def acknowledged() -> None:
    """The partner has confirmed what it was told so far."""
    owed = obligation()
    Obligation.objects.filter(pk=owed.pk).update(
        confirmed_version=owed.wanted_version, changed_fields=[], force_put=False, state="ACKED"
    )


def document(session: Session) -> v221.Session:
    return session_document(Session.objects.select_related("own_party").get(pk=session.pk))


def sent() -> pushes.Message:
    message = pushes.get("session").message(obligation(), now=START)
    assert message is not None
    return message


def test_a_new_session_is_put_to_its_own_url() -> None:
    """SES-05, OBJ-08."""
    session = pending(party=partner(), evse=bay())
    assert sent() == pushes.Message(
        method="PUT", segments=("BE", "YRD", str(session.pk)), body=codec.encode(document(session))
    )


def test_a_change_of_status_is_a_patch_with_its_members_and_last_updated() -> None:
    """SES-05, SES-06: addressed to the Session itself."""
    session = pending(party=partner(), evse=bay())
    acknowledged()
    now = START + timedelta(minutes=1)
    activate_session(session=session, started_at=now, meter_start_wh=1, now=now)
    message = sent()
    assert (message.method, message.segments) == ("PATCH", ("BE", "YRD", str(session.pk)))
    assert codec.parse(message.body or b"") == {
        "start_date_time": "2026-11-20T19:01:00Z",
        "status": "ACTIVE",
        "last_updated": "2026-11-20T19:01:00Z",
    }


def test_an_invalid_session_is_patched_with_its_end() -> None:
    """SES-11."""
    session = pending(party=partner(), evse=bay())
    acknowledged()
    invalidate_session(session=session, reason="start TIMEOUT", now=START + timedelta(minutes=1))
    assert codec.parse(sent().body or b"") == {
        "end_date_time": "2026-11-20T19:01:00Z",
        "status": "INVALID",
        "last_updated": "2026-11-20T19:01:00Z",
    }


def test_changed_periods_are_never_patched() -> None:
    """SES-07, SES-08, delivery.md 4.4: a repeated PATCH would double them; PUT of the whole cannot."""
    session = active(party=partner(), evse=bay())
    acknowledged()
    now = START + timedelta(minutes=20)
    add_readings(session=session, readings=[Reading(now, 1_005_000)], now=now)
    assert sorted(obligation().changed_fields) == ["charging_periods", "kwh", "total_cost"]
    message = sent()
    assert (message.method, message.body) == ("PUT", codec.encode(document(session)))
    assert len(document(session).charging_periods) == 2


def test_after_a_failure_the_whole_session_is_put() -> None:
    """OBJ-07: the delivery forces it."""
    session = pending(party=partner(), evse=bay())
    acknowledged()
    activate_session(session=session, started_at=START, meter_start_wh=1, now=START)
    Obligation.objects.update(force_put=True)
    assert (sent().method, sent().body) == ("PUT", codec.encode(document(session)))


def test_a_session_that_was_never_confirmed_is_put() -> None:
    session = pending(party=partner(), evse=bay())
    activate_session(session=session, started_at=START, meter_start_wh=1, now=START)
    Obligation.objects.update(force_put=False)
    assert sent().method == "PUT"


def test_what_is_sent_is_the_present_state() -> None:
    """access.md 5.7: rendered at the moment of sending; five changes in an outage are one PUT after it."""
    session = completed(party=partner(), evse=bay())
    assert Obligation.objects.filter(kind="session").count() == 1
    body = sent().body or b""
    received = codec.decode_bytes(v221.Session, body)
    assert received == document(session)
    assert received.status is v221.SessionStatus.COMPLETED


def test_the_end_is_told_in_full() -> None:
    completed(party=partner(), evse=bay())
    acknowledged()
    session = Session.objects.get()
    assert codec.decode_bytes(v221.Session, sent().body or b"") == document(session)


def test_a_session_that_is_gone_owes_nothing() -> None:
    session = pending(party=partner(), evse=bay())
    owed = obligation()
    owed.object_key = "00000000-0000-0000-0000-000000000000"
    assert pushes.get("session").message(owed, now=START) is None
    assert msgspec.structs.asdict(document(session))["status"] is v221.SessionStatus.PENDING


def test_only_the_party_that_pays_is_owed_the_session() -> None:
    """SES-04, CDR-03."""
    partner("TNM", "Vlaamse Koeriers")
    payer = partner()
    pending(party=payer, evse=bay())
    assert [each.party for each in Obligation.objects.all()] == [payer]


def test_a_batch_is_read_in_one_query(django_assert_num_queries) -> None:
    """SES-05: each with its own Session, and none for one that is gone."""
    payer = partner()
    for number in (1, 2, 3):
        pending(party=payer, evse=bay(number))
    owed = list(Obligation.objects.order_by("id"))
    gone = owed.pop()
    gone.object_key = "00000000-0000-0000-0000-000000000000"
    push = pushes.get("session")
    alone = [push.message(each, now=START) for each in owed]
    with django_assert_num_queries(1):
        loaded = push.load([*owed, gone])
        for each in owed:
            each.loaded = loaded[each.pk]
        assert [push.message(each, now=START) for each in owed] == alone
    assert gone.pk not in loaded
