"""`manage.py suspend_partner`: shut a partner out for a while."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import resume_platform, suspend_platform
from roaming.management.reporting import ReportingCommand, platform_named


class Command(ReportingCommand):
    help = "Shut a partner out at once and send it nothing; --resume lets it in again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", required=True, help="name of the partner's platform")
        parser.add_argument("--resume", action="store_true")

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        platform = platform_named(options["name"])
        if options["resume"]:
            resume_platform(platform=platform, now=now)
        else:
            suspend_platform(platform=platform, now=now)
        return {platform.name: platform.status}
