"""Celery tasks of charging: wake-ups without data."""

from celery import shared_task
from django.utils import timezone

from charging import sweeps


@shared_task
def sweep_charging() -> None:
    """Do what time has made due at the bays."""
    sweeps.sweep(now=timezone.now())
