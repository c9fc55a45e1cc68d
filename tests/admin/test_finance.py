"""What finance does: export a month, check the books, and settle the sessions that could not be billed."""

from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse

from cdrs import exports
from cdrs.credits import decline_credit
from cdrs.models import CDR, Correction, CreditRequest, Review
from cdrs.seals import faults_of
from roaming.models import Obligation
from roaming.pages import change_url
from tests.admin.conftest import PASSWORD, logged_in, staff
from tests.admin.test_actions import errors, last_entry, said, verb
from tests.admin.world import changed_tables, everything

pytestmark = pytest.mark.django_db
EXPORT = "/admin/cdrs/cdr/export/"


class TestReviews:
    def test_the_queue_says_why_and_the_open_ones_come_first(self, finance: Client, world) -> None:
        text = finance.get(reverse("admin:cdrs_review_changelist")).content.decode()
        assert "waiting for a person" in text
        assert world.review.reasons[0]["text"] in text

    def test_a_correction_seals_it_in_a_persons_name(self, finance: Client, world) -> None:
        url = verb("cdrs_review_seal", world.review)
        form = {"meter_stop_wh": "1012000", "reason": "read off the meter by Fien", "password": PASSWORD}
        answer = finance.post(url, form)
        cdr = CDR.objects.get(session=world.review.session)
        assert said(finance, answer) == [f"Sealed as CDR {cdr.ocpi_id}: 4.70 EUR without VAT."]
        assert cdr.energy_kwh == 12
        correction = Correction.objects.get()
        assert (correction.made_by, correction.reason, correction.changes) == (
            "fien", "read off the meter by Fien", {"meter_stop_wh": 1_012_000},
        )  # fmt: skip
        assert Review.objects.get(pk=world.review.pk).resolved_by == "fien"
        assert last_entry()[0] == "fien"

    def test_corrected_times_are_those_of_the_depots_clock(self, finance: Client, world) -> None:
        form = {
            "meter_stop_wh": "1012000", "ended_at": "2026-11-19T21:30:00", "reason": "camera", "password": PASSWORD,
        }  # fmt: skip
        finance.post(verb("cdrs_review_seal", world.review), form)
        assert CDR.objects.get(session=world.review.session).ended_at == datetime(
            2026, 11, 19, 20, 30, tzinfo=UTC
        )

    def test_a_finding_that_may_be_accepted_is_accepted(self, finance: Client, world) -> None:
        page = finance.get(verb("cdrs_review_seal", world.review))
        codes = [code for code, _ in page.context["form"].fields["accepted"].choices]
        assert codes == ["ZERO_ENERGY"]
        finance.post(
            verb("cdrs_review_seal", world.review),
            {"accepted": codes, "reason": "flat fee", "password": PASSWORD},
        )
        assert CDR.objects.get(session=world.review.session).energy_kwh == 0

    def test_a_correction_that_does_not_help_is_kept_and_says_what_is_left(
        self, finance: Client, world
    ) -> None:
        answer = finance.post(
            verb("cdrs_review_seal", world.review), {"reason": "try again", "password": PASSWORD}
        )
        assert said(finance, answer) == [
            "The correction is kept, but the session is still held: ZERO_ENERGY."
        ]
        assert not CDR.objects.filter(session=world.review.session).exists()

    @pytest.mark.parametrize("name", ["cdrs_review_seal", "cdrs_review_waive"])
    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ({"reason": "x", "password": "wrong"}, "This is not your password."),
            ({"reason": "", "password": PASSWORD}, "required"),
            ({"reason": "x"}, "required"),
        ],
    )
    def test_without_password_and_reason_nothing_moves(
        self, name: str, form, words: str, finance: Client, world
    ) -> None:
        before = everything()
        assert words in errors(finance.post(verb(name, world.review), form))
        assert changed_tables(before) == set()

    @pytest.mark.parametrize(
        ("form", "words"),
        [
            ({"meter_stop_wh": "-5"}, "greater than or equal to 0"),
            ({"ended_at": "yesterday"}, "valid date/time"),
            ({"accepted": ["STOP_BEFORE_START"]}, "not one of the available choices"),
        ],
    )
    def test_a_correction_that_cannot_be_moves_nothing(
        self, form, words: str, finance: Client, world
    ) -> None:
        before = everything()
        signed = form | {"reason": "x", "password": PASSWORD}
        assert words in errors(finance.post(verb("cdrs_review_seal", world.review), signed))
        assert changed_tables(before) == set()

    def test_it_is_closed_without_billing_once(self, finance: Client, world) -> None:
        form = {"reason": "the station was being tested", "password": PASSWORD}
        finance.post(verb("cdrs_review_waive", world.review), form)
        review = Review.objects.get(pk=world.review.pk)
        assert (review.resolved_by, review.resolution) == ("fien", "not billed: the station was being tested")
        before = everything()
        for name in ("cdrs_review_waive", "cdrs_review_seal"):
            assert "has no open review" in errors(finance.post(verb(name, world.review), form))
        assert changed_tables(before) == set()


