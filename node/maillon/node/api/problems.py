"""Errors as problem documents (RFC 9457), with the codes of the registry.

{"type": "urn:maillon:problem:schema", "title": "…", "status": 422, "code": "schema",
 "detail": "a sentence", "hint": "what to do", "field": "title", …}
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final, cast

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException

from maillon.node.api.ledger_shapes import Placed
from maillon.node.api.wrong import in_words
from maillon.node.i18n import _, language
from maillon.protocol.errors import LocalError, MaillonError, RemoteError

log = logging.getLogger("maillon.api")

MEDIA_TYPE = "application/problem+json"

SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "Why a request was refused (RFC 9457); further members are facts of the code.",
    "type": "object",
    "properties": {
        "type": {"type": "string", "pattern": "^urn:maillon:problem:[a-z][a-z0-9_]*$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "code": {"type": "string", "pattern": "^[a-z][a-z0-9_]*$"},
        "detail": {"type": "string"},
        "hint": {"type": "string"},
    },
    "required": ["type", "title", "status", "code", "detail"],
    "example": {
        "type": "urn:maillon:problem:forbidden",
        "title": "forbidden",
        "status": 403,
        "code": "forbidden",
        "detail": "This needs the scope pay.",
        "scope": "pay",
    },
}

# A record that the rules refuse is a well-formed request with a content that is not accepted.
_STATUS = {
    "unauthenticated": 401,
    "sign_in": 401,
    "forbidden": 403,
    "origin": 403,
    "csrf": 403,
    "not_found": 404,
    "too_slow": 408,
    "ambiguous": 409,
    "already_exists": 409,
    "answered": 409,
    "duplicate": 409,
    "superseded": 409,
    "too_large": 413,
    "host": 421,
    "idempotency_mismatch": 422,
    "idempotency_running": 409,
    "idempotency_unknown": 409,
    "quota": 429,
    "rate": 429,
    "permission": 403,
    "memo": 422,
    "key_missing": 409,
    "store_full": 507,
    "store_damaged": 500,
    "store_read_only": 500,
    "store_busy": 503,
    "network_down": 503,
    "disk_full": 507,
    "damaged_database": 500,
}


def problem(
    status: int, code: str, detail: str, hint: str | None = None, **more: Any
) -> Response[bytes]:
    """Return the answer that tells an error."""
    document = {
        "type": f"urn:maillon:problem:{code}",
        "title": code.replace("_", " "),
        "status": status,
        "code": code,
        "detail": detail,
        **({"hint": hint} if hint else {}),
        **{name: plain(value) for name, value in more.items()},
    }
    return Response(
        json.dumps(document).encode(),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers={
            "Content-Language": language(),
            # RFC 9110, 11.6.1 and 10.2.3.
            **({"WWW-Authenticate": "Bearer"} if status == 401 else {}),
            **({"Retry-After": str(more["retry_after"])} if "retry_after" in more else {}),
        },
    )


def plain(value: Any) -> Any:
    """Return a fact of an error as JSON can carry it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, str | int | bool) or value is None:
        return value
    if isinstance(value, list | tuple):
        return [plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in cast("dict[str, Any]", value).items()}
    return str(value)


_RESERVED = frozenset({"type", "title", "status", "code", "detail", "hint"})


def maillon_problem(fault: MaillonError) -> Response[bytes]:
    """Return the answer for an error of ours or a rule of the protocol."""
    status = _STATUS.get(fault.code, 422 if isinstance(fault, RemoteError) else 400)
    hint = fault.hint if isinstance(fault, LocalError) else None
    facts = {name: value for name, value in fault.facts.items() if name not in _RESERVED}
    return problem(status, fault.code, str(fault), hint, **facts)


class OrderRefused(Exception):
    """The ledger refused what was asked of it, at once or while the request waited."""

    def __init__(self, placed: Placed) -> None:
        super().__init__(placed.reason)
        self.placed = placed


