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
    ("HUB", 54, "Routing and hub", "roaming/auth.py, roaming/routing.py, roaming/hub"),
    ("LOC", 30, "Locations", "locations, roaming/hub/receiver.py, roaming/hub/merging.py"),
    ("SES", 22, "Sessions", "sessions, charging/reserving.py, roaming/hub/receiver.py"),
    ("CDR", 26, "CDRs", "cdrs, roaming/hub/received_cdrs.py"),
    ("TAR", 38, "Tariffs", "tariffs, roaming/hub/receiver.py"),
    ("TOK", 25, "Tokens", "tokens, charging/authorize.py, roaming/hub"),
    ("CMD", 26, "Commands", "charging/commands.py, charging/reserving.py, charging/unlocking.py"),
    (
        "CHP",
        19,
        "ChargingProfiles",
        "charging/profile_requests.py, charging/profiles.py, charging/active_profiles.py",
    ),
    ("HCI", 14, "HubClientInfo", "roaming/hub/presence.py, roaming/hub/seen.py, roaming/hub/clients.py"),
    ("TYP", 12, "Types", "ocpi/v221, ocpi/reading.py, ocpi/scalars.py"),
)
PREFIXES = "|".join(prefix for prefix, *_ in GROUPS)
NAMED = re.compile(rf"\b({PREFIXES})-(\d\d)(?:\.\.(?:({PREFIXES})-)?(\d\d))?((?:, ?\d\d\b(?!-))*)")

# Deliberately different; everything else without a test is a plain gap.
REASONS = {
    "SES-15": "not used (a MAY): a reservation has its EVSE from the first moment, so its Session never says `#NA` "
    "([ADR 13](adr/0013-a-reservation-is-the-first-phase-of-its-session.md))",
    "CHP-06": "met in another word: a foreign session answers UNKNOWN_SESSION instead of REJECTED, as an unknown one "
    "does, so that nobody learns that it exists ([ADR 14](adr/0014-answers-about-charging-profiles.md))",
}
# Proved, but not all of it.
LIMITS = {
    "AUT-10": "for the calls that we make; TLS towards us ends at the deployer's proxy",
    "HUB": "between our own hub and platforms of our own making; no hub or CPO that others wrote is in the tests",
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
        "Requirement → implementation → test. Written by `python -m tests.conformance` from the tests themselves: a "
        "requirement counts as proved when a test names it. Whether that test shows it is for its reader to judge.",
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
    lines += [f"- **{name}**: {reason}." for name, reason in REASONS.items()]
    others = [each for each in everything if each not in found and each not in REASONS]
    lines += [f"- Implemented or not, no test says so yet: {', '.join(others) or 'none'}."]
    lines += ["", "## Proved in part", ""]
    lines += [f"- **{name}**: {limit}." for name, limit in LIMITS.items()]
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
