"""`python -m bench`: everything side by side on this machine, in one run; only the ratios mean anything.

It brings its own database and servers, in a folder that is gone afterwards, and prints a table.
"""

import argparse
import contextlib
import importlib
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.core.management import call_command
from django.utils import timezone

from bench import table
from bench.servers import installation
from config.datadir import ROOT

# Part → module.
PARTS = {
    "serving": "serving",
    "core": "core",
    "fanout": "fanout",
    "hub": "hub",
    "broadcast": "hub_broadcast",
    "getall": "hub_get_all",
}
DOCUMENT = ROOT / "docs" / "performance.md"


def main() -> None:
    """Measure, print, and with --write put the figures into docs/performance.md."""
    options = _options()
    began = time.monotonic()
    with _folder(options.folder) as folder, installation(folder):
        django.setup()
        rows = list(_measured(options, began))
    text = f"{_heading(quick=options.quick)}\n\n{table.markdown(rows)}"
    print(f"\n{text}\n\n{time.monotonic() - began:.0f} s")
    if options.write:
        table.write(DOCUMENT, text)


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds on fewer rows: about a minute")
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    parser.add_argument("--folder", type=Path, help="keep the database there and use it again")
    return parser.parse_args()


@contextlib.contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="yardgate-bench-") as name:
        # The embedded PostgreSQL runs as a user of its own and must reach its files.
        Path(name).chmod(0o755)
        yield Path(name)


def _measured(options: Any, began: float) -> Iterator[table.Row]:
    call_command("migrate", verbosity=0)
    # Models can be imported only now.
    planting = importlib.import_module("bench.seed")
    size = planting.QUICK if options.quick else planting.FULL
    seed = planting.found() or planting.plant(size, now=timezone.now())
    print(f"planted after {time.monotonic() - began:.0f} s", flush=True)
    for name in PARTS if options.only is None else [options.only]:
        part = importlib.import_module(f"bench.{PARTS[name]}")
        for row in part.measure(seed, quick=options.quick, now=timezone.now()):
            print(table.line(row), flush=True)
            yield row


def _heading(*, quick: bool) -> str:
    length = "quick run" if quick else "full run"
    return (
        f"{timezone.now():%Y-%m-%d}, {length}, {os.cpu_count()} cores shared with the load generator and the database, "
        f"Python {platform.python_version()}, {platform.system()} {platform.machine()}."
    )


if __name__ == "__main__":
    main()
