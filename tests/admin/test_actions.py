"""What the verbs of the operators do: what they say, what they change, and that a refusal changes nothing."""

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from access.models import Grant, Holiday
from chargers.models import Station
from chargers.passwords import is_password
from locations.models import EVSE, Depot, PartnerView
from ocpi import codec, v221
from roaming.models import Attempt, CredentialsToken, Lane, Obligation, Platform
from roaming.pages import change_url
from sessions.models import Session
from tests.admin.conftest import PASSWORD, logged_in, staff
from tests.admin.world import changed_tables, everything
from tokens.models import Token

pytestmark = pytest.mark.django_db


def verb(name: str, row=None) -> str:
    return reverse(f"admin:{name}", args=[] if row is None else [row.pk])


def said(client: Client, answer) -> list[str]:
    """Messages after the redirect."""
    page = client.get(answer.url)
    return [str(message) for message in page.context["messages"]]


def errors(answer) -> str:
    form = answer.context["form"]
    return " ".join(error for each in form.errors.values() for error in each)


def last_entry() -> tuple[str, str]:
    entry = LogEntry.objects.order_by("-pk").first()
    assert entry is not None
    return entry.user.username, entry.get_change_message()


def test_verbs_need_the_csrf_token_of_their_page(world) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(staff("root", is_superuser=True))
    before = everything()
    for url in (
        verb("locations_depot_close_to_guests", world.location.depot),
        verb("roaming_platform_invite"),
        verb("tokens_token_block_one", world.token),
        reverse("admin:access_grant_changelist"),
    ):
        assert (
            strict.post(url, {"action": "suspend", "_selected_action": [world.grant.pk]}).status_code == 403
        )
    assert changed_tables(before) == set()


class TestReservation:
    def test_it_asks_for_a_reason_and_tells_the_partner(self, operator: Client, world) -> None:
        """CMD-23: CANCELED_RESERVATION is owed to the response_url of the RESERVE_NOW."""
        url = verb("charging_reservation_cancel", world.reservation)
        assert "Cancel it" in operator.get(url).content.decode()
        before = everything()
        assert "required" in errors(operator.post(url))
        assert changed_tables(before) == set()
        answer = operator.post(url, {"reason": "Bay needed for truck 12"})
        text = f"The {world.reservation} is canceled; the partner is told."
        assert said(operator, answer) == [text]
        owed = Obligation.objects.get(kind="command_result")
        assert (owed.url, b"CANCELED_RESERVATION" in bytes(owed.body)) == ("https://partner.example/2", True)
        world.reservation.refresh_from_db()
        assert (world.reservation.state, world.reservation.end_reason) == (
            "WITHDRAWN",
            "operator: Bay needed for truck 12",
        )
        assert last_entry() == ("olga", text)

    def test_what_is_over_is_not_canceled_again(self, operator: Client, world) -> None:
        url = verb("charging_reservation_cancel", world.reservation)
        operator.post(url, {"reason": "Bay needed"})
        before = everything()
        assert "over already" in errors(operator.post(url, {"reason": "Once more"}))
        assert changed_tables(before) == set()
        assert "Cancel this" not in operator.get(change_url(world.reservation)).content.decode()


class TestKillSwitch:
    def test_it_asks_first_and_then_closes_every_view(self, operator: Client, world) -> None:
        depot = world.location.depot
        url = verb("locations_depot_close_to_guests", depot)
        assert "Close now" in operator.get(url).content.decode()
        assert Depot.objects.get().is_closed_to_guests is False
        answer = operator.post(url)
        assert said(operator, answer) == ["Gent Noord is closed to all guests."]
        assert Depot.objects.get().is_closed_to_guests is True
        shown = codec.decode_bytes(v221.Location, bytes(PartnerView.objects.get().document))
        assert {evse.status for evse in shown.evses if evse.uid == world.evse.uid} == {
            v221.Status.INOPERATIVE
        }
        assert last_entry() == ("olga", "Gent Noord is closed to all guests.")

    def test_it_opens_again(self, operator: Client, world) -> None:
        operator.post(verb("locations_depot_close_to_guests", world.location.depot))
        answer = operator.post(verb("locations_depot_open_to_guests", world.location.depot))
        assert said(operator, answer)[-1] == "Gent Noord is open to guests again, by their grants."
        assert Depot.objects.get().is_closed_to_guests is False

    def test_what_is_open_is_not_opened(self, operator: Client, world) -> None:
        before = everything()
        answer = operator.post(verb("locations_depot_open_to_guests", world.location.depot))
        assert errors(answer) == "Gent Noord is open to guests already."
        assert changed_tables(before) == set()


