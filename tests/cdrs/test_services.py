"""Sealing against a real PostgreSQL: once, exactly, in order, and never changed again."""

import hashlib
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from cdrs.corrections import Changes
from cdrs.models import CDR, Correction, Review
from cdrs.sealing import FIRST_LINK, cdr_key
from cdrs.services import NotInReview, reseal, seal, waive
from cdrs.wire import cdr_document, sealed_body
from ocpi import codec, v221
from roaming.models import Obligation, Party
from sessions.models import Session
from sessions.services import Reading, WrongState, add_readings, complete_session, invalidate_session
from sessions.wire import session_document
from tests.cdrs.rows import STATION_KEY, everything, in_review, ledger, sealed, sealed_or_reviewed
from tests.sessions.material import START, component, energy_of, tariff
from tests.sessions.rows import active, bay, completed, partner, pending

pytestmark = pytest.mark.django_db
LATER = START + timedelta(days=1)


def test_a_completed_session_is_sealed_and_owed_to_the_party_that_pays() -> None:
    """CDR-02, CDR-03, CDR-21: one row, its bytes, its hash, one delivery."""
    taxi = partner()
    session = completed(party=taxi, evse=bay())
    cdr = sealed_or_reviewed(session)
    assert isinstance(cdr, CDR)
    body = bytes(cdr.body)
    document = codec.decode_bytes(v221.CDR, body)
    assert (document.id, document.session_id) == (str(cdr.key), str(session.pk))
    assert len(document.id) == 36
    assert document.last_updated == cdr.last_updated == START + timedelta(hours=2, seconds=2)
    assert (cdr.energy_kwh, cdr.total_excl_vat, cdr.total_incl_vat, cdr.currency) == (
        Decimal(20),
        Decimal("7.50"),
        Decimal("9.08"),
        "EUR",
    )
    assert bytes(cdr.sha256) == hashlib.sha256(body).digest()
    assert bytes(cdr.previous_sha256) == FIRST_LINK
    assert bytes(cdr.chain_sha256) == hashlib.sha256(FIRST_LINK + bytes(cdr.sha256)).digest()
    assert ledger() == [(str(cdr.key), "LEDGER", "PENDING")]
    assert Obligation.objects.get(kind="cdr").party == taxi


def test_the_cdr_says_what_the_session_said() -> None:
    """I14, I15: energy, cost, times and place of the last pushed Session."""
    session = completed(party=partner(), evse=bay())
    cdr = sealed_or_reviewed(session)
    assert isinstance(cdr, CDR)
    shown = session_document(Session.objects.select_related("own_party").get(pk=session.pk))
    billed = cdr_document(cdr)
    assert (billed.total_energy, billed.total_cost) == (shown.kwh, shown.total_cost)
    assert energy_of(billed.charging_periods) == energy_of(shown.charging_periods) == shown.kwh
    assert (billed.start_date_time, billed.end_date_time) == (shown.start_date_time, shown.end_date_time)
    assert (billed.cdr_location.id, billed.cdr_location.evse_uid) == (shown.location_id, shown.evse_uid)


def test_the_explain_report_is_kept_line_by_line() -> None:
    """money.md 1: unrounded lines that add up to the unrounded total."""
    cdr = sealed(party=partner(), evse=bay())
    bill = codec.parse(bytes(cdr.explain))
    assert [(line["dimension"], line["excl_vat"]) for line in bill["lines"]] == [
        ("FLAT", Decimal("0.50")),
        ("ENERGY", Decimal("7.00")),
    ]
    assert bill["unrounded"]["total_cost"]["incl_vat"] == Decimal("9.075")


def test_sealing_twice_is_the_same_cdr_and_one_delivery() -> None:
    """I13, delivery.md 4.10."""
    cdr = sealed(party=partner(), evse=bay())
    before = everything()
    again = seal(session=cdr.session, station_key=STATION_KEY, now=LATER)
    assert isinstance(again, CDR)
    assert (again.key, bytes(again.body), bytes(again.sha256)) == (
        cdr.key,
        bytes(cdr.body),
        bytes(cdr.sha256),
    )
    assert everything() == before


