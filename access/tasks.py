"""Celery tasks of access: wake-ups without data."""

from celery import shared_task
from django.utils import timezone

from access import edges, horizon


@shared_task
def sweep_edges() -> None:
    """Tell partners about the edges that are due."""
    edges.sweep(now=timezone.now())


@shared_task
def extend_horizon() -> None:
    """Publish all Locations again, so that schedules and edges reach 14 days ahead."""
    horizon.extend(now=timezone.now())
