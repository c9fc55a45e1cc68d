"""The verbs of findings: note what a check has found, close what it no longer finds.

A finding that is found again is the same row, so it has one age. Any number of checks may run at once: the partial
unique key lets one open row of each through.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from roaming.checks.models import Finding
from roaming.models import Party, Platform

log = logging.getLogger(__name__)

Severity = Finding.Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a check has found, in plain words: what is wrong, and what a person can do."""

    kind: str
    object_key: str
    text: str
    remedy: str
    severity: str = Severity.NOTICE
    platform: Platform | None = None
    own_party: Party | None = None


def note(found: Found, *, now: datetime) -> bool:
    """Open a finding, or keep the open one up to date; True when it is new."""
    values = {
        "text": found.text[:500],
        "remedy": found.remedy[:300],
        "severity": found.severity,
        "seen_at": now,
    }
    rows = Finding.objects.filter(kind=found.kind, object_key=found.object_key, closed_at__isnull=True)
    if rows.update(**values):
        return False
    try:
        with transaction.atomic():
            Finding.objects.create(
                kind=found.kind, object_key=found.object_key, platform=found.platform, own_party=found.own_party,
                opened_at=now, **values,
            )  # fmt: skip
    except IntegrityError:
        # Another check was faster with the same.
        return False
    log.error("finding.opened kind=%s object=%s severity=%s", found.kind, found.object_key, found.severity)
    return True


def close(*, kind: str, object_key: str, now: datetime) -> bool:
    """Close the open finding about one object; True when there was one."""
    rows = Finding.objects.filter(kind=kind, object_key=object_key, closed_at__isnull=True)
    return bool(rows.update(closed_at=now))


def close_others(*, kind: str, still_found: Collection[str], now: datetime) -> int:
    """Close what a complete check of a kind has not found any more; returns how many."""
    rows = Finding.objects.filter(kind=kind, closed_at__isnull=True).exclude(object_key__in=still_found)
    return rows.update(closed_at=now)


def is_open(*, kind: str, object_key: str) -> bool:
    """Whether there is an open finding about an object."""
    return Finding.objects.filter(kind=kind, object_key=object_key, closed_at__isnull=True).exists()
