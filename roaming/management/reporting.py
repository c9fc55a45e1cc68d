"""What the partner commands have in common: answers for people or as JSON, refusals in words."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from ocpi.status import OcpiError
from roaming.handshake import HandshakeError
from roaming.models import Platform
from roaming.secrets import SecretUnreadableError


class ReportingCommand(BaseCommand):
    """A command that does one thing and reports it; a refusal ends it with exit code 1 and changes nothing."""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add ``--json``; subclasses add theirs."""
        parser.add_argument("--json", action="store_true", help="answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        """Run and report."""
        try:
            report = self.run(timezone.now(), options)
        except (HandshakeError, SecretUnreadableError) as refusal:
            raise CommandError(str(refusal)) from None
        except OcpiError as refusal:
            raise CommandError(refusal.message) from None
        if options["json"]:
            self.stdout.write(json.dumps(report))
        else:
            self.stdout.write("\n".join(self.lines(report)))

    def run(self, now: Any, options: dict[str, Any]) -> Any:
        """Do it, and return what to report; refuse with HandshakeError."""
        raise NotImplementedError

    def lines(self, report: Any) -> list[str]:
        """Return the report for people."""
        return [f"{name}: {value}" for name, value in report.items()]


def platform_named(name: str) -> Platform:
    """Return the platform of this name. Raises HandshakeError with the names there are."""
    found = Platform.objects.filter(name=name).order_by("pk").first()
    if found is None:
        known = ", ".join(repr(each) for each in Platform.objects.values_list("name", flat=True))
        raise HandshakeError(f"there is no platform {name!r} (known: {known or 'none yet'})")
    return found


def brief(platform: Platform) -> dict[str, Any]:
    """Return a platform as commands report it; never a token."""
    return {
        "id": platform.pk,
        "name": platform.name,
        "status": platform.status,
        "versions_url": platform.versions_url,
        "parties": [f"{party.role} {party.ocpi_id}" for party in platform.parties.filter(is_active=True)],
        "endpoints": {f"{each.module} {each.role}": each.url for each in platform.endpoints.all()},
    }
