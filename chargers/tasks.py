"""Celery tasks of chargers: wake-ups without data."""

from celery import shared_task
from django.utils import timezone

from chargers import calls


@shared_task
def expire_calls() -> None:
    """Close the calls that no station answered in time."""
    calls.expire(now=timezone.now())
