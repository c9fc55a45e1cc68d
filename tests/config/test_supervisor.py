"""Children of a stack: started again when they die, ended in order, and never left behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from config.datadir import ROOT
from config.supervisor import Supervisor, end_leftovers
from tests.stacks import is_alive, kill, wait_for

SLEEP = [sys.executable, "-IS", "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable, "-IS", "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)",
]  # fmt: skip
WITH_A_CHILD = [
    sys.executable, "-IS", "-c",
    "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); time.sleep(60)",
]  # fmt: skip


@pytest.fixture
def supervisor(tmp_path: Path):
    made = Supervisor(tmp_path, {"YARDGATE_DATA": str(tmp_path)}, stop_seconds=1)
    yield made
    made.stop()


def pid_of(supervisor: Supervisor, name: str) -> int:
    return int((supervisor.folder / "logs" / f"{name}.pid").read_text())


def said(supervisor: Supervisor, name: str) -> str:
    file = supervisor.folder / "logs" / f"{name}.log"
    assert wait_for(lambda: file.read_text().endswith("\n"), 10)
    return file.read_text().strip()


def checked_until(supervisor: Supervisor, condition, seconds: float = 10) -> bool:
    def look() -> bool:
        supervisor.check()
        return condition()

    return wait_for(look, seconds, every=0.02)


def test_a_child_that_was_killed_is_started_again(supervisor: Supervisor) -> None:
    supervisor.start("web", SLEEP)
    first = pid_of(supervisor, "web")
    kill(first)
    assert checked_until(supervisor, lambda: pid_of(supervisor, "web") != first)
    assert is_alive(pid_of(supervisor, "web"))


def test_children_of_a_killed_child_do_not_live_on(supervisor: Supervisor) -> None:
    supervisor.start("worker", WITH_A_CHILD)
    grandchild = int(said(supervisor, "worker"))
    kill(pid_of(supervisor, "worker"))
    assert checked_until(supervisor, lambda: not is_alive(grandchild))


def test_a_child_that_dies_at_once_is_started_less_and_less_often(supervisor: Supervisor) -> None:
    supervisor.start("gateway", [sys.executable, "-IS", "-c", "print('no')"])
    (child,) = supervisor.children
    waits = []
    for deaths in (1, 2, 3):
        assert checked_until(supervisor, lambda count=deaths: child.quick_deaths == count)
        waits.append(child.restart_at - child.started_at)
    assert [waits[0] < 2, 2 <= waits[1] < 4, 4 <= waits[2] < 6] == [True, True, True]
    assert said(supervisor, "gateway").split() == ["no"] * 3


def test_stop_kills_what_does_not_end(supervisor: Supervisor) -> None:
    supervisor.start("web", SLEEP)
    supervisor.start("sweep", STUBBORN)
    said(supervisor, "sweep")
    family = [pid_of(supervisor, "web"), pid_of(supervisor, "sweep")]
    supervisor.stop()
    codes = [child.process.returncode for child in supervisor.children if child.process]
    assert codes == [-signal.SIGTERM, -signal.SIGKILL]
    assert [is_alive(pid) for pid in family] == [False, False]


def test_a_stopping_supervisor_starts_nothing(supervisor: Supervisor) -> None:
    supervisor.start("web", SLEEP)
    supervisor.stop()
    supervisor.check()
    assert not is_alive(pid_of(supervisor, "web"))


def test_a_child_dies_with_its_supervisor(tmp_path: Path) -> None:
    """SIGKILL leaves nobody behind who could stop the children: the kernel does it."""
    script = (
        "import sys, time; from pathlib import Path; from config.supervisor import Supervisor\n"
        f"supervisor = Supervisor(Path({str(tmp_path)!r}), {{}})\n"
        f"supervisor.start('sweep', {SLEEP!r})\n"
        "print('started', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        child = int((tmp_path / "logs" / "sweep.pid").read_text())
        assert is_alive(child)
        parent.kill()
    assert wait_for(lambda: not is_alive(child), 5)


def test_leftovers_are_ended_and_an_operators_own_command_is_not(supervisor: Supervisor) -> None:
    supervisor.start("web", WITH_A_CHILD)
    grandchild = int(said(supervisor, "web"))
    family = [pid_of(supervisor, "web"), grandchild]
    environment = os.environ | {"YARDGATE_DATA": str(supervisor.folder)}
    with subprocess.Popen(SLEEP, env=environment) as own:
        assert end_leftovers(supervisor.folder) == 2
        assert wait_for(lambda: not any(is_alive(pid) for pid in family), 5)
        assert own.poll() is None
        own.kill()


def test_what_was_never_started_has_no_leftovers(tmp_path: Path) -> None:
    assert end_leftovers(tmp_path) == 0
