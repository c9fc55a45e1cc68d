"""RESERVE_NOW and CANCEL_RESERVATION as partners mean them: who gets which bay, and what is refused."""

from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from msgspec.structs import replace

from access.models import Decision, Grant
from access.services import republish
from chargers.models import Station
from charging.answers import Outcome
from charging.commands import Order, expire_commands
from charging.models import Command, Reservation
from locations.models import EVSE
from ocpi import v221
from ocpi.status import StatusCode
from roaming.models import Obligation, Party
from sessions.models import Session
from tests.charging.booking import (
    ACCEPTED,
    HOUR,
    REJECTED,
    UNTIL,
    asked,
    cancel,
    card_of,
    grant_to,
    make_reservable,
    nothing_reserved,
    reserve,
    reserved,
    results,
    said,
    shown,
    start,
    station_says,
)
from tests.charging.conftest import BEFORE, LAST_START, OPEN, token_of

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
Result = v221.CommandResultType


@pytest.fixture
def bay(bay: EVSE) -> EVSE:
    make_reservable()
    bay.refresh_from_db()
    return bay


@pytest.fixture
def other(order: Order, bay: EVSE, stranger: Party) -> Order:
    """Nordlicht Mobil, which may use the same bays."""
    grant_to(stranger, bay.location)
    republish(location=bay.location, now=OPEN)
    return Order(stranger, order.own_party, "https://partner.example/nordlicht/9", "c-9")


def text_of(reply: object) -> str:
    return reply.response.message[0].text  # type: ignore[attr-defined]  # a Reply


class TestPlacing:
    def test_a_reservation_is_a_session_at_once_and_an_order_to_the_station(
        self, order: Order, bay: EVSE
    ) -> None:
        """CMD-19, SES-13, CMD-01, CMD-02: RESERVATION, owed to the eMSP before any station has answered."""
        reply = reserve(order, bay, authorization_reference="R-17")
        assert (reply.response.result, reply.response.timeout) == (ACCEPTED, 45)
        session, row = Session.objects.get(), Reservation.objects.get()
        assert (session.status, session.evse, session.auth_method) == ("RESERVATION", bay, "COMMAND")
        assert (session.authorization_reference, session.started_at) == ("R-17", OPEN)
        assert Obligation.objects.get(kind="session").object_key == str(session.pk)
        assert (row.session, row.state, row.expires_at) == (session, "REQUESTED", UNTIL)
        assert asked("ReserveNow") == [
            {
                "connectorId": 1,
                "idTag": row.id_tag,
                "expiryDate": "2026-11-24T20:00:00Z",
                "reservationId": row.pk,
            }
        ]
        assert (row.id_tag[:2], len(row.id_tag)) == ("YG", 20)
        assert said() == []

    def test_a_card_is_told_to_the_station_as_it_is(self, order: Order, bay: EVSE) -> None:
        reserve(order, bay, token=card_of(order.party))
        assert asked("ReserveNow")[0]["idTag"] == "04A2B3C4D5E680"

    def test_the_stations_yes_is_the_result(self, order: Order, bay: EVSE) -> None:
        row = reserved(order, bay)
        assert results() == [(order.response_url, Result.ACCEPTED)]
        assert (row.is_at_station, Session.objects.get().status) == (True, "RESERVATION")

    def test_the_bay_is_shown_as_reserved_to_everybody(self, order: Order, bay: EVSE, other: Order) -> None:
        """The station has not said Reserved: others must not come all the same."""
        reserve(order, bay)
        assert [shown(party, bay) for party in (order.party, other.party)] == [v221.Status.RESERVED] * 2

    @pytest.mark.parametrize(
        ("word", "result"),
        [
            ("Occupied", Result.EVSE_OCCUPIED),
            ("Faulted", Result.EVSE_INOPERATIVE),
            ("Unavailable", Result.EVSE_INOPERATIVE),
            ("Rejected", Result.REJECTED),
        ],
    )
    def test_the_stations_no_ends_it_without_cost(
        self, order: Order, bay: EVSE, word: str, result: Result
    ) -> None:
        """CMD-24, SES-11."""
        reserve(order, bay)
        station_says(word)
        assert said() == [result]
        assert (Session.objects.get().status, Reservation.objects.get().state) == ("INVALID", "FAILED")
        assert shown(order.party, bay) is v221.Status.AVAILABLE
        assert not Obligation.objects.filter(kind="cdr").exists()

    @pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
    def test_a_station_without_reservations_leaves_it_to_us(
        self, order: Order, bay: EVSE, other: Order, code: str
    ) -> None:
        """ADR 12: no other start is decided in favour, and everybody sees RESERVED."""
        reserve(order, bay)
        station_says(Outcome(error=f"The station answered {code}.", error_code=code))
        row = Reservation.objects.get()
        assert (said(), row.state, row.is_at_station) == ([Result.ACCEPTED], "PLACED", False)
        assert shown(other.party, bay) is v221.Status.RESERVED
        start(other, bay)
        assert said() == [Result.ACCEPTED, Result.EVSE_OCCUPIED]
        assert asked("RemoteStartTransaction") == []

    def test_another_fault_of_the_station_is_a_failure(self, order: Order, bay: EVSE) -> None:
        reserve(order, bay)
        station_says(Outcome(error="The station answered InternalError.", error_code="InternalError"))
        assert (said(), Session.objects.get().status) == ([Result.FAILED], "INVALID")

    def test_a_silent_station_gives_timeout_and_is_told_to_forget_it(self, order: Order, bay: EVSE) -> None:
        """CMD-07: nobody knows what it has done."""
        reserve(order, bay)
        assert expire_commands(now=OPEN + timedelta(seconds=41)) == 1
        row = Reservation.objects.get()
        assert (said(), row.state, Session.objects.get().status) == ([Result.TIMEOUT], "FAILED", "INVALID")
        assert asked("CancelReservation") == [{"reservationId": row.pk}]

    def test_without_a_bay_named_a_free_reservable_one_is_chosen(self, order: Order, bay: EVSE) -> None:
        """A MAY of the chapter; the Session names the bay, so `#NA` is never needed there."""
        EVSE.objects.filter(pk=bay.pk).update(capabilities=["RFID_READER"])
        assert reserve(order, None).response.result is ACCEPTED
        assert Session.objects.get().evse.station_identity == "GENT-02"


