"""`manage.py load_depot FILE`: bring a site into the state that its file describes."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from config import depot_file, depots


class Command(BaseCommand):
    help = "Load a depot file: site, stations, tariffs, bays, windows, grants. Idempotent; all or nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path)
        parser.add_argument("--json", action="store_true", help="print what changed as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        try:
            file = depot_file.read(path)
            report = depots.load(file=file, now=timezone.now())
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}") from error
        except depot_file.DepotFileError as error:
            raise CommandError(f"{path} was not loaded, nothing has changed:\n{error}") from error
        except depots.NotHere as error:
            line = depot_file.Lines(yaml.compose(path.read_text(), Loader=yaml.SafeLoader)).of(error.path)
            raise CommandError(
                f"{path} was not loaded, nothing has changed:\nline {line}: {error}"
            ) from error
        if options["json"]:
            self.stdout.write(json.dumps(asdict(report)))
            return
        for row in report.created:
            self.stdout.write(f"created  {row}")
        for row in report.changed:
            self.stdout.write(f"changed  {row}")
        self.stdout.write(f"{report.unchanged} unchanged")