@pytest.fixture
def uncontested(world) -> CDR:
    """A CDR that nobody has asked to take back."""
    decline_credit(request=world.credit, by="an", reason="x", now=datetime(2026, 11, 28, tzinfo=UTC))
    return world.cdr


class TestCredits:
    def test_one_asks_and_another_seals(self, finance: Client, uncontested: CDR) -> None:
        """S3, CDR-09: both names stand in the history."""
        form = {"reason": "charged by the fleet", "password": PASSWORD}
        answer = finance.post(verb("cdrs_cdr_take_back", uncontested), form)
        assert said(finance, answer) == [
            f"Asked to take CDR {uncontested.ocpi_id} back. "
            "Nothing happens before a second person of finance has approved it."
        ]
        assert last_entry()[0] == "fien"
        assert CDR.objects.count() == 1
        asked = CreditRequest.objects.get(state="OPEN")
        assert "fien asked for it" in finance.get(change_url(uncontested)).content.decode()
        second = logged_in(staff("bo", "Finance"))
        url = verb("cdrs_creditrequest_approve", asked)
        assert "credit CDR of -7.50 EUR" in second.get(url).content.decode()
        answer = second.post(url, {"password": PASSWORD})
        assert said(second, answer) == [f"Sealed: {uncontested.ocpi_id}-C (-7.50 EUR without VAT)."]
        assert last_entry() == ("bo", f"Sealed: {uncontested.ocpi_id}-C (-7.50 EUR without VAT).")
        credit = CDR.objects.get(is_credit=True)
        assert credit.credit_of_id == uncontested.key
        page = second.get(change_url(uncontested)).content.decode()
        assert f"{uncontested.ocpi_id}-C" in page

    def test_a_correction_shows_the_new_total_and_is_sealed_with_the_credit(
        self, finance: Client, uncontested: CDR
    ) -> None:
        """CDR-11."""
        form = {"meter_stop_wh": "1012000", "reason": "read off the meter", "password": PASSWORD}
        answer = finance.post(verb("cdrs_cdr_bill_again", uncontested), form)
        assert said(finance, answer)[0].startswith("Asked to bill it again: 4.70 EUR without VAT.")
        asked = CreditRequest.objects.get(state="OPEN")
        second = logged_in(staff("bo", "Finance"))
        url = verb("cdrs_creditrequest_approve", asked)
        assert "billed again: 4.70 EUR" in second.get(url).content.decode()
        second.post(url, {"password": PASSWORD})
        assert list(CDR.objects.order_by("feed_seq").values_list("revision", "is_credit")) == [
            (1, False), (1, True), (2, False),
        ]  # fmt: skip

    def test_nobody_approves_what_they_asked_for(self, finance: Client, uncontested: CDR) -> None:
        """S3."""
        form = {"reason": "x", "password": PASSWORD}
        finance.post(verb("cdrs_cdr_take_back", uncontested), form)
        asked = CreditRequest.objects.get(state="OPEN")
        before = everything()
        answer = finance.post(verb("cdrs_creditrequest_approve", asked), {"password": PASSWORD})
        assert "needs a second person" in errors(answer)
        assert changed_tables(before) == set()

    @pytest.mark.parametrize(
        ("name", "form", "words"),
        [
            ("cdrs_cdr_take_back", {"reason": "x", "password": "wrong"}, "This is not your password."),
            ("cdrs_cdr_take_back", {"reason": "", "password": PASSWORD}, "required"),
            ("cdrs_cdr_take_back", {"reason": "x", "password": PASSWORD}, "asked for it already"),
            ("cdrs_cdr_bill_again", {"reason": "x", "password": "wrong"}, "This is not your password."),
            ("cdrs_creditrequest_approve", {"password": "wrong"}, "This is not your password."),
            ("cdrs_creditrequest_decline", {"reason": "", "password": PASSWORD}, "required"),
        ],
    )
    def test_a_refusal_moves_nothing(self, name: str, form, words: str, finance: Client, world) -> None:
        row = world.credit if "request" in name else world.cdr
        before = everything()
        assert words in errors(finance.post(verb(name, row), form))
        assert changed_tables(before) == set()

    def test_a_correction_that_would_not_be_sound_is_not_asked_for(
        self, finance: Client, uncontested: CDR
    ) -> None:
        before = everything()
        form = {"meter_stop_wh": "1000000", "reason": "x", "password": PASSWORD}
        answer = finance.post(verb("cdrs_cdr_bill_again", uncontested), form)
        assert "ZERO_ENERGY" in errors(answer)
        assert changed_tables(before) == set()

    def test_what_is_decided_is_not_decided_again(self, finance: Client, world) -> None:
        form = {"reason": "the meter was right", "password": PASSWORD}
        answer = finance.post(verb("cdrs_creditrequest_decline", world.credit), form)
        assert said(finance, answer) == [f"Declined: CDR {world.cdr.ocpi_id} stays as it is."]
        assert "Approve" not in finance.get(change_url(world.credit)).content.decode()
        before = everything()
        answer = finance.post(verb("cdrs_creditrequest_approve", world.credit), {"password": PASSWORD})
        assert "declined by fien already" in errors(answer)
        assert changed_tables(before) == set()


