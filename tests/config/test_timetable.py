"""One timetable for Celery beat and for the sweep."""

import inspect

import pytest
from celery import Task
from django.utils.module_loading import import_string

from config.celery import app
from config.timetable import TIMETABLE, Entry
from roaming.delivery.wake import TASK


@pytest.mark.parametrize("entry", TIMETABLE, ids=lambda entry: entry.task)
def test_an_entry_is_a_task_without_arguments(entry: Entry) -> None:
    task = import_string(entry.task)
    assert isinstance(task, Task)
    assert task.name == entry.task
    assert list(inspect.signature(task.run).parameters) == []
    assert entry.every_seconds > 0


def test_beat_follows_the_timetable_and_nothing_else() -> None:
    beat = {name: (each["task"], each["schedule"]) for name, each in app.conf.beat_schedule.items()}
    assert beat == {entry.task: (entry.task, entry.every_seconds) for entry in TIMETABLE}


def test_lanes_are_looked_at_by_beat_even_if_nobody_is_woken() -> None:
    """What the sweep leaves out of its timetable, since it sends all the time, is in it by this name."""
    assert TASK in {entry.task for entry in TIMETABLE}
