"""`manage.py unregister_partner`: end a connection."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import revoke_credentials, unregister
from roaming.management.reporting import ReportingCommand, platform_named


class Command(ReportingCommand):
    help = "End the connection with a partner: it is told, then its tokens die. Its history stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", required=True, help="name of the partner's platform")
        parser.add_argument(
            "--without-telling", action="store_true", help="do not call the partner: it is gone, or hostile"
        )

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        platform = platform_named(options["name"])
        if options["without_telling"]:
            revoke_credentials(platform=platform, now=now)
        else:
            unregister(platform=platform, now=now)
        return {platform.name: "unregistered"}
