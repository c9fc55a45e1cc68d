"""`manage.py simulate`: OCPP 1.6-J charge points in software, with drivers who come and go. No tables."""

import asyncio
import os
import sys
from argparse import ArgumentParser
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from chargers.simulator import ConnectorSpec, Fleet, Station, Traffic

PASSWORD_VARIABLE = "SIMULATOR_PASSWORD"  # noqa: S105 the name of a variable, not a password
REPORT_SECONDS = 10


class Command(BaseCommand):
    help = "Run simulated charge points against an OCPP 1.6-J gateway."
    requires_system_checks: list[str] = []  # noqa: RUF012  # Django declares it as a list

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--url", default="ws://127.0.0.1:9000/ocpp", help="gateway, without the identity")
        parser.add_argument("--identity", action="append", default=[], help="a station; repeat for more")
        parser.add_argument("--stations", type=int, default=0, help="number of stations PREFIX-001, ...")
        parser.add_argument("--prefix", default="SIM")
        parser.add_argument("--connectors", type=int, default=2, help="per station")
        parser.add_argument("--max-w", type=Decimal, default=Decimal(22_000), help="per connector")
        parser.add_argument("--speed", type=Decimal, default=Decimal(1), help="energy: 60 = an hour a minute")
        parser.add_argument("--meter-interval", type=int, default=60, help="seconds between MeterValues")
        parser.add_argument("--id-tag", action="append", default=[], help="card of a driver; repeat for more")
        parser.add_argument("--arrivals-per-hour", type=float, default=1.0, help="per free connector")
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument(
            "--duration", type=float, default=None, help="seconds; without end when not given"
        )
        parser.add_argument("--state-dir", type=Path, default=None, help="where stations keep their queues")
        parser.add_argument("--quiet", action="store_true", help="totals only")

    def handle(self, *args: Any, **options: Any) -> None:
        password = os.environ.get(PASSWORD_VARIABLE, "")
        if not password:
            raise CommandError(f"set {PASSWORD_VARIABLE} to the stations' password")
        identities = list(options["identity"])
        identities += [f"{options['prefix']}-{number:03}" for number in range(1, options["stations"] + 1)]
        if not identities:
            raise CommandError("name stations with --identity, or say how many with --stations")
        with suppress(KeyboardInterrupt):
            asyncio.run(self._run(identities, password, options))

    async def _run(self, identities: list[str], password: str, options: dict[str, Any]) -> None:
        fleet = Fleet([self._station(identity, password, options) for identity in identities])
        await fleet.start(per_second=100)
        work = [asyncio.create_task(self._report(fleet))]
        if options["id_tag"]:
            traffic = Traffic(
                options["id_tag"], arrivals_per_hour=options["arrivals_per_hour"], seed=options["seed"]
            )
            work.append(asyncio.create_task(traffic.run(fleet)))
        try:
            done, _ = await asyncio.wait(
                work, timeout=options["duration"], return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            await fleet.stop()
            self.stdout.write(f"delivered {fleet.energy_wh() / 1000:.1f} kWh")

    def _station(self, identity: str, password: str, options: dict[str, Any]) -> Station:
        folder: Path | None = options["state_dir"]
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        return Station(
            identity,
            options["url"],
            password,
            connectors=[ConnectorSpec(max_w=options["max_w"])] * options["connectors"],
            configuration={"MeterValueSampleInterval": str(options["meter_interval"])},
            speed=options["speed"],
            state_path=folder / f"{identity}.json" if folder else None,
            on_event=None if options["quiet"] else self._show,
        )

    async def _report(self, fleet: Fleet) -> None:
        while True:
            await asyncio.sleep(REPORT_SECONDS)
            statuses = ", ".join(f"{count} {status}" for status, count in sorted(fleet.statuses().items()))
            self.stdout.write(f"{statuses}; {fleet.energy_wh() / 1000:.1f} kWh")
            sys.stdout.flush()

    def _show(self, station: Station, event: str, details: dict[str, Any]) -> None:
        facts = " ".join(f"{name}={value}" for name, value in details.items())
        self.stdout.write(f"{station.identity} {event} {facts}")
