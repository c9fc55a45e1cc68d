"""URLs inside messages: replaced where they stand, and not one other byte."""

import json
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocpi.codec import MalformedJson
from ocpi.status import OcpiError
from roaming.hub.rewriting import (
    in_body,
    in_query,
    query_below,
    response_url_in_body,
    response_url_in_query,
)

OURS = "https://hub.example/ocpi/2.2.1/sender/commands/START_SESSION/abc"
THEIRS = 'https://emsp.example/results/"1"?a=b&c=%2F'

texts = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
members = st.dictionaries(texts.filter(lambda name: name != "response_url"), values, max_size=5)


@given(members, members, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_only_the_one_member_changes(before, after, indent, ascii_only):  # type: ignore[no-untyped-def]
    """HUB-14, H8: whatever stands around it, inner members of that name included."""
    after = {name: value for name, value in after.items() if name not in before}
    whole = {**before, "response_url": THEIRS, **after, "inner": {"response_url": "stays"}}
    text = json.dumps(whole, indent=indent, ensure_ascii=ascii_only)
    url, place = response_url_in_body(text.encode())
    assert url == THEIRS
    changed = in_body(text.encode(), place, OURS).decode()
    assert json.loads(changed) == whole | {"response_url": OURS}
    assert changed.replace(json.dumps(OURS), json.dumps(THEIRS, ensure_ascii=ascii_only)) == text


def test_numbers_and_spaces_stay_as_they_were_written() -> None:
    """HUB-14."""
    body = b' \r\n{"x" : 1.500000 ,"response_url"\t: "http:\\/\\/a" , "y":1E+2 }\n'
    url, place = response_url_in_body(body)
    assert url == "http://a"
    assert (
        in_body(body, place, "http://b")
        == b' \r\n{"x" : 1.500000 ,"response_url"\t: "http://b" , "y":1E+2 }\n'
    )


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"response_url": 7}', b'{"response_url": null}', b'"response_url"']
)
def test_a_body_without_it_is_refused(body: bytes) -> None:
    with pytest.raises(OcpiError) as refused:
        response_url_in_body(body)
    assert refused.value.status_code == 2001


@pytest.mark.parametrize("body", [b"", b"{", b'{"response_url":"a","response_url":"b"}', b"\xff"])
def test_what_is_no_json_is_no_body(body: bytes) -> None:
    """I4: nor one that names it twice."""
    with pytest.raises(MalformedJson):
        response_url_in_body(body)


@given(st.lists(st.tuples(texts, texts), max_size=4))
def test_only_the_one_parameter_changes(pairs: list[tuple[str, str]]) -> None:
    others = [pair for pair in pairs if pair[0] != "response_url"]
    query = "&".join([urlencode(others[:2]), f"response_url={quote(THEIRS, safe='')}", urlencode(others[2:])])
    assert response_url_in_query(query) == THEIRS
    changed = in_query(query, OURS)
    assert changed.replace(quote(OURS, safe=""), quote(THEIRS, safe="")) == query
    assert dict(parse_qsl(changed))["response_url"] == OURS


@pytest.mark.parametrize(
    "query", ["", "duration=60", "response_url=a&response_url=b", "response%5Furl=a&response_url=b"]
)
def test_a_query_names_it_once(query: str) -> None:
    with pytest.raises(OcpiError) as refused:
        response_url_in_query(query)
    assert refused.value.status_code == 2001


@pytest.mark.parametrize(
    ("url", "query"),
    [
        ("https://cpo.example/x/locations?offset=10", "offset=10"), ("https://cpo.example/x/locations/?a=%2F", "a=%2F"),
        ("https://cpo.example/x/locations", None), ("https://cpo.example/x/locations/2?a", None),
        ("https://cpo.example/x/locationsfar?a", None), ("https://other.example/x/locations?a", None),
    ],
)  # fmt: skip
def test_what_is_an_endpoint_and_a_query(url: str, query: str | None) -> None:
    assert query_below(url, "https://cpo.example/x/locations/") == query
