"""`manage.py reconcile`: every check at once, against a partner that lost a CDR."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from config.timetable import TIMETABLE
from roaming.models import Obligation
from tests.cdrs.rows import sealed
from tests.roaming.deliveries import OddPartner, a_partner, drain, let_pass, partner
from tests.sessions.rows import bay

__all__ = ["partner"]

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_command_compares_and_reports_what_is_open(partner: OddPartner) -> None:
    """delivery.md 4.11: as JSON and for people; what is fine is counted, what is not is named."""
    party = a_partner(partner)
    cdr = sealed(party=party, evse=bay())
    let_pass(60)
    drain()
    partner.cdrs.clear()
    out = StringIO()
    call_command("reconcile", "--json", stdout=out)
    report = json.loads(out.getvalue())
    held = {each["module"]: (each["compared"], each["differing"]) for each in report["partners"]}
    assert held["cdrs"] == (1, 1)
    (finding,) = report["findings"]
    assert (finding["kind"], finding["severity"]) == ("cdr_copy", "ALERT")
    assert finding["text"] == f"Randstad Taxi acknowledged CDR {cdr.key}, but its copy is not there."
    assert Obligation.objects.get(kind="cdr").state == "CONTESTED"
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert "ALERT Randstad Taxi acknowledged CDR" in out.getvalue()
    assert "Randstad Taxi cdrs: 0 compared, 0 differ" in out.getvalue()


def test_without_anything_open_it_says_so(db) -> None:
    out = StringIO()
    call_command("reconcile", stdout=out)
    assert out.getvalue() == "Nothing is open.\n"


def test_the_checks_are_in_the_timetable() -> None:
    """Nobody has to remember them."""
    names = {entry.task for entry in TIMETABLE}
    assert names >= {
        "roaming.tasks.compare_copies", "roaming.tasks.check_delivery_ages", "roaming.tasks.announce_changes",
        "charging.tasks.check_transactions",
    }  # fmt: skip
