"""Writes docs/conformance.md: which OCPI requirement is proved by which test, read from the tests' own words.

A test proves a requirement when its docstring, its name's comment or a parameter names the id. Run
`python -m tests.conformance` after adding tests; `tests/test_conformance.py` fails when the document is stale.
"""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "conformance.md"

# Group prefix, number of requirements, chapter, and where the product implements it.
GROUPS = (
    ("AUT", 10, "Authorization header", "ocpi/headers.py, roaming/auth.py"),
    ("HTP", 14, "Methods, URLs, JSON", "ocpi/middleware.py, ocpi/http.py, ocpi/client.py"),
    ("ENV", 9, "Response envelope", "ocpi/http.py, ocpi/client.py"),
    ("PAG", 14, "Pagination", "ocpi/paging.py, ocpi/views.py, tokens/pull.py"),
    ("OBJ", 14, "PUT, PATCH, DELETE and ownership", "ocpi/views.py, roaming/delivery"),
    ("STS", 8, "HTTP codes and OCPI codes", "ocpi/status.py, ocpi/http.py"),
    ("MID", 7, "Message ids", "ocpi/middleware.py, ocpi/client.py"),
    ("SYN", 7, "Push, pull, offline", "roaming/delivery"),
    ("VER", 14, "Versions", "roaming/versions.py, roaming/discovery.py"),
    ("CRD", 36, "Credentials", "roaming/handshake.py, roaming/registration.py"),
    ("HUB", 54, "Routing and hub", "roaming/auth.py, ocpi/views.py"),
    ("LOC", 30, "Locations", "locations"),
    ("SES", 22, "Sessions", "sessions"),
    ("CDR", 26, "CDRs", "cdrs"),
    ("TAR", 38, "Tariffs", "tariffs"),
    ("TOK", 25, "Tokens", "tokens, charging/authorize.py"),
    ("CMD", 26, "Commands", "charging/commands.py"),
    ("CHP", 19, "ChargingProfiles", "charging/profile_requests.py, charging/profiles.py"),
    ("HCI", 14, "HubClientInfo", "–"),
    ("TYP", 12, "Types", "ocpi/v221, ocpi/reading.py, ocpi/scalars.py"),
)
PREFIXES = "|".join(prefix for prefix, *_ in GROUPS)
NAMED = re.compile(rf"\b({PREFIXES})-(\d\d)(?:\.\.(?:({PREFIXES})-)?(\d\d))?((?:, ?\d\d\b(?!-))*)")

# Deliberately different, or waiting for what it needs; everything else without a test is a plain gap.
REASONS = {
    "AUT": "AUT-10 (TLS) is the deployer's edge",
    "SES": "SES-15: a reservation always has its EVSE (docs/adr/0013)",
    "CHP": "CHP-06: a foreign session answers UNKNOWN_SESSION, as an unknown one does (docs/adr/0014)",
}


def ids_in(text: str) -> Iterator[str]:
    """The requirement ids that a text names: `OBJ-04`, `OBJ-04..06`, `LOC-19, 20, 23`."""
    for match in NAMED.finditer(text):
        prefix, first, _, last, more = match.groups()
        for number in range(int(first), int(last or first) + 1):
            yield f"{prefix}-{number:02d}"
        for number in re.findall(r"\d\d", more or ""):
            yield f"{prefix}-{number}"


def tests_of(path: Path) -> Iterator[tuple[str, str]]:
    """(test, text) of every test function of a file; the text is its docstring, comments and parameters."""
    source = path.read_text()
    lines = source.splitlines()
    tree = ast.parse(source)
    # What the words at the top of a file or class claim, all its tests prove together.
    yield "(all)", ast.get_docstring(tree) or ""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.name, ast.get_docstring(node) or ""
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            begin = min([node.lineno, *(each.lineno for each in node.decorator_list)])
            yield node.name, "\n".join(lines[begin - 1 : node.end_lineno])


def proofs() -> dict[str, list[str]]:
    """The tests that name each requirement, as `file::test`."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path.name in ("conformance.py", "test_conformance.py"):
            continue
        for name, text in tests_of(path):
            for requirement in sorted(set(ids_in(text))):
                found[requirement].append(f"{path.relative_to(ROOT / 'tests')}::{name}")
    return found


def document() -> str:
    """The whole page."""
    found = proofs()
    everything = [f"{prefix}-{number:02d}" for prefix, count, *_ in GROUPS for number in range(1, count + 1)]
    proved = [each for each in everything if each in found]
    lines = [
        "# Conformance to OCPI 2.2.1",
        "",
        "Requirement → implementation → test. Written by `python -m tests.conformance` from the tests themselves.",
        "",
        f"**{len(proved)} of {len(everything)} requirements are proved by a test.** The others are listed as gaps.",
        "",
        "| group | chapter | implemented in | proved | gaps |",
        "| --- | --- | --- | --- | --- |",
    ]
    for prefix, count, chapter, where in GROUPS:
        ids = [f"{prefix}-{number:02d}" for number in range(1, count + 1)]
        gaps = [each.removeprefix(f"{prefix}-") for each in ids if each not in found]
        lines.append(
            f"| {prefix} | {chapter} | {where} | {count - len(gaps)}/{count} | {' '.join(gaps) or '–'} |"
        )
    lines += ["", "## Why there are gaps", ""]
    lines += [f"- **{prefix}**: {reason}." for prefix, reason in REASONS.items()]
    lines += ["- All other gaps: implemented or not, no test says so yet."]
    for prefix, count, chapter, _ in GROUPS:
        lines += ["", f"## {prefix} {chapter}", "", "| id | tests |", "| --- | --- |"]
        for number in range(1, count + 1):
            tests = found.get(f"{prefix}-{number:02d}", [])
            shown = "<br>".join(f"`{each}`" for each in tests[:4]) + (
                f"<br>and {len(tests) - 4} more" if len(tests) > 4 else ""
            )
            lines.append(f"| {prefix}-{number:02d} | {shown or '**gap**'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
