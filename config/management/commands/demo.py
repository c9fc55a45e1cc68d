"""`manage.py demo`: a whole installation that plays the story, checks it, and stays to look around in."""

import os
import secrets
import shutil
import signal
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from config import datadir
from config.binding import Binding
from config.stack import Cancelled, Stack
from demo.stage import Checks
from demo.story import Story

LOGINS = (("operator", "Operators"), ("finance", "Finance"))
OPERATOR = "BE-YRD"
MARK = "made-by-demo"


class Command(BaseCommand):
    help = (
        "Start everything on this machine, play the story over real protocols, print PASS/FAIL, stay running."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django declares it as a list

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--headless", action="store_true", help="play, check, stop; exit code 0 or 1; any free ports"
        )
        parser.add_argument("--http", default="", help="HOST:PORT of web (default 127.0.0.1:8000)")
        parser.add_argument("--ocpp", default="", help="HOST:PORT for stations (default 127.0.0.1:9000)")
        parser.add_argument(
            "--data", default=str(datadir.data_dir() / "demo"), help="data folder, emptied at the start"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        headless = options["headless"]
        try:
            stack = Stack(
                folder=_fresh_folder(Path(options["data"]).resolve()),
                http=Binding.parse(options["http"] or ("127.0.0.1:0" if headless else "127.0.0.1:8000")),
                ocpp=Binding.parse(options["ocpp"] or ("127.0.0.1:0" if headless else "127.0.0.1:9000")),
                is_cancelled=stop.is_set,
            )
            # Partners of the demo see progress every second; a real one every minute.
            os.environ["SESSION_UPDATE_SECONDS"] = "1"
            os.environ["OCPP_METER_INTERVAL_SECONDS"] = "2"
            self.stdout.write("Starting PostgreSQL, Redis, web, worker, beat, sweeper and gateway …")
            addresses = stack.start()
        except Cancelled:
            return
        except (ValueError, RuntimeError) as error:
            raise CommandError(str(error)) from error
        checks = Checks(tell=self._tell)
        story = Story(addresses.http, addresses.ocpp, stack.folder, checks)
        try:
            passed = self._play(story, stack, stop, headless=headless)
        finally:
            story.close()
            stack.stop()
        if not passed:
            raise CommandError(f"the story failed; logs are in {stack.folder / 'logs'}")

    def _play(self, story: Story, stack: Stack, stop: threading.Event, *, headless: bool) -> bool:
        watcher = threading.Thread(target=_watch, args=(stack, stop), daemon=True)
        watcher.start()
        passed = story.play()
        self._tell("\n" + story.checks.table())
        if not headless and not stop.is_set():
            self._invite_to_look_around(story, stack)
            stop.wait()
        stop.set()
        watcher.join(5)
        return passed

    def _invite_to_look_around(self, story: Story, stack: Stack) -> None:
        self._tell(f"\nadmin    {story.http}/admin/")
        for name, group in LOGINS:
            password = secrets.token_urlsafe(12)
            story.manage(
                "setup_staff",
                "--create",
                name,
                "--group",
                group,
                "--operator",
                OPERATOR,
                "--password-stdin",
                stdin=password,
            )
            self._tell(f"         {name} / {password}  ({group})")
        self._tell(f"OCPI     {story.http}/ocpi/versions   (OpenAPI: {story.http}/ocpi/2.2.1/openapi.json)")
        self._tell(f"OCPP     {story.ocpp}/GENT-01")
        self._tell(
            f"data     {stack.folder}   commands: YARDGATE_DATA={stack.folder} .venv/bin/python manage.py …"
        )
        self._tell("Partners and stations stay connected. Ctrl-C stops everything.")

    def _tell(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _watch(stack: Stack, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        stack.watch()


def _fresh_folder(folder: Path) -> Path:
    """An empty folder for this run. Errors: RuntimeError when it holds anything that no demo has made."""
    running = datadir.read_addresses(folder)
    if running is not None and Path(f"/proc/{running.pid}").exists():
        raise RuntimeError(f"a demo is already running in {folder} (process {running.pid}); stop it first")
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            raise RuntimeError(f"{folder} is not empty and was not made by the demo; choose another --data")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()
    return folder
