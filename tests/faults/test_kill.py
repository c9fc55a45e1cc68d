"""Nothing is lost, doubled or altered, whatever is killed (delivery.md 3 and 4.9)."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.faults.nemesis import Nemesis, Producer
from tests.faults.rig import Rig, a_rig
from tests.stacks import wait_for

pytestmark = pytest.mark.faults

CHARGES = 500


def test_kill(test_data_dir: Path) -> None:
    """Faults 17, 18, 20, 21, 24: 500 charges for three partners, two of them bad, under a nemesis."""
    seed = int(os.environ.get("YARDGATE_SEED") or random.SystemRandom().randrange(10**6))
    began = time.monotonic()
    with a_rig(test_data_dir) as rig:
        misbehave(rig)
        producer = Producer(rig.stack, CHARGES)
        nemesis = Nemesis(rig.stack, producer, random.Random(seed))
        print(f"YARDGATE_SEED={seed}, ready after {time.monotonic() - began:.0f} s")
        nemesis.start()
        try:
            made = wait_for(lambda: producer.look_after() and nemesis.is_satisfied, 180)
        finally:
            nemesis.stop()
        print(f"{time.monotonic() - began:.0f} s: {dict(sorted(nemesis.done.items()))}")
        assert made, f"the charges were not made in time\n{rig.stack.story()}"
        rig.wait_until_all_is_told(120)
        rig.require_exactly_once(CHARGES)
        rig.require_present_states(CHARGES)
        rig.require_no_lease_is_held()
        print(f"{time.monotonic() - began:.0f} s: {rig.history()}")


def misbehave(rig: Rig) -> None:
    """One partner fails at every fifth request in three ways, one stores and then hangs up, one is healthy."""
    functional = "/2.2.1/"
    failing, forgetful = rig.partners["NLM"], rig.partners["VLO"]
    failing.fail("http", on=functional, status=500, rate=0.07)
    failing.fail("code", on=functional, status=3001, rate=0.07)
    failing.fail("drop", on=functional, rate=0.07)
    forgetful.fail("drop_after_storing", on="/cdrs", rate=0.3)
    # Each costs the lane a second of rest, and sessions are told more often than CDRs.
    forgetful.fail("drop_after_storing", on="/sessions/", rate=0.1)


def test_redis_away(test_data_dir: Path) -> None:
    """Fault 22: no Redis from the first to the last moment; the sweep delivers everything."""
    with a_rig(test_data_dir, REDIS_URL="redis://127.0.0.1:1/0") as rig:
        sweep = rig.stack.pid("sweep")
        rig.charge(60)
        rig.wait_until_all_is_told(60, passing=0)
        rig.require_exactly_once(60)
        rig.require_present_states(60)
        assert rig.senders() == {sweep}
        assert rig.stack.redis() is None


def test_celery_alone(test_data_dir: Path) -> None:
    """Without the sweep the Celery workers deliver, woken by Redis."""
    with a_rig(test_data_dir, "--without", "sweep") as rig:
        workers = set(rig.stack.pool_of("worker"))
        rig.charge(60)
        rig.wait_until_all_is_told(60, passing=0)
        rig.require_exactly_once(60)
        rig.require_present_states(60)
        assert rig.senders() <= workers
