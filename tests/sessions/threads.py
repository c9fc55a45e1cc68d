"""Real concurrency: each thread has a connection to PostgreSQL of its own."""

import threading
from collections.abc import Callable
from typing import Any

from django.db import connection


def in_threads(*actions: Callable[[], Any]) -> list[Any]:
    """Run actions at the same moment, each on a connection of its own; returns results and exceptions."""
    barrier = threading.Barrier(len(actions))
    results: list[Any] = [None] * len(actions)

    def run(position: int, action: Callable[[], Any]) -> None:
        try:
            barrier.wait(timeout=10)
            results[position] = action()
        except Exception as error:
            results[position] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=each) for each in enumerate(actions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return results
