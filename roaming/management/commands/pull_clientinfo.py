"""`manage.py pull_clientinfo`: read again who is behind the hubs that we are connected to."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import HandshakeError
from roaming.hub.clients import hubs, pull_clients
from roaming.management.reporting import ReportingCommand, platform_named


class Command(ReportingCommand):
    help = "Read the client list of the hubs that we are connected to, now rather than within the hour."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", help="only of this hub's platform")

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        chosen = hubs().order_by("name", "pk")
        if options["name"]:
            chosen = chosen.filter(pk=platform_named(options["name"]).pk)
            if not chosen:
                raise HandshakeError(f"platform '{options['name']}' is no connected hub")
        reports: dict[str, Any] = {}
        for platform in chosen:
            report = pull_clients(platform=platform, now=now)
            reports[platform.name] = report.problem or {
                "received": report.received,
                "foreign": report.foreign,
                "broken": report.broken,
            }
        return reports

    def lines(self, report: dict[str, Any]) -> list[str]:
        return super().lines(report) or ["we are connected to no hub"]