@pytest.mark.parametrize("status", ["PENDING", "ACTIVE", "INVALID"])
def test_only_a_completed_session_is_sealed(status: str) -> None:
    """SES-11: an INVALID session is not billed."""
    taxi, evse = partner(), bay()
    session = active(party=taxi, evse=evse) if status == "ACTIVE" else pending(party=taxi, evse=evse)
    if status == "INVALID":
        session = invalidate_session(session=session, reason="start FAILED", now=START)
    before = everything()
    with pytest.raises(WrongState):
        seal(session=session, station_key=STATION_KEY, now=LATER)
    assert everything() == before


def test_the_key_is_made_of_the_charge_and_not_of_the_row() -> None:
    """delivery.md 0.11: after a restore the same charge in another row has the same key."""
    session = completed(party=partner(), evse=bay())
    same = Session.objects.get(pk=session.pk)
    same.pk = None
    key = cdr_key(session=session, station_key=STATION_KEY)
    assert cdr_key(session=same, station_key=STATION_KEY) == key
    assert key.version == 5
    others = {cdr_key(session=session, station_key=f"{STATION_KEY}0")}
    for name, value in (
        ("meter_start_wh", 1),
        ("token_uid", "OTHER"),
        ("connector_id", "2"),
        ("started_at", START + timedelta(milliseconds=1)),
    ):
        changed = Session.objects.get(pk=session.pk)
        setattr(changed, name, value)
        others.add(cdr_key(session=changed, station_key=STATION_KEY))
    assert len(others | {key}) == 6


def test_a_charge_that_was_billed_before_goes_to_review() -> None:
    """delivery.md 0.11: two rows of one charge never become two bills."""
    cdr = sealed(party=partner(), evse=bay())
    twin = Session.objects.get(pk=cdr.session_id)
    twin.pk = None
    twin._state.adding = True
    twin.save(force_insert=True)
    outcome = seal(session=twin, station_key=STATION_KEY, now=LATER)
    assert isinstance(outcome, Review)
    assert "BILLED_BEFORE" in [reason["code"] for reason in outcome.reasons]
    assert CDR.objects.count() == len(ledger()) == 1


def test_a_session_that_fails_lint_waits_for_a_person() -> None:
    """money.md 2: a review with reasons in plain words; nothing sealed, nothing owed, nothing lost."""
    review = in_review(party=partner(), evse=bay())
    assert review.reasons == [
        {
            "code": "ZERO_ENERGY",
            "text": "no energy was delivered; most partners dispute such a CDR",
            "remedy": "Close the review without billing, or accept it to bill time or a fee.",
        }
    ]
    assert (CDR.objects.count(), ledger()) == (0, [])
    before = everything()
    again = seal(session=review.session, station_key=STATION_KEY, now=LATER)
    assert again == review
    assert everything() == before


@pytest.mark.parametrize(
    ("stop", "codes"),
    [
        (
            {"ended_at": START - timedelta(minutes=5), "meter_stop_wh": 1_020_000},
            {"ZERO_TIME", "CLOCK_ANOMALY"},
        ),
        ({"ended_at": LATER.replace(year=2099), "meter_stop_wh": 1_020_000}, {"CLOCK_ANOMALY"}),
        (
            {"ended_at": START + timedelta(hours=2), "meter_stop_wh": 999_999},
            {"ZERO_ENERGY", "METER_ANOMALY"},
        ),
        ({"ended_at": START + timedelta(hours=2), "meter_stop_wh": 11_000_000}, {"POWER_EXCEEDED"}),
        ({"ended_at": START + timedelta(hours=2), "meter_stop_wh": None}, {"ZERO_ENERGY", "ESTIMATED_END"}),
        ({"ended_at": START + timedelta(hours=49), "meter_stop_wh": 1_020_000}, {"TOO_LONG"}),
    ],
)
def test_what_a_station_cannot_have_measured_is_never_billed(stop: dict[str, Any], codes: set[str]) -> None:
    """W8, F9."""
    session = active(party=partner(), evse=bay())
    done = complete_session(session=session, end_reason="Local", now=START + timedelta(hours=50), **stop)
    outcome = seal(session=done, station_key=STATION_KEY, now=START + timedelta(hours=50))
    assert isinstance(outcome, Review)
    assert codes <= {reason["code"] for reason in outcome.reasons}
    assert (CDR.objects.count(), ledger()) == (0, [])


