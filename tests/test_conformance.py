"""The conformance page says what the tests say."""

from tests import conformance


def test_ids_are_read_in_all_their_forms() -> None:
    text = "OBJ-04..06 and CRD-10, 12, also LOC-19 (T12) TYP-01"
    assert sorted(conformance.ids_in(text)) == [
        "CRD-10",
        "CRD-12",
        "LOC-19",
        "OBJ-04",
        "OBJ-05",
        "OBJ-06",
        "TYP-01",
    ]


def test_there_are_399_requirements() -> None:
    assert sum(count for _, count, *_ in conformance.GROUPS) == 399


def test_the_page_is_up_to_date() -> None:
    assert conformance.DOCUMENT.read_text() == conformance.document(), "run `python -m tests.conformance`"
