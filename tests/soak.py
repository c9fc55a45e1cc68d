"""`python -m tests.soak --minutes 10`: one stack, one partner and one station that charge all the time.

At the end the memory of each process must not have grown steadily, no lease may be stuck, and nothing be owed.
"""

import argparse
import sys
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from chargers.simulator import Vehicle
from config.datadir import ROOT
from demo.stage import Checks, Manage
from demo.story import Story
from tests.stacks import RunningStack, a_stack, wait_for

# A process may grow by so much per hour, seen from the first third of the run (it fills its caches) to the end.
MB_PER_HOUR = 60
SETTLE_SECONDS = 60


def main() -> int:
    """Return 0 when all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    minutes = min(parser.parse_args().minutes, 24 * 60)
    below = ROOT / "var" / "soak"
    below.mkdir(parents=True, exist_ok=True)
    checks = Checks()
    quick = {"SESSION_UPDATE_SECONDS": "1", "OCPP_METER_INTERVAL_SECONDS": "2"}
    with a_stack(below, **quick) as stack:
        assert stack.addresses is not None
        story = Story(stack.addresses.http, stack.addresses.ocpp, stack.folder, checks)
        try:
            soak(story, stack, minutes * 60)
        finally:
            story.close()
    sys.stdout.write(checks.table() + "\n")
    return 0 if checks.is_passed else 1


def soak(story: Story, stack: RunningStack, seconds: float) -> None:
    """Connect, open the depot, charge until the time is over, and look at what is left."""
    for scene in (story.meet, story.open_depot, story.look_around, story.come_too_early, story.charge_by_app):
        scene()
    samples: dict[int, list[tuple[float, float]]] = defaultdict(list)
    until, charges = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        charge(story)
        charges += 1
        for pid in stack.processes():
            samples[pid].append((time.monotonic(), resident_mb(pid)))
    expect = story.checks.expect
    expect(charges > 0, "cards charged all the time", f"{charges} times in {seconds / 60:.0f} min")
    settled = wait_for(lambda: not leftovers(stack), SETTLE_SECONDS)
    expect(settled, "no lease is stuck, nothing is owed", leftovers(stack))
    for pid, seen in samples.items():
        name = next(
            (each for each in ("web", "gateway", "worker", "beat", "sweep") if stack.pid(each) == pid), pid
        )
        expect(growth(seen) < MB_PER_HOUR, f"{name} does not grow", f"{growth(seen):+.0f} MB an hour")
    expect(Manage(stack.folder).json("check_books")["is_balanced"], "the books agree")


def charge(story: Story) -> None:
    """One driver comes by card, charges for some seconds, and leaves."""
    station, uid = story.stations.fast, story.card["uid"]
    story.stations.run(lambda: station.plug(1, Vehicle(max_w=Decimal(150_000))))
    story.stations.do(station.tap(1, uid))
    story.taxi.wait_until(lambda: story._session_of(uid).get("status") == "ACTIVE", 20)
    time.sleep(3)
    story.stations.do(station.tap(1, uid))
    story.taxi.wait_until(lambda: story._session_of(uid).get("status") == "COMPLETED", 20)
    story.stations.run(lambda: station.unplug(1))
    story.taxi.forget()


def leftovers(stack: RunningStack) -> list[tuple[str, int]]:
    """Leases that are held beyond their time, and what is not delivered."""
    rows = stack.rows(
        "SELECT 'lease', count(*) FROM roaming_lane WHERE lease_token IS NOT NULL AND lease_until < now()"
        " UNION ALL SELECT 'owed', count(*) FROM roaming_obligation WHERE state = 'PENDING'"
    )
    return [(str(name), int(count)) for name, count in rows if count]


def growth(seen: list[tuple[float, float]]) -> float:
    """Slope in MB per hour by least squares, without the first third; 0 when there is too little to tell."""
    points = seen[len(seen) // 3 :]
    if len(points) < 3:
        return 0.0
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return 3600 * sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


def resident_mb(pid: int) -> float:
    """Resident memory of a process, 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in text.splitlines() if line.startswith("VmRSS")), 0.0)


if __name__ == "__main__":
    sys.exit(main())
