"""The API's OpenAPI 3.1 document, made of `routes` and the types that are sent and answered."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Final

import msgspec
from driftline import __version__
from driftline.events import MOST_EVENTS

from driftline_operator.hub.answers import Refused
from driftline_operator.hub.routes import CSV, JSON, NDJSON, PARQUET, ROUTES, Route
from driftline_operator.hub.tokens import SCOPES

_REFUSALS: Final = {
    "400": "Something is wrong with the request; nothing of it was taken.",
    "401": "There is no token, or none that is known here.",
    "403": "The token lacks the scope, or is of another namespace.",
    "404": "The monitor, or what was asked for, is not known.",
    "409": "A prediction has the key of one that is stored, and another id.",
    "408": "The body took too long to come.",
    "413": "The request is too large; the answer names the limit.",
    "415": "Another content type or encoding was expected.",
    "429": "Too many events with this token; Retry-After says when.",
    "503": "The database can't be asked now; nothing was taken; Retry-After says when.",
}
_REF: Final = "#/components/schemas/{name}"
_PATH: Final[dict[str, dict[str, Any]]] = {
    "namespace": {"type": "string", "minLength": 1, "maxLength": 253},
    "monitor": {"type": "string", "minLength": 1, "maxLength": 253},
    "id": {"type": "string", "minLength": 1, "maxLength": 512},
}


@cache
def document() -> dict[str, Any]:
    """As `GET /openapi.json` gives it."""
    types = {kind for route in ROUTES for kind in (route.answer, route.body, route.events) if kind}
    kinds = sorted(types | {Refused}, key=lambda kind: kind.__name__)
    _, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Driftline hub",
            "version": __version__,
            "description": "Takes predictions and what becomes true of them, and says what both add up to. "
            "A request is taken as a whole or not at all.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": route.handler.__name__,
        "summary": (route.handler.__doc__ or "").splitlines()[0],
        "description": f"Needs the scope `{route.scope}`: {SCOPES[route.scope]}.",
        "parameters": [*_path(route.path), *_query(route)],
        "responses": _responses(route),
    }
    content = _content(route)
    if content:
        found["requestBody"] = {"required": True, "content": content}
    return found


def _path(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATH[name]}
        for name in re.findall(r"{(\w+)}", path)
    ]


def _query(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": each.name,
            "in": "query",
            "required": each.required,
            "description": each.text,
            "schema": each.schema,
        }
        for each in route.query
    ]


def _content(route: Route) -> dict[str, Any]:
    options: list[dict[str, Any]] = [] if route.body is None else [_ref(route.body)]
    content: dict[str, Any] = {}
    if route.events is not None:
        events = _ref(route.events)
        options += [events, {"type": "array", "maxItems": MOST_EVENTS, "items": events}]
        content[NDJSON] = {
            "schema": {"type": "string", "description": f"One {route.events.__name__} a line."}
        }
    if route.files:
        content[CSV] = {"schema": {"type": "string", "description": "With a header; UTF-8."}}
        content[PARQUET] = {"schema": {"type": "string", "format": "binary"}}
    if options:
        content[JSON] = {"schema": options[0] if len(options) == 1 else {"anyOf": options}}
    return content


def _responses(route: Route) -> dict[str, Any]:
    good = {"description": "What was asked for, or done.", "content": {JSON: {"schema": _ref(route.answer)}}}
    refused = {JSON: {"schema": _ref(Refused)}}
    return {"200": good} | {
        status: {"description": text, "content": refused} for status, text in _REFUSALS.items()
    }


def _ref(kind: type) -> dict[str, Any]:
    return {"$ref": _REF.format(name=kind.__name__)}
