"""What becomes of a reservation: the driver comes, nobody comes, or we take the bay back."""

from datetime import timedelta
from decimal import Decimal

import pytest

from access.models import Decision, Grant
from access.services import republish, set_grant_status, set_kill_switch
from cdrs.books import check_books
from cdrs.models import CDR, Review
from chargers.models import Station
from charging import reservations, stations
from charging.authorize import tap
from charging.commands import Order
from charging.models import Command, Reservation, Transaction
from charging.sweeps import sweep
from locations.models import EVSE
from ocpi import codec, v221
from roaming.models import Obligation, Party
from sessions.models import Session
from tests.charging.booking import (
    ACCEPTED,
    CARD,
    HOUR,
    UNTIL,
    ask_for_reservations,
    asked,
    begin,
    cancel,
    card_of,
    end,
    grant_to,
    make_reservable,
    price,
    reserve,
    reserved,
    results,
    said,
    shown,
    start,
    station_says,
)
from tests.charging.conftest import OPEN, token_of
from tests.factories import OwnPartyFactory
from tokens.services import put_token

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
SOON = OPEN + 15 * MINUTE
Result = v221.CommandResultType


@pytest.fixture
def bay(bay: EVSE) -> EVSE:
    make_reservable()
    bay.refresh_from_db()
    return bay


@pytest.fixture
def card(order: Order) -> str:
    put_token(own_party=OwnPartyFactory(), party=order.party, token=card_of(order.party), now=OPEN)
    return CARD


def session_status() -> str:
    return Session.objects.get().status


def cdr_of() -> v221.CDR:
    return codec.decode_bytes(v221.CDR, bytes(CDR.objects.get().body))