class TestRefusals:
    def test_before_the_window_it_is_refused_with_opening_and_reference(
        self, order: Order, bay: EVSE
    ) -> None:
        """F1: to the millisecond, as a start is."""
        reply = reserve(order, bay, now=BEFORE)
        receipt = Decision.objects.get()
        assert (reply.response.result, reply.response.timeout) == (REJECTED, 0)
        assert text_of(reply) == f"Opens 20:00 (Europe/Brussels). Ref {receipt.ref}"
        assert (receipt.source, receipt.reason) == ("RESERVE_NOW", "OUTSIDE_WINDOW")
        assert nothing_reserved()

    @pytest.mark.parametrize(
        ("members", "code"),
        [({"location_id": "NOWHERE"}, 2003), ({"evse_uid": "NO-SUCH-BAY"}, 2003)],
    )
    def test_an_unknown_place_is_2003(self, order: Order, bay: EVSE, members: dict, code: int) -> None:
        """CMD-11."""
        reply = reserve(order, bay, **members)
        assert (reply.status_code, reply.response.result) == (StatusCode(code), REJECTED)
        assert nothing_reserved()

    def test_a_party_without_a_grant_cannot_tell_a_forbidden_place_from_none(
        self, order: Order, bay: EVSE, stranger: Party
    ) -> None:
        """CMD-11, B16."""
        foreign = Order(stranger, order.own_party, order.response_url, "c-2")
        assert reserve(foreign, bay) == reserve(foreign, bay, location_id="NOWHERE")
        assert nothing_reserved()

    def test_a_token_of_another_party_is_refused(self, order: Order, bay: EVSE, stranger: Party) -> None:
        """CMD-15."""
        reply = reserve(order, bay, token=token_of(stranger))
        assert (reply.status_code, reply.response.result) == (StatusCode.INVALID_PARAMETERS, REJECTED)
        assert nothing_reserved()

    def test_an_unknown_token_is_not_checked(self, order: Order, bay: EVSE) -> None:
        """CMD-14: never PUT to us, and not even valid."""
        blocked = replace(token_of(order.party, "nobody-7"), valid=False)
        assert reserve(order, bay, token=blocked).response.result is ACCEPTED

    def test_a_bay_that_cannot_be_reserved_says_so(self, order: Order, bay: EVSE) -> None:
        EVSE.objects.filter(pk=bay.pk).update(capabilities=["RFID_READER"])
        reply = reserve(order, bay)
        assert (reply.response.result, reply.response.timeout) == (
            v221.CommandResponseType.NOT_SUPPORTED,
            0,
        )
        assert nothing_reserved()

    def test_an_offline_station_is_refused_and_no_result_follows(self, order: Order, bay: EVSE) -> None:
        """CMD-03."""
        Station.objects.update(is_online=False)
        EVSE.objects.update(is_online=False)
        assert reserve(order, bay).response.result is REJECTED
        assert nothing_reserved()

    @pytest.mark.parametrize(
        ("until", "words"),
        [
            (OPEN - HOUR, "must be later than 20:00:45 (Europe/Brussels), when the station has answered"),
            (OPEN, "must be later than 20:00:45"),
            (OPEN + timedelta(seconds=45), "must be later than 20:00:45"),
            (
                OPEN + 2 * HOUR + timedelta(seconds=1),
                "not be later than 22:00:00 (Europe/Brussels), as a res",
            ),
        ],
    )
    def test_an_expiry_that_cannot_be_is_refused_with_one_that_can(
        self, order: Order, bay: EVSE, until: datetime, words: str
    ) -> None:
        reply = reserve(order, bay, until=until)
        assert (reply.response.result, words in text_of(reply)) == (REJECTED, True)
        assert nothing_reserved()

    def test_the_longest_one_is_allowed_to_the_second(self, order: Order, bay: EVSE) -> None:
        assert reserve(order, bay, until=OPEN + 2 * HOUR).response.result is ACCEPTED

    def test_it_never_outlasts_the_last_start(self, order: Order, bay: EVSE) -> None:
        """F1: whoever comes at the last moment must still be allowed to start."""
        reply = reserve(order, bay, now=LAST_START - HOUR, until=LAST_START + MINUTE)
        assert "must not be later than 04:40:00 (Europe/Brussels), the last start before" in text_of(reply)
        assert nothing_reserved()
        on_time = reserve(order, bay, now=LAST_START - HOUR, until=LAST_START)
        assert on_time.response.result is ACCEPTED

    def test_the_agreements_longest_session_bounds_it(self, order: Order, bay: EVSE) -> None:
        Grant.objects.update(max_session_minutes=30)
        reply = reserve(order, bay, until=OPEN + 31 * MINUTE)
        assert "as the agreement allows 30 minutes at a time" in text_of(reply)
        assert nothing_reserved()

    def test_a_token_holds_one_reservation(self, order: Order, bay: EVSE) -> None:
        """F4: whoever reserves here and there keeps others out."""
        reserved(order, bay)
        reply = reserve(order, None, reservation_id="R2")
        assert (reply.response.result, Reservation.objects.count()) == (REJECTED, 1)
        assert text_of(reply).startswith("The token holds another reservation")

    def test_a_reservation_takes_a_place_of_the_grant(self, order: Order, bay: EVSE) -> None:
        """F4."""
        Grant.objects.update(max_concurrent=1)
        reserved(order, bay)
        second = token_of(order.party, "driver-18")
        assert reserve(order, None, token=second, reservation_id="R2").response.result is REJECTED
        assert (Reservation.objects.count(), Session.objects.count()) == (1, 1)

    def test_an_occupied_bay_is_told_in_the_result(self, order: Order, bay: EVSE, other: Order) -> None:
        """CMD-24."""
        start(other, bay)
        assert reserve(order, bay).response.result is ACCEPTED
        assert results() == [(order.response_url, Result.EVSE_OCCUPIED)]
        assert (Reservation.objects.count(), asked("ReserveNow")) == (0, [])

    def test_the_database_refuses_two_reservations_of_one_bay(self, order: Order, bay: EVSE) -> None:
        row = reserved(order, bay)
        row.pk, row.ocpi_id, row.session = None, "R2", Session.objects.create(
            **{
                field.attname: getattr(row.session, field.attname)
                for field in Session._meta.fields
                if field.attname not in ("id", "status")
            },
            status="INVALID",
        )  # fmt: skip
        row.starts_at, row.expires_at = UNTIL - MINUTE, UNTIL + HOUR
        with pytest.raises(IntegrityError, match="reservation_no_overlap"), transaction.atomic():
            row.save(force_insert=True)
        row.starts_at = UNTIL
        row.save(force_insert=True)


