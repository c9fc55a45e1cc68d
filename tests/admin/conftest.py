"""Staff of all kinds, and a depot in the evening."""

from collections.abc import Iterator, Sequence
from dataclasses import fields

import pytest
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.test import Client

from config.groups import set_up_groups
from roaming import own
from roaming.models import Party
from roaming.scopes import set_operators
from tests.admin.world import World, furnish

PASSWORD = "correct-horse-battery"


def staff(
    name: str, *groups: str, is_superuser: bool = False, operators: Sequence[Party] | None = None
) -> User:
    """A member of staff, of all operators unless some are named; all have the same password here."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=is_superuser)
    user.groups.set(Group.objects.filter(name__in=groups))
    set_operators(user=user, operators=own.operators() if operators is None else operators)
    return user


def logged_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture(autouse=True)
def quick_passwords(settings) -> None:
    """Argon2 is slow on purpose; what is tested here is who may do what."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="module")
def evening(django_db_setup, django_db_blocker) -> Iterator[World]:
    """Made once for a file; what a test changes of it is taken back after that test."""
    with django_db_blocker.unblock(), transaction.atomic():
        set_up_groups()
        yield furnish()
        transaction.set_rollback(True)


@pytest.fixture
def world(evening: World, db) -> World:
    """The evening with fresh rows."""
    rows = {each.name: getattr(evening, each.name) for each in fields(evening)}
    return World(**{name: type(row)._default_manager.get(pk=row.pk) for name, row in rows.items()})


@pytest.fixture
def root(world: World) -> Client:
    return logged_in(staff("root", is_superuser=True))


@pytest.fixture
def operator(world: World) -> Client:
    return logged_in(staff("olga", "Operators"))


@pytest.fixture
def finance(world: World) -> Client:
    return logged_in(staff("fien", "Finance"))
