"""Starts the eMSP that is not ours, in its own environment, and talks to its remote control."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from config.datadir import ROOT
from demo.http import request, to_json
from tests.stacks import wait_for

PYTHON = ROOT / "var" / "interop-venv" / "bin" / "python"
START_SECONDS = 60


@dataclass(frozen=True)
class Peer:
    """A running platform on extrawest-ocpi."""

    url: str

    def do(self, order: str, **values: Any) -> Any:
        """Give one order and return what came of it."""
        headers = {"Content-Type": "application/json"}
        answer = request("POST", f"{self.url}/drive/{order}", body=to_json(values), headers=headers)
        assert answer.http_status == 200, answer.body
        return json.loads(answer.body)

    def memory(self) -> Any:
        """All that it knows: objects by module and id, what it was asked, its log."""
        return json.loads(request("GET", f"{self.url}/drive/memory", body=None, headers={}).body)

    def objects(self, module: str) -> dict[str, Any]:
        """What it holds of one module, by id in lower case."""
        held: dict[str, Any] = self.memory()["objects"].get(module, {})
        return held

    def log(self) -> list[tuple[str, str, int]]:
        """Method, path and HTTP status of each request that it got."""
        return [tuple(each) for each in self.memory()["log"]]


@contextmanager
def a_peer() -> Iterator[Peer]:
    """Run the platform until the end of the block."""
    if not PYTHON.exists():
        pytest.fail("the other side has no environment yet: run `make test-interop`")
    process = subprocess.Popen(
        [PYTHON, "-m", "peer"], cwd=ROOT / "tests" / "interop", stdout=subprocess.PIPE, text=True,
        env={"PYTHONDONTWRITEBYTECODE": "1", "ENVIRONMENT": "production"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        assert wait_for(lambda: _is_up(url), START_SECONDS)
        yield Peer(url)
    finally:
        process.terminate()
        process.wait(10)


def _is_up(url: str) -> bool:
    try:
        return request("GET", f"{url}/drive/memory", body=None, headers={}).http_status == 200
    except OSError:
        return False
