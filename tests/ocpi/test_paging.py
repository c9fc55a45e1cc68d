"""Parameters of list calls and the link to the next page."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi.paging import PageQuery, link_header, next_link, parse_page
from ocpi.status import OcpiError
from tests.ocpi.chapters import calm

URL = "https://ocpi.yardgate.example/ocpi/2.2.1/sender/cdrs"
NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)


def refusal(params: dict[str, str]) -> str:
    with pytest.raises(OcpiError) as caught:
        parse_page(params, cap=100)
    assert (caught.value.status_code, caught.value.http_status) == (2001, 200)
    return caught.value.message


def test_every_parameter_may_be_absent() -> None:
    assert parse_page({}, cap=100) == PageQuery(date_from=None, date_to=None, offset=0, limit=100)
    assert parse_page({}, cap=1000, default=50).limit == 50


def test_every_parameter_is_read() -> None:
    params = {
        "date_from": "2026-01-01T01:00:00+01:00",
        "date_to": "2026-02-01T00:00:00",
        "offset": "10",
        "limit": "25",
        "party_id": "EMS",
        "pk__in": "1",
    }
    assert parse_page(params, cap=100) == PageQuery(NEW_YEAR, datetime(2026, 2, 1, tzinfo=UTC), 10, 25)


@pytest.mark.parametrize(
    ("limit", "effective"),
    [("1", 1), ("99", 99), ("100", 100), ("101", 100), ("1000000000", 100), (str(2**63), 100)],
)
def test_limit_is_capped(limit: str, effective: int) -> None:
    assert parse_page({"limit": limit}, cap=100).limit == effective


@pytest.mark.parametrize("limit", ["0", "-1", "abc", "", "1.5", "1e2", "+5", " 5", "１０", "1_0", "9" * 33])
def test_a_bad_limit_is_refused(limit: str) -> None:
    assert refusal({"limit": limit}).startswith("limit: must be ")


@pytest.mark.parametrize("offset", ["-1", "abc", "", "1.5", str(2**31), str(2**63), "１０"])
def test_a_bad_offset_is_refused(offset: str) -> None:
    assert refusal({"offset": offset}).startswith("offset: must be ")


@pytest.mark.parametrize("offset", [0, 999, 2**31 - 1])
def test_offset_may_be_past_the_end(offset: int) -> None:
    query = parse_page({"offset": str(offset)}, cap=10)
    assert query.offset == offset
    assert next_link(URL, query, total=0) is None


@pytest.mark.parametrize("name", ["date_from", "date_to"])
@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-02-30T00:00:00Z", "2026-01-01", "9999-01-01T00:00:00Z", "0"]
)
def test_a_bad_date_is_refused_by_name(name: str, text: str) -> None:
    assert refusal({name: text}).startswith(f"{name}: ")


def test_a_plus_that_the_query_string_turned_into_a_space_is_understood() -> None:
    assert parse_page({"date_from": "2026-01-01T02:00:00 02:00"}, cap=10).date_from == NEW_YEAR


def test_a_window_that_ends_before_it_begins_is_merely_empty() -> None:
    params = {"date_from": "2026-02-01T00:00:00Z", "date_to": "2026-01-01T00:00:00Z"}
    assert parse_page(params, cap=10) == PageQuery(datetime(2026, 2, 1, tzinfo=UTC), NEW_YEAR, 0, 10)


def test_25_objects_by_10_have_links_on_two_pages() -> None:
    pages = [next_link(URL, PageQuery(None, None, offset, 10), total=25) for offset in (0, 10, 20)]
    assert pages == [f"{URL}?offset=10&limit=10", f"{URL}?offset=20&limit=10", None]


@pytest.mark.parametrize(("total", "is_last"), [(0, True), (10, True), (11, False)])
def test_a_full_last_page_has_no_link(total: int, is_last: bool) -> None:
    assert (next_link(URL, PageQuery(None, None, 0, 10), total=total) is None) is is_last


def test_the_link_repeats_the_filters_encoded() -> None:
    query = PageQuery(NEW_YEAR, NEW_YEAR + timedelta(microseconds=1), 0, 10)
    assert next_link(URL, query, total=11, extra={"type": "A B&c=é"}) == (
        f"{URL}?type=A+B%26c%3D%C3%A9&date_from=2026-01-01T00%3A00%3A00Z"
        "&date_to=2026-01-01T00%3A00%3A00.000001Z&offset=10&limit=10"
    )


def test_the_header_marks_the_next_page() -> None:
    assert link_header(f"{URL}?offset=10&limit=10") == f'<{URL}?offset=10&limit=10>; rel="next"'


instants = st.datetimes(
    datetime.fromisoformat("1950-01-01"), datetime.fromisoformat("2150-01-01"), timezones=st.just(UTC)
)


@given(st.none() | instants, st.none() | instants, st.integers(0, 60), st.integers(1, 20), st.integers(1, 20))
@calm
def test_following_the_links_visits_every_object_once(
    date_from: datetime | None, date_to: datetime | None, total: int, limit: int, cap: int
) -> None:
    query = PageQuery(date_from, date_to, 0, min(limit, cap))
    seen: list[int] = []
    while True:
        seen += range(query.offset, min(query.offset + query.limit, total))
        link = next_link(URL, query, total=total)
        if link is None:
            break
        query = parse_page(dict(parse_qsl(urlsplit(link).query)), cap=cap)
        assert query[:2] == (date_from, date_to)
    assert seen == list(range(total))


@given(st.dictionaries(st.sampled_from(["date_from", "date_to", "offset", "limit"]), st.text(max_size=40)))
@calm
def test_bad_parameters_are_never_a_crash(params: dict[str, str]) -> None:
    status_code = 2001
    try:
        limit = parse_page(params, cap=7).limit
    except OcpiError as error:
        status_code = error.status_code
    else:
        assert 1 <= limit <= 7
    assert status_code == 2001