class TestReplacing:
    def test_the_same_id_moves_the_expiry_and_the_station_is_told_again(
        self, order: Order, bay: EVSE
    ) -> None:
        """CMD-20, SES-16: one reservation, the last reference, the station's own number as before."""
        row = reserved(order, bay, authorization_reference="R-17")
        later = UNTIL + 30 * MINUTE
        moved = reserve(
            order, bay, now=OPEN + MINUTE, until=later, reservation_id="r1", authorization_reference="R-18"
        )
        assert moved.response.result is ACCEPTED
        station_says()
        row.refresh_from_db()
        assert (Reservation.objects.count(), row.state, row.expires_at) == (1, "PLACED", later)
        assert [each["reservationId"] for each in asked("ReserveNow")] == [row.pk, row.pk]
        assert asked("ReserveNow")[1]["expiryDate"] == "2026-11-24T20:30:00Z"
        session = Session.objects.get()
        assert (session.status, session.authorization_reference) == ("RESERVATION", "R-18")
        assert said() == [Result.ACCEPTED, Result.ACCEPTED]

    def test_a_replacement_that_the_station_refuses_leaves_the_first_one(
        self, order: Order, bay: EVSE
    ) -> None:
        row = reserved(order, bay)
        reserve(order, bay, now=OPEN + MINUTE, until=UNTIL + 30 * MINUTE)
        station_says("Rejected")
        row.refresh_from_db()
        assert (row.state, row.expires_at) == ("PLACED", UNTIL)
        assert (said(), Session.objects.get().status) == ([Result.ACCEPTED, Result.REJECTED], "RESERVATION")

    def test_replacing_does_not_make_it_longer_than_allowed(self, order: Order, bay: EVSE) -> None:
        """F4: the two hours count from the first one."""
        reserved(order, bay)
        reply = reserve(order, bay, now=OPEN + 30 * MINUTE, until=OPEN + 2 * HOUR + MINUTE)
        assert reply.response.result is REJECTED
        assert Reservation.objects.get().expires_at == UNTIL

    def test_another_bay_under_the_same_id_frees_the_first(self, order: Order, bay: EVSE) -> None:
        """CMD-20: one reservation is left, and the first costs nothing."""
        first = reserved(order, bay)
        second = EVSE.objects.get(station_identity="GENT-02")
        assert reserve(order, second, now=OPEN + MINUTE).response.result is ACCEPTED
        first.refresh_from_db()
        assert (first.state, first.session.status) == ("REPLACED", "INVALID")
        assert asked("CancelReservation") == [{"reservationId": first.pk}]
        assert Reservation.objects.get(state="REQUESTED").evse == second
        assert shown(order.party, bay) is v221.Status.AVAILABLE

    def test_where_we_keep_it_ourselves_the_replacement_stands_at_once(self, order: Order, bay: EVSE) -> None:
        reserve(order, bay)
        station_says(Outcome(error="no", error_code="NotImplemented"))
        reserve(order, bay, until=UNTIL + 30 * MINUTE)
        assert (said(), len(asked("ReserveNow"))) == ([Result.ACCEPTED, Result.ACCEPTED], 1)
        assert Reservation.objects.get().expires_at == UNTIL + 30 * MINUTE


