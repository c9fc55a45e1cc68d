"""One rule of `decide` per test, in the order of the rules; then what leaves the house."""

from datetime import date, timedelta
from typing import get_args

import pytest

from access.decide import FLEET_TERMS, decide
from access.decisions import AccessFacts, Allow, Deny, Source, Step
from access.messages import public_message
from access.reasons import (
    COMMAND_RESPONSE,
    COMMAND_RESULT,
    ID_TAG_STATUS_16,
    ID_TOKEN_STATUS_201,
    STATUS_CODE,
    Reason,
)
from access.windows import DatedException
from ocpi import v221
from ocpi.status import StatusCode
from tests.access.cases import (
    BERLIN,
    PARTNER,
    calendar,
    evse,
    facts,
    grant,
    local,
    nightly,
    start,
    terms,
    utc,
    window,
)

EVENING = local("2026-11-23 21:00")
NOON = local("2026-11-23 12:00")
UNTIL = local("2026-11-24 05:00")
START_SOURCES = sorted(set(get_args(Source)) - {"VIEW"})


def denied(answer: Allow | Deny) -> Reason:
    assert isinstance(answer, Deny)
    return answer.reason


def allowed(answer: Allow | Deny) -> Allow:
    assert isinstance(answer, Allow), answer
    return answer


def test_an_open_window_and_a_free_bay_allow() -> None:
    assert decide(start(evse_uid="bay-7", connector_id="1"), facts(grant()), EVENING) == Allow(
        at=EVENING,
        grant_id="1",
        grant_version=1,
        until=UNTIL,
        must_end_by=UNTIL,
        evse_uid="bay-7",
        terms=terms(),
        trace=(
            Step("location", "PASS", "known"),
            Step("group_fence", "PASS", "grant 1 version 1"),
            Step("grant_status", "PASS", "grant 1 version 1"),
            Step("grant_rules", "PASS", "grant 1 version 1"),
            Step("time_fence", "PASS", "grant 1 version 1"),
            Step("limits", "PASS", "grant 1 version 1"),
            Step("bay", "PASS", "EVSE bay-7 is free"),
        ),
    )


def test_a_denial_names_the_rule_the_retry_and_the_grant() -> None:
    assert decide(start(), facts(grant(version=4)), NOON) == Deny(
        at=NOON,
        reason=Reason.OUTSIDE_WINDOW,
        retry_at=local("2026-11-23 20:00"),
        grant_id="1",
        grant_version=4,
        trace=(
            Step("location", "PASS", "known"),
            Step("group_fence", "PASS", "grant 1 version 4"),
            Step("grant_status", "PASS", "grant 1 version 4"),
            Step("grant_rules", "PASS", "grant 1 version 4"),
            Step("time_fence", "DENY", "OUTSIDE_WINDOW: grant 1 is closed at 2026-11-23T11:00:00+00:00"),
        ),
    )


@pytest.mark.parametrize("source", START_SOURCES)
def test_every_source_of_a_start_meets_the_same_fences(source: str) -> None:
    assert allowed(decide(start(source=source), facts(grant()), EVENING)).evse_uid == "bay-7"
    assert denied(decide(start(source=source), facts(grant()), NOON)) is Reason.OUTSIDE_WINDOW


def test_the_window_is_half_open_to_the_millisecond() -> None:
    here = facts(grant(terms=terms(min_useful_minutes=0)))
    assert denied(decide(start(), here, local("2026-11-23 19:59:59.999"))) is Reason.OUTSIDE_WINDOW
    assert allowed(decide(start(), here, local("2026-11-23 20:00:00.000"))).until == UNTIL
    assert allowed(decide(start(), here, local("2026-11-24 04:59:59.999"))).until == UNTIL
    assert denied(decide(start(), here, local("2026-11-24 05:00:00.000"))) is Reason.OUTSIDE_WINDOW


def test_the_last_start_is_half_open_to_the_millisecond() -> None:
    here = facts(grant())
    assert allowed(decide(start(), here, local("2026-11-24 04:39:59.999"))).until == UNTIL
    late = decide(start(), here, local("2026-11-24 04:40:00.000"))
    assert isinstance(late, Deny)
    assert (late.reason, late.closes_at, late.retry_at) == (Reason.CUTOFF, UNTIL, local("2026-11-24 20:00"))