def test_two_sessions_at_one_bay_at_once_are_both_looked_at() -> None:
    """money.md 2: overlap with another session on the same EVSE."""
    taxi, evse = partner(), bay()
    first = completed(party=taxi, evse=evse)
    started_at = START + timedelta(minutes=90)
    second = completed(party=taxi, evse=evse, started_at=started_at)
    for session, other in ((first, second), (second, first)):
        outcome = seal(session=session, station_key=STATION_KEY, now=LATER)
        assert isinstance(outcome, Review)
        (reason,) = outcome.reasons
        assert reason["code"] == "OVERLAP"
        assert str(other.pk) in reason["text"]


def test_a_session_right_after_another_does_not_overlap() -> None:
    """[start, end): the bay was free at the end."""
    taxi, evse = partner(), bay()
    first = completed(party=taxi, evse=evse)
    second = completed(party=taxi, evse=evse, started_at=START + timedelta(hours=2))
    assert isinstance(sealed_or_reviewed(first), CDR)
    assert isinstance(sealed_or_reviewed(second), CDR)


def test_a_corrected_session_is_sealed_and_the_correction_is_kept() -> None:
    """money.md 2: an audited correction, then the seal; the Session stays as it was told (SES-11)."""
    review = in_review(party=partner(), evse=bay())
    session_before = Session.objects.values().get()
    cdr = reseal(
        session=review.session,
        changes=Changes(meter_stop_wh=1_018_500),
        made_by="an.peeters",
        reason="register read at the bay",
        now=LATER,
    )
    assert isinstance(cdr, CDR)
    assert (cdr_document(cdr).total_energy, cdr.total_excl_vat) == (Decimal("18.5"), Decimal("6.98"))
    correction = Correction.objects.get()
    assert (correction.made_by, correction.reason, correction.changes) == (
        "an.peeters",
        "register read at the bay",
        {"meter_stop_wh": 1_018_500},
    )
    assert [finding["code"] for finding in correction.findings] == ["ZERO_ENERGY"]
    review.refresh_from_db()
    assert (review.resolved_at, review.resolved_by, review.resolution) == (
        LATER,
        "an.peeters",
        "register read at the bay",
    )
    assert Session.objects.values().get() == session_before
    assert ledger() == [(str(cdr.key), "LEDGER", "PENDING")]
    assert cdr.key == cdr_key(session=review.session, station_key=STATION_KEY)


def test_a_correction_that_is_not_enough_leaves_the_review_open() -> None:
    review = in_review(party=partner(), evse=bay())
    outcome = reseal(
        session=review.session,
        changes=Changes(meter_stop_wh=2_000_000),
        made_by="an.peeters",
        reason="typed one digit too many",
        now=LATER,
    )
    assert isinstance(outcome, Review)
    assert [reason["code"] for reason in outcome.reasons] == ["POWER_EXCEEDED"]
    assert (outcome.resolved_at, CDR.objects.count(), ledger()) == (None, 0, [])
    assert Correction.objects.count() == 1


def test_a_person_may_accept_what_can_be_true() -> None:
    review = in_review(party=partner(), evse=bay())
    cdr = reseal(
        session=review.session,
        changes=Changes(accepted=("ZERO_ENERGY",)),
        made_by="an.peeters",
        reason="the start fee is agreed",
        now=LATER,
    )
    assert isinstance(cdr, CDR)
    assert (cdr.energy_kwh, cdr.total_excl_vat) == (Decimal(0), Decimal("0.50"))
    with pytest.raises(ValueError, match="ENERGY_SUM"):
        Changes(accepted=("ENERGY_SUM",))


def test_corrected_times_tariff_and_place_are_billed() -> None:
    """Every fact that a person can correct reaches the CDR, one correction after the other."""
    review = in_review(party=partner(), evse=bay())
    double = tariff(v221.TariffElement(price_components=(component("ENERGY", "0.70"),)), id="gent-day")
    reseal(
        session=review.session,
        changes=Changes(ended_at=START + timedelta(hours=1), tariffs=(double,)),
        made_by="an.peeters",
        reason="left at 21:00, day tariff agreed",
        now=LATER,
    )
    cdr = reseal(
        session=review.session,
        changes=Changes(meter_stop_wh=1_010_000, suspended_ev_from=START + timedelta(minutes=30)),
        made_by="an.peeters",
        reason="register read at the bay",
        now=LATER,
    )
    assert isinstance(cdr, CDR)
    document = cdr_document(cdr)
    assert (document.end_date_time, document.total_cost.excl_vat, document.total_parking_time) == (
        START + timedelta(hours=1),
        Decimal("7.00"),
        Decimal("0.5"),
    )
    assert [each.id for each in document.tariffs] == ["gent-day"]
    assert Correction.objects.count() == 2


