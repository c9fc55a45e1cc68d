"""Compare now with what partners hold, and with what stations should have told: `manage.py reconcile [--json]`."""

import json
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from charging.checks import check_transactions
from roaming.checks.ages import check_ages
from roaming.checks.rounds import compare_due, is_due, start_over
from roaming.models import Comparison, Finding

# As the timetable does it every night, but without waiting for the night; it ends by itself.
_LONGEST = timedelta(hours=6)


class Command(BaseCommand):
    """Runs every check to its end and reports what is open; asks each partner once a second at most."""

    help = __doc__ or ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        """How to print."""
        parser.add_argument("--json", action="store_true", help="Print the report as one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        """All checks, then the report."""
        begin = timezone.now()
        check_transactions(now=begin)
        check_ages(now=begin)
        start_over(now=begin)
        asked = 0
        while is_due(now=timezone.now()) and timezone.now() < begin + _LONGEST:
            asked += compare_due(clock=timezone.now)
        report = _report(asked)
        self.stdout.write(json.dumps(report) if options["json"] else "\n".join(_lines(report)))


def _report(asked: int) -> dict[str, Any]:
    open_findings = Finding.objects.filter(closed_at__isnull=True).order_by("-severity", "opened_at", "pk")
    return {
        "copies_asked_for": asked,
        "partners": [
            {
                "platform": row.platform.name,
                "module": row.module,
                "compared": row.compared,
                "differing": row.differing,
                "problem": row.problem,
            }
            for row in Comparison.objects.select_related("platform").order_by("platform__name", "module")
        ],
        "findings": [
            {
                "kind": each.kind,
                "object": each.object_key,
                "severity": each.severity,
                "since": each.opened_at.isoformat(),
                "text": each.text,
                "remedy": each.remedy,
            }
            for each in open_findings
        ],
    }


def _lines(report: dict[str, Any]) -> list[str]:
    partners = [
        f"{each['platform']} {each['module']}: {each['compared']} compared, {each['differing']} differ"
        + (f" ({each['problem']})" if each["problem"] else "")
        for each in report["partners"]
    ]
    found = [f"{each['severity']} {each['text']} {each['remedy']}" for each in report["findings"]]
    return [*partners, *(found or ["Nothing is open."])]
