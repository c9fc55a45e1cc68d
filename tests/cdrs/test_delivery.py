"""A charge as a partner lives through it, over real sockets: its Session, then the CDR, byte for byte."""

import hashlib
from datetime import timedelta
from decimal import Decimal

import pytest

from cdrs.books import check_books
from cdrs.corrections import Changes
from cdrs.credits import approve_credit, ask_credit
from cdrs.models import CDR
from demo.partner import Partner
from roaming.models import Obligation
from sessions.services import Reading, activate_session, add_readings, complete_session
from tests.cdrs.rows import sealed, sealed_or_reviewed
from tests.partner_platform import partner
from tests.roaming.deliveries import a_partner, drain, let_pass
from tests.sessions.material import START
from tests.sessions.rows import bay, pending

__all__ = ["partner"]

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


def told(partner: Partner, module: str) -> list[tuple[str, str]]:
    """Method and path below the module's endpoint of each request that the partner got for it."""
    requests = [each for each in partner.received() if f"/{module}" in each.path]
    return [(each.method, each.path.partition(f"/{module}")[2]) for each in requests]


def send() -> None:
    let_pass(60)
    drain()


def test_a_charge_from_the_first_push_to_the_acknowledged_cdr(partner: Partner) -> None:
    """SES-05 to SES-08, CDR-02 to CDR-04, CDR-21: PUT, PATCH, PUT, PUT; one POST to the endpoint."""
    party = a_partner(partner)
    session = pending(party=party, evse=bay())
    send()
    session = activate_session(session=session, started_at=START, meter_start_wh=1_000_000, now=START)
    send()
    add_readings(session=session, readings=[Reading(START + 60 * MINUTE, 1_010_000)], now=START + 60 * MINUTE)
    send()
    end = START + 120 * MINUTE
    done = complete_session(
        session=session, ended_at=end, meter_stop_wh=1_020_000, end_reason="Local", now=end
    )
    cdr = sealed_or_reviewed(done)
    assert isinstance(cdr, CDR)
    send()
    url = f"/BE/YRD/{session.pk}"
    assert told(partner, "sessions") == [("PUT", url), ("PATCH", url), ("PUT", url), ("PUT", url)]
    assert told(partner, "cdrs") == [("POST", "")]
    (received,) = partner.received("POST", "/cdrs")
    assert received.body == bytes(cdr.body)
    known = partner.sessions[("BE", "YRD", str(session.pk))]
    assert (known["status"], known["kwh"], len(known["charging_periods"])) == ("COMPLETED", 20, 8)
    assert known["total_cost"] == partner.cdrs[cdr.ocpi_id]["total_cost"]
    delivery = Obligation.objects.get(kind="cdr")
    assert (delivery.state, delivery.location_url) == ("ACKED", f"{partner.endpoint('cdrs')}/{cdr.ocpi_id}")
    assert bytes(delivery.sent_sha256) == hashlib.sha256(received.body).digest() == bytes(cdr.sha256)
    books = check_books()
    assert (books.acked, books.is_balanced) == (1, True)


def test_a_lost_answer_brings_the_same_bytes_again_and_one_cdr(partner: Partner) -> None:
    """DIS-34, delivery.md 4.10 (iv): exactly once in effect, through the id."""
    party = a_partner(partner)
    cdr = sealed(party=party, evse=bay())
    partner.fail("drop_after_storing", on="/cdrs", times=1)
    for _ in range(5):
        send()
    bodies = [each.body for each in partner.received("POST", "/cdrs")]
    assert bodies == [bytes(cdr.body), bytes(cdr.body)]
    assert list(partner.cdrs) == [cdr.ocpi_id]
    assert Obligation.objects.get(kind="cdr").state == "ACKED"


def test_a_refused_cdr_is_parked_and_still_served(partner: Partner) -> None:
    """SYN-06: refused by push, visible by pull and in the books."""
    party = a_partner(partner)
    cdr = sealed(party=party, evse=bay())
    partner.fail("code", on="/cdrs", status=2001)
    send()
    books = check_books()
    assert (books.parked, books.is_balanced) == (1, True)
    assert partner.cdrs == {}
    assert CDR.objects.filter(party=party).get().key == cdr.key


