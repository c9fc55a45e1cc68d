"""Pages that read from one snapshot of their own, so the rows must really be committed."""

import csv
import io
from dataclasses import fields

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from cdrs import exports
from cdrs.models import CDR
from config.groups import set_up_groups
from roaming.models import Obligation
from tests.admin.conftest import logged_in, staff
from tests.admin.test_finance import EXPORT
from tests.admin.world import SECRETS, World, furnish

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def committed() -> World:
    set_up_groups()
    return furnish()


@pytest.fixture
def fien(committed: World) -> Client:
    return logged_in(staff("fien", "Finance"))


def test_the_file_is_that_of_the_command(fien: Client, committed: World) -> None:
    answer = fien.post(EXPORT, {"month": "2026-11", "download": "csv"})
    assert answer.headers["Content-Disposition"] == 'attachment; filename="cdrs-2026-11.csv"'
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    written = io.StringIO()
    exports.write_csv(out=written, cdrs=CDR.objects.all())
    sent = b"".join(answer.streaming_content).decode()
    assert sent == written.getvalue()
    (row,) = csv.DictReader(io.StringIO(sent))
    assert row["cdr_id"] == committed.cdr.ocpi_id
    assert [secret for secret in SECRETS if secret in sent] == []
    assert LogEntry.objects.filter(user__username="fien", object_repr="cdrs-2026-11.csv").count() == 1


def test_books_that_balance_and_books_that_do_not(fien: Client, committed: World) -> None:
    assert {each.name for each in fields(committed)} >= {"cdr", "review"}
    assert "The books balance" in fien.get("/admin/cdrs/cdr/books/").content.decode()
    Obligation.objects.filter(kind="cdr").delete()
    text = fien.get("/admin/cdrs/cdr/books/").content.decode()
    assert "The books do not balance" in text
    assert "it is owed to nobody" in text
