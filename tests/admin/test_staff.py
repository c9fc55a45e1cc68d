"""`manage.py setup_staff`: groups as they should be, users that can log in, nothing twice."""

import io
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from config.groups import GROUPS
from roaming.models import StaffScope
from tests.factories import OwnPartyFactory, PartyFactory

pytestmark = pytest.mark.django_db
PASSWORD = "correct-horse-battery"


@pytest.fixture
def setup(monkeypatch) -> Callable[..., str]:
    OwnPartyFactory()

    def run(*arguments: str, stdin: str = "") -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        out = io.StringIO()
        call_command("setup_staff", *arguments, stdout=out)
        return out.getvalue()

    return run


def test_it_makes_the_groups_and_is_safe_to_repeat(setup) -> None:
    setup()
    before = {
        group.name: set(group.permissions.values_list("pk", flat=True)) for group in Group.objects.all()
    }
    setup()
    after = {group.name: set(group.permissions.values_list("pk", flat=True)) for group in Group.objects.all()}
    assert set(after) == set(GROUPS)
    assert after == before


def test_every_permission_that_the_tables_name_exists(setup) -> None:
    setup()
    for name, apps in GROUPS.items():
        wanted = sum(len(actions.split()) for models in apps.values() for actions in models.values())
        assert Group.objects.get(name=name).permissions.count() == wanted


def test_a_user_is_created_and_can_log_in(setup) -> None:
    told = setup("--create", "olga", "--group", "Operators", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert told.startswith("created olga: Operators")
    user = User.objects.get()
    assert (user.is_staff, user.is_superuser, [group.name for group in user.groups.all()]) == (
        True,
        False,
        ["Operators"],
    )
    assert Client().login(username="olga", password=PASSWORD)


def scope() -> list[str]:
    return sorted(StaffScope.objects.values_list("party__party_id", flat=True))


def new_user(setup: Callable[..., str], *arguments: str) -> str:
    return setup("--create", "olga", "--group", "Operators", "--password-stdin", *arguments, stdin=PASSWORD)


def test_the_only_operator_is_the_scope_of_who_is_given_none(setup) -> None:
    assert "olga works for BE-YRD" in new_user(setup)
    assert scope() == ["YRD"]


def test_of_several_operators_the_scope_must_be_said(setup) -> None:
    OwnPartyFactory(party_id="ANT", name="Antwerp Depots")
    with pytest.raises(CommandError, match=r"say whose rows olga may see \(hosted: BE-ANT, BE-YRD\)"):
        new_user(setup)
    assert (User.objects.count(), scope()) == (0, [])
    new_user(setup, "--operator", "be-ant")
    assert scope() == ["ANT"]


def test_a_scope_is_replaced_when_named_and_else_stays(setup) -> None:
    OwnPartyFactory(party_id="ANT", name="Antwerp Depots")
    new_user(setup, "--operator", "BE-ANT", "--operator", "BE-YRD")
    setup("--create", "olga", "--group", "Finance")
    assert scope() == ["ANT", "YRD"]
    setup("--create", "olga", "--group", "Finance", "--operator", "BE-YRD")
    assert scope() == ["YRD"]


def test_a_partner_or_a_stranger_is_no_operator(setup) -> None:
    PartyFactory(party_id="EMS")
    for name in ("NL-EMS", "ZZ-ZZZ"):
        with pytest.raises(CommandError, match=rf"{name}: is not hosted here \(hosted: BE-YRD\)"):
            new_user(setup, "--operator", name)
    assert (User.objects.count(), scope()) == (0, [])


def test_a_superuser_needs_no_scope(setup) -> None:
    setup("--create", "root", "--superuser", "--password-stdin", stdin=PASSWORD)
    assert scope() == []


def test_a_user_is_moved_to_another_group_and_keeps_the_password(setup) -> None:
    setup("--create", "olga", "--group", "Operators", "--password-stdin", stdin=PASSWORD)
    assert setup("--create", "olga", "--group", "Finance").startswith("changed olga: Finance")
    assert [group.name for group in User.objects.get().groups.all()] == ["Finance"]
    assert Client().login(username="olga", password=PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "stdin", "words"),
    [
        (("--create", "olga"), "", "needs --group"),
        (("--group", "Finance"), "", "--create NAME"),
        (("--create", "olga", "--group", "Finance"), "", "a new user needs a password"),
        (("--create", "olga", "--group", "Finance", "--password-stdin"), "short", "password: "),
    ],
)
def test_what_is_incomplete_changes_nothing(arguments, stdin: str, words: str, setup) -> None:
    with pytest.raises(CommandError, match=words):
        setup(*arguments, stdin=stdin)
    assert (User.objects.count(), Group.objects.count()) == (0, 0)
