"""Runs a command that dies with the process that started it, whatever that one dies of (Linux).

    python -IS leash.py PARENT_PID COMMAND [ARGUMENT …]

Whoever is killed with SIGKILL cannot stop its children any more; the kernel does it instead. The command keeps
this process's id. This file is also run as a program of its own, so it imports the standard library only.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def leashed(command: Sequence[str]) -> list[str]:
    """The command line that runs ``command`` as a child of this process which cannot outlive it.

    Start it from a thread that lives as long as the child may: the kernel watches the thread.
    """
    return [sys.executable, "-IS", str(Path(__file__).resolve()), str(os.getpid()), *command]


def die_with(parent: int) -> None:
    """Let the kernel kill this process when its parent has ended; end at once when that is so already."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


if __name__ == "__main__":
    die_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606  # a command of ours
