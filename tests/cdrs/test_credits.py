"""Taking a CDR back and billing its charge again: two persons, one credit, one chain."""

import csv
import io
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from cdrs import exports
from cdrs.books import check_books
from cdrs.build import taken_back
from cdrs.corrections import Changes
from cdrs.credits import (
    NotCreditable,
    TwoPersons,
    approve_credit,
    ask_credit,
    billed_again,
    correct_cdr,
    credit_cdr,
    decline_credit,
)
from cdrs.models import CDR, Correction, CreditRequest
from cdrs.sealing import credit_key, successor_key
from cdrs.seals import faults_of
from cdrs.wire import cdr_document
from ocpi import codec, v221
from roaming.delivery.services import cancel, park
from roaming.models import Obligation
from tests.cdrs.material import facts, made
from tests.cdrs.rows import everything as sealed_rows
from tests.cdrs.rows import ledger, sealed
from tests.sessions.material import START
from tests.sessions.rows import bay, partner
from tests.sessions.threads import in_threads

pytestmark = pytest.mark.django_db
LATER = START + timedelta(days=1)
PERSONS = TwoPersons(asked_by="fien", approved_by="an")
LESS = Changes(meter_stop_wh=1_012_000)


def everything() -> tuple[Any, ...]:
    return (*sealed_rows(), list(CreditRequest.objects.order_by("id").values()))


def asked(cdr: CDR, changes: Changes | None = None) -> CreditRequest:
    return ask_credit(cdr=cdr, reason="wrong register", by="fien", now=LATER, changes=changes)


def charge() -> CDR:
    """20 kWh at 0.35, and 0.50 for the session."""
    return sealed(party=partner(), evse=bay())


def owed(cdr: CDR) -> Obligation:
    return Obligation.objects.get(kind="cdr", object_key=str(cdr.key))


def test_a_credit_has_all_data_of_its_cdr_and_only_the_total_negated() -> None:
    """CDR-08, CDR-09, CDR-10: member by member."""
    cdr = charge()
    credit = credit_cdr(cdr=cdr, reason="wrong register", by=PERSONS, now=LATER)
    before, after = (codec.parse(bytes(each.body)) for each in (cdr, credit))
    changed = {name for name in after if name not in before or after[name] != before[name]}
    assert changed == {"id", "credit", "credit_reference_id", "total_cost", "last_updated"}
    assert before.keys() - after.keys() == set()
    assert after["id"] == f"{before['id']}-C"
    assert len(after["id"]) == 38
    assert (after["credit"], after["credit_reference_id"]) == (True, before["id"])
    assert before["total_cost"] == {"excl_vat": Decimal("7.5"), "incl_vat": Decimal("9.08")}
    assert after["total_cost"] == {"excl_vat": Decimal("-7.5"), "incl_vat": Decimal("-9.08")}
    assert after["total_energy_cost"] == before["total_energy_cost"]
    assert (after["total_energy"], credit.energy_kwh) == (20, 20)
    assert after["last_updated"] == "2026-11-21T19:00:00Z"


def test_the_unknown_vat_of_a_cdr_stays_unknown_in_its_credit() -> None:
    """CDR-10: nothing is invented."""
    cdr, _ = made(facts())
    bare = codec.decode(v221.CDR, codec.parse(codec.encode(cdr)) | {"total_cost": {"excl_vat": 7}})
    assert taken_back(bare, last_updated=LATER).total_cost == v221.Price(excl_vat=Decimal(-7))


def test_an_id_that_leaves_no_room_for_its_credit_is_refused() -> None:
    """CDR-08: 39 characters at most."""
    cdr, _ = made(replace(facts(), session_id="s"))
    long = codec.decode(v221.CDR, codec.parse(codec.encode(cdr)) | {"id": "x" * 38})
    with pytest.raises(ValueError, match="longer than 39 characters"):
        taken_back(long, last_updated=LATER)
    fits = codec.decode(v221.CDR, codec.parse(codec.encode(cdr)) | {"id": "x" * 37})
    assert len(taken_back(fits, last_updated=LATER).id) == 39


