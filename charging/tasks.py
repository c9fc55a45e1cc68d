"""Celery tasks of charging: wake-ups without data."""

from celery import shared_task
from django.utils import timezone

from charging import checks, sweeps


@shared_task
def sweep_charging() -> None:
    """Do what time has made due at the bays."""
    sweeps.sweep(now=timezone.now())


@shared_task
def check_transactions() -> None:
    """Note charges without an end and ends without a bill."""
    checks.check_transactions(now=timezone.now())