def test_the_longer_of_minimum_useful_time_and_last_start_offset_counts() -> None:
    early = facts(grant(terms=terms(last_start_offset_minutes=90)))
    assert allowed(decide(start(), early, local("2026-11-24 03:29:59"))).until == UNTIL
    assert denied(decide(start(), early, local("2026-11-24 03:30:00"))) is Reason.CUTOFF


@pytest.mark.parametrize(
    ("day", "closes", "hours"),
    [("2026-03-28", "05:00", 8), ("2026-10-24", "05:00", 10), ("2026-10-24", "06:00", 11)],
)
def test_a_start_on_the_night_of_a_clock_change_knows_its_true_end(day: str, closes: str, hours: int) -> None:
    opens = local(f"{day} 20:00")
    answer = allowed(decide(start(), facts(grant(calendar=nightly(closes=closes))), opens))
    assert answer.until == opens + timedelta(hours=hours)


@pytest.mark.parametrize(
    ("here", "request_changes"),
    [
        (facts(grant(), location_known=False), {}),
        (facts(grant()), {"evse_uid": "bay-8"}),
        (facts(grant(), evses=(evse(removed=True),)), {"evse_uid": "bay-7"}),
        (facts(grant()), {"evse_uid": "bay-7", "connector_id": "2"}),
        (facts(grant()), {"connector_id": "1"}),
    ],
)
def test_what_is_not_here_is_unknown(here: AccessFacts, request_changes: dict[str, str]) -> None:
    assert denied(decide(start(**request_changes), here, EVENING)) is Reason.UNKNOWN_LOCATION


@pytest.mark.parametrize(
    "grants",
    [
        (),
        (grant(party="NL-TNM"),),
        (grant(location_id="GENT-ZUID"),),
        (grant(status="ENDED"),),
    ],
)
def test_no_live_grant_of_this_party_here_is_not_granted_by_day_and_night(grants: tuple) -> None:
    for now in (EVENING, NOON):
        assert denied(decide(start(), facts(*grants), now)) is Reason.NOT_GRANTED


def test_a_grant_for_token_groups_admits_only_those() -> None:
    taxis = facts(grant(token_groups=frozenset({"TAXI-A", "TAXI-B"})))
    assert allowed(decide(start(token_group="TAXI-B"), taxis, EVENING)).grant_id == "1"
    for group in ("TAXI-C", None, ""):
        assert denied(decide(start(token_group=group), taxis, EVENING)) is Reason.GROUP_NOT_GRANTED


def test_a_view_is_of_the_whole_party() -> None:
    taxis = grant(token_groups=frozenset({"TAXI-A"}), terms=terms(max_concurrent=0))
    here = facts(taxis, evses=(evse(online=False),))
    assert allowed(decide(start(source="VIEW"), here, EVENING)).evse_uid is None
    assert denied(decide(start(source="VIEW"), here, NOON)) is Reason.OUTSIDE_WINDOW
    assert denied(decide(start(source="PREVIEW"), here, EVENING)) is Reason.GROUP_NOT_GRANTED


def test_the_kill_switch_and_a_suspension_refuse_inside_the_window() -> None:
    assert denied(decide(start(), facts(grant(), kill_switch=True), EVENING)) is Reason.DEPOT_FLEET_ONLY
    assert denied(decide(start(), facts(grant(status="SUSPENDED")), EVENING)) is Reason.SUSPENDED


@pytest.mark.parametrize(
    "broken",
    [
        grant(calendar=nightly(time_zone="Europe/Atlantis")),
        grant(calendar=calendar(window("20:00", "05:00", frozenset({9})))),
        grant(terms=terms(end_policy="FOREVER")),
        grant(terms=terms(min_useful_minutes=-1)),
        grant(terms=terms(max_session_minutes=-5)),
        grant(terms=terms(status_mask="HIDE")),
        grant(status="PAUSED"),
        grant(valid_to=EVENING.replace(tzinfo=None)),
    ],
)
def test_a_rule_that_cannot_be_followed_refuses(broken: object) -> None:
    for now in (EVENING, NOON):
        assert denied(decide(start(), facts(broken), now)) is Reason.CONFIG_ERROR


def test_a_broken_grant_does_not_spoil_a_sound_one() -> None:
    broken = grant(id="0", calendar=nightly(time_zone="Europe/Atlantis"))
    assert allowed(decide(start(), facts(broken, grant()), EVENING)).grant_id == "1"
    assert denied(decide(start(), facts(broken, grant()), NOON)) is Reason.OUTSIDE_WINDOW


