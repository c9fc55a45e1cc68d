"""The only timetable: what is looked for, and how often. Celery beat and `manage.py sweep` both follow it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One task without arguments and the seconds between two looks."""

    task: str
    every_seconds: float


TIMETABLE = (
    Entry("access.tasks.sweep_edges", 1),
    Entry("charging.tasks.sweep_charging", 2),
    Entry("chargers.tasks.expire_calls", 2),
    Entry("roaming.tasks.drain_lanes", 15),
    Entry("roaming.tasks.check_silent_platforms", 15),
    # These two look for platforms whose hour has come, and for new ones.
    Entry("roaming.tasks.pull_clients", 60),
    Entry("tokens.tasks.pull_tokens", 60),
    Entry("locations.tasks.refresh_views", 15),
    Entry("access.tasks.extend_horizon", 6 * 3600),
    # Goes on with the comparisons that are due, at night once a day each; bounded to half a minute.
    Entry("roaming.tasks.compare_copies", 30),
    Entry("roaming.tasks.check_delivery_ages", 300),
    # Looks often, but tells each partner at most once an hour, at a moment of its own.
    Entry("roaming.tasks.announce_changes", 60),
    Entry("charging.tasks.check_transactions", 900),
)
