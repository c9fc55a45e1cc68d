"""Celery tasks of roaming: wake-ups without data."""

import random

from celery import shared_task
from django.utils import timezone

from roaming.delivery.drain import Drainer
from roaming.hub import relays, trails

# With one deadline of 20 s after it this stays below the soft time limit of tasks.
DRAIN_SECONDS = 10.0


@shared_task
def drain_lanes() -> None:
    """Send what is due; 0, 1 or 4 of these at the same time are the same."""
    with Drainer(clock=timezone.now, jitter=lambda: random.uniform(-1, 1)) as drainer:
        drainer.drain(for_seconds=DRAIN_SECONDS)


@shared_task
def sweep_hub() -> None:
    """Forget the URLs of the hub that are over, and whom ids concerned long ago."""
    now = timezone.now()
    relays.sweep_relays(now=now)
    trails.sweep_trails(now=now)