def test_a_full_correction_bills_the_charge_again_under_a_new_id() -> None:
    """CDR-09, CDR-11: original, credit, then a CDR without the two credit members."""
    cdr = charge()
    credit, again = approve_credit(request=asked(cdr, LESS), by="an", now=LATER)
    document = codec.parse(bytes(again.body))
    assert "credit" not in document
    assert "credit_reference_id" not in document
    assert document["id"] == again.ocpi_id == str(successor_key(cdr))
    assert len({cdr.ocpi_id, credit.ocpi_id, again.ocpi_id}) == 3
    assert (again.revision, again.is_credit, again.energy_kwh) == (2, False, 12)
    assert again.total_excl_vat == Decimal("4.70")
    assert [each.feed_seq for each in (cdr, credit, again)] == sorted(
        CDR.objects.values_list("feed_seq", flat=True)
    )
    assert [faults_of(each) for each in CDR.objects.all()] == [(), (), ()]
    assert ledger() == [(str(each.key), "LEDGER", "PENDING") for each in (cdr, credit, again)]
    correction = Correction.objects.get()
    assert (correction.made_by, correction.reason) == ("fien, an", "wrong register")
    assert correction.changes == {"meter_stop_wh": 1_012_000}


def test_keys_are_the_same_after_a_restore() -> None:
    """delivery.md 0.11: what is credited again after a restore is the same credit."""
    cdr = charge()
    assert credit_key(cdr) == credit_key(CDR.objects.get())
    assert len({cdr.key, credit_key(cdr), successor_key(cdr)}) == 3
    assert credit_cdr(cdr=cdr, reason="x", by=PERSONS, now=LATER).key == credit_key(cdr)


def test_a_corrected_cdr_can_be_corrected_again() -> None:
    """CDR-11: each time the newest, and the corrections add up."""
    cdr = charge()
    _, second = approve_credit(request=asked(cdr, LESS), by="an", now=LATER)
    credit, third = approve_credit(request=asked(second, Changes(is_never_parked=True)), by="an", now=LATER)
    assert credit.credit_of_id == second.key
    assert (third.revision, third.energy_kwh, third.total_excl_vat) == (3, 12, Decimal("4.70"))
    assert check_books().is_balanced


def test_what_was_only_taken_back_can_be_billed_again_later() -> None:
    cdr = charge()
    (credit,) = approve_credit(request=asked(cdr), by="an", now=LATER)
    (again,) = approve_credit(request=asked(cdr, LESS), by="an", now=LATER)
    assert (credit.credit_of_id, again.revision) == (cdr.key, 2)


def test_asking_seals_and_sends_nothing_and_shows_what_would_follow() -> None:
    """S3: before the second person nothing has happened."""
    cdr = charge()
    before = sealed_rows()
    request = asked(cdr, LESS)
    assert sealed_rows() == before
    assert (request.state, request.asked_by, request.decided_by) == ("OPEN", "fien", "")
    following = billed_again(request, now=LATER)
    assert following is not None
    assert following.total_cost.excl_vat == Decimal("4.70")
    assert sealed_rows() == before


@pytest.mark.parametrize("by", ["fien", "FIEN", "", " "])
def test_nobody_approves_alone(by: str) -> None:
    """S3: also not under the same name in other letters."""
    request = asked(charge())
    before = everything()
    with pytest.raises(ValueError, match="person"):
        approve_credit(request=request, by=by, now=LATER)
    assert everything() == before


def test_the_database_itself_wants_two_persons() -> None:
    """S3."""
    request = asked(charge())
    rows = CreditRequest.objects.filter(pk=request.pk)
    for name in ("fien", ""):
        with pytest.raises(IntegrityError, match="credit_two_persons"), transaction.atomic():
            rows.update(state="APPROVED", decided_by=name)


def test_a_declined_request_leaves_everything_and_may_be_asked_anew() -> None:
    cdr = charge()
    request = asked(cdr)
    before = sealed_rows()
    decline_credit(request=request, by="an", reason="the meter was right", now=LATER)
    assert sealed_rows() == before
    assert CreditRequest.objects.values_list("state", "decided_by", "decision_reason").get() == (
        "DECLINED", "an", "the meter was right",
    )  # fmt: skip
    settled = everything()
    with pytest.raises(NotCreditable, match="declined by an already"):
        approve_credit(request=request, by="an", now=LATER)
    with pytest.raises(NotCreditable, match="declined by an already"):
        decline_credit(request=request, by="fien", reason="x", now=LATER)
    assert everything() == settled
    assert len(approve_credit(request=asked(cdr), by="an", now=LATER)) == 1


