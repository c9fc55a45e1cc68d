"""The settings of a process that a test starts and kills: with the pushes of the tests."""

from config.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.roaming.killed"]  # noqa: F405
