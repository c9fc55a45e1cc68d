"""`manage.py invite_partner`: make a token A for a partner."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import HandshakeError, invite_platform
from roaming.management.reporting import ReportingCommand


class Command(ReportingCommand):
    help = "Invite a partner: prints the token A and the versions URL to hand over. The token is shown once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--name", required=True, help="name of the partner's platform")
        parser.add_argument("--country", required=True, help="ISO 3166-1 alpha-2, e.g. NL")
        parser.add_argument("--party", required=True, help="party id, e.g. EMS")
        parser.add_argument("--role", default="EMSP", help="role that this party may claim (default EMSP)")
        parser.add_argument(
            "--also", action="append", default=[], metavar="ROLE/COUNTRY/PARTY", help="a further role; repeat"
        )
        parser.add_argument(
            "--approved-host",
            action="append",
            default=[],
            help="host (or host:port) of the partner's URLs; repeat. Default: the host of its first URL",
        )

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        roles = [(options["role"], options["country"], options["party"])]
        for text in options["also"]:
            parts = text.split("/")
            if len(parts) != 3:
                raise HandshakeError(f"--also: must be ROLE/COUNTRY/PARTY, e.g. EMSP/NL/EMS (given '{text}')")
            roles.append((parts[0], parts[1], parts[2]))
        invitation = invite_platform(
            name=options["name"], roles=roles, approved_hosts=options["approved_host"], now=now
        )
        return {
            "platform": invitation.platform.pk,
            "name": invitation.platform.name,
            "token_a": invitation.token_a,
            "versions_url": invitation.versions_url,
        }
