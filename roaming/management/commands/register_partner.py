"""`manage.py register_partner`: register with a partner that invited us."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import register_with
from roaming.management.reporting import ReportingCommand, brief


class Command(ReportingCommand):
    help = "Register with a partner that gave us a versions URL and a token A."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", required=True, help="name for the partner's platform")
        parser.add_argument("--versions-url", required=True)
        parser.add_argument("--token-a", required=True)
        parser.add_argument(
            "--approved-host",
            action="append",
            default=[],
            help="host (or host:port) of the partner's URLs; repeat. Default: the host of the versions URL",
        )

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        platform = register_with(
            versions_url=options["versions_url"],
            token_a=options["token_a"],
            name=options["name"],
            approved_hosts=options["approved_host"],
            now=now,
        )
        return brief(platform)