def test_validity_is_part_of_the_time_fence() -> None:
    later = decide(start(), facts(grant(valid_from=local("2026-11-24 22:00"))), EVENING)
    assert isinstance(later, Deny)
    assert (later.reason, later.retry_at) == (Reason.OUTSIDE_WINDOW, local("2026-11-24 22:00"))
    over = decide(start(), facts(grant(valid_to=EVENING)), EVENING)
    assert isinstance(over, Deny)
    assert (over.reason, over.retry_at) == (Reason.OUTSIDE_WINDOW, None)
    ending = facts(grant(valid_to=local("2026-11-23 23:00")))
    assert allowed(decide(start(), ending, EVENING)).until == local("2026-11-23 23:00")
    assert denied(decide(start(), ending, local("2026-11-23 22:40"))) is Reason.CUTOFF


def test_an_opening_that_is_too_short_to_start_in_is_no_retry() -> None:
    rules = calendar(window("20:00", "20:15"), window("22:00", "23:00"))
    answer = decide(start(), facts(grant(calendar=rules)), NOON)
    assert isinstance(answer, Deny)
    assert answer.retry_at == local("2026-11-23 22:00")


def test_the_limit_of_concurrent_sessions_refuses_the_next_one() -> None:
    limited = grant(terms=terms(max_concurrent=2))
    assert allowed(decide(start(), facts(limited, running_sessions_of_party=1), EVENING)).grant_id == "1"
    assert denied(decide(start(), facts(limited, running_sessions_of_party=2), EVENING)) is Reason.QUOTA


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"online": False, "operative": False, "occupied": True, "held": True}, Reason.STATION_OFFLINE),
        ({"operative": False, "occupied": True, "held": True}, Reason.EVSE_INOPERATIVE),
        ({"occupied": True, "held": True}, Reason.EVSE_OCCUPIED),
        ({"held": True}, Reason.HELD_FOR_FLEET),
    ],
)
def test_the_bay_is_asked_last_and_in_order(changes: dict[str, bool], reason: Reason) -> None:
    here = facts(grant(), evses=(evse(**changes),))
    assert denied(decide(start(evse_uid="bay-7"), here, EVENING)) is reason
    assert denied(decide(start(), here, EVENING)) is reason
    assert denied(decide(start(evse_uid="bay-7"), here, NOON)) is Reason.OUTSIDE_WINDOW


def test_the_end_of_a_fleet_hold_is_the_retry() -> None:
    six = local("2026-11-24 06:02")
    answer = decide(start(), facts(grant(), evses=(evse(held=True, held_until=six),)), EVENING)
    assert isinstance(answer, Deny)
    assert (answer.retry_at, answer.grant_id) == (six, "1")


def test_without_a_named_bay_the_free_one_with_the_fewest_connectors_is_taken() -> None:
    bays = (
        evse("bay-1", connector_ids=("1", "2")),
        evse("bay-2", occupied=True),
        evse("bay-4"),
        evse("bay-3"),
        evse("bay-0", removed=True),
    )
    for order in (bays, bays[::-1]):
        assert allowed(decide(start(), facts(grant(), evses=order), EVENING)).evse_uid == "bay-3"


def test_without_a_free_bay_the_least_severe_refusal_is_given() -> None:
    bays = (evse("bay-1", online=False), evse("bay-2", occupied=True), evse("bay-3", operative=False))
    assert denied(decide(start(), facts(grant(), evses=bays), EVENING)) is Reason.EVSE_OCCUPIED


def test_a_location_without_a_bay_is_refused_at_once() -> None:
    for bays in ((), (evse(removed=True),)):
        answer = decide(start(), facts(grant(), evses=bays), EVENING)
        assert denied(answer) is Reason.STATION_OFFLINE


def test_of_several_grants_one_that_allows_is_enough() -> None:
    night = grant(id="1")
    day = grant(id="2", calendar=nightly("08:00", "18:00"))
    assert allowed(decide(start(), facts(night, day), NOON)).grant_id == "2"
    assert allowed(decide(start(), facts(night, day), EVENING)).grant_id == "1"
    evening = decide(start(), facts(night, day), local("2026-11-23 19:00"))
    assert isinstance(evening, Deny)
    assert (evening.reason, evening.retry_at) == (Reason.OUTSIDE_WINDOW, local("2026-11-23 20:00"))


