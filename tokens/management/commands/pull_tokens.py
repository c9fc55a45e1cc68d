"""`manage.py pull_tokens`: read partners' token lists now."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from roaming.models import Platform
from tokens.services import pull_tokens


class Command(BaseCommand):
    """Pulls the tokens of one or all connected platforms."""

    help = "Read the token list of one or all connected platforms and say what came of it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which platform, and how much."""
        parser.add_argument("--platform", help="name of one platform; default: all that are connected")
        parser.add_argument("--full", action="store_true", help="the whole list, not only what is new")

    def handle(self, *args: Any, **options: Any) -> None:
        """Pull, and fail when any list could not be read to its end."""
        platforms = Platform.objects.filter(status=Platform.Status.CONNECTED).order_by("pk")
        if options["platform"]:
            platforms = platforms.filter(name=options["platform"])
        if not platforms:
            raise CommandError("There is no such connected platform.")
        problems = 0
        for platform in platforms:
            report = pull_tokens(platform=platform, now=timezone.now(), full=options["full"])
            problems += bool(report.problem)
            self.stdout.write(
                f"{platform.name}: {report.received} received, {report.stored} new or changed,"
                f" {report.broken} broken, {report.foreign} foreign. {report.problem}".rstrip()
            )
        if problems:
            raise CommandError(f"{problems} of {len(platforms)} lists could not be read to the end.")
