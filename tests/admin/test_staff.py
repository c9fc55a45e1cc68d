"""`manage.py setup_staff`: groups as they should be, users that can log in, nothing twice."""

import io
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import CommandError, call_command
from django.test import Client

from config.groups import GROUPS

pytestmark = pytest.mark.django_db
PASSWORD = "correct-horse-battery"


@pytest.fixture
def setup(monkeypatch) -> Callable[..., str]:
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
