"""The OpenAPI 3.1 document of what we serve, drawn from the interface table and the OCPI objects. [pure]"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ocpi import headers, v221
from ocpi.interfaces import VERSIONS, Interface, InterfaceTable, Operation
from ocpi.schema import DATETIME_PATTERN, REF_TEMPLATE, Schema, schemas_and_components

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_CONFIGURATION_MODULES = frozenset({VERSIONS, v221.ModuleID.CREDENTIALS, v221.ModuleID.HUBCLIENTINFO})
_CREATING_METHODS = frozenset({"POST", "PUT"})
_PARAMETER_TYPES: Mapping[str, Any] = {
    "country_code": v221.CountryCode,
    "party_id": v221.PartyCode,
    "cdr_id": v221.CiString39,
    "command": v221.CommandType,
    "type": v221.TokenType,
    "duration": v221.Count,
    "offset": v221.Count,
    "limit": v221.Count,
    "date_from": v221.OcpiDateTime,
    "date_to": v221.OcpiDateTime,
    "response_url": v221.Url,
}
_ROUTING_HEADERS: Mapping[str, Any] = {
    headers.TO_COUNTRY_CODE: v221.CountryCode,
    headers.TO_PARTY_ID: v221.PartyCode,
    headers.FROM_COUNTRY_CODE: v221.CountryCode,
    headers.FROM_PARTY_ID: v221.PartyCode,
}
_MESSAGE_IDS = ("X-Request-ID", "X-Correlation-ID")
_ENVELOPE: Schema = {
    "type": "object",
    "description": "What every answer looks like, errors included.",
    "properties": {
        "data": {},
        "status_code": {"type": "integer", "minimum": 1000, "maximum": 4999},
        "status_message": {"type": "string"},
        "timestamp": {"type": "string", "format": "date-time", "pattern": DATETIME_PATTERN},
    },
    "required": ["status_code", "timestamp"],
}
_SUCCEEDED: Schema = {"properties": {"status_code": {"maximum": 1999}}}


def document(interfaces: InterfaceTable, *, base_url: str, title: str, version: str) -> dict[str, Any]:
    """Return the document for a choice of interfaces; ``base_url`` is the absolute URL before ``/ocpi``.

    Every response is the envelope: with data of the operation's type after success, without data where the
    chapter names none, with anything after a refusal.
    """
    names = _Names(interfaces)
    paths: dict[str, dict[str, Any]] = {}
    for interface in interfaces.values():
        for operation in interface.operations:
            path = interface.path + operation.path_suffix
            paths.setdefault(path, {})[operation.method.lower()] = _operation(interface, operation, names)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "servers": [{"url": base_url.rstrip("/")}],
        "security": [{"credentialsToken": []}],
        "paths": paths,
        "components": {
            "schemas": names.components | {"Envelope": _ENVELOPE},
            "responses": {
                "Refusal": _answer("Refused, or failed.", _reference("Envelope"), names.message_ids)
            },
            "securitySchemes": {
                "credentialsToken": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "The word Token, one space, Base64 of the credentials token.",
                }
            },
        },
    }


class _Names:
    """Schemas by type, so that each type is drawn once and all share one set of components."""

    def __init__(self, interfaces: InterfaceTable) -> None:
        types = list(dict.fromkeys(_types(interfaces)))
        schemas, self.components = schemas_and_components(types)
        self._schemas: dict[Any, Schema] = dict(zip(types, schemas, strict=True))
        self.message_ids: Schema = {name: {"schema": {"type": "string"}} for name in _MESSAGE_IDS}

    def __getitem__(self, type_: Any) -> Schema:
        return self._schemas[type_]


def _types(interfaces: InterfaceTable) -> Iterator[Any]:
    yield v221.CiString36
    yield from _PARAMETER_TYPES.values()
    for interface in interfaces.values():
        for operation in interface.operations:
            yield from (each for each in (operation.request_type, operation.response_type) if each)


def _operation(interface: Interface, operation: Operation, names: _Names) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [interface.module],
        "operationId": _operation_id(interface, operation),
        "parameters": [*_path_and_query(operation, names), *_header_parameters(interface, names)],
        "responses": _responses(interface, operation, names),
    }
    if operation.request_type is not None:
        described["requestBody"] = {
            "required": not operation.request_optional,
            "content": {"application/json": {"schema": names[operation.request_type]}},
        }
    return described


def _operation_id(interface: Interface, operation: Operation) -> str:
    words = [interface.module, interface.role.lower(), operation.method.lower()]
    words += re.findall(r"\w+", operation.path_suffix)
    return "_".join(words)


def _path_and_query(operation: Operation, names: _Names) -> Iterator[dict[str, Any]]:
    for name in _PLACEHOLDER.findall(operation.path_suffix):
        schema = names[_PARAMETER_TYPES.get(name, v221.CiString36)]
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name in operation.query:
        required = name in operation.required_query
        yield {"name": name, "in": "query", "required": required, "schema": names[_PARAMETER_TYPES[name]]}


def _header_parameters(interface: Interface, names: _Names) -> Iterator[dict[str, Any]]:
    for name in _MESSAGE_IDS:
        yield {"name": name, "in": "header", "required": False, "schema": {"type": "string"}}
    if interface.module in _CONFIGURATION_MODULES:
        return
    for name, type_ in _ROUTING_HEADERS.items():
        yield {"name": name, "in": "header", "required": False, "schema": names[type_]}


def _responses(interface: Interface, operation: Operation, names: _Names) -> dict[str, Any]:
    shown = dict(names.message_ids)
    if operation.is_list and operation.query:
        shown |= {name: {"schema": {"type": "integer"}} for name in ("X-Total-Count", "X-Limit")}
        shown["Link"] = {
            "schema": {"type": "string"},
            "description": "The next page; absent on the last.",
        }
    if operation.request_type is v221.CDR:
        shown["Location"] = {"schema": {"type": "string"}, "description": "URL of the stored CDR."}
    schema = _enveloped(operation, names)
    responses = {"200": _answer("Served, or refused for its content: see status_code.", schema, shown)}
    if operation.method in _CREATING_METHODS and interface.module != VERSIONS:
        responses["201"] = _answer("Stored as a new object.", schema, shown)
    refusal = {"$ref": "#/components/responses/Refusal"}
    return responses | {"4XX": refusal, "5XX": refusal}


def _enveloped(operation: Operation, names: _Names) -> Schema:
    if operation.response_type is None:
        then: Schema = {"not": {"required": ["data"]}}
    else:
        data = names[operation.response_type]
        if operation.is_list:
            data = {"type": "array", "items": data}
        then = {"required": ["data"], "properties": {"data": data}}
    return {"allOf": [_reference("Envelope")], "if": _SUCCEEDED, "then": then}


def _answer(description: str, schema: Schema, shown: Schema) -> dict[str, Any]:
    return {
        "description": description,
        "headers": shown,
        "content": {"application/json": {"schema": schema}},
    }


def _reference(name: str) -> Schema:
    return {"$ref": REF_TEMPLATE.format(name=name)}
