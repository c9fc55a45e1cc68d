"""What is sealed stays: in the database, on the wire, whoever is connected."""

import hashlib
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.db import DatabaseError, IntegrityError, connection, transaction

from cdrs import pushes as cdr_pushes
from cdrs.corrections import Changes
from cdrs.models import CDR
from cdrs.sealing import FIRST_LINK
from cdrs.services import reseal
from cdrs.wire import Altered, cdr_document
from roaming import pushes
from roaming.models import Obligation
from tests.cdrs.rows import everything, in_review, sealed
from tests.sessions.material import START
from tests.sessions.rows import bay, partner

pytestmark = pytest.mark.django_db
LATER = START + timedelta(days=1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE cdrs_cdr SET total_excl_vat = 0",
        "UPDATE cdrs_cdr SET body = 'x', sha256 = sha256('x'),"
        " chain_sha256 = sha256(previous_sha256 || sha256('x'))",
        "UPDATE cdrs_cdr SET last_updated = now()",
        "DELETE FROM cdrs_cdr",
        "TRUNCATE cdrs_cdr CASCADE",
        "UPDATE cdrs_correction SET made_by = 'nobody'",
        "DELETE FROM cdrs_correction",
        "TRUNCATE cdrs_correction",
    ],
)
def test_the_database_refuses_to_change_what_is_sealed(statement: str) -> None:
    """CDR-07, F10: also by hand, also with a matching hash."""
    review = in_review(party=partner(), evse=bay())
    reseal(
        session=review.session,
        changes=Changes(accepted=("ZERO_ENERGY",)),
        made_by="an.peeters",
        reason="agreed",
        now=LATER,
    )
    before = everything()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL yardgate.allow_truncate = 'off'")
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match="what is sealed never changes"), transaction.atomic():  # noqa: SIM117
        with connection.cursor() as cursor:
            cursor.execute(statement)
    assert everything() == before


def test_the_database_refuses_bytes_that_do_not_match_their_hash() -> None:
    """delivery.md 4.2: sha256(body) and the chain are checked on the way in."""
    cdr = sealed(party=partner(), evse=bay())
    values = {field.attname: getattr(cdr, field.attname) for field in CDR._meta.concrete_fields}
    link = bytes(cdr.chain_sha256)
    credit = {"is_credit": True, "credit_of_id": cdr.key, "ocpi_id": f"{cdr.ocpi_id}-C"}
    amounts = {"total_excl_vat": -cdr.total_excl_vat, "total_incl_vat": -cdr.total_incl_vat}
    fresh = {**values, **credit, **amounts, "key": "00000000-0000-4000-8000-000000000001"}
    sha = hashlib.sha256(b"{}").digest()
    good = {
        **fresh,
        "feed_seq": cdr.feed_seq + 1,
        "body": b"{}",
        "sha256": sha,
        "previous_sha256": link,
        "chain_sha256": hashlib.sha256(link + sha).digest(),
    }
    for broken in (
        {"sha256": bytes(32)},
        {"chain_sha256": bytes(32)},
        {"body": b"{ }"},
        {"previous_sha256": bytes(31)},
        {"previous_sha256": FIRST_LINK, "chain_sha256": hashlib.sha256(FIRST_LINK + sha).digest()},
        {"total_excl_vat": Decimal("NaN")},
    ):
        with pytest.raises((IntegrityError, DatabaseError, ValidationError)), transaction.atomic():
            CDR(**{**good, **broken}).save(force_insert=True)
    assert CDR.objects.count() == 1
    CDR(**good).save(force_insert=True)


def test_the_chain_runs_per_own_party_and_the_feed_in_commit_order() -> None:
    taxi = partner()
    cdrs = [sealed(party=taxi, evse=bay(number)) for number in range(1, 4)]
    assert bytes(cdrs[1].previous_sha256) == bytes(cdrs[0].chain_sha256)
    assert bytes(cdrs[2].previous_sha256) == bytes(cdrs[1].chain_sha256)
    assert [each.feed_seq for each in cdrs] == sorted(each.feed_seq for each in cdrs)
    stamps = [each.last_updated for each in cdrs]
    assert stamps == [stamps[0] + timedelta(milliseconds=each) for each in range(3)]
    assert [cdr_document(each).last_updated for each in cdrs] == stamps


def test_what_is_sent_is_what_was_sealed() -> None:
    """CDR-02, delivery.md 4.10 (iii): POST to the endpoint itself, the same bytes each time."""
    cdr = sealed(party=partner(), evse=bay())
    owed = Obligation.objects.get(kind="cdr")
    first = pushes.get("cdr").message(owed, now=LATER)
    again = pushes.get("cdr").message(owed, now=LATER + timedelta(days=3))
    assert first == again == pushes.Message(method="POST", segments=(), body=bytes(cdr.body))
    assert isinstance(pushes.get("cdr"), cdr_pushes.CdrPush)


def test_altered_bytes_are_never_sent() -> None:
    """delivery.md 4.10 (iii): whoever gets past the triggers is found by the hash."""
    cdr = sealed(party=partner(), evse=bay())
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("ALTER TABLE cdrs_cdr DISABLE TRIGGER USER")
        cursor.execute("ALTER TABLE cdrs_cdr DROP CONSTRAINT cdr_body_matches_its_hash")
        cursor.execute(
            "UPDATE cdrs_cdr SET body = replace(convert_from(body, 'UTF8'), '7.50', '9.50')::bytea"
        )
        cursor.execute("ALTER TABLE cdrs_cdr ENABLE TRIGGER USER")
    with pytest.raises(Altered, match=str(cdr.key)):
        pushes.get("cdr").message(Obligation.objects.get(kind="cdr"), now=LATER)