def test_what_cannot_be_taken_back_is_refused_and_nothing_changes() -> None:
    """F8: twice, a credit of a credit, a bill without a credit, a CDR that was replaced."""
    cdr = charge()
    with pytest.raises(NotCreditable, match="still stands: take it back first"):
        correct_cdr(cdr=cdr, changes=LESS, reason="x", by=PERSONS, now=LATER)
    request = asked(cdr, LESS)
    with pytest.raises(NotCreditable, match="asked for it already"):
        asked(cdr)
    credit, _ = approve_credit(request=request, by="an", now=LATER)
    before = everything()
    for wrong, words in ((cdr, "was replaced"), (credit, "is a credit CDR itself")):
        for changes in (None, LESS):
            with pytest.raises(NotCreditable, match=words):
                asked(wrong, changes)
        with pytest.raises(NotCreditable, match=words):
            credit_cdr(cdr=wrong, reason="x", by=PERSONS, now=LATER)
        with pytest.raises(NotCreditable, match=r"replaced|still stands"):
            correct_cdr(cdr=wrong, changes=LESS, reason="x", by=PERSONS, now=LATER)
    assert everything() == before


def test_a_second_credit_is_refused() -> None:
    """F8: one credit per CDR."""
    cdr = charge()
    credit_cdr(cdr=cdr, reason="x", by=PERSONS, now=LATER)
    before = everything()
    with pytest.raises(NotCreditable, match="was taken back by"):
        credit_cdr(cdr=cdr, reason="x", by=PERSONS, now=LATER)
    with pytest.raises(NotCreditable, match="was taken back by"):
        asked(cdr)
    assert everything() == before


@pytest.mark.parametrize(("by", "reason"), [("", "x"), ("fien", " ")])
def test_a_request_names_a_person_and_a_reason(by: str, reason: str) -> None:
    cdr = charge()
    before = everything()
    with pytest.raises(ValueError, match="person and a reason"):
        ask_credit(cdr=cdr, reason=reason, by=by, now=LATER)
    assert everything() == before


def test_a_correction_that_is_not_sound_is_refused_when_it_is_asked_for() -> None:
    """The findings are named; neither credit nor bill is made."""
    cdr = charge()
    before = everything()
    with pytest.raises(NotCreditable, match=r"cannot be billed: .*ZERO_ENERGY"):
        asked(cdr, Changes(meter_stop_wh=1_000_000))
    assert everything() == before


def test_an_approval_of_what_cannot_be_billed_any_more_makes_no_credit_either(settings) -> None:
    """Both or neither: the limits have changed since it was asked for."""
    request = asked(charge(), LESS)
    before = everything()
    settings.CDR_MAX_TOTAL = {"EUR": 1}
    with pytest.raises(NotCreditable, match="cannot be billed"):
        approve_credit(request=request, by="an", now=LATER)
    assert everything() == before


@pytest.mark.django_db(transaction=True)
def test_two_approvals_at_once_make_one_credit() -> None:
    """F8, I13: four persons on four connections; one credit, one bill, one delivery of each."""
    cdr = charge()
    request = asked(cdr, LESS)
    results = in_threads(
        *(
            lambda name=name: approve_credit(request=request, by=name, now=LATER)
            for name in ("an", "bo", "cy", "di")
        )
    )
    assert sorted(type(each).__name__ for each in results) == ["NotCreditable"] * 3 + ["list"], results
    assert CDR.objects.filter(credit_of=cdr).count() == 1
    assert (CDR.objects.count(), len(ledger()), Correction.objects.count()) == (3, 3, 1)


@pytest.mark.django_db(transaction=True)
def test_credits_and_corrections_at_once_make_one_of_each() -> None:
    """F8: the services themselves, past the request."""
    cdr = charge()
    results = in_threads(*(lambda: credit_cdr(cdr=cdr, reason="x", by=PERSONS, now=LATER) for _ in range(3)))
    assert sorted(type(each).__name__ for each in results) == ["CDR", "NotCreditable", "NotCreditable"], (
        results
    )
    results = in_threads(
        *(lambda: correct_cdr(cdr=cdr, changes=LESS, reason="x", by=PERSONS, now=LATER) for _ in range(3))
    )
    assert sorted(type(each).__name__ for each in results) == ["CDR", "NotCreditable", "NotCreditable"], (
        results
    )
    assert (CDR.objects.count(), len(ledger())) == (3, 3)


@pytest.mark.parametrize(
    "changes",
    [
        {"ocpi_id": "other"},
        {"total_excl_vat": Decimal(7)},
        {"total_incl_vat": None},
        {"currency": "USD"},
        {"credit_of_id": None},
        {"is_credit": False},
        {"is_credit": False, "credit_of_id": None, "revision": 3},
        {"is_credit": False, "credit_of_id": None, "revision": 2, "ocpi_id": "next"},
    ],
)
def test_the_database_refuses_a_credit_that_does_not_take_back_its_cdr(changes: dict[str, Any]) -> None:
    """F8: wrong sign, other currency, other CDR, a next bill without a credit; whoever is connected."""
    cdr = charge()
    with transaction.atomic():
        credit = credit_cdr(cdr=cdr, reason="x", by=PERSONS, now=LATER)
        values = {field.attname: getattr(credit, field.attname) for field in CDR._meta.concrete_fields}
        transaction.set_rollback(True)
    with pytest.raises(IntegrityError, match="refused"), transaction.atomic():
        CDR(**(values | changes)).save(force_insert=True)
    assert CDR.objects.count() == 1
    CDR(**values).save(force_insert=True)