class TestTwoPartners:
    def test_equal_ids_of_two_partners_do_not_touch_each_other(
        self, order: Order, bay: EVSE, other: Order
    ) -> None:
        """CMD-21, B14: both use R1; one cancels, the other one's stays."""
        second = EVSE.objects.get(station_identity="GENT-02")
        mine = reserved(order, bay)
        reserve(other, second)
        station_says()
        theirs = Reservation.objects.get(party=other.party)
        assert theirs.pk != mine.pk
        cancel(order)
        station_says()
        assert asked("CancelReservation") == [{"reservationId": mine.pk}]
        states = dict(Reservation.objects.values_list("party__party_id", "state"))
        assert states == {"EMS": "CANCELED", "NLM": "PLACED"}

    def test_a_reserved_bay_is_occupied_for_everybody_else(
        self, order: Order, bay: EVSE, other: Order
    ) -> None:
        """CMD-24: another partner, and another driver of the same one."""
        reserved(order, bay)
        start(other, bay)
        start(order, bay, token=token_of(order.party, "driver-18"))
        reserve(other, bay, reservation_id="R9")
        assert said()[1:] == [Result.EVSE_OCCUPIED] * 3
        assert (Session.objects.count(), asked("RemoteStartTransaction")) == (1, [])


class TestCanceling:
    def test_the_station_is_asked_and_its_yes_is_the_result(self, order: Order, bay: EVSE) -> None:
        """SES-14: COMPLETED; this tariff asks nothing for it, so no CDR follows."""
        row = reserved(order, bay)
        reply = cancel(order, now=OPEN + MINUTE)
        assert reply.response.result is ACCEPTED
        assert (said(), Session.objects.get().status) == ([Result.ACCEPTED], "RESERVATION")
        assert asked("CancelReservation") == [{"reservationId": row.pk}]
        station_says(now=OPEN + 2 * MINUTE)
        session = Session.objects.get()
        assert said() == [Result.ACCEPTED, Result.ACCEPTED]
        assert (session.status, session.ended_at, session.total_cost) == ("COMPLETED", OPEN + 2 * MINUTE, 0)
        assert (Reservation.objects.get().state, shown(order.party, bay)) == (
            "CANCELED",
            v221.Status.AVAILABLE,
        )
        assert not Obligation.objects.filter(kind="cdr").exists()

    def test_an_unknown_id_and_one_of_somebody_else_end_alike(
        self, order: Order, bay: EVSE, other: Order
    ) -> None:
        """CMD-22, B14."""
        reserved(order, bay)
        assert cancel(other) == cancel(other, "NEVER-MADE")
        assert results()[1:] == [(other.response_url, Result.UNKNOWN_RESERVATION)] * 2
        assert (asked("CancelReservation"), Reservation.objects.get().state) == ([], "PLACED")

    def test_a_station_that_does_not_know_it_is_no_obstacle(self, order: Order, bay: EVSE) -> None:
        reserved(order, bay)
        cancel(order)
        station_says("Rejected")
        assert (said()[1:], Reservation.objects.get().state) == ([Result.ACCEPTED], "CANCELED")

    def test_a_silent_station_leaves_it_in_force(self, order: Order, bay: EVSE) -> None:
        """CMD-07."""
        reserved(order, bay)
        cancel(order)
        expire_commands(now=OPEN + MINUTE)
        assert (said()[1:], Reservation.objects.get().state) == ([Result.TIMEOUT], "PLACED")

    def test_where_the_station_cannot_be_asked_it_is_refused(self, order: Order, bay: EVSE) -> None:
        """CMD-03: no POST either."""
        reserved(order, bay)
        Station.objects.update(is_online=False)
        assert cancel(order).response.result is REJECTED
        assert (said(), Reservation.objects.get().state, Command.objects.count()) == (
            [Result.ACCEPTED],
            "PLACED",
            1,
        )

    def test_what_we_keep_ourselves_ends_at_once(self, order: Order, bay: EVSE) -> None:
        reserve(order, bay)
        station_says(Outcome(error="no", error_code="NotSupported"))
        cancel(order, now=OPEN + MINUTE)
        assert (said(), asked("CancelReservation")) == ([Result.ACCEPTED, Result.ACCEPTED], [])
        assert Session.objects.get().status == "COMPLETED"
