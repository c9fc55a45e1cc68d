"""Celery tasks of locations: wake-ups without data."""

from celery import shared_task
from django.utils import timezone

from locations import services


@shared_task
def refresh_views() -> None:
    """Render the views whose time has come, such as those of stations that stayed away."""
    services.refresh_all_due_views(now=timezone.now())