def test_what_the_partner_refused_is_taken_back_without_telling_it() -> None:
    """Both persons settle it: original and credit are cancelled, the corrected CDR goes out."""
    cdr = charge()
    park(owed(cdr), reason="refused: 2001")
    credit, again = approve_credit(request=asked(cdr, LESS), by="an", now=LATER)
    assert [owed(each).state for each in (cdr, credit, again)] == ["CANCELLED", "CANCELLED", "PENDING"]
    assert "fien, an" in owed(credit).last_error
    books = check_books()
    assert (books.cdrs, books.cancelled, books.pending, books.is_balanced) == (3, 2, 1, True)


def test_what_the_partner_may_have_is_taken_back_in_the_open() -> None:
    """A refusal after an unknown outcome proves nothing: the credit waits for the original."""
    cdr = charge()
    park(owed(cdr), reason="held")
    Obligation.objects.update(ambiguous=True)
    (credit,) = approve_credit(request=asked(cdr), by="an", now=LATER)
    assert [owed(each).state for each in (cdr, credit)] == ["PARKED", "PENDING"]


def test_the_delivery_of_a_credit_is_cancelled_by_two_persons_only() -> None:
    (credit,) = approve_credit(request=asked(charge()), by="an", now=LATER)
    with pytest.raises(ValueError, match="two persons"):
        cancel(owed(credit), reason="x", by="fien")
    assert owed(credit).state == "PENDING"


def test_exports_and_books_agree_to_the_cent_with_credits() -> None:
    """CDR-10 on the wire; in the books a credit counts backwards in every column."""
    cdr = charge()
    approve_credit(request=asked(cdr, LESS), by="an", now=LATER)
    rows = exports.selection(month=START.date())
    out = io.StringIO(newline="")
    assert exports.write_csv(out=out, cdrs=rows) == 3
    lines = list(csv.DictReader(io.StringIO(out.getvalue())))
    credit = next(each for each in lines if each["is_credit"] == "yes")
    assert (credit["total_excl_vat"], credit["energy_kwh"], credit["energy_excl_vat"]) == (
        "-7.50",
        "-20",
        "-7.00",
    )
    assert credit["credit_reference_id"] == cdr.ocpi_id
    total = exports.totals(rows)["EUR"]
    sums = {
        name: sum(Decimal(each[name]) for each in lines)
        for name in ("total_excl_vat", "total_incl_vat", "energy_kwh")
    }
    assert (total.rows, total.excl_vat, total.incl_vat, total.energy_kwh) == (
        3, sums["total_excl_vat"], sums["total_incl_vat"], sums["energy_kwh"],
    )  # fmt: skip
    assert (total.excl_vat, total.energy_kwh) == (Decimal("4.70"), 12)
    books = check_books()
    assert (books.sessions_ended, books.sealed, books.cdrs, books.credits, books.pending) == (1, 1, 3, 1, 3)
    assert books.is_balanced


def test_books_name_a_charge_that_is_billed_twice() -> None:
    """Tampering behind the triggers: the credit between two bills is gone."""
    _, again = approve_credit(request=asked(charge(), LESS), by="an", now=LATER)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE cdrs_cdr DISABLE TRIGGER USER")
        cursor.execute("DELETE FROM cdrs_cdr WHERE is_credit")
        cursor.execute("ALTER TABLE cdrs_cdr ENABLE TRIGGER USER")
    words = "the CDR before it was never taken back, so the charge is billed twice"
    assert f"CDR {again.ocpi_id}: {words}" in check_books().faults


def test_the_payer_sees_original_credit_and_correction_in_that_order() -> None:
    """CDR-07, CDR-09: nothing that was handed out has changed."""
    cdr = charge()
    sealed_bytes = bytes(cdr.body)
    credit, again = approve_credit(request=asked(cdr, LESS), by="an", now=LATER)
    rows = list(CDR.objects.filter(party=cdr.party).order_by("feed_seq"))
    assert [each.key for each in rows] == [cdr.key, credit.key, again.key]
    assert bytes(rows[0].body) == sealed_bytes
    assert cdr_document(rows[1]).credit is True
