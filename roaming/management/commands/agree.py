"""`manage.py agree`: let two partners reach each other through this hub, or end that."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.handshake import HandshakeError
from roaming.hub.agreements import set_agreement
from roaming.management.reporting import ReportingCommand
from roaming.models import Agreement, Party


class Command(ReportingCommand):
    help = (
        "Let two partners' parties reach each other through this hub; --planned announces it, --end ends it."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        for name in ("--one", "--other"):
            parser.add_argument(
                name,
                required=True,
                metavar="[ROLE/]CC-PID",
                help="a party, e.g. NL-EMS; with its role where it has several, e.g. EMSP/NL-EMS",
            )
        parser.add_argument(
            "--modules",
            help="only these, e.g. locations,commands, or the word all; default: as agreed so far, all when it is new",
        )
        status = parser.add_mutually_exclusive_group()
        status.add_argument("--planned", action="store_true", help="announce it; nothing is routed yet")
        status.add_argument("--end", action="store_true", help="nothing is routed any more")

    def run(self, now: datetime, options: dict[str, Any]) -> dict[str, Any]:
        status = Agreement.Status.ACTIVE
        if options["planned"] or options["end"]:
            status = Agreement.Status.PLANNED if options["planned"] else Agreement.Status.ENDED
        one, other = _party(options["one"]), _party(options["other"])
        try:
            agreement = set_agreement(
                one=one, other=other, status=status, modules=_modules(options["modules"])
            )
        except ValueError as refusal:
            raise HandshakeError(str(refusal)) from None
        return {
            "one": f"{one.role} {one.ocpi_id}",
            "other": f"{other.role} {other.ocpi_id}",
            "status": agreement.status,
            "modules": agreement.modules or "all",
        }


def _modules(text: str | None) -> list[str] | None:
    """What is asked for; None: nothing is said about it. Raises HandshakeError for an empty list."""
    if text is None:
        return None
    words = [word for part in text.lower().split(",") if (word := part.strip())]
    if not words:
        raise HandshakeError("--modules: names modules, or the word all")
    return [] if words == ["all"] else words


def _party(text: str) -> Party:
    """Return the partner's party that is meant. Raises HandshakeError with what there is to choose from."""
    role, _, ids = text.upper().rpartition("/")
    country_code, _, party_id = ids.partition("-")
    found = Party.objects.filter(country_code=country_code, party_id=party_id).exclude(platform=None)
    if role:
        found = found.filter(role=role)
    parties = list(found.order_by("role"))
    if len(parties) == 1:
        return parties[0]
    if parties:
        words = ", ".join(f"{party.role}/{party.ocpi_id}" for party in parties)
        raise HandshakeError(f"'{text}' has several roles: say one of {words}")
    raise HandshakeError(f"no partner has the party '{text}' (parties hosted here are reached by everybody)")
