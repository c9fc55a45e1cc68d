"""Celery tasks of roaming: wake-ups without data."""

import random

from celery import shared_task
from django.utils import timezone

from roaming import handshake
from roaming.checks.ages import check_ages
from roaming.checks.rounds import compare_due
from roaming.delivery.drain import Drainer
from roaming.delivery.services import release_missed
from roaming.hub import clients, presence

# With one deadline of 20 s after it this stays below the soft time limit of tasks.
DRAIN_SECONDS = 10.0


@shared_task
def drain_lanes() -> None:
    """Send what is due; 0, 1 or 4 of these at the same time are the same."""
    with Drainer(clock=timezone.now, jitter=lambda: random.uniform(-1, 1)) as drainer:
        drainer.drain(for_seconds=DRAIN_SECONDS)


@shared_task
def check_silent_platforms() -> None:
    """Ask platforms that have been silent for long whether they are still there."""
    release_missed()
    presence.check_silent(clock=timezone.now)


@shared_task
def pull_clients() -> None:
    """Read the lists of clients of the hubs whose time has come."""
    clients.pull_due_lists(now=timezone.now())


@shared_task
def compare_copies() -> None:
    """Go on comparing what partners hold with what we sent."""
    compare_due(clock=timezone.now)


@shared_task
def check_delivery_ages() -> None:
    """Note who waits too long."""
    check_ages(now=timezone.now())


@shared_task
def announce_changes() -> None:
    """Tell partners that know other endpoints or roles of us; each waits its own part of an hour."""
    handshake.announce_due_changes(now=timezone.now())
