"""The Celery app: wake-ups and the timetable. Messages carry no data; without Celery, `manage.py sweep` does all of it."""

import os

from celery import Celery
from celery.signals import worker_process_init
from kombu import Queue

from config.leash import die_with
from config.timetable import TIMETABLE

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("yardgate")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

# Deliveries have a queue of their own: a worker of their own may serve it (`--queues delivery`), so that a
# partner that hangs never keeps the bays waiting. A worker without `--queues` serves both.
app.conf.task_default_queue = "celery"
app.conf.task_queues = (Queue("celery"), Queue("delivery"))
app.conf.task_routes = {"roaming.tasks.drain_lanes": {"queue": "delivery"}}
app.conf.beat_schedule = {
    # A look that nobody took before the next one is due is worth nothing.
    entry.task: {
        "task": entry.task,
        "schedule": entry.every_seconds,
        "options": {"expires": entry.every_seconds},
    }
    for entry in TIMETABLE
}


@worker_process_init.connect(weak=False)
def _end_with_the_worker(**_: object) -> None:
    """A pool process whose worker was killed would wait for work for ever."""
    die_with(os.getppid())
