"""`manage.py deliveries`: what an operator reads and does about what is stuck."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from roaming.models import Attempt, Obligation
from tests.roaming.deliveries import OddPartner, a_partner, facts, owe_cdr, partner  # noqa: F401  # fixtures

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("facts")]


def told(*arguments: str) -> object:
    out = StringIO()
    call_command("deliveries", *arguments, "--json", stdout=out)
    return json.loads(out.getvalue())


@pytest.fixture
def parked(partner: OddPartner) -> Obligation:
    """A CDR that the partner refused, beside one that waits."""
    party = a_partner(partner)
    owe_cdr(party, "CDR-1")
    owe_cdr(party, "CDR-2")
    Obligation.objects.filter(object_key="CDR-1").update(
        state="PARKED", attempts=1, last_error="refused: unknown tariff"
    )
    return Obligation.objects.get(object_key="CDR-1")


def test_all_are_listed_newest_first_with_a_reason(parked: Obligation) -> None:
    rows = told()
    assert [(row["object"], row["state"]) for row in rows] == [("CDR-2", "PENDING"), ("CDR-1", "PARKED")]
    assert rows[0]["reason"] == "Waits for its turn."
    assert rows[1]["reason"] != ""


def test_the_list_is_narrowed_by_state_kind_and_partner(parked: Obligation) -> None:
    assert [row["object"] for row in told("--state", "parked")] == ["CDR-1"]
    assert told("--kind", "session") == []
    assert len(told("--partner", parked.lane.platform.name)) == 2
    with pytest.raises(CommandError, match="there is no platform 'Nobody'"):
        told("--partner", "Nobody")


def test_one_is_sent_again(parked: Obligation) -> None:
    assert told("--replay", str(parked.pk)) == {"replayed": 1}
    parked.refresh_from_db()
    assert (parked.state, Attempt.objects.filter(obligation=parked, outcome="REPLAYED").count()) == (
        "PENDING",
        1,
    )


def test_all_of_one_reason_are_sent_again(parked: Obligation) -> None:
    assert told("--replay-reason", "unknown tariff") == {"replayed": 1}
    assert told("--replay-reason", "unknown tariff") == {"replayed": 0}


def test_what_is_delivered_or_unknown_is_refused_and_stays(parked: Obligation) -> None:
    Obligation.objects.filter(pk=parked.pk).update(state="ACKED")
    with pytest.raises(CommandError, match="is not sent again"):
        told("--replay", str(parked.pk))
    with pytest.raises(CommandError, match="there is no delivery 0"):
        told("--replay", "0")
    parked.refresh_from_db()
    assert (parked.state, Attempt.objects.count()) == ("ACKED", 0)