class TestTheDriverComes:
    def test_a_start_by_command_goes_on_in_the_same_session(self, order: Order, bay: EVSE) -> None:
        """SES-14, SES-16, CDR-22: RESERVATION turns ACTIVE, with the reference of the later command."""
        row = reserved(order, bay, authorization_reference="R-17")
        reply = start(order, bay, now=SOON, authorization_reference="S-18")
        assert reply.response.result is ACCEPTED
        assert asked("RemoteStartTransaction") == [{"connectorId": 1, "idTag": row.id_tag}]
        assert session_status() == "RESERVATION"
        answer = begin(bay, row.id_tag, SOON + MINUTE, reservation_id=row.pk)
        session = Session.objects.get()
        assert (answer.status, session.status, session.pk) == ("Accepted", "ACTIVE", row.session_id)
        assert (session.auth_method, session.authorization_reference) == ("COMMAND", "S-18")
        assert (session.reserved_from, session.started_at) == (OPEN, SOON + MINUTE)
        row.refresh_from_db()
        assert (row.state, shown(order.party, bay)) == ("USED", v221.Status.CHARGING)

    def test_the_bay_need_not_be_named(self, order: Order, bay: EVSE) -> None:
        """The reserved one is meant, though another bay is free."""
        row = reserved(order, bay)
        start(order, None, now=SOON)
        assert asked("RemoteStartTransaction") == [{"connectorId": 1, "idTag": row.id_tag}]
        assert Session.objects.count() == 1

    def test_the_status_reserved_of_the_station_is_no_obstacle(self, order: Order, bay: EVSE) -> None:
        reserved(order, bay)
        stations.connector_status(
            station_identity="GENT-01", ocpp_connector=1, status="Reserved", at=SOON, now=SOON
        )
        start(order, bay, now=SOON + MINUTE)
        assert (len(asked("RemoteStartTransaction")), said()) == (1, [Result.ACCEPTED])

    def test_the_driver_who_only_holds_a_card_to_the_reader(self, order: Order, bay: EVSE, card: str) -> None:
        """SES-14, SES-17, CDR-22: reserved by command, started by card: WHITELIST."""
        row = reserved(order, bay, token=card_of(order.party))
        assert row.id_tag == CARD
        assert tap(station_identity="GENT-01", id_tag=CARD, now=SOON).status == "Accepted"
        answer = begin(bay, CARD, SOON + MINUTE, reservation_id=row.pk)
        session = Session.objects.get()
        assert (answer.status, session.status, session.auth_method) == ("Accepted", "ACTIVE", "WHITELIST")

    def test_the_reservation_counts_once_when_its_driver_comes(
        self, order: Order, bay: EVSE, card: str
    ) -> None:
        """The last place of a grant is the driver's own."""
        Grant.objects.update(max_concurrent=1)
        reserved(order, bay, token=card_of(order.party))
        tap(station_identity="GENT-01", id_tag=CARD, now=SOON)
        assert begin(bay, CARD, SOON).status == "Accepted"
        assert session_status() == "ACTIVE"

    def test_a_card_that_its_partner_ordered_to_start_is_not_asked_for(self, order: Order, bay: EVSE) -> None:
        """TOK-22: no Authorization is made; after the order the card stands for it."""
        reserved(order, bay, token=card_of(order.party))
        start(order, bay, now=SOON, token=card_of(order.party))
        assert asked("RemoteStartTransaction") == [{"connectorId": 1, "idTag": CARD}]
        assert tap(station_identity="GENT-01", id_tag=CARD, now=SOON).status == "Accepted"
        begin(bay, CARD, SOON + MINUTE)
        session = Session.objects.get()
        assert (session.status, session.auth_method) == ("ACTIVE", "COMMAND")

    def test_a_card_of_somebody_else_is_refused_at_the_reserved_bay(
        self, order: Order, bay: EVSE, stranger: Party
    ) -> None:
        """Where the station does not turn it away itself."""
        grant_to(stranger, bay.location)
        put_token(
            own_party=OwnPartyFactory(),
            party=stranger,
            token=token_of(stranger, "04FF", v221.TokenType.RFID),
            now=OPEN,
        )
        row = reserved(order, bay)
        tap(station_identity="GENT-01", id_tag="04FF", now=SOON)
        answer = begin(bay, "04FF", SOON, reservation_id=row.pk)
        row.refresh_from_db()
        assert (answer.status, Transaction.objects.get().session) == ("Blocked", None)
        assert (row.state, row.is_at_station, session_status()) == ("PLACED", False, "RESERVATION")

    def test_a_start_that_the_station_refuses_leaves_the_reservation(self, order: Order, bay: EVSE) -> None:
        reserved(order, bay)
        start(order, bay, now=SOON)
        station_says("Rejected", now=SOON)
        assert (said(), session_status()) == ([Result.ACCEPTED, Result.REJECTED], "RESERVATION")

    def test_the_reserved_time_is_a_period_of_the_cdr(self, order: Order, bay: EVSE) -> None:
        """TAR-17, CDR-13, CDR-16: 16 min at 6.00/h and 1.00 for it; the CDR begins with the reservation."""
        ask_for_reservations()
        row = reserved(order, bay)
        start(order, bay, now=SOON)
        begun = SOON + MINUTE
        end(bay, begin(bay, row.id_tag, begun), begun + HOUR)
        cdr, session = cdr_of(), Session.objects.get()
        first = cdr.charging_periods[0]
        assert (cdr.start_date_time, cdr.end_date_time) == (OPEN, begun + HOUR)
        assert (first.start_date_time, first.dimensions) == (
            OPEN,
            (v221.CdrDimension(type=v221.CdrDimensionType.RESERVATION_TIME, volume=Decimal("0.2667")),),
        )
        assert (cdr.total_time, cdr.total_energy) == (Decimal(1), Decimal(20))
        assert cdr.total_reservation_cost == price("2.60", "3.15")
        assert cdr.total_cost == price("10.90", "13.19")
        assert (session.total_cost, session.total_cost_incl_vat) == (Decimal("10.90"), Decimal("13.19"))
        assert cdr.cdr_location.evse_uid == bay.uid
        assert check_books().is_balanced


