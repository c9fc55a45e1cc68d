"""Who waits too long: an alert per partner, not per delivery (delivery.md 4.6)."""

from datetime import datetime, timedelta

from django.db.models import Count, Min

from roaming.checks import findings
from roaming.checks.findings import Found, Severity
from roaming.delivery.models import Obligation
from roaming.models import Platform
from roaming.operators import duration

DELIVERY_AGE = "delivery_age"
OLD = timedelta(hours=1)
VERY_OLD = timedelta(hours=24)

_OPEN = (Obligation.State.PENDING, Obligation.State.PARKED, Obligation.State.CONTESTED)


def check_ages(*, now: datetime) -> int:
    """Note each partner that has not learned something for an hour, more urgently after a day; returns how many.

    What a partner is not sent because it was suspended or has left waits rightly and is not counted; a partner that
    only pulls fetches its CDRs when it likes.
    """
    waiting = (
        Obligation.objects.filter(state__in=_OPEN, owed_since__lt=now - OLD)
        .filter(lane__platform__status=Platform.Status.CONNECTED)
        .exclude(lane__name="cdr", lane__platform__cdr_mode="pull_only")
        .order_by()
        .values("lane__platform")
        .annotate(count=Count("pk"), since=Min("owed_since"))
    )
    platforms = Platform.objects.in_bulk([each["lane__platform"] for each in waiting])
    for each in waiting:
        platform = platforms[each["lane__platform"]]
        findings.note(_found(platform, each["count"], now - each["since"]), now=now)
    findings.close_others(kind=DELIVERY_AGE, still_found=[str(key) for key in platforms], now=now)
    return len(platforms)


def _found(platform: Platform, count: int, age: timedelta) -> Found:
    what = "1 delivery waits" if count == 1 else f"{count} deliveries wait"
    return Found(
        kind=DELIVERY_AGE,
        object_key=str(platform.pk),
        text=f"{platform}: {what} for more than {duration(OLD)}, the oldest for {duration(age)}.",
        remedy="See the reasons in the list of deliveries; call the partner when its system does not answer.",
        severity=Severity.ALERT if age >= VERY_OLD else Severity.NOTICE,
        platform=platform,
    )
