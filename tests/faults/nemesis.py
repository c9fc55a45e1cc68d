"""Kills what it may kill, at random moments, and counts."""

import itertools
import random
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import redis

from tests.faults.rig import PRODUCE
from tests.stacks import RunningStack, kill

OFTEN = ("worker", "pool process", "pool process", "sweep", "sweep", "producer")
# By the number of the strike: each takes more down than one process.
RARE = {6: "flush", 11: "redis", 16: "flush", 21: "postgres"}
ENOUGH = 28


@dataclass
class Producer:
    """The process that makes the charges: started again whenever it was killed, until its work is done."""

    stack: RunningStack
    count: int
    process: subprocess.Popen[bytes] | None = None
    faults: int = 0

    def look_after(self) -> bool:
        """Start it if it does not run; returns whether all charges are made."""
        code = None if self.process is None else self.process.poll()
        if code == 0:
            return True
        # An end of its own can be a database that was away; many of them are a fault.
        self.faults += code is not None and code > 0
        assert self.faults < 10, f"the producer fails by itself\n{self.stack.story()}"
        if self.process is None or code is not None:
            self.process = self.stack.spawn(*PRODUCE, "charge", "--count", str(self.count))
        return False


@dataclass
class Nemesis:
    """One fault after the other, a second or two apart, until there were enough; ``done`` counts them."""

    stack: RunningStack
    producer: Producer
    chance: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nemesis", daemon=True)

    @property
    def is_satisfied(self) -> bool:
        """Whether enough has been done: on a machine that starts processes slowly nothing else would get on."""
        return self.done.total() >= ENOUGH

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the fault that is being made."""
        self._stopping.set()
        self._thread.join(30)

    def strike(self, name: str) -> None:
        """Make one fault of this kind now, if its victim is alive."""
        faults: dict[str, Callable[[], bool]] = {
            "worker": self._kill_worker,
            "pool process": self._kill_pool_process,
            "sweep": lambda: self._kill(self.stack.pid("sweep")),
            "producer": self._kill_producer,
            "flush": self._flush,
            "redis": self._kill_redis,
            "postgres": self._crash_postgres,
        }
        if faults[name]():
            self.done[name] += 1

    def _run(self) -> None:
        for count in itertools.count(1):
            if self._stopping.wait(self.chance.uniform(0.6, 2.0)) or self.is_satisfied:
                return
            self.strike(RARE.get(count) or self.chance.choice(OFTEN))

    def _kill(self, pid: int | None) -> bool:
        return pid is not None and kill(pid)

    def _kill_worker(self) -> bool:
        return self._kill(self.stack.pid("worker"))

    def _kill_pool_process(self) -> bool:
        pool = self.stack.pool_of("worker")
        return bool(pool) and self._kill(self.chance.choice(pool))

    def _kill_producer(self) -> bool:
        process = self.producer.process
        if process is None or process.poll() is not None:
            return False
        process.kill()
        return True

    def _flush(self) -> bool:
        addresses = self.stack.addresses
        assert addresses is not None
        with redis.Redis.from_url(addresses.redis_url) as client:
            try:
                client.flushall()
            except redis.RedisError:
                return False
        return True

    def _kill_redis(self) -> bool:
        return self._kill(self.stack.redis())

    def _crash_postgres(self) -> bool:
        """SIGQUIT: it ends without a checkpoint, as at a crash, and must recover from its log."""
        found = self.stack.postmaster()
        return found is not None and kill(found, signal.SIGQUIT)
