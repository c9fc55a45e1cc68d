"""The loop that does all periodic work without Redis: the same timetable as Celery beat, in threads."""

import logging
import threading
from collections.abc import Callable, Container

from django.db import Error, close_old_connections, connection
from django.utils.module_loading import import_string

from config.timetable import TIMETABLE, Entry

log = logging.getLogger(__name__)

# What is looked for rarely is looked for soon after a start: a process that is restarted often must not miss it.
FIRST_LOOK_SECONDS = 20.0


def run(stop: threading.Event, *, without: Container[str] = ()) -> None:
    """Run every entry of the timetable at its own pace until stopped; each has a thread and is never doubled.

    ``without`` names tasks that the caller does itself.
    """
    threads = [
        threading.Thread(target=_repeat, args=(entry, stop), name=entry.task)
        for entry in TIMETABLE
        if entry.task not in without
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _repeat(entry: Entry, stop: threading.Event) -> None:
    task: Callable[[], None] = import_string(entry.task)
    wait = min(entry.every_seconds, FIRST_LOOK_SECONDS)
    while not stop.wait(wait):
        wait = entry.every_seconds
        close_old_connections()
        try:
            task()
        except Error:
            # The database is away or busy; the work is still due at the next look.
            log.exception("sweep.database_error task=%s", entry.task)
        except Exception:
            # One broken row must not end the loop that all other work depends on.
            log.exception("sweep.fault task=%s", entry.task)
    connection.close()
