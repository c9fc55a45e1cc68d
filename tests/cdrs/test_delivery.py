"""A charge as a partner lives through it, over real sockets: its Session, then the CDR, byte for byte."""

import hashlib
from datetime import timedelta
from decimal import Decimal

import pytest

from cdrs.books import check_books
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
