"""`manage.py rotate_credentials`: exchange the tokens with one partner, or tell all what has changed."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import HandshakeError, announce_changes, rotate_credentials
from roaming.management.reporting import ReportingCommand, platform_named


class Command(ReportingCommand):
    help = "Exchange both credentials tokens with a partner (monthly, and at once when one may have leaked)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--name", help="name of the partner's platform")
        which.add_argument(
            "--changed", action="store_true", help="all partners that know other endpoints or roles of us"
        )

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        if options["name"]:
            platform = platform_named(options["name"])
            rotate_credentials(platform=platform, now=now)
            return {platform.name: "rotated"}
        outcomes = announce_changes(now=now)
        failed = {name: outcome for name, outcome in outcomes.items() if outcome != "told"}
        if failed:
            raise HandshakeError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
        return outcomes
