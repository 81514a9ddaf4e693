"""The pages by area: each module has the handlers of one, and `ROUTES` names them all.

A new area: a module here, its templates in templates/<area>/, and a line below.
"""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from maillon.node.web.pages import carnet, devices, files, home, kit, records, search, sign_in

ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (
    *files.ROUTES,
    *home.ROUTES,
    *search.ROUTES,
    *records.ROUTES,
    *sign_in.ROUTES,
    *devices.ROUTES,
    *carnet.ROUTES,
)
SAMPLES: Final[tuple[HTTPRouteHandler, ...]] = kit.ROUTES
"""Pages for tests alone."""
