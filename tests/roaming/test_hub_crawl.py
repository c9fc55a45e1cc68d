"""Several lists read as one: every page, for any sizes."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi.status import OcpiError
from roaming.hub.crawl import read_totals, slices, write_totals

names = st.from_regex(r"[A-Z]{2}-[A-Z0-9]{3}", fullmatch=True) | st.just("KEPT")
lists = st.dictionaries(names, st.integers(0, 30), max_size=6)


@given(lists, st.integers(1, 40))
def test_the_pages_of_a_crawl_are_the_joined_lists(totals: dict[str, int], limit: int) -> None:
    """HUB-51, HUB-52, PAG-06: every object once, in order; all pages but the last are full."""
    joined = list(chain.from_iterable([(name, at) for at in range(total)] for name, total in totals.items()))
    pages = [
        [
            (each.name, each.offset + at)
            for each in slices(totals, offset=offset, limit=limit)
            for at in range(each.limit)
        ]
        for offset in range(0, sum(totals.values()), limit)
    ]
    assert list(chain.from_iterable(pages)) == joined
    assert all(len(page) == limit for page in pages[:-1])


@given(lists, st.integers(0, 200), st.integers(1, 200))
def test_no_stretch_is_empty_or_beyond_its_list(totals: dict[str, int], offset: int, limit: int) -> None:
    """HUB-52: no party is asked for nothing."""
    found = slices(totals, offset=offset, limit=limit)
    assert sum(each.limit for each in found) == max(0, min(limit, sum(totals.values()) - offset))
    assert all(each.limit > 0 and each.offset + each.limit <= totals[each.name] for each in found)


@given(lists)
def test_a_link_remembers_the_lists_that_hold_anything(totals: dict[str, int]) -> None:
    """HUB-52: in their order."""
    wanted = {name: total for name, total in totals.items() if total}
    if wanted:
        assert list(read_totals(write_totals(totals)).items()) == list(wanted.items())


@pytest.mark.parametrize(
    "text",
    ["", "KEPT", "KEPT.", "KEPT.-1", "KEPT.1~KEPT.1", "KEPT.1~", "K\n.1", "KEPT.99999999999", "A.1~" * 600],
)
def test_a_link_that_was_changed_is_refused(text: str) -> None:
    """PAG-10."""
    with pytest.raises(OcpiError) as caught:
        read_totals(text)
    assert (caught.value.http_status, caught.value.status_code) == (200, 2001)
