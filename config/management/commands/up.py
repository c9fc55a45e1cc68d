"""`manage.py up`: the whole stack in the foreground."""

import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import datadir
from config.binding import Binding
from config.stack import PROCESSES, Cancelled, Stack


class Command(BaseCommand):
    help = "Run web, Celery worker, beat, sweeper and OCPP gateway; Ctrl-C or SIGTERM stops them all."
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django declares it as a list

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--http", default="127.0.0.1:8000", help="HOST:PORT of web and OCPI (port 0: any)"
        )
        parser.add_argument(
            "--ocpp", default="127.0.0.1:9000", help="HOST:PORT for charging stations (port 0: any)"
        )
        parser.add_argument("--data", default=str(datadir.data_dir()), help="data folder (default: var/)")
        parser.add_argument("--workers", type=int, default=2, help="web worker processes")
        parser.add_argument(
            "--without",
            action="append",
            choices=PROCESSES,
            default=[],
            help="leave this process out: it runs elsewhere (repeat for several)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        try:
            stack = Stack(
                folder=Path(options["data"]).resolve(),
                http=Binding.parse(options["http"]),
                ocpp=Binding.parse(options["ocpp"]),
                workers=options["workers"],
                without=frozenset(options["without"]),
                is_cancelled=stop.is_set,
            )
            addresses = stack.start()
        except Cancelled:
            return
        except (ValueError, RuntimeError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"ready: OCPI {addresses.http}/ocpi/versions  admin {addresses.http}/admin/  OCPP {addresses.ocpp}"
        )
        self.stdout.flush()
        try:
            while not stop.wait(0.5):
                stack.watch()
        finally:
            stack.stop()
