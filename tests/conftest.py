"""A real PostgreSQL for the tests: of DATABASE_URL when given, else the embedded one in its own data folder."""

import os
from pathlib import Path

import environ
import pytest
from django.db import connections

from config import embedded
from config.datadir import ROOT
from roaming import throttle


@pytest.fixture(scope="session")
def test_data_dir() -> Path:
    """Where the servers of this test run keep their data."""
    folder = Path(os.environ.get("YARDGATE_TEST_DATA") or ROOT / "var" / "test")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def django_db_modify_db_settings(test_data_dir: Path, request: pytest.FixtureRequest) -> None:
    """Point Django at the test server before the test database is made; each xdist worker has its own."""
    url = os.environ.get("DATABASE_URL") or embedded.start_postgres(test_data_dir, durable=False)
    settings = connections["default"].settings_dict
    given = environ.Env.db_url_config(url)
    # The engine stays ours, for threads too: they make their connections from these settings.
    settings.update(
        given | {"ENGINE": settings["ENGINE"], "OPTIONS": settings["OPTIONS"] | given.get("OPTIONS", {})}
    )
    settings["CONN_HEALTH_CHECKS"] = False
    # Sealed tables refuse TRUNCATE; tests with real transactions empty their own database by it.
    settings["OPTIONS"]["options"] += " -c yardgate.allow_truncate=on"
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    settings["TEST"]["NAME"] = f"test_{settings['NAME']}{'_' + worker if worker else ''}"


@pytest.fixture(autouse=True)
def fresh_buckets() -> None:
    """Let no test be held up by the requests of another."""
    throttle.LOCAL.full_at.clear()
