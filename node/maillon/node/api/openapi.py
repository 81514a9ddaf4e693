"""Describe the interface to programs: OpenAPI 3.1, with the types as they are read and written.

Paths and parameters come from the routes. Bodies come from msgspec, which reads and writes them: a
description by anything else would differ from it in patterns, bounds and unknown fields.
"""

from __future__ import annotations

import inspect
import re
from types import UnionType
from typing import Any, Final, cast, get_args, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.handlers import HTTPRouteHandler
from litestar.response import Stream
from litestar.routes import HTTPRoute

from maillon.node.api import examples, problems
from maillon.node.api.caller import OPERATOR, PUBLIC, scope_of
from maillon.node.api.gate import COOKIE, CSRF_HEADER
from maillon.node.api.idempotency import SECRET_PATHS
from maillon.node.api.ledger_shapes import Placed

Json = dict[str, Any]

ABOUT: Final = """\
The interface of a Maillon node. Over the node's Unix socket everything is allowed: the permissions
of the file decide. Over TCP a caller shows a token (`Authorization: Bearer`) or the cookie of a
session, and every route says which scope it needs (`x-scope`). Errors are problem documents (RFC
9457) whose `code` is in the registry. Ids, keys and bytes are hexadecimal text, times Unix seconds.
Lists go on with `next` as `after`. Every POST takes an `Idempotency-Key`. See spec/09-api.md."""

STREAMS: Final = {
    "/v1/import": "application/x-ndjson",
    "/v1/export": "application/x-ndjson",
    "/v1/events": "text/event-stream",
}
_REF: Final = "#/components/schemas/{name}"
_PATH_PART: Final = re.compile(r"\{([a-z_]+):[a-z]+\}")


def describe(app: Litestar, version: str) -> Json:
    """Return the OpenAPI document of an application."""
    drawn: Json = msgspec.json.decode(msgspec.json.encode(app.openapi_schema.to_schema()))
    routes = list(_routes(app))
    bodies = [_body(handler) for _path, _method, handler in routes]
    answers = [_answer(handler) for _path, _method, handler in routes]
    kinds = [kind for kind in (*bodies, *answers) if kind is not None and _is_data(kind)]
    schema_of, components = _schemas(kinds)
    paths: Json = {}
    for (path, method, handler), body, answer in zip(routes, bodies, answers, strict=True):
        told = _PATH_PART.sub(r"{\1}", path)
        operation = _operation(handler, drawn["paths"].get(told, {}).get(method, {}))
        if body is not None:
            schema = schema_of[id(body)]
            operation["requestBody"] = {
                "required": True,
                "content": {
                    "application/json": {
                        "schema": schema,
                        "example": examples.request(method, told, schema, components),
                    }
                },
            }
        elif told == "/v1/import":
            operation["requestBody"] = {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string"}}},
            }
        operation["responses"] = _responses(
            handler, told, answer, schema_of.get(id(answer)), components
        )
        if method == "post" and _repeatable(handler, told):
            operation.setdefault("parameters", []).append(
                {"$ref": "#/components/parameters/IdempotencyKey"}
            )
        paths.setdefault(told, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Maillon node", "version": version, "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": problems.SCHEMA},
            "parameters": {"IdempotencyKey": _IDEMPOTENCY_KEY},
            "securitySchemes": _SECURITY,
        },
    }


def _schemas(kinds: list[Any]) -> tuple[dict[int, Json], Json]:
    """Return the schema of each type by the identity of the type, and what they refer to."""
    # msgspec reads no union of structs; an answer that is one of several is written all the same.
    parts = [get_args(kind) if isinstance(kind, UnionType) else (kind,) for kind in kinds]
    flat = [kind for several in parts for kind in several]
    schemas, components = msgspec.json.schema_components(flat, ref_template=_REF)
    drawn = iter(schemas)
    schema_of: dict[int, Json] = {}
    for kind, several in zip(kinds, parts, strict=True):
        found = [next(drawn) for _one in several]
        schema_of[id(kind)] = found[0] if len(found) == 1 else {"anyOf": found}
    return schema_of, components


_IDEMPOTENCY_KEY: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Drawn anew for each request, and the same when it is sent again.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,64}$"},
    "example": "5f0c9a3e-9f6b-4c55-8a31-2f6f5f0d7c11",
}
_SECURITY: Final[Json] = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of this node."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"A session; what changes something also sends {CSRF_HEADER.decode()}.",
    },
}


