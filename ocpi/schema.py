"""JSON Schema of the OCPI objects, drawn from their one declaration. [pure]

The schema describes what we send: numbers as JSON numbers, instants in UTC, absent members left out. Reading
is more tolerant than this (see ``codec``), and rules across members are checked by the objects themselves.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

REF_TEMPLATE = "#/components/schemas/{name}"
DATETIME_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,3})?Z$"

Schema = dict[str, Any]


def json_schema(types: Iterable[Any]) -> dict[str, Schema]:
    """Return name to schema of the given objects and enums and of all that they hold."""
    return schemas_and_components(types)[1]


def schemas_and_components(types: Iterable[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """Return one schema per type, in order, and the components that they refer to."""
    schemas, components = msgspec.json.schema_components(types, ref_template=REF_TEMPLATE)
    return [_as_sent(schema) for schema in schemas], {
        name: _as_sent(components[name]) for name in sorted(components)
    }


def _as_sent(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return [_as_sent(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "decimal":
        return {"type": "number"}
    if schema.get("format") == "date-time":
        return {"type": "string", "format": "date-time", "pattern": DATETIME_PATTERN}
    if "anyOf" in schema:
        # Optional members may be null when read, but we leave them out: one choice remains.
        choices = [_as_sent(choice) for choice in schema["anyOf"] if choice != {"type": "null"}]
        return choices[0] if len(choices) == 1 else {"anyOf": choices}
    properties = schema.get("properties")
    kept = {key: _as_sent(value) for key, value in schema.items() if key not in ("default", "properties")}
    if properties is not None:
        kept["properties"] = {name: _as_sent(member) for name, member in properties.items()}
    return kept