class TestCdrs:
    def test_its_page_explains_the_bill_and_proves_the_seal(self, finance: Client, world) -> None:
        text = finance.get(change_url(world.cdr)).content.decode()
        assert "sound: bytes and chain match" in text
        assert bytes(world.cdr.sha256).hex() in text
        assert "20 kWh" in text
        assert "…E680" in text

    def test_seals_of_chosen_cdrs_are_checked(self, finance: Client, world) -> None:
        data = {"action": "check_seals", "_selected_action": [world.cdr.pk]}
        answer = finance.post(reverse("admin:cdrs_cdr_changelist"), data)
        assert said(finance, answer) == ["1 of 1 seals are sound."]

    def test_what_was_altered_is_named(self, world) -> None:
        """The database refuses to store such rows; a restored or foreign one may still hold them."""
        cdr = CDR.objects.get(pk=world.cdr.pk)
        assert faults_of(cdr) == ()
        cdr.body = bytes(cdr.body).replace(b"20", b"10")
        assert faults_of(cdr) == ("its bytes do not match its sha256",)
        cdr.refresh_from_db()
        cdr.previous_sha256 = bytes(31) + b"1"
        assert faults_of(cdr) == (
            "its link does not match its bytes",
            "it does not follow the CDR before it: one was altered, removed or inserted",
        )

    def test_the_list_says_whether_the_partner_has_it(self, finance: Client, world) -> None:
        page = reverse("admin:cdrs_cdr_changelist")
        assert ">pending<" in finance.get(page).content.decode()
        Obligation.objects.filter(kind="cdr").update(state="ACKED")
        assert ">acknowledged<" in finance.get(page).content.decode()

    def test_totals_are_shown_before_the_download(self, finance: Client, world) -> None:
        answer = finance.post(EXPORT, {"month": "2026-11", "depot": "gent-noord", "party": world.party.pk})
        totals = exports.totals(CDR.objects.all())["EUR"]
        assert f"{totals.excl_vat:.2f} EUR" in answer.content.decode()
        empty = finance.post(EXPORT, {"month": "2026-10"}).content.decode()
        assert ">none<" in empty

    def test_a_tariff_is_tried_and_not_withdrawn_while_it_is_used(self, finance: Client, world) -> None:
        tariff = world.grant.tariff
        form = {
            "zone": "Europe/Brussels", "start": "2026-11-24T22:00", "energy_kwh": "10", "charging_minutes": "60",
            "parking_minutes": "60",
        }  # fmt: skip
        before = everything()
        text = finance.post(verb("tariffs_tariff_try_it", tariff), form).content.decode()
        # 0.50 + 10 kWh at 0.39 + one hour of parking at 3.00, without VAT.
        assert "7.40 EUR" in text
        assert "8.95 EUR" in text
        assert "is in use by grants of" in errors(finance.post(verb("tariffs_tariff_withdraw", tariff)))
        assert changed_tables(before) == set()