class TestBays:
    def test_a_bay_is_taken_out_for_good_once(self, operator: Client, world) -> None:
        url = verb("locations_evse_take_out", world.evse)
        assert said(operator, operator.post(url)) == [
            "BE*YRD*E0001 is out of service: partners are told that it is REMOVED."
        ]
        assert EVSE.objects.get(pk=world.evse.pk).is_removed is True
        shown = codec.decode_bytes(v221.Location, bytes(PartnerView.objects.get().document))
        assert {evse.uid: evse.status for evse in shown.evses}[world.evse.uid] is v221.Status.REMOVED
        before = everything()
        assert errors(operator.post(url)) == "This bay was taken out of service before."
        assert changed_tables(before) == set()


class TestPartners:
    def test_an_invitation_is_shown_once(self, operator: Client, world) -> None:
        url = verb("roaming_platform_invite")
        answer = operator.post(
            url, {"name": "Nordlicht Mobil", "roles": "EMSP DE NLM\n", "hosts": "ocpi.nordlicht.example"}
        )
        text = answer.content.decode()
        token = re.search(r"<dt>Token A</dt><dd><code>([\w-]{43})</code>", text)
        assert token is not None
        assert "/ocpi/versions</code>" in text
        assert "no-store" in answer.headers["Cache-Control"]
        platform = Platform.objects.get(name="Nordlicht Mobil")
        assert (platform.status, platform.allowed_roles, platform.approved_hosts) == (
            "INVITED", [["EMSP", "DE", "NLM"]], ["ocpi.nordlicht.example"],
        )  # fmt: skip
        for page in (
            url,
            change_url(platform),
            reverse("admin:roaming_platform_changelist"),
            reverse("admin:index"),
        ):
            assert token[1] not in operator.get(page).content.decode()
        assert not LogEntry.objects.filter(change_message__contains=token[1]).exists()

    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ({"name": "X", "roles": "EMSP Netherlands"}, "is not role, country code and party id"),
            ({"name": "X", "roles": "EMSP NL EMS"}, "NL-EMS"),
            ({"name": "", "roles": "EMSP DE NLM"}, "required"),
        ],
    )
    def test_a_wrong_invitation_makes_nothing(self, form, words: str, operator: Client, world) -> None:
        before = everything()
        answer = operator.post(verb("roaming_platform_invite"), form)
        assert words in errors(answer)
        assert changed_tables(before) == set()

    def test_suspend_and_resume(self, operator: Client, world) -> None:
        platform = world.party.platform
        operator.post(verb("roaming_platform_suspend", platform))
        assert Platform.objects.get(pk=platform.pk).status == "SUSPENDED"
        before = everything()
        assert "SUSPENDED, not CONNECTED" in errors(operator.post(verb("roaming_platform_suspend", platform)))
        assert changed_tables(before) == set()
        operator.post(verb("roaming_platform_resume", platform))
        assert Platform.objects.get(pk=platform.pk).status == "CONNECTED"

    def test_a_rotation_that_fails_says_why_and_keeps_the_old_tokens(self, operator: Client, world) -> None:
        before = everything()
        answer = operator.post(verb("roaming_platform_rotate", world.party.platform))
        assert "offers no credentials endpoint" in errors(answer)
        assert changed_tables(before) == set()

    def test_a_partner_that_cannot_be_told_is_unregistered_on_our_side(self, operator: Client, world) -> None:
        url = verb("roaming_platform_end", world.party.platform)
        before = everything()
        assert "no credentials endpoint" in errors(operator.post(url))
        assert changed_tables(before) == set()
        answer = operator.post(url, {"is_one_sided": "on"})
        assert said(operator, answer)[-1].endswith("is unregistered on our side; it was not told.")
        assert Platform.objects.get(pk=world.party.platform_id).status == "UNREGISTERED"
        assert not CredentialsToken.objects.filter(revoked_at=None).exists()

    def test_a_registration_that_fails_keeps_nothing_and_never_shows_the_token(
        self, operator: Client, world
    ) -> None:
        before = everything()
        form = {
            "name": "Away",
            "versions_url": "http://127.0.0.1:9/ocpi/versions",
            "token_a": "token-a-of-away",
        }
        answer = operator.post(verb("roaming_platform_register"), form)
        assert "cannot register with" in errors(answer)
        assert "token-a-of-away" not in answer.content.decode()
        assert changed_tables(before) == set()


