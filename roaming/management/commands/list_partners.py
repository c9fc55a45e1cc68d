"""`manage.py list_partners`: who is connected."""

from datetime import datetime
from typing import Any

from roaming.management.reporting import ReportingCommand, brief
from roaming.models import Platform


class Command(ReportingCommand):
    help = "List partner platforms with their status, parties and endpoints."

    def run(self, now: datetime, options: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            brief(platform)
            | {
                "connected_at": platform.connected_at and platform.connected_at.isoformat(),
                "last_seen_at": platform.last_seen_at and platform.last_seen_at.isoformat(),
            }
            for platform in Platform.objects.prefetch_related("endpoints").order_by("name", "pk")
        ]

    def lines(self, report: list[dict[str, Any]]) -> list[str]:
        return [
            f"{each['name']}: {each['status']}, {', '.join(each['parties']) or 'no parties yet'}, "
            f"last seen {each['last_seen_at'] or 'never'}"
            for each in report
        ] or ["no partners yet (manage.py invite_partner)"]