def test_two_hundred_readings_are_few_pushes(partner: Partner) -> None:
    """SES-19: three hours of AC charging, a reading a minute."""
    party = a_partner(partner)
    session = pending(party=party, evse=bay())
    session = activate_session(session=session, started_at=START, meter_start_wh=1_000_000, now=START)
    send()
    for minute in range(1, 181):
        at = START + minute * MINUTE
        add_readings(session=session, readings=[Reading(at, 1_000_000 + 100 * minute)], now=at)
        if minute % 30 == 0:
            send()
    known = partner.sessions[("BE", "YRD", str(session.pk))]
    assert (known["kwh"], len(known["charging_periods"])) == (18, 12)
    assert len(told(partner, "sessions")) == 7
    energies = [each["dimensions"][0]["volume"] for each in known["charging_periods"]]
    assert energies == [Decimal("1.5")] * 12


def a_correction(cdr: CDR) -> list[CDR]:
    now = START + timedelta(days=1)
    asked = ask_credit(
        cdr=cdr, reason="wrong register", by="fien", now=now, changes=Changes(meter_stop_wh=1_012_000)
    )
    return approve_credit(request=asked, by="an", now=now)


def ids_received(partner: Partner) -> list[str]:
    return [each.json["id"] for each in partner.received("POST", "/cdrs")]


def test_a_credit_is_sent_after_its_cdr_and_the_new_bill_after_the_credit(partner: Partner) -> None:
    """CDR-09, CDR-11, delivery.md 4.4: all three are due; each waits until the one before it is acknowledged."""
    party = a_partner(partner)
    cdr = sealed(party=party, evse=bay())
    credit, again = a_correction(cdr)
    in_order = [cdr.ocpi_id, credit.ocpi_id, again.ocpi_id]
    # The youngest is due first, so only what they follow can keep them in order.
    for position, each in enumerate((again, credit, cdr)):
        rows = Obligation.objects.filter(object_key=str(each.key))
        rows.update(next_at=START + position * MINUTE)
    partner.fail("http", on="/cdrs", status=500, times=1)
    send()
    assert list(partner.cdrs) == []
    for _ in range(4):
        send()
    assert list(dict.fromkeys(ids_received(partner))) == in_order
    assert list(partner.cdrs) == in_order
    total = sum(Decimal(str(each["total_cost"]["excl_vat"])) for each in partner.cdrs.values())
    assert total == again.total_excl_vat == Decimal("4.70")
    assert [each.state for each in Obligation.objects.filter(kind="cdr")] == ["ACKED"] * 3
    bodies = {each.json["id"]: each.body for each in partner.received("POST", "/cdrs")}
    assert bodies == {each.ocpi_id: bytes(each.body) for each in (cdr, credit, again)}
    assert check_books().is_balanced


def test_while_the_original_is_not_there_neither_credit_nor_new_bill_is_sent(partner: Partner) -> None:
    """CDR-09: a partner never sees a credit for a CDR that it does not know."""
    party = a_partner(partner)
    cdr = sealed(party=party, evse=bay())
    a_correction(cdr)
    partner.fail("http", on="/cdrs", status=500)
    for _ in range(3):
        send()
    assert set(ids_received(partner)) == {cdr.ocpi_id}
    assert Obligation.objects.filter(kind="cdr", state="PENDING").count() == 3


def test_a_credit_is_looked_up_by_its_own_id(partner: Partner) -> None:
    """CDR-04, CDR-09: the id of a credit is not its key."""
    party = a_partner(partner, on_ambiguous="lookup_then_resend")
    cdr = sealed(party=party, evse=bay())
    send()
    (credit, _) = a_correction(cdr)
    partner.fail("drop_after_storing", on="POST /ocpi/emsp/2.2.1/cdrs", times=1)
    for _ in range(4):
        send()
    looked_up = [each.path.rpartition("/")[2] for each in partner.received("GET", "/cdrs")]
    assert looked_up == [credit.ocpi_id]
    assert ids_received(partner).count(credit.ocpi_id) == 1
    assert [each.state for each in Obligation.objects.filter(kind="cdr")] == ["ACKED"] * 3