class TestDeliveries:
    def test_one_is_sent_again(self, operator: Client, world) -> None:
        answer = operator.post(verb("roaming_obligation_replay_one", world.parked))
        assert said(operator, answer)[-1].endswith("it is sent again now.")
        world.parked.refresh_from_db()
        assert (world.parked.state, Obligation.objects.filter(kind="location").count()) == ("PENDING", 1)
        assert Attempt.objects.filter(obligation=world.parked).first().worker == "olga"

    def test_chosen_ones_are_sent_again_and_each_is_reported(self, operator: Client, world) -> None:
        Obligation.objects.filter(pk=world.delivery.pk).update(state="ACKED")
        data = {"action": "replay", "_selected_action": [world.parked.pk, world.delivery.pk]}
        answer = operator.post(reverse("admin:roaming_obligation_changelist"), data)
        words = said(operator, answer)
        assert [("is sent again now" in each, "is not sent again" in each) for each in words] in (
            [(True, False), (False, True)], [(False, True), (True, False)],
        )  # fmt: skip
        assert Obligation.objects.get(pk=world.delivery.pk).state == "ACKED"

    def test_all_alike_are_sent_again_and_no_others(self, operator: Client, world) -> None:
        Obligation.objects.filter(kind="tariff").update(state="PARKED", last_error=world.parked.last_error)
        Obligation.objects.filter(kind="cdr").update(
            state="PARKED", last_error="refused: 2001 something else"
        )
        url = verb("roaming_obligation_replay_alike", world.parked)
        assert "Send 2 deliveries again?" in operator.get(url).content.decode()
        assert said(operator, operator.post(url))[-1] == "2 deliveries are sent again."
        states = dict(Obligation.objects.values_list("kind", "state"))
        assert (states["location"], states["tariff"], states["cdr"]) == ("PENDING", "PENDING", "PARKED")

    def test_more_than_a_hundred_need_a_second_person(self, operator: Client, world, monkeypatch) -> None:
        monkeypatch.setattr("roaming.delivery.admin.ALONE", 0)
        staff("second", "Operators")
        before = everything()
        url = verb("roaming_obligation_replay_alike", world.parked)
        for signed in (
            {},
            {"second_user": "olga", "second_password": PASSWORD},
            {"second_user": "second", "second_password": "no"},
        ):
            assert operator.post(url, signed).status_code == 200
        data = {"action": "replay", "_selected_action": [world.parked.pk]}
        listed = operator.post(reverse("admin:roaming_obligation_changelist"), data)
        assert "need a second person" in said(operator, listed)[-1]
        assert changed_tables(before) == set()
        operator.post(url, {"second_user": "second", "second_password": PASSWORD})
        assert last_entry() == ("olga", "1 deliveries are sent again. (agreed by second)")

    def test_a_cdr_is_cancelled_by_an_operator_and_finance_together(self, operator: Client, world) -> None:
        staff("fien", "Finance")
        staff("second", "Operators")
        url = verb("roaming_obligation_cancel", world.delivery)
        before = everything()
        for signed in ({}, {"second_user": "second", "second_password": PASSWORD}):
            assert operator.post(url, {"reason": "billed twice", **signed}).status_code == 200
        assert changed_tables(before) == set()
        operator.post(url, {"reason": "billed twice", "second_user": "fien", "second_password": PASSWORD})
        world.delivery.refresh_from_db()
        assert (world.delivery.state, world.delivery.last_error) == ("CANCELLED", "billed twice (olga, fien)")

    def test_what_the_partner_has_is_not_cancelled(self, operator: Client, world) -> None:
        Obligation.objects.filter(pk=world.parked.pk).update(state="ACKED")
        before = everything()
        answer = operator.post(verb("roaming_obligation_cancel", world.parked), {"reason": "why not"})
        assert "nothing was changed" in errors(answer)
        assert changed_tables(before) == set()

    def test_the_page_says_why_in_words_and_what_is_sent(self, operator: Client, world) -> None:
        text = operator.get(change_url(world.delivery)).content.decode()
        assert "contract_id" in text
        assert "…E680" in text
        text = operator.get(change_url(world.parked)).content.decode()
        assert "The partner refused it. Read its message, settle the cause, then replay." in text

    def test_a_blocked_lane_is_freed(self, operator: Client, world) -> None:
        Lane.objects.update(breaker="AUTH_BLOCKED", blocked_reason="401")
        lane = Lane.objects.first()
        answer = operator.post(verb("roaming_lane_try_again_now", lane))
        assert said(operator, answer)[-1].endswith(f"{Lane.objects.count()} lanes try again now.")
        assert set(Lane.objects.values_list("breaker", "blocked_reason")) == {("CLOSED", "")}


