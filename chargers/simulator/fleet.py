"""Many stations in one process, and drivers who come and go."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chargers.simulator.station import Station
from chargers.simulator.vehicle import Vehicle


class Fleet:
    """Stations that live and stop together."""

    def __init__(self, stations: Sequence[Station]) -> None:
        self.stations = {station.identity: station for station in stations}

    async def start(self, *, per_second: float | None = None) -> None:
        """Switch all stations on, `per_second` at a time when given, as after a power cut otherwise."""
        for station in self.stations.values():
            station.start()
            if per_second is not None:
                await asyncio.sleep(1 / per_second)

    async def wait_for_all(self, condition: Callable[[Station], bool], *, timeout: float = 60) -> None:
        """Wait until `condition` holds for every station at the same or different moments."""
        waits = (station.wait_for(condition, timeout=timeout) for station in self.stations.values())
        await asyncio.gather(*waits)

    async def stop(self) -> None:
        """Switch all stations off."""
        await asyncio.gather(*(station.stop() for station in self.stations.values()))

    def statuses(self) -> Counter[str]:
        """How many connectors have which status; those of offline stations count as "offline"."""
        return Counter(
            connector.status if station.is_online else "offline"
            for station in self.stations.values()
            for connector in station.connectors.values()
        )

    def energy_wh(self) -> Decimal:
        """What all meters together show above their first reading."""
        return sum(
            (
                connector.meter_wh - connector.spec.meter_wh
                for station in self.stations.values()
                for connector in station.connectors.values()
            ),
            Decimal(0),
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Drivers with cards who arrive at random, charge until they have enough, and leave.

    Times and power are simulated: at a station of speed 60 a stay of an hour takes a minute.
    """

    id_tags: Sequence[str]
    arrivals_per_hour: float = 1.0  # per connector, while it is free
    stay_hours: tuple[float, float] = (0.5, 3.0)
    seed: int = 1

    async def run(self, fleet: Fleet) -> None:
        """Let drivers come to every connector, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for station in fleet.stations.values():
                for number in station.connectors:
                    luck = random.Random(f"{self.seed} {station.identity} {number}")
                    tasks.create_task(self._visits(station, number, luck))

    async def _visits(self, station: Station, number: int, luck: random.Random) -> None:
        hour_seconds = 3600 / float(station.state.speed)
        while True:
            await asyncio.sleep(luck.expovariate(self.arrivals_per_hour) * hour_seconds)
            connector = station.connectors[number]
            if not station.is_registered or connector.status != "Available":
                continue
            station.plug(number, self._vehicle(luck))
            id_tag = luck.choice(self.id_tags)
            if await station.tap(number, id_tag) == "Accepted":
                await asyncio.sleep(luck.uniform(*self.stay_hours) * hour_seconds)
                if connector.transaction is not None:
                    await station.tap(number, id_tag)
            station.unplug(number)

    @staticmethod
    def _vehicle(luck: random.Random) -> Vehicle:
        return Vehicle(
            capacity_kwh=Decimal(luck.choice((40, 58, 77, 105, 350))),
            soc_percent=Decimal(luck.randint(10, 70)),
            max_w=Decimal(luck.choice((7_400, 11_000, 22_000, 50_000, 150_000))),
        )