@pytest.mark.parametrize(("made_by", "reason"), [("", "register read"), ("an.peeters", " ")])
def test_nobody_corrects_money_without_a_name_and_a_reason(made_by: str, reason: str) -> None:
    review = in_review(party=partner(), evse=bay())
    before = everything()
    with pytest.raises(ValueError, match="person and a reason"):
        reseal(session=review.session, changes=Changes(), made_by=made_by, reason=reason, now=LATER)
    with pytest.raises(ValueError, match="person and a reason"):
        waive(session=review.session, made_by=made_by, reason=reason, now=LATER)
    assert everything() == before


def test_a_sealed_session_cannot_be_corrected() -> None:
    """CDR-07: a wrong CDR needs a credit CDR."""
    cdr = sealed(party=partner(), evse=bay())
    before = everything()
    with pytest.raises(NotInReview):
        reseal(
            session=cdr.session,
            changes=Changes(meter_stop_wh=1_019_000),
            made_by="an.peeters",
            reason="less",
            now=LATER,
        )
    with pytest.raises(NotInReview):
        waive(session=cdr.session, made_by="an.peeters", reason="friend", now=LATER)
    assert everything() == before


def test_a_waived_review_is_closed_in_a_name_and_bills_nothing() -> None:
    review = in_review(party=partner(), evse=bay())
    closed = waive(session=review.session, made_by="an.peeters", reason="cable did not lock", now=LATER)
    assert (closed.resolved_at, closed.resolved_by, closed.resolution) == (
        LATER,
        "an.peeters",
        "not billed: cable did not lock",
    )
    assert (CDR.objects.count(), ledger()) == (0, [])
    with pytest.raises(NotInReview):
        waive(session=review.session, made_by="an.peeters", reason="again", now=LATER)
    assert seal(session=review.session, station_key=STATION_KEY, now=LATER) == closed


def test_edits_after_the_start_do_not_reach_the_cdr() -> None:
    """CDR-07, CDR-12: street and tariff of the start; and what is sealed stays."""
    taxi, evse = partner(), bay()
    session = active(party=taxi, evse=evse)
    depot = evse.location.depot
    depot.address, depot.time_zone = "Elsewhere 1", "America/New_York"
    depot.save()
    evse.evse_id = "BE*YRD*E9999"
    evse.save()
    now = START + timedelta(hours=2)
    done = complete_session(
        session=session, ended_at=now, meter_stop_wh=1_020_000, end_reason="Local", now=now
    )
    cdr = sealed_or_reviewed(done)
    assert isinstance(cdr, CDR)
    document = cdr_document(cdr)
    assert (document.cdr_location.address, document.cdr_location.evse_id) == (
        "Wiedauwkaai 83",
        "BE*YRD*E0001",
    )
    assert (document.tariffs, cdr.time_zone) == ((tariff(),), "Europe/Brussels")


def test_late_readings_change_nothing_that_is_sealed() -> None:
    """SES-11, CDR-07."""
    cdr = sealed(party=partner(), evse=bay())
    before = everything()
    add_readings(session=cdr.session, readings=[Reading(LATER, 1_090_000)], now=LATER)
    assert everything() == before
    assert sealed_body(CDR.objects.get()) == bytes(cdr.body)


def other_own_party() -> Party:
    return Party.objects.create(
        role="CPO", country_code="BE", party_id="YR2", name="Yardgate Depots Zuid", platform=None
    )


def test_each_own_party_has_its_own_chain() -> None:
    taxi, south = partner(), other_own_party()
    first = sealed(party=taxi, evse=bay(1))
    zuid = tariff(party_id="YR2")
    second = sealed(party=taxi, evse=bay(2), own_party=south, tariffs=(zuid,))
    assert bytes(first.previous_sha256) == bytes(second.previous_sha256) == FIRST_LINK
