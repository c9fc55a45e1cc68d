"""`manage.py add_party`: set up a party of our own."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import HandshakeError
from roaming.management.reporting import ReportingCommand
from roaming.parties import add_own_party


class Command(ReportingCommand):
    help = "Set up a party of our own, or change its name; safe to repeat."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--country", required=True, help="ISO 3166-1 alpha-2, e.g. BE")
        parser.add_argument("--party", required=True, help="party id, e.g. YRD")
        parser.add_argument("--role", default="CPO", help="default CPO")
        parser.add_argument("--name", required=True, help="name that drivers see")
        parser.add_argument("--website", default="")

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        try:
            party = add_own_party(
                role=options["role"],
                country_code=options["country"],
                party_id=options["party"],
                name=options["name"],
                website=options["website"],
                now=now,
            )
        except ValueError as error:
            raise HandshakeError(str(error)) from None
        return {"id": party.pk, "party": f"{party.role} {party.ocpi_id}", "name": party.name}
