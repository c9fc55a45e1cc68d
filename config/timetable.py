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
    # Looks for platforms whose hour has come, and for new ones.
    Entry("tokens.tasks.pull_tokens", 60),
    Entry("locations.tasks.refresh_views", 15),
    Entry("roaming.tasks.sweep_hub", 600),
    Entry("access.tasks.extend_horizon", 6 * 3600),
)
