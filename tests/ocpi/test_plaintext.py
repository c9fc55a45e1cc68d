"""What a DisplayText may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi.plaintext import display_text_fault

GOOD = [
    "",
    "Gate 2, follow the green line.",
    "Bays 1 & 2; height < 3.5 m, weight > 3 t",
    "R&D; turn left",
    "1 <2 and 3> 2",
    "x" * 512,
    "é" * 512,
]
BAD = [
    "a<b & c>d",
    "<b>Gate 2</b>",
    "Gate 2<br/>left",
    "Gate 2<BR >left",
    "<script>alert(1)</script>",
    "</p>",
    "<!-- hidden -->",
    "<!DOCTYPE html>",
    '<img src=x onerror="alert(2)">',
    "Gate&nbsp;2",
    "Caf&#233;",
    "Caf&#xE9;",
    "&lt;b&gt;",
]


@pytest.mark.parametrize("text", GOOD)
def test_plain_text_is_fine(text: str) -> None:
    """TYP-09."""
    assert display_text_fault(text) is None


@pytest.mark.parametrize("text", BAD)
def test_markup_is_refused_with_the_piece_that_is_wrong(text: str) -> None:
    """TYP-09."""
    fault = display_text_fault(text)
    assert fault is not None
    assert "is HTML" in fault


def test_513_characters_are_too_many() -> None:
    """TYP-09: the boundary itself."""
    assert display_text_fault("x" * 513) == "513 characters are too many: partners show at most 512"


@given(st.text(alphabet=st.characters(exclude_characters="<&"), max_size=512))
def test_without_the_two_signs_there_is_no_markup(text: str) -> None:
    assert display_text_fault(text) is None
