"""Celery tasks of tokens: wake-ups without data."""

from celery import shared_task
from django.utils import timezone

from tokens import services


@shared_task
def pull_tokens() -> None:
    """Pull the token lists that are due."""
    services.pull_due_platforms(now=timezone.now())