class TestNobodyComes:
    def test_what_the_tariff_asks_for_it_is_billed(self, order: Order, bay: EVSE) -> None:
        """TAR-18, SES-14, CDR-21, CDR-23: an hour at 12.00 in place of 6.00, and 1.00 for reserving; no EVSE was used."""
        tariff = ask_for_reservations()
        row = reserved(order, bay)
        assert reservations.expire_due(now=UNTIL - timedelta(milliseconds=1)) == 0
        assert reservations.expire_due(now=UNTIL) == 1
        cdr, session = cdr_of(), Session.objects.get()
        assert (session.status, session.ended_at, session.kwh) == ("COMPLETED", UNTIL, 0)
        assert (cdr.session_id, cdr.start_date_time, cdr.end_date_time) == (str(session.pk), OPEN, UNTIL)
        place = cdr.cdr_location
        assert (place.evse_uid, place.evse_id, place.connector_id) == ("#NA", "#NA", "#NA")
        assert (cdr.total_energy, cdr.total_time, cdr.tariffs) == (0, 0, (tariff,))
        assert cdr.charging_periods == (
            v221.ChargingPeriod(
                start_date_time=OPEN,
                dimensions=(
                    v221.CdrDimension(type=v221.CdrDimensionType.RESERVATION_TIME, volume=Decimal(1)),
                ),
                tariff_id=tariff.id,
            ),
        )
        assert cdr.total_cost == cdr.total_reservation_cost == price("13.00", "15.73")
        assert (cdr.total_fixed_cost, cdr.total_energy_cost) == (None, None)
        assert cdr.remark == f"Reservation expired without a charge, end 21:00. Ref {session.decision_ref}."
        row.refresh_from_db()
        assert (row.state, shown(order.party, bay)) == ("EXPIRED", v221.Status.AVAILABLE)
        assert check_books().is_balanced

    def test_without_a_price_for_it_nothing_is_billed(self, order: Order, bay: EVSE) -> None:
        """SES-14, SES-18: COMPLETED, 0 to pay, no CDR and no review; the books know that."""
        reserved(order, bay)
        sweep(now=UNTIL)
        session = Session.objects.get()
        assert (session.status, session.total_cost) == ("COMPLETED", 0)
        assert (CDR.objects.count(), Review.objects.count(), check_books().is_balanced) == (0, 0, True)
        assert said() == [Result.ACCEPTED]

    def test_who_gives_it_up_pays_for_the_time_only(self, order: Order, bay: EVSE) -> None:
        """CMD-22, CDR-23: half an hour at 6.00 and 1.00; not the price for staying away."""
        ask_for_reservations()
        reserved(order, bay)
        cancel(order, now=OPEN + 30 * MINUTE)
        station_says(now=OPEN + 30 * MINUTE)
        cdr = cdr_of()
        assert (cdr.total_cost, cdr.cdr_location.evse_id) == (price("4.00", "4.84"), "#NA")
        assert Obligation.objects.filter(kind="cdr").count() == 1

    def test_it_ends_once(self, order: Order, bay: EVSE) -> None:
        ask_for_reservations()
        reserved(order, bay)
        sweep(now=UNTIL)
        before = Session.objects.values().get()
        sweep(now=UNTIL + HOUR)
        assert (CDR.objects.count(), Session.objects.values().get()) == (1, before)

    def test_a_start_under_way_is_not_cut_off(self, order: Order, bay: EVSE) -> None:
        """The driver came in the last minute: the reservation waits as long as the station does."""
        row = reserved(order, bay)
        start(order, bay, now=UNTIL - MINUTE)
        assert reservations.expire_due(now=UNTIL + MINUTE) == 0
        answer = begin(bay, row.id_tag, UNTIL + MINUTE)
        assert (answer.status, session_status()) == ("Accepted", "ACTIVE")

    def test_a_start_that_came_to_nothing_does_not_hold_it_for_ever(self, order: Order, bay: EVSE) -> None:
        reserved(order, bay)
        start(order, bay, now=UNTIL - MINUTE)
        assert reservations.expire_due(now=UNTIL + 76 * timedelta(seconds=1)) == 1
        assert session_status() == "COMPLETED"

    def test_a_late_start_after_the_end_is_a_session_of_its_own(self, order: Order, bay: EVSE) -> None:
        """CMD-26: what has ended stays so (SES-11), and what charges is billed."""
        row = reserved(order, bay)
        start(order, bay, now=UNTIL - MINUTE)
        reservations.expire_due(now=UNTIL + 2 * MINUTE)
        answer = begin(bay, row.id_tag, UNTIL + 3 * MINUTE)
        assert answer.status == "Accepted"
        assert list(Session.objects.values_list("status", flat=True)) == ["COMPLETED", "ACTIVE"]

    def test_the_bay_can_be_reserved_again_before_any_sweep(
        self, order: Order, bay: EVSE, stranger: Party
    ) -> None:
        grant_to(stranger, bay.location)
        republish(location=bay.location, now=OPEN)
        reserved(order, bay)
        other = Order(stranger, order.own_party, "https://partner.example/nordlicht/9", "c-9")
        assert reserve(other, bay, now=UNTIL, until=UNTIL + HOUR).response.result is ACCEPTED
        assert dict(Reservation.objects.values_list("party__party_id", "state")) == {
            "EMS": "EXPIRED",
            "NLM": "REQUESTED",
        }