def _routes(app: Litestar) -> list[tuple[str, str, HTTPRouteHandler]]:
    """Return (path, method in lower case, handler) of every route that is described."""
    found = [
        (route.path, method.lower(), handler)
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        for method in handler.http_methods
        if method in ("GET", "POST") and handler.resolve_include_in_schema()
    ]
    return sorted(
        ((_typed(path, handler), method, handler) for path, method, handler in found),
        key=lambda entry: (entry[0], entry[1]),
    )


def _typed(path: str, handler: HTTPRouteHandler) -> str:
    for own in handler.paths:
        if _PATH_PART.sub("", own) == _PATH_PART.sub("", path):
            return own
    return path


def _repeatable(handler: HTTPRouteHandler, path: str) -> bool:
    return scope_of(handler) != PUBLIC and not path.startswith(SECRET_PATHS)


def _body(handler: HTTPRouteHandler) -> Any:
    found = handler.parsed_fn_signature.parameters.get("data")
    return None if found is None else found.annotation


def _answer(handler: HTTPRouteHandler) -> Any:
    kind: Any = handler.parsed_fn_signature.return_type.annotation
    if get_origin(kind) is Response:
        (kind,) = get_args(kind)
    return kind


def _is_data(kind: Any) -> bool:
    """Tell whether msgspec writes a type as JSON, and not as bytes or text of another kind."""
    return kind not in (bytes, str, Stream, Response, Any, None, type(None))


def _operation(handler: HTTPRouteHandler, drawn: Json) -> Json:
    doc = inspect.getdoc(handler.fn) or ""
    first, _blank, rest = doc.partition("\n\n")
    scope = scope_of(handler)
    operation: Json = {
        "operationId": f"{handler.fn.__module__.rpartition('.')[2]}.{handler.fn.__name__}",
        "summary": " ".join(first.split()),
        "x-scope": scope,
        "security": [] if scope in (PUBLIC, OPERATOR) else [{"token": []}, {"session": []}],
        "tags": [handler.fn.__module__.rpartition(".")[2].removesuffix("_app")],
    }
    if rest:
        operation["description"] = rest
    parameters = [_parameter(entry) for entry in cast("list[Json]", drawn.get("parameters", []))]
    if parameters:
        operation["parameters"] = parameters
    return operation


def _parameter(drawn: Json) -> Json:
    """Return a parameter as a request can carry it: nothing is null in a query."""
    schema: Json = dict(drawn["schema"])
    branches = cast("list[Json]", schema.pop("oneOf", []))
    for branch in branches:
        if branch.get("type") != "null":
            schema = {**branch, **schema}
    if schema.get("default", 0) is None:
        del schema["default"]
    if "type" not in schema and "enum" in schema:
        schema["type"] = "string"
    parameter: Json = {
        "name": drawn["name"],
        "in": drawn["in"],
        "required": drawn["required"],
        "schema": schema,
        "example": examples.parameter(drawn["name"], schema),
    }
    return parameter


def _responses(
    handler: HTTPRouteHandler, path: str, answer: Any, schema: Json | None, components: Json
) -> Json:
    problem = {
        "content": {
            problems.MEDIA_TYPE: {"schema": {"$ref": _REF.format(name="Problem")}},
        }
    }
    content: Json
    if schema is not None:
        content = {
            "application/json": {
                "schema": schema,
                "example": examples.answer(path, schema, components),
            }
        }
    else:
        plain = str(getattr(handler.media_type, "value", handler.media_type) or "*/*")
        media = STREAMS.get(path) or handler.opt.get("media") or plain
        content = {
            kind.partition(";")[0]: {"schema": {"type": "string"}}
            for kind in ([media] if isinstance(media, str) else media)
        }
    done = {"description": "It was done.", "content": content}
    responses: Json = {str(handler.status_code): done}
    if answer is Placed or Placed in get_args(answer):
        responses["202"] = {**done, "description": "It waits for the quorum and goes on by itself."}
    responses["4XX"] = {"description": "It was refused; the problem says why.", **problem}
    responses["5XX"] = {"description": "The node could not; the problem says why.", **problem}
    return responses