class TestTokens:
    def test_a_token_is_blocked_and_unblocked(self, operator: Client, world) -> None:
        answer = operator.post(verb("tokens_token_block_one", world.token))
        assert said(operator, answer) == ["NL-EMS-C00000042-7 (…A580): blocked"]
        assert Token.objects.get().is_blocked_here is True
        before = everything()
        assert errors(operator.post(verb("tokens_token_block_one", world.token))) == "was blocked before"
        assert changed_tables(before) == set()
        data = {"action": "unblock", "_selected_action": [world.token.pk]}
        operator.post(reverse("admin:tokens_token_changelist"), data)
        assert Token.objects.get().is_blocked_here is False

    def test_four_characters_of_the_uid_find_it(self, operator: Client, world) -> None:
        page = operator.get(reverse("admin:tokens_token_changelist"), {"q": "a580"})
        assert page.context["cl"].result_count == 1
        assert (
            operator.get(reverse("admin:tokens_token_changelist"), {"q": "a581"}).context["cl"].result_count
            == 0
        )

    def test_a_list_that_cannot_be_read_says_why(self, operator: Client, world) -> None:
        answer = operator.post(verb("tokens_pull_read_now", world.party.platform.token_pull))
        assert "was not read to its end" in errors(answer)


class TestAccess:
    def test_a_grant_is_suspended_and_resumed(self, operator: Client, world) -> None:
        page = reverse("admin:access_grant_changelist")
        answer = operator.post(page, {"action": "suspend", "_selected_action": [world.grant.pk]})
        assert "suspended, version 2" in said(operator, answer)[-1]
        operator.post(page, {"action": "resume", "_selected_action": [world.grant.pk]})
        assert Grant.objects.get().status == "ACTIVE"

    def test_a_grant_ends_only_after_a_question_and_for_good(self, operator: Client, world) -> None:
        page = reverse("admin:access_grant_changelist")
        data = {"action": "end", "_selected_action": [world.grant.pk]}
        before = everything()
        assert "End these grants for good?" in operator.post(page, data).content.decode()
        assert changed_tables(before) == set()
        operator.post(page, data | {"is_confirmed": "yes"})
        assert Grant.objects.get().status == "ENDED"
        answer = operator.post(page, {"action": "resume", "_selected_action": [world.grant.pk]})
        assert "has ended for good" in said(operator, answer)[-1]
        assert Grant.objects.get().status == "ENDED"

    def test_the_rules_answer_about_a_start_that_nobody_tried(self, operator: Client, world) -> None:
        url = verb("access_grant_would_it_be_allowed")
        form = {"party": world.party.pk, "location": world.location.pk, "group": ""}
        Session.objects.filter(pk=world.reservation.session_id).update(status="INVALID")
        before = everything()
        night = operator.post(url, form | {"at": "2026-11-24T22:00"}).content.decode()
        noon = operator.post(url, form | {"at": "2026-11-24T12:00"}).content.decode()
        assert ">allowed<" in night
        assert "refused: OUTSIDE_WINDOW" in noon
        assert "Opens 20:00" in noon
        assert changed_tables(before) == set()

    def test_a_holiday_that_is_deleted_is_no_exception_any_more(self, operator: Client, world) -> None:
        holiday = Holiday.objects.get(name="New Year")
        answer = operator.post(change_url(holiday).replace("change", "delete"), {"post": "yes"})
        assert answer.status_code == 302
        assert not Holiday.objects.filter(name="New Year").exists()


class TestStations:
    def test_a_new_password_is_shown_once_and_works(self, operator: Client, world) -> None:
        station = Station.objects.first()
        url = verb("chargers_station_new_password", station)
        old = station.password_hash
        assert operator.get(url).status_code == 200
        assert Station.objects.get(pk=station.pk).password_hash == old
        answer = operator.post(url)
        password = re.search(r"<code>([0-9a-f]{32})</code>", answer.content.decode())
        assert password is not None
        assert is_password(Station.objects.get(pk=station.pk).password_hash, password[1])
        assert "no-store" in answer.headers["Cache-Control"]
        assert password[1] not in operator.get(change_url(station)).content.decode()


def test_a_page_of_another_row_is_not_there(operator: Client, world) -> None:
    for name in ("locations_depot_close_to_guests", "tokens_token_block_one", "roaming_platform_suspend"):
        assert operator.get(reverse(f"admin:{name}", args=[999_999])).status_code == 404
        assert operator.post(reverse(f"admin:{name}", args=["x"])).status_code == 404


def test_two_logins_of_one_day_do_not_share_their_history(world) -> None:
    first, second = logged_in(staff("a", "Operators")), logged_in(staff("b", "Operators"))
    first.post(verb("tokens_token_block_one", world.token))
    assert last_entry()[0] == "a"
    second.post(verb("tokens_token_unblock_one", world.token))
    assert last_entry()[0] == "b"
