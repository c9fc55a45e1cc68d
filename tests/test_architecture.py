"""The import line and the purity of the pure modules, read from the source."""

import ast
from pathlib import Path

import pytest

from config.datadir import ROOT

LINE = [
    "config",
    "chargers",
    "charging",
    "access",
    "cdrs",
    "sessions",
    "locations",
    "tariffs",
    "tokens",
    "roaming",
    "ocpi",
]
FORBIDDEN_IN_PURE = {"django", "rest_framework", "celery", "httpx", "httpcore", "redis", "psycopg"}
IMPURE_SIBLINGS = {"models", "services", "views", "tasks", "pushes", "admin", "wire"}


def modules(package: str) -> list[Path]:
    return [path for path in (ROOT / package).rglob("*.py") if "migrations" not in path.parts]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def is_pure(path: Path) -> bool:
    return "[pure]" in (ast.get_docstring(ast.parse(path.read_text())) or "")


@pytest.mark.parametrize("package", LINE)
def test_a_package_imports_only_packages_to_its_right(package: str) -> None:
    forbidden = set(LINE[: LINE.index(package)])
    upward = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in modules(package)
        for name in imports(path)
        if name.split(".")[0] in forbidden
    }
    assert upward == set()


PURE = [path for package in LINE for path in modules(package) if is_pure(path)]


def test_the_rules_of_the_core_are_pure() -> None:
    named = {str(path.relative_to(ROOT)) for path in PURE}
    wanted = {
        "access/windows.py", "access/decide.py", "access/views_at.py", "tariffs/pricing.py", "tariffs/lint.py",
        "cdrs/build.py", "cdrs/lint.py", "sessions/periods.py", "ocpi/codec.py", "ocpi/headers.py",
        "ocpi/paging.py", "ocpi/status.py", "locations/publication.py", "roaming/delivery/answers.py",
    }  # fmt: skip
    assert wanted - named == set()


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_pure_module_imports_no_framework_and_no_rows(path: Path) -> None:
    names = imports(path)
    assert {name for name in names if name.split(".")[0] in FORBIDDEN_IN_PURE} == set()
    ours = {name for name in names if name.split(".")[0] in LINE}
    assert {name for name in ours if name.split(".")[-1] in IMPURE_SIBLINGS and name.count(".") == 1} == set()


CLIENTS = {"httpcore", "httpx", "requests", "aiohttp", "urllib.request", "http.client", "urllib3"}


def test_only_the_one_client_opens_connections_to_partners() -> None:
    allowed = {"ocpi/client.py", "ocpi/network.py", "config/stack.py"}
    users = {
        str(path.relative_to(ROOT))
        for package in LINE
        for path in modules(package)
        if imports(path) & CLIENTS and "simulator" not in path.parts
    }
    assert users - allowed == set()
