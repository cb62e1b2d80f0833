"""The OpenAPI document, printed from the route table and the model's own types, so that it can't say anything else.

``x-scope`` is what a token needs; every refusal is an ErrorAnswer, whatever its status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

import msgspec

from qsuite_console import __version__
from qsuite_console.headless.table import EVENT_STREAM, JSON, WEBSOCKET, Query, Route
from qsuite_console.model.wire import ErrorAnswer

VERSION: Final = "3.1.0"
_REF: Final = "#/components/schemas/{name}"
_NAMED: Final = re.compile(r"\{([a-z_]+)\}")
_IDENTITY: Final = 10**18  # what a path may number at most: it has less than 19 digits
_NUMBERS: Final = {int: "integer", float: "number"}
_ABOUT: Final = """\
The engine of qsuite-console: its jobs, schedules, alerts and figures, and the platform's data.

Over TCP each request carries `Authorization: Bearer TOKEN`; a token has a scope (`read`, `operate`, `admin`: each
covers those before it). On the Unix socket no token is wanted. Answers to GET have an ETag and may be asked for with
If-None-Match. A refusal is an `ErrorAnswer`: one line of what is wrong, one hint of what to do.
"""


def document(routes: Sequence[Route]) -> Mapping[str, Any]:
    """Return the document of a table."""
    types = [kind for route in routes for kind in (route.takes, route.answers) if kind is not None]
    found, components = msgspec.json.schema_components([*types, ErrorAnswer], ref_template=_REF)
    schemas = dict(zip(map(_key, types), found, strict=False))
    refusal = {"description": "refused: why, and what to do", "content": {JSON: {"schema": found[-1]}}}
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": VERSION,
        "info": {"title": "qsuite-console", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": {"Refused": refusal},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def markdown(routes: Sequence[Route]) -> str:
    """Return the reference page of a table."""
    lines = [
        "# Routes of the HTTP interface",
        "",
        "Printed from the table that requests are answered by; `make docs` writes it anew. How to use them:",
        "[the HTTP interface](api.md). Bodies and answers are described by `GET /openapi.json`.",
        "",
        "*Scope* is what a token needs. Rows with a dot are also for tokens with `own_jobs_only`.",
        "",
        "| route | scope | own | what | query |",
        "|---|---|---|---|---|",
    ]
    for route in sorted(routes, key=lambda each: (each.path.split("/")[1], each.path, each.method)):
        query = ", ".join(f"`{each.name}`" + ("!" if each.is_required else "") for each in route.queries)
        scope = "open" if route.is_open else str(route.scope)
        own = "•" if route.is_for_own or route.is_open else ""
        lines.append(f"| `{route.name}` | {scope} | {own} | {route.summary} | {query} |")
    return "\n".join(lines) + "\n"


def _operation(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": _identifier(route),
        "tags": [route.path.split("/")[1] or "engine"],
        "x-scope": str(route.scope),
        "responses": {**_success(route, schemas), "default": {"$ref": "#/components/responses/Refused"}},
    }
    if route.is_open:
        operation["security"] = []
    parameters = [*_path_parameters(route), *map(_query_parameter, route.queries)]
    if parameters:
        operation["parameters"] = parameters
    if route.takes is not None:
        operation["requestBody"] = {
            "required": not _may_be_empty(route.takes),
            "content": {JSON: {"schema": schemas[_key(route.takes)]}},
        }
    return operation


def _success(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    if route.media == WEBSOCKET:
        return {"101": {"description": "a WebSocket: one message a fact, as JSON"}}
    answer: dict[str, Any] = {"description": "what was asked for"}
    if route.media != JSON:
        answer["content"] = {route.media: {"schema": {"type": "string"} if route.media == EVENT_STREAM else {}}}
    elif route.answers is not None:
        answer["content"] = {JSON: {"schema": schemas[_key(route.answers)]}}
    answers = {str(route.status): answer}
    if route.method == "GET" and route.media == JSON:
        answers["304"] = {"description": "not changed since the ETag of If-None-Match"}
    return answers


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    found = []
    for name in _NAMED.findall(route.path):
        numbers = name.endswith("_id") or name == "number"
        schema = {"type": "integer", "minimum": 0, "exclusiveMaximum": _IDENTITY} if numbers else {"type": "string"}
        found.append({"name": name, "in": "path", "required": True, "schema": schema})
    return found


def _query_parameter(query: Query) -> dict[str, Any]:
    schema = _value_schema(query)
    if query.is_list:
        schema = {"type": "array", "items": schema, "maxItems": query.max_items}
    elif query.default is not None:
        schema["default"] = query.default.value if isinstance(query.default, Enum) else query.default
    parameter: dict[str, Any] = {"name": query.name, "in": "query", "required": query.is_required, "schema": schema}
    if query.help:
        parameter["description"] = query.help
    if query.is_list:
        parameter |= {"style": "form", "explode": False}
    return parameter


def _value_schema(query: Query) -> dict[str, Any]:
    if issubclass(query.type, Enum):
        return {"type": "string", "enum": [each.value for each in query.type]}
    if query.type is bool:
        return {"type": "boolean"}
    if query.type in _NUMBERS:
        limits = {"minimum": query.low, "maximum": query.high}
        return {"type": _NUMBERS[query.type], **{name: value for name, value in limits.items() if value is not None}}
    return {"type": "string", "maxLength": query.max_length}


def _may_be_empty(kind: Any) -> bool:
    try:
        msgspec.json.decode(b"{}", type=kind)
    except msgspec.ValidationError:
        return False
    return True


def _identifier(route: Route) -> str:
    words = [word.strip("{}") for word in route.path.strip("/").replace(".", "/").split("/")]
    return "_".join([route.method.lower(), *words]).replace("-", "_")


def _key(kind: Any) -> str:
    return repr(kind)
