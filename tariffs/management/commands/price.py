"""``manage.py price``: price sessions given as JSON lines."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from tariffs.price_lines import answer


class Command(BaseCommand):
    """Read one session per line from standard input, write one bill per line to standard output."""

    help = (
        "Price sessions: JSON lines in, JSON lines out. A line has name, timezone, tariffs and either"
        " session and charging_periods, or start, stop and meter_wh. A line that cannot be priced is answered"
        " with an error."
    )
    requires_system_checks = ()  # it needs no database, so it must not wait for one

    def add_arguments(self, parser: CommandParser) -> None:
        """Declare ``--explain``."""
        parser.add_argument(
            "--explain",
            action="store_true",
            help="add the unrounded totals, the volumes and a line per charge",
        )

    def handle(self, *args: Any, explain: bool, **options: Any) -> None:
        """Answer every line that is not empty, in order, as soon as it is read."""
        for line in sys.stdin.buffer:
            if line.strip():
                sys.stdout.buffer.write(answer(line, explain=explain) + b"\n")
                sys.stdout.buffer.flush()
