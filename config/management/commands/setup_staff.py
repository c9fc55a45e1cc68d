"""`manage.py setup_staff`: make the groups of staff what they should be, and create a user of one of them."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from config.groups import GROUPS, set_up_groups
from roaming import own
from roaming.scopes import has_scope, operators_of, set_operators


class Command(BaseCommand):
    """`manage.py setup_staff [--create NAME --group Operators --operator BE-YRD --password-stdin]`; safe to repeat."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Without arguments only the groups are set up."""
        parser.add_argument("--create", metavar="NAME", help="User to create, or to put into the group.")
        parser.add_argument("--group", choices=sorted(GROUPS), help="What the user may see and do.")
        parser.add_argument(
            "--operator",
            metavar="CC-PID",
            action="append",
            default=[],
            help="Operator hosted here whose rows the user may see, e.g. BE-YRD; may be given several times. Left out: "
            "who has a scope keeps it, else the only operator that is hosted here.",
        )
        parser.add_argument("--superuser", action="store_true", help="Everything, staff included.")
        parser.add_argument(
            "--password-stdin", action="store_true", help="Read the password from one line of standard input."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """All or nothing."""
        name, group = options["create"], options["group"]
        if name and not (group or options["superuser"]):
            raise CommandError("--create needs --group or --superuser: a user without either can see nothing")
        if (group or options["superuser"] or options["operator"] or options["password_stdin"]) and not name:
            raise CommandError("--create NAME: say whose group or password it is")
        password = sys.stdin.readline().rstrip("\r\n") if options["password_stdin"] else None
        with transaction.atomic():
            set_up_groups()
            if name:
                user = self._put_user(name, group, password, is_superuser=options["superuser"])
                if options["operator"] or not user.is_superuser:
                    self._put_scope(user, options["operator"])
        self.stdout.write(f"groups: {', '.join(sorted(GROUPS))}")

    def _put_user(self, name: str, group: str | None, password: str | None, *, is_superuser: bool) -> User:
        user, is_new = User.objects.get_or_create(username=name, defaults={"is_staff": True})
        if is_new and password is None:
            raise CommandError("--password-stdin: a new user needs a password")
        if password is not None:
            try:
                validate_password(password, user)
            except ValidationError as error:
                raise CommandError(f"password: {' '.join(error.messages)}") from None
            user.set_password(password)
        user.is_staff = True
        user.is_superuser = user.is_superuser or is_superuser
        user.save()
        if group:
            user.groups.set([Group.objects.get(name=group)])
        self.stdout.write(f"{'created' if is_new else 'changed'} {name}: {group or 'superuser'}")
        return user

    def _put_scope(self, user: User, named: list[str]) -> None:
        """Give the user the operators that were named; without any a scope stays, or is the only one there can be."""
        ours = {str(party.ocpi_id): party for party in own.operators()}
        unknown = sorted({name.upper() for name in named} - ours.keys())
        hosted = ", ".join(ours) or "none: see add_party and load_depot"
        if unknown:
            raise CommandError(f"--operator {unknown[0]}: is not hosted here (hosted: {hosted})")
        if named:
            set_operators(user=user, operators=[ours[name.upper()] for name in named])
        elif not has_scope(user):
            if len(ours) != 1:
                raise CommandError(f"--operator: say whose rows {user} may see (hosted: {hosted})")
            set_operators(user=user, operators=ours.values())
        scope = ", ".join(str(party.ocpi_id) for party in operators_of(user))
        self.stdout.write(f"{user} works for {scope}")
