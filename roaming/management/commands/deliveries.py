"""`manage.py deliveries`: what partners are owed, why it is stuck, and how to send it again."""

from argparse import ArgumentParser
from datetime import datetime
from typing import Any

from roaming.delivery.reasons import explain
from roaming.delivery.services import replay, replay_all
from roaming.handshake import HandshakeError
from roaming.management.reporting import ReportingCommand, platform_named
from roaming.models import Obligation


class Command(ReportingCommand):
    help = "List deliveries, newest first; with --replay or --replay-reason send refused ones again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--partner", help="name of the partner's platform")
        parser.add_argument(
            "--state", type=str.upper, choices=Obligation.State.values, help="only of this state"
        )
        parser.add_argument("--kind", help="only of this kind, e.g. cdr, session, evse, location, tariff")
        parser.add_argument("--limit", type=int, default=50, help="at most so many (default 50)")
        parser.add_argument("--replay", type=int, metavar="ID", help="send this delivery again now")
        parser.add_argument("--replay-reason", metavar="TEXT", help="send all with this reason again now")

    def run(self, now: datetime, options: dict[str, Any]) -> Any:
        if options["replay"] is not None:
            return self._replay(options["replay"])
        platform = platform_named(options["partner"]) if options["partner"] else None
        if options["replay_reason"]:
            return {"replayed": replay_all(options["replay_reason"], platform=platform, by="command line")}
        rows = Obligation.objects.select_related("party", "lane__platform").order_by("-id")
        if platform is not None:
            rows = rows.filter(lane__platform=platform)
        for name in ("state", "kind"):
            if options[name]:
                rows = rows.filter(**{name: options[name]})
        return [_shown(row) for row in rows[: options["limit"]]]

    def _replay(self, key: int) -> dict[str, Any]:
        row = Obligation.objects.filter(pk=key).first()
        if row is None:
            raise HandshakeError(f"there is no delivery {key}; `manage.py deliveries` lists them")
        try:
            replay(row, by="command line")
        except ValueError as refusal:
            raise HandshakeError(str(refusal)) from refusal
        return {"replayed": 1}

    def lines(self, report: Any) -> list[str]:
        if isinstance(report, dict):
            return super().lines(report)
        return [
            f"{each['id']:>8}  {each['state']:<9} {each['kind']:<14} {each['party']:<7} {each['reason']}"
            for each in report
        ] or ["nothing matches"]


def _shown(row: Obligation) -> dict[str, Any]:
    lane = row.lane
    return {
        "id": row.pk,
        "partner": lane.platform.name,
        "party": str(row.party.ocpi_id),
        "kind": row.kind,
        "object": row.object_key,
        "state": row.state,
        "attempts": row.attempts,
        "reason": explain(
            state=row.state,
            last_error=row.last_error,
            attempts=row.attempts,
            breaker=lane.breaker,
            platform_status=lane.platform.status,
            presence=row.party.presence,
        ),
        "http_status": row.http_status,
        "ocpi_status": row.ocpi_status,
        "location_url": row.location_url,
        "next_at": row.next_at.isoformat(),
        "acked_at": row.acked_at.isoformat() if row.acked_at else None,
    }