def on_order_refused(_request: Request[Any, Any, Any], fault: OrderRefused) -> Response[bytes]:
    """Tell a refused order as an error: with the code and the facts, and whole in `placed`."""
    placed = fault.placed
    facts = {name: value for name, value in placed.facts.items() if name not in _RESERVED}
    told = {**facts, "id": placed.id, "placed": msgspec.to_builtins(placed)}
    return problem(422, placed.reason or "ledger", placed.detail, **told)


def on_maillon_error(_request: Request[Any, Any, Any], fault: MaillonError) -> Response[bytes]:
    return maillon_problem(fault)


def on_http_error(request: Request[Any, Any, Any], fault: HTTPException) -> Response[bytes]:
    if isinstance(fault, ValidationException):
        wrong = cast("list[dict[str, Any]]", fault.extra or [])
        where = [
            f"{item.get('key', '')}: {in_words(str(item.get('message', '')))}".strip(": ")
            for item in wrong
        ]
        return _wrong("; ".join(where) or fault.detail)
    path = request.url.path[:80]
    match fault.status_code:
        case 404:
            return problem(404, "not_found", _("There is nothing at {path}.").format(path=path))
        case 405:
            detail = _("{path} does not answer to {method}.").format(
                path=path, method=request.method
            )
            answer = problem(405, "method_not_allowed", detail)
            # RFC 9110, 15.5.6 wants them named.
            known = (fault.headers or {}).get("allow", "OPTIONS").split(", ")
            also = ["HEAD"] if "GET" in known else []
            answer.headers["Allow"] = ", ".join(sorted([*known, *also]))
            return answer
        case 413:
            return problem(413, "too_large", _("The request is larger than this node reads."))
        case status if status >= 500:
            log.error("a request failed", exc_info=fault.__cause__ or fault)
            return problem(status, "internal", fault.detail)
        case status:
            return problem(status, "request", in_words(fault.detail))


def on_decode_error(
    _request: Request[Any, Any, Any], fault: msgspec.MsgspecError
) -> Response[bytes]:
    return _wrong(in_words(str(fault)))


def _wrong(detail: str) -> Response[bytes]:
    return problem(400, "request", _("The request is wrong: {detail}").format(detail=detail))


def on_any_error(request: Request[Any, Any, Any], fault: Exception) -> Response[bytes]:
    """Tell that something broke, and leave the details to the log."""
    known = explain(fault)
    if known is not None:
        code, detail, hint = known
        return problem(_STATUS.get(code, 500), code, detail, hint)
    log.error("%s %s failed", request.method, request.url.path, exc_info=fault)
    return problem(
        500,
        "internal",
        _("Something broke in the node; its log says more."),
        _("Please report it with the lines of the log."),
    )


# What an application of Litestar does with each kind of error.
HANDLERS: Final[dict[int | type[Exception], Any]] = {
    MaillonError: on_maillon_error,
    OrderRefused: on_order_refused,
    HTTPException: on_http_error,
    msgspec.MsgspecError: on_decode_error,
    Exception: on_any_error,
}


def explain(fault: BaseException) -> tuple[str, str, str | None] | None:
    """Return code, sentence and advice of an error of the disk or database, else None."""
    text = str(fault)
    if type(fault).__module__.partition(".")[0] in ("pysqlite3", "sqlean", "sqlite3"):
        if "full" in text:
            return "disk_full", _("The disk is full."), _("Nothing was changed. Make room first.")
        if "malformed" in text or "not a database" in text:
            return (
                "damaged_database",
                _("The database is damaged: {fault}.").format(fault=text),
                _("Stop the node and run: maillon doctor"),
            )
        return None
    if isinstance(fault, OSError) and fault.errno == 28:  # ENOSPC
        return "disk_full", _("The disk is full."), _("Nothing was changed. Make room first.")
    if isinstance(fault, PermissionError):
        path = str(fault.filename or "")
        return "permission", _("The node may not write {path}.").format(path=path), None
    return None
