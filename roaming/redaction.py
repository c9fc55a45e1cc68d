"""Documents as people may read them: a token's uid is personal data and stays out of pages (T21, 6.4)."""

import json
import re
from typing import Any

from roaming.operators import masked

# Members that hold a token, and the object that is a token itself.
_HOLDERS = frozenset({"token", "cdr_token"})
_SECRET = frozenset({"uid", "visual_number"})
# OCPP's names for the same thing, wherever they stand.
_ID_TAGS = frozenset({"idTag", "parentIdTag", "idToken"})


# The path of a token's own URL, up to its uid.
_TOKEN_URL = re.compile(r"(/tokens/[^/?]+/[^/?]+/)([^/?]+)")


def readable_url(url: str) -> str:
    """A URL as people may read it: the uid in that of a token is masked."""
    return _TOKEN_URL.sub(lambda match: match.group(1) + masked(match.group(2)), url)


def readable(body: bytes) -> str:
    """JSON bytes, indented, with the uids of tokens masked; other bytes as text."""
    try:
        value = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
    return json.dumps(_masked(value, is_token="contract_id" in value if isinstance(value, dict) else False),
                      indent=2, ensure_ascii=False)  # fmt: skip


def _masked(value: Any, *, is_token: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            name: masked(each)
            if isinstance(each, str) and (name in _ID_TAGS or (is_token and name in _SECRET))
            else _masked(each, is_token=name in _HOLDERS)
            for name, each in value.items()
        }  # fmt: skip
    if isinstance(value, list):
        return [_masked(each, is_token=is_token) for each in value]
    return value
