"""Declare the handlers of pages.

@page("/search")                              # anybody may see it
def search(frame: Framed) -> Page: …

@action("/sign-out", "read")                  # who has the scope may send the form
async def sign_out(frame: Framed) -> Page: …
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import SkipValidation

from maillon.node.api.caller import PUBLIC, needs
from maillon.node.web.frame import Frame

Framed = NamedDependency[SkipValidation[Frame]]
"""Type of a handler's parameter `frame`."""
Page = Response[bytes]
"""What every handler returns: `frame.render(…)` or `frame.go(…)`."""


def page(path: str, scope: str = PUBLIC) -> Callable[[Callable[..., Page]], HTTPRouteHandler]:
    """Declare what answers to GET; a function that changes nothing."""

    def declare(handler: Callable[..., Page]) -> HTTPRouteHandler:
        made: Any = get(path, opt=needs(scope), sync_to_thread=False, include_in_schema=False)
        found: HTTPRouteHandler = made(handler)
        return found

    return declare


def action(path: str, scope: str = PUBLIC) -> Callable[[Callable[..., Any]], HTTPRouteHandler]:
    """Declare what a form is sent to; an async function, which begins with `await frame.form()`."""

    def declare(handler: Callable[..., Any]) -> HTTPRouteHandler:
        made: Any = post(path, opt=needs(scope), status_code=200, include_in_schema=False)
        found: HTTPRouteHandler = made(handler)
        return found

    return declare
