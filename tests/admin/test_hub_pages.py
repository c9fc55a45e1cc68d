"""Agreements in the admin: who may reach whom, and how everybody is connected."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from roaming.hub.agreements import agreement_between, set_agreement
from roaming.models import Agreement, Party
from tests.admin.conftest import logged_in, staff
from tests.admin.test_pages import list_url
from tests.admin.world import changed_tables, everything

pytestmark = pytest.mark.django_db

AGREE = "admin:roaming_agreement_agree"
MATRIX = "admin:roaming_agreement_who_may_reach_whom"


@pytest.fixture
def pair(world) -> tuple[Party, Party]:
    """NL-EMS and DE-NLI, which have an agreement in force."""
    return Party.objects.get(party_id="EMS"), Party.objects.get(party_id="NLI")


def act(client: Client, name: str, agreement: Agreement, **more: str):
    data = {"action": name, "_selected_action": [agreement.pk], **more}
    return client.post(list_url(Agreement), data)


def test_two_parties_are_let_reach_each_other(operator: Client, pair: tuple[Party, Party]) -> None:
    """HUB-28: also in the other order, and for two who have an agreement already it becomes this one."""
    taxi, cpo = pair
    answer = operator.post(
        reverse(AGREE),
        {"one": cpo.pk, "other": taxi.pk, "status": "PLANNED", "modules": ["locations", "cdrs"]},
    )
    agreement = agreement_between(taxi, cpo)
    assert (answer.status_code, agreement.status, agreement.modules) == (
        302,
        "PLANNED",
        ["cdrs", "locations"],
    )
    assert Agreement.objects.count() == 1


@pytest.mark.parametrize(
    "wrong", [{"other": "one"}, {"other": "ours"}, {"modules": "versions"}, {"status": "ENDED"}]
)
def test_what_cannot_be_agreed_is_refused(operator: Client, pair: tuple[Party, Party], wrong) -> None:
    """A party with itself, one of ours, a module that no party has, an end without a question: nothing changes."""
    taxi, cpo = pair
    keys = {"one": taxi.pk, "ours": Party.objects.get(platform=None).pk}
    form = {"one": taxi.pk, "other": cpo.pk, "status": "ACTIVE"} | {
        name: keys.get(value, value) for name, value in wrong.items()
    }
    before = everything()
    assert operator.post(reverse(AGREE), form).status_code == 200
    assert changed_tables(before) == set()


def test_an_end_asks_first(operator: Client, pair: tuple[Party, Party]) -> None:
    """HUB-28, HCI-05."""
    agreement = agreement_between(*pair)
    page = act(operator, "end", agreement)
    assert "Drivers who charge with one at the other" in page.content.decode()
    agreement.refresh_from_db()
    assert agreement.status == "ACTIVE"
    assert act(operator, "end", agreement, is_confirmed="yes").status_code == 302
    agreement.refresh_from_db()
    assert agreement.status == "ENDED"
    assert act(operator, "activate", agreement).status_code == 302
    agreement.refresh_from_db()
    assert agreement.status == "ACTIVE"


def test_the_matrix_says_who_may_reach_whom_and_who_is_connected(
    operator: Client, pair: tuple[Party, Party]
) -> None:
    """HCI-04, HUB-28."""
    taxi, cpo = pair
    text = operator.get(reverse(MATRIX)).content.decode()
    rows = re.findall(r"<tr><td>(EMSP NL-EMS|CPO DE-NLI) .*?</tr>", text)
    assert rows == ["EMSP NL-EMS", "CPO DE-NLI"]
    assert (text.count(">active<"), text.count(">offline<"), text.count(">connected<")) == (2, 1, 2)
    assert ">locations<" not in text
    set_agreement(one=taxi, other=cpo, status=Agreement.Status.PLANNED, modules=["locations"])
    text = operator.get(reverse(MATRIX)).content.decode()
    assert (text.count(">planned<"), text.count(">locations<")) == (2, 2)


def test_finance_and_newcomers_agree_nothing(pair: tuple[Party, Party]) -> None:
    taxi, cpo = pair
    clients = [logged_in(staff("count", "Finance")), logged_in(staff("newcomer"))]
    before = everything()
    for client in clients:
        form = {"one": taxi.pk, "other": cpo.pk, "status": "PLANNED"}
        assert [client.post(reverse(AGREE), form).status_code, client.get(reverse(MATRIX)).status_code] == [
            403,
            403,
        ]
        act(client, "end", agreement_between(taxi, cpo), is_confirmed="yes")
    assert changed_tables(before) == set()


def test_the_pages_of_platform_and_party_show_how_they_are_connected(
    operator: Client, pair: tuple[Party, Party]
) -> None:
    """HCI-04."""
    _, cpo = pair
    for row in (cpo, cpo.platform):
        url = reverse(f"admin:roaming_{row._meta.model_name}_change", args=[row.pk])
        assert operator.get(url).content.decode().count(">offline<") == 1
