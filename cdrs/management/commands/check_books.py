"""Check that every ended session is sealed or in review, and every CDR on its way or delivered."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction

from cdrs.books import Books, check_books


class Command(BaseCommand):
    """`manage.py check_books [--json]`; exits with 1 when the books do not balance."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How to print."""
        parser.add_argument("--json", action="store_true", help="Print the figures as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """All counts come from one snapshot, so traffic meanwhile cannot unbalance them."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute("SET LOCAL statement_timeout = 0")
            books = check_books()
        if options["json"]:
            self.stdout.write(json.dumps({**asdict(books), "is_balanced": books.is_balanced}))
        else:
            self.stdout.write(_told(books))
        if not books.is_balanced:
            raise CommandError("the books do not balance")


def _told(books: Books) -> str:
    lines = [
        f"sessions ended {books.sessions_ended} = sealed {books.sealed} + in review {books.in_review}"
        f" (waived {books.waived})",
        f"CDRs {books.cdrs} ({books.credits} credits) = acknowledged {books.acked} + pending {books.pending}"
        f" + parked {books.parked} + contested {books.contested} + served {books.served} + cancelled {books.cancelled}",
        *books.faults,
    ]
    return "\n".join(lines)