class TestWeTakeItBack:
    def canceled(self, order: Order) -> list[tuple[str, v221.CommandResultType]]:
        return [(order.response_url, Result.ACCEPTED), (order.response_url, Result.CANCELED_RESERVATION)]

    def test_an_operator_cancels(self, order: Order, bay: EVSE) -> None:
        """CMD-23: told at the URL of that RESERVE_NOW; nothing is billed, and the station lets the bay go."""
        ask_for_reservations()
        row = reserved(order, bay)
        assert reservations.withdraw(reservation=row, reason="operator", message="Bay needed.", now=SOON)
        assert results() == self.canceled(order)
        told = Obligation.objects.filter(kind="command_result").latest("pk")
        assert codec.decode_bytes(v221.CommandResult, bytes(told.body)).message[0].text == "Bay needed."
        assert (session_status(), CDR.objects.count()) == ("INVALID", 0)
        assert asked("CancelReservation") == [{"reservationId": row.pk}]
        assert shown(order.party, bay) is v221.Status.AVAILABLE
        assert not reservations.withdraw(reservation=row, reason="operator", message="Again.", now=SOON)
        assert len(results()) == 2

    def test_before_the_station_has_answered_it_is_the_one_result(self, order: Order, bay: EVSE) -> None:
        """CMD-06, CMD-23: and a late yes of the station is taken back."""
        reserve(order, bay)
        command, row = Command.objects.get(), Reservation.objects.get()
        reservations.withdraw(reservation=row, reason="operator", message="Bay needed.", now=OPEN)
        reservations.station_keeps(command_id=command.pk, now=OPEN)
        assert results() == [(order.response_url, Result.CANCELED_RESERVATION)]
        assert asked("CancelReservation") == [{"reservationId": row.pk}] * 2

    def test_a_replaced_one_is_told_at_the_newest_url(self, order: Order, bay: EVSE) -> None:
        """CMD-20, CMD-23."""
        row = reserved(order, bay)
        newer = Order(order.party, order.own_party, "https://partner.example/results/2", "c-2")
        reserve(newer, bay, now=OPEN + MINUTE, until=UNTIL + MINUTE)
        station_says()
        reservations.withdraw(reservation=row, reason="operator", message="Bay needed.", now=SOON)
        assert results()[-1] == (newer.response_url, Result.CANCELED_RESERVATION)

    def test_the_kill_switch_ends_it(self, order: Order, bay: EVSE) -> None:
        """F6: with a receipt whose reference the partner is told."""
        reserved(order, bay)
        sweep(now=SOON)
        assert said() == [Result.ACCEPTED]
        set_kill_switch(depot=bay.location.depot, is_closed=True, now=SOON)
        sweep(now=SOON)
        assert results() == self.canceled(order)
        receipt = Decision.objects.filter(outcome="DENY").get()
        assert (receipt.source, receipt.reason) == ("RESERVE_NOW", "DEPOT_FLEET_ONLY")
        told = Obligation.objects.filter(kind="command_result").latest("pk")
        assert f"Ref {receipt.ref}" in bytes(told.body).decode()
        assert (session_status(), Reservation.objects.get().state) == ("INVALID", "WITHDRAWN")

    def test_a_suspended_grant_ends_it(self, order: Order, bay: EVSE) -> None:
        reserved(order, bay)
        set_grant_status(grant=Grant.objects.get(), status=Grant.Status.SUSPENDED, now=SOON)
        sweep(now=SOON)
        assert results() == self.canceled(order)

    @pytest.mark.parametrize("word", ["Faulted", "Unavailable"])
    def test_a_broken_bay_ends_it(self, order: Order, bay: EVSE, word: str) -> None:
        """charging.md 1.4: the station has dropped it too."""
        reserved(order, bay)
        stations.connector_status(
            station_identity="GENT-01", ocpp_connector=1, status=word, at=SOON, now=SOON
        )
        assert (results(), session_status()) == (self.canceled(order), "INVALID")

    def test_a_station_that_is_away_is_told_when_it_is_back(self, order: Order, bay: EVSE) -> None:
        row = reserved(order, bay)
        Station.objects.update(is_online=False)
        assert reservations.withdraw(reservation=row, reason="operator", message="Bay needed.", now=SOON)
        assert asked("CancelReservation") == [{"reservationId": row.pk}]
        assert results() == self.canceled(order)

    def test_a_used_one_is_not_taken_back(self, order: Order, bay: EVSE) -> None:
        row = reserved(order, bay)
        start(order, bay, now=SOON)
        begin(bay, row.id_tag, SOON)
        assert not reservations.withdraw(reservation=row, reason="operator", message="Bay needed.", now=SOON)
        assert (session_status(), said()) == ("ACTIVE", [Result.ACCEPTED])

    def test_a_cancel_that_comes_after_the_start_is_rejected(self, order: Order, bay: EVSE) -> None:
        row = reserved(order, bay)
        start(order, bay, now=SOON)
        station_says(now=SOON)
        cancel(order, now=SOON)
        begin(bay, row.id_tag, SOON + MINUTE, reservation_id=row.pk)
        station_says("Rejected", now=SOON + MINUTE)
        assert said()[-1] is Result.REJECTED
        assert (session_status(), Reservation.objects.get().state) == ("ACTIVE", "USED")
