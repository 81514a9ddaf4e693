"""The first page: what one can do here, in large; what is new; whom to call."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from maillon.node.api.service import SearchOptions
from maillon.node.web.routes import Framed, Page, page

NEWEST: Final = 6


@page("/")
def home(frame: Framed) -> Page:
    """Show the first page; nobody has to be signed in."""
    newest = frame.service.search(SearchOptions(order="newest", limit=NEWEST))
    return frame.render("home.html", newest=newest.hits)


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (home,)
