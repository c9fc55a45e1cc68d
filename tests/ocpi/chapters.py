"""What the chapters of OCPI 2.2.1 list, as data of its own, and one example of our own for each object.

``members.txt`` (object, then member, type, card) and ``words.txt`` (enum, then words) are facts of the
protocol that were taken from the specification and not from our types: tests compare the two.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from ocpi import codec, v221
from ocpi.v221.types import Object

FOLDER = Path(__file__).parent
calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|\s+')
_SIZED = re.compile(r"(string|CiString|int)\((\d+)\)")


# Parsed JSON of any shape, with values that come close to sound ones.
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.decimals(-(10**20), 10**20, allow_nan=False, allow_infinity=False, places=4)
    | st.text()
    | st.sampled_from(
        ["1.5", "1_0", "１２", "-0", "2026-03-29T01:30:00Z", "REGULAR", "04C2A9", "é\ud800", "BE"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


class Member(NamedTuple):
    """One row of a chapter's table."""

    name: str
    type: str
    card: str

    @property
    def kind(self) -> str:
        """Return the type without its length."""
        sized = _SIZED.fullmatch(self.type)
        return sized.group(1) if sized else self.type

    @property
    def length(self) -> int:
        """Return the maximum length, of a URL as well."""
        sized = _SIZED.fullmatch(self.type)
        return int(sized.group(2)) if sized else 255

    @property
    def is_list(self) -> bool:
        """Tell whether the card allows several."""
        return self.card in "*+"


def _rows() -> dict[str, list[Member]]:
    tables: dict[str, list[Member]] = {}
    for line in (FOLDER / "members.txt").read_text().splitlines():
        if line.startswith(" "):
            tables[list(tables)[-1]].append(Member(*line.split()))
        else:
            tables[line] = []
    return tables


MEMBERS = _rows()
WORDS = {
    line.split()[0]: line.split()[1:] for line in (FOLDER / "words.txt").read_text().splitlines() if line
}
OBJECTS: dict[str, type[Object]] = {
    name: type_
    for name in v221.__all__
    if isinstance(type_ := getattr(v221, name), type) and issubclass(type_, Object) and type_ is not Object
}
EVERY_MEMBER = [(name, member) for name, members in MEMBERS.items() for member in members]


def ids(case: Any) -> str:
    """Name a case of EVERY_MEMBER."""
    return case if isinstance(case, str) else case.name


def file_of(name: str) -> Path:
    """Return where the example of an object is."""
    snake = name.lower() if name.isupper() else re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return FOLDER / "examples" / f"{snake}.json"


@cache
def example_bytes(name: str) -> bytes:
    """Return the example without blanks between its tokens: the form in which we write."""
    return _BLANKS.sub(r"\1", file_of(name).read_text(encoding="utf-8")).encode()


def example_value(name: str) -> dict[str, Any]:
    """Return the example as parsed JSON, fresh each time."""
    return codec.parse(example_bytes(name))


def example(name: str) -> Any:
    """Return the example as object."""
    return codec.decode_bytes(OBJECTS[name], example_bytes(name))


def refusal(name: str, value: Any) -> codec.Invalid:
    """Return why a value is refused as the object of this name."""
    try:
        read = codec.decode(OBJECTS[name], value)
    except codec.Invalid as error:
        return error
    raise AssertionError(f"{name} was accepted: {read!r}")
