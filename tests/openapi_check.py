"""Checks a response against our OpenAPI document; jsonschema is a dependency of the tests only."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import unquote, urlsplit

from jsonschema import Draft202012Validator

_PLACEHOLDER = re.compile(r"\{\w+\}")
_REFUSAL: Mapping[str, Any] = {"$ref": "#/components/responses/Refusal"}


def check_response(
    document: Mapping[str, Any], method: str, path: str, status: int, body: bytes
) -> list[str]:
    """Return what is wrong with a response, as one line per fault; empty when all is right.

    ``path`` is the path of the request, with or without query, host and slash at the end. Paths and methods
    that the document does not have may only be refused.
    """
    operation = _operation(document, method, urlsplit(path).path)
    response = _response(operation, status)
    if response is None:
        return [f"{method} {path}: HTTP {status} is not among the documented answers"]
    try:
        value = json.loads(body, parse_float=Decimal, object_pairs_hook=_members, parse_constant=_constant)
    except ValueError as error:
        return [f"{method} {path}: body is no JSON: {error}"]
    schema = {"components": document["components"], "allOf": [_schema(document, response)]}
    return [
        f"{method} {path} ({status}): {error.json_path}: {error.message[:300]}"
        for error in Draft202012Validator(schema).iter_errors(value)
    ]


def _operation(document: Mapping[str, Any], method: str, path: str) -> Mapping[str, Any] | None:
    base = urlsplit(document["servers"][0]["url"]).path.rstrip("/")
    wanted = path.removeprefix(base)
    if wanted.endswith("/"):
        wanted = wanted[:-1]
    segments = wanted.split("/")
    # A path without placeholders wins over one that a placeholder would fit, as OpenAPI says.
    for template in sorted(document["paths"], key=lambda each: each.count("{")):
        parts = template.split("/")
        if len(parts) == len(segments) and all(map(_fits, parts, segments)):
            operations: Mapping[str, Any] = document["paths"][template]
            if method.lower() in operations:
                found: Mapping[str, Any] = operations[method.lower()]
                return found
    return None


def _fits(part: str, segment: str) -> bool:
    return bool(segment) if _PLACEHOLDER.fullmatch(part) else part == unquote(segment)


def _response(operation: Mapping[str, Any] | None, status: int) -> Mapping[str, Any] | None:
    responses = operation["responses"] if operation else {"4XX": _REFUSAL, "5XX": _REFUSAL}
    found: Mapping[str, Any] | None = responses.get(str(status)) or responses.get(f"{status // 100}XX")
    return found


def _schema(document: Mapping[str, Any], response: Mapping[str, Any]) -> Any:
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return response["content"]["application/json"]["schema"]


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is named twice in one object")
    return members


def _constant(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")
