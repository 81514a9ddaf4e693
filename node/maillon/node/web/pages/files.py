"""Stylesheets, scripts, pictures and the font."""

from __future__ import annotations

from typing import Final

from litestar import Response
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath, SkipValidation

from maillon.node.api.auth import NotFound
from maillon.node.i18n import _
from maillon.node.web.routes import Framed, Page, page
from maillon.node.web.static import Assets

Files = NamedDependency[SkipValidation[Assets]]


def _found(frame: Framed, assets: Assets, path: str) -> Page:
    answer: Response[bytes] | None = assets.answer(path, frame.header(b"accept-encoding"))
    if answer is None:
        raise NotFound(_("There is no such file."))
    return answer


@page("/static/{path:path}")
def static(frame: Framed, assets: Files, path: FromPath[str]) -> Page:
    """Give a file whose address has the digest of this version."""
    return _found(frame, assets, path)


@page("/favicon.ico")
def favicon(frame: Framed, assets: Files) -> Page:
    """Give the mark to browsers that ask for it by this name."""
    return _found(frame, assets, f"{assets.digest}/img/mark.svg")


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (static, favicon)