def test_the_grant_of_a_token_group_gives_the_terms_then_the_longest_then_the_best_class() -> None:
    everyone = grant(id="1", calendar=nightly(closes="06:00"))
    taxis = grant(id="2", token_groups=frozenset({"TAXI-A"}))
    assert allowed(decide(start(token_group="TAXI-A"), facts(everyone, taxis), EVENING)).grant_id == "2"
    assert allowed(decide(start(), facts(everyone, taxis), EVENING)).grant_id == "1"
    short = grant(id="0")
    assert allowed(decide(start(), facts(short, everyone), EVENING)).grant_id == "1"
    urgent = grant(id="3", calendar=nightly(closes="06:00"), terms=terms(priority_class=2))
    assert allowed(decide(start(), facts(everyone, urgent), EVENING)).grant_id == "3"
    endless = grant(id="4", calendar=nightly("00:00", "00:00"))
    assert allowed(decide(start(), facts(urgent, endless), EVENING)).until is None


@pytest.mark.parametrize(
    ("changes", "must_end_by"),
    [
        ({"end_policy": "STOP"}, "2026-11-24 05:00"),
        ({"end_policy": "GRACE", "grace_minutes": 10}, "2026-11-24 05:10"),
        ({"end_policy": "FINISH", "max_overrun_minutes": 120}, "2026-11-24 07:00"),
        ({"end_policy": "FINISH", "max_session_minutes": 60}, "2026-11-23 22:00"),
    ],
)
def test_a_session_must_end_by_the_policy_of_its_grant(changes: dict, must_end_by: str) -> None:
    answer = allowed(decide(start(), facts(grant(terms=terms(**changes))), EVENING))
    assert (answer.until, answer.must_end_by) == (UNTIL, local(must_end_by))


def test_without_an_end_in_sight_only_the_session_limit_ends_it() -> None:
    always = nightly("00:00", "00:00")
    endless = allowed(decide(start(), facts(grant(calendar=always)), NOON))
    assert (endless.until, endless.must_end_by) == (None, None)
    limited = grant(calendar=always, terms=terms(max_session_minutes=90))
    assert allowed(decide(start(), facts(limited), NOON)).must_end_by == NOON + timedelta(minutes=90)


def test_a_fleet_vehicle_is_stopped_only_by_the_bay() -> None:
    here = facts(fleet_token=True, kill_switch=True, evses=(evse(held=True),))
    answer = allowed(decide(start(source="RFID"), here, NOON))
    assert (answer.grant_id, answer.until, answer.evse_uid) == (None, None, "bay-7")
    assert answer.terms is FLEET_TERMS
    taken = facts(fleet_token=True, evses=(evse(occupied=True),))
    assert denied(decide(start(source="RFID"), taken, NOON)) is Reason.EVSE_OCCUPIED


def deny(reason: Reason, **changes: object) -> Deny:
    return Deny(at=NOON, reason=reason, **changes)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (deny(Reason.OUTSIDE_WINDOW, retry_at=local("2026-11-23 20:00")), "Opens 20:00 (Europe/Berlin)."),
        (
            deny(Reason.OUTSIDE_WINDOW, retry_at=local("2026-11-24 00:00")),
            "Opens Tue 24 Nov 00:00 (Europe/Berlin).",
        ),
        (deny(Reason.OUTSIDE_WINDOW), "Closed."),
        (
            deny(Reason.CUTOFF, closes_at=local("2026-11-23 12:10"), retry_at=local("2026-11-23 20:00")),
            "Closes 12:10 (Europe/Berlin), too short to start. Opens 20:00.",
        ),
        (
            deny(Reason.HELD_FOR_FLEET, retry_at=local("2026-11-23 18:02:10")),
            "Reserved until about 18:10 (Europe/Berlin).",
        ),
        (deny(Reason.HELD_FOR_FLEET), "The EVSE is reserved."),
        (deny(Reason.SUSPENDED), "Access is suspended."),
        (deny(Reason.DEPOT_FLEET_ONLY), "Access is suspended."),
        (deny(Reason.UNKNOWN_LOCATION), "Unknown Location."),
        (deny(Reason.NOT_GRANTED), "Unknown Location."),
    ],
)
def test_the_public_message(answer: Deny, message: str) -> None:
    assert public_message(answer, BERLIN) == message


