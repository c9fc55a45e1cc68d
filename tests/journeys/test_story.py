"""The demo is the journey: partners, stations and finance against a whole stack, over real protocols."""

from pathlib import Path

import pytest

from tests.stacks import RunningStack, a_folder

pytestmark = pytest.mark.journey


def test_the_story_of_the_demo_holds(test_data_dir: Path) -> None:
    """`manage.py demo --headless`: every claim of the story holds, and nothing is left running."""
    with a_folder(test_data_dir) as below:
        stack = RunningStack(below / "demo", {"YARDGATE_DATA": str(below)})
        try:
            done = stack.run("demo", "--headless", "--data", str(stack.folder), seconds=280)
            failed = [line for line in done.stdout.splitlines() if line.lstrip().startswith("FAIL")]
            assert (done.returncode, failed) == (0, []), f"{done.stdout}\n{done.stderr}\n{stack.story()}"
            assert "0 failed" in done.stdout
            assert (stack.processes(), stack.servers()) == ([], [])
        finally:
            stack.clear()
