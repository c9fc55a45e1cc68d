"""The loop that does all periodic work without Redis: the same timetable as Celery beat, in threads."""

import logging
import threading
from collections.abc import Callable

from django.db import Error, close_old_connections
from django.utils.module_loading import import_string

from config.timetable import TIMETABLE, Entry

log = logging.getLogger(__name__)


def run(stop: threading.Event) -> None:
    """Run every entry of the timetable at its own pace until stopped; each has a thread and is never doubled."""
    threads = [threading.Thread(target=_repeat, args=(entry, stop), name=entry.task) for entry in TIMETABLE]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _repeat(entry: Entry, stop: threading.Event) -> None:
    task: Callable[[], None] = import_string(entry.task)
    while not stop.wait(entry.every_seconds):
        close_old_connections()
        try:
            task()
        except Error:
            # The database is away or busy; the work is still due at the next look.
            log.exception("sweep.database_error task=%s", entry.task)
        except Exception:
            # One broken row must not end the loop that all other work depends on.
            log.exception("sweep.fault task=%s", entry.task)
