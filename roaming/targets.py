"""The URLs below a partner's endpoint that we call. [pure]"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode


def target(
    endpoint_url: str, segments: Sequence[str] = (), query: Mapping[str, str] | None = None, *, slash: bool
) -> str:
    """Return the endpoint exactly as it was announced, plus the path and query of one call.

    ``slash``: the path ends with one, for a partner whose server knows no other form (DIS-03). An endpoint with a
    query of its own keeps it.
    """
    path, _, own_query = endpoint_url.partition("?")
    if segments:
        path = "/".join([path.rstrip("/"), *(quote(segment, safe="") for segment in segments)])
    if slash:
        path = f"{path.rstrip('/')}/"
    queries = "&".join(filter(None, (own_query, urlencode(query or {}))))
    return f"{path}?{queries}" if queries else path
