"""Serve the pages beside the interface: what begins with /v1/ is the interface's, all else theirs.

`Pages.inside` stands behind the gate and has the handlers. `Pages.around` stands before it: it
chooses the language, and turns whatever is refused on the way to a page into a page.
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final, cast
from urllib.parse import urlencode

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.enums import ScopeType
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from maillon.node import i18n
from maillon.node.api import problems
from maillon.node.api.bounds import FORM_BYTES_MAX
from maillon.node.api.caller import guard
from maillon.node.api.gate import API
from maillon.node.api.gate import answer as plainly
from maillon.node.api.service import Service
from maillon.node.web import bounds, errors
from maillon.node.web.frame import LANGUAGE_COOKIE, THEME_COOKIE, THEMES, Frame, Site
from maillon.node.web.house import House
from maillon.node.web.pages import ROUTES, SAMPLES
from maillon.node.web.rendering import make_environment
from maillon.node.web.static import Assets

log = logging.getLogger("maillon.web")

PROBLEM: Final = problems.MEDIA_TYPE.encode()


class Pages:
    """The pages of a node."""

    def __init__(self, service: Service, house: House) -> None:
        assets = Assets()
        self.site = Site(
            service, house, assets, make_environment(assets), house.random(bounds.SECRET_BYTES)
        )
        handlers: list[HTTPRouteHandler] = [*ROUTES, *(SAMPLES if house.samples else ())]
        self.site.places.update(path for handler in handlers for path in handler.paths)

        async def frame(request: Request[Any, Any, Any]) -> Frame:
            body = await request.body() if request.method == "POST" else None
            return Frame(cast("dict[str, Any]", request.scope), body, self.site)

        async def files() -> Assets:
            return assets

        self._app = Litestar(
            route_handlers=handlers,
            dependencies={"frame": Provide(frame), "assets": Provide(files)},
            guards=[guard],
            # As the interface tells them: `around` makes pages of them.
            exception_handlers=problems.HANDLERS,
            openapi_config=None,
            request_max_body_size=FORM_BYTES_MAX,
            logging_config=None,
        )

    def inside(self, interface: ASGIApp) -> ASGIApp:
        """Return an application with both: the interface, and the pages."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            page = scope["type"] == ScopeType.HTTP and not scope["path"].startswith(API)
            app = cast("ASGIApp", self._app) if page else interface
            await app(scope, receive, send)

        return serve

    def around(self, gate: ASGIApp) -> ASGIApp:
        """Return the application that speaks to browsers, around the gate."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or scope["path"].startswith(API):
                await gate(scope, receive, send)
                return
            frame = Frame(cast("dict[str, Any]", scope), None, self.site)
            with i18n.speaking(_language(frame)):
                if (chosen := _choice(frame)) is not None:
                    await answer(chosen, send)
                    return
                await gate(scope, receive, _Refusals(scope, self.site, send).send)

        return serve


async def answer(response: Response[bytes], send: Send) -> None:
    """Send a page that no handler gives, with its cookies."""

    async def with_cookies(message: Message) -> None:
        if message["type"] == "http.response.start":
            cookies = [
                (b"set-cookie", cookie.to_header(header="").encode("latin-1"))
                for cookie in response.cookies
            ]
            # As the framework does for the pages that handlers give.
            headers = [
                (n, v + b"; charset=utf-8" if v == b"text/html" else v)
                for n, v in message["headers"]
            ]
            message["headers"] = [*headers, *cookies]
        await send(message)

    await plainly(response, with_cookies)


def _language(frame: Frame) -> str | None:
    """Return the language of a page: chosen, else asked for by the browser, else the coop's."""
    known = i18n.known_languages()
    chosen = frame.cookie(LANGUAGE_COOKIE)
    if chosen in known:
        return chosen
    asked = i18n.choose(frame.header(b"accept-language"))
    return asked or next((tag[:2] for tag in frame.house.languages if tag[:2] in known), None)


def _choice(frame: Frame) -> Response[bytes] | None:
    """Answer ?lang= and ?theme=, which any page may be asked with: remember it, and show the page.

    A cookie of a taste is all that a GET changes. The redirection is to the same path.
    """
    if frame.method != "GET":
        return None
    tag, theme = frame.query.value("lang"), frame.query.value("theme")
    if tag in i18n.known_languages():
        frame.remember(LANGUAGE_COOKIE, tag, age_s=bounds.SETTINGS_S, secret=False)
    elif theme in THEMES:
        frame.remember(THEME_COOKIE, theme, age_s=bounds.SETTINGS_S, secret=False)
    else:
        return None
    return frame.go(frame.here(lang=None, theme=None))


class _Refusals:
    """Pass an answer on; one that is a problem document becomes a page that says the same."""

    def __init__(self, scope: Scope, site: Site, send: Send) -> None:
        self._scope = scope
        self._site = site
        self._send = send
        self._start: dict[str, Any] | None = None
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [(bytes(n).lower(), bytes(v)) for n, v in message["headers"]]
            if any(n == b"content-type" and v.startswith(PROBLEM) for n, v in headers):
                self._start = cast("dict[str, Any]", message)
                return
        elif self._start is not None and message["type"] == "http.response.body":
            self._body += message["body"][: bounds.PROBLEM_BYTES_MAX]
            if not message["more_body"]:
                await answer(self._page(), self._send)
            return
        await self._send(message)

    def _page(self) -> Response[bytes]:
        assert self._start is not None
        frame = Frame(cast("dict[str, Any]", self._scope), None, self._site)
        status = int(self._start["status"])
        try:
            told: dict[str, Any] = json.loads(self._body) if self._body else {}
        except ValueError:
            told = {}
        if status == 401 and frame.method == "GET":
            return frame.go(f"/sign-in?{urlencode({'next': frame.here()})}")
        page = errors.page(frame, status, told)
        for name, value in self._start["headers"]:
            if bytes(name).lower() in (b"retry-after", b"allow"):
                page.headers[bytes(name).decode("latin-1")] = bytes(value).decode("latin-1")
        return page
