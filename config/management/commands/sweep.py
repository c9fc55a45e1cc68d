"""Everything that is due, without Redis: deliveries are looked for every second, the rest by the timetable."""

import logging
import random
import signal
import threading
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from config import sweeper
from roaming.delivery import wake
from roaming.delivery.drain import CONCURRENCY, Drainer
from roaming.hub.clients import doubt_all_lists

log = logging.getLogger(__name__)


class Command(BaseCommand):
    """The one process that an installation cannot do without."""

    help = "Send what partners are owed and do all periodic work; SIGTERM ends it after what is on its way."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--workers",
            type=int,
            default=CONCURRENCY,
            help="requests to partners at the same time (%(default)s)",
        )
        parser.add_argument("--once", action="store_true", help="send what is due now, then end")

    def handle(self, *, workers: int, once: bool, **_: Any) -> None:
        """Run until stopped; safe to kill at any moment."""
        stop = threading.Event()
        with Drainer(
            clock=timezone.now, jitter=lambda: random.uniform(-1, 1), concurrency=max(workers, 1)
        ) as drainer:
            if once:
                self.stdout.write(f"turns taken: {drainer.drain()}")
                return

            def end(*_: object) -> None:
                stop.set()
                drainer.stop()

            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, end)
            _doubt()
            periodic = threading.Thread(
                target=sweeper.run, args=(stop,), kwargs={"without": {wake.TASK}}, name="timetable"
            )
            periodic.start()
            try:
                drainer.drain_forever()
            finally:
                # Whatever ends one of the two ends the process: half of it would look alive.
                stop.set()
                periodic.join()


def _doubt() -> None:
    """We may have missed what hubs said while we were down (HCI-13); without a database the next hour brings it."""
    try:
        doubt_all_lists()
    except (DatabaseError, InterfaceError) as error:
        log.warning("sweep.lists_not_doubted reason=%s", error)