def test_the_message_of_a_holiday_names_the_day_of_the_next_opening() -> None:
    rules = nightly(exceptions=(DatedException(date(2026, 12, 24), "CLOSED"),))
    answer = decide(start(), facts(grant(calendar=rules)), local("2026-12-24 21:00"))
    assert isinstance(answer, Deny)
    assert public_message(answer, BERLIN) == "Opens Fri 25 Dec 20:00 (Europe/Berlin)."


def test_an_unknown_zone_is_answered_in_utc() -> None:
    answer = deny(Reason.OUTSIDE_WINDOW, retry_at=utc("2026-11-23 19:00"))
    assert public_message(answer, "Europe/Atlantis") == "Opens 19:00 (UTC)."


@pytest.mark.parametrize("reason", list(Reason))
def test_no_message_speaks_of_the_fleet_a_grant_or_a_rule(reason: Reason) -> None:
    message = public_message(deny(reason, retry_at=EVENING, closes_at=EVENING), BERLIN)
    for word in ("fleet", "truck", "grant", PARTNER, "bay-7", "config"):
        assert word.lower() not in message.lower()


def test_every_reason_has_a_word_in_each_protocol() -> None:
    for table in (COMMAND_RESPONSE, STATUS_CODE, ID_TAG_STATUS_16, ID_TOKEN_STATUS_201):
        assert set(table) == set(Reason)
    assert set(ID_TAG_STATUS_16.values()) == {"Blocked", "ConcurrentTx"}
    assert ID_TOKEN_STATUS_201[Reason.OUTSIDE_WINDOW] == "NotAtThisTime"
    assert ID_TOKEN_STATUS_201[Reason.NOT_GRANTED] == "NotAtThisLocation"


def test_only_a_bay_that_can_be_reached_is_answered_later() -> None:
    later = {
        reason for reason, answer in COMMAND_RESPONSE.items() if answer == v221.CommandResponseType.ACCEPTED
    }
    assert later == set(COMMAND_RESULT) == {Reason.EVSE_OCCUPIED, Reason.EVSE_INOPERATIVE}
    assert COMMAND_RESULT[Reason.EVSE_OCCUPIED] is v221.CommandResultType.EVSE_OCCUPIED
    assert COMMAND_RESULT[Reason.EVSE_INOPERATIVE] is v221.CommandResultType.EVSE_INOPERATIVE
    assert {reason for reason in Reason if reason.is_physical} == {*later, Reason.STATION_OFFLINE}


def test_only_what_is_hidden_is_an_unknown_location() -> None:
    hidden = {reason for reason, code in STATUS_CODE.items() if code == StatusCode.UNKNOWN_LOCATION}
    assert hidden == {Reason.UNKNOWN_LOCATION, Reason.NOT_GRANTED}
    assert hidden == {reason for reason in Reason if reason.is_hidden}


class TestReserving:
    """A reservation is decided as a start is, and asks one thing more of the bay."""

    NIGHT = local("2026-11-23 22:00")

    def test_only_a_reservable_bay_can_be_reserved(self) -> None:
        here = facts(grant(), evses=(evse(reservable=False),))
        answer = decide(start(source="RESERVE_NOW"), here, self.NIGHT)
        assert isinstance(answer, Deny)
        assert answer.reason is Reason.NOT_SUPPORTED
        assert isinstance(decide(start(), here, self.NIGHT), Allow)

    def test_of_several_bays_a_reservable_one_is_chosen(self) -> None:
        bays = (evse("bay-1", reservable=False), evse("bay-2"))
        answer = decide(start(source="RESERVE_NOW"), facts(grant(), evses=bays), self.NIGHT)
        assert isinstance(answer, Allow)
        assert answer.evse_uid == "bay-2"

    def test_a_bay_in_use_weighs_more_than_one_that_cannot_be_reserved(self) -> None:
        """Later is better than never."""
        bays = (evse("bay-1", reservable=False), evse("bay-2", occupied=True))
        answer = decide(start(source="RESERVE_NOW"), facts(grant(), evses=bays), self.NIGHT)
        assert isinstance(answer, Deny)
        assert answer.reason is Reason.EVSE_OCCUPIED

    def test_the_fence_is_asked_first(self) -> None:
        here = facts(grant(), evses=(evse(reservable=False),))
        answer = decide(start(source="RESERVE_NOW"), here, local("2026-11-23 12:00"))
        assert isinstance(answer, Deny)
        assert answer.reason is Reason.OUTSIDE_WINDOW
