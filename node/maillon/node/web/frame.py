"""What surrounds one page: who looks at it, in which language and colours, and what was just done.

A handler gets a `Frame` and answers with `frame.render(template, …)` or, after a form,
`frame.go(path, sentence)`: a redirection, so that reloading sends nothing again.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final, Literal, cast
from urllib.parse import parse_qs, urlencode

from jinja2 import Environment
from litestar import Response
from litestar.datastructures import Cookie

from maillon.node.api.accessports import Person
from maillon.node.api.caller import NOBODY, Caller
from maillon.node.api.fields import Unreadable, is_form, read_fields
from maillon.node.api.gate import COOKIE, FORM_COOKIE, secret_of
from maillon.node.api.service import Service
from maillon.node.engine.access import csrf_of
from maillon.node.i18n import _, known_languages, language
from maillon.node.web import bounds, categories
from maillon.node.web.forms import Form
from maillon.node.web.house import House
from maillon.node.web.static import Assets
from maillon.node.web.words import Words, local_path, safe_url

LANGUAGE_COOKIE: Final = "maillon-lang"
THEME_COOKIE: Final = "maillon-theme"
SAID_COOKIE: Final = "__Host-maillon-said"
ACTING_COOKIE: Final = "__Host-maillon-acting"
THEMES: Final = ("auto", "light", "dark", "contrast")
Tone = Literal["done", "note", "warning"]

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "worker-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With "no-referrer" a browser would send the forms of our own pages with "Origin: null".
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(self), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the page before."""

    tone: Tone
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """An entry of the navigation; `here` tells that the page shown belongs to it."""

    path: str
    label: str
    icon: str
    here: bool


@dataclass(slots=True)
class Site:
    """What all pages share. `places` are the paths of the pages that there are."""

    service: Service
    house: House
    assets: Assets
    environment: Environment
    key: bytes
    places: set[str] = field(default_factory=set[str])


class Frame:
    """One request for a page, and the answer to it."""

    def __init__(self, scope: Mapping[str, Any], body: bytes | None, site: Site) -> None:
        self._scope = scope
        self._body = body
        self._site = site
        self.house = site.house
        self.service = site.service
        self.path = str(scope["path"])
        self.method = str(scope["method"])
        found = scope.get("auth")
        self.caller: Caller = found if isinstance(found, Caller) else NOBODY
        self._headers = [
            (bytes(name).lower(), bytes(value).decode("latin-1"))
            for name, value in scope["headers"]
        ]
        self._set: list[Cookie] = []
        self.now = site.house.now()

    # --- the request ----------------------------------------------------------------------------

    def header(self, name: bytes) -> str:
        """Return a header's last value, or an empty text."""
        return next((value for key, value in reversed(self._headers) if key == name), "")

    def cookie(self, name: str) -> str:
        """Return a cookie, or an empty text."""
        for text in self._cookies:
            try:
                found = SimpleCookie(text).get(name)
            except CookieError:
                continue
            if found is not None:
                return str(found.value)
        return ""

    @cached_property
    def _cookies(self) -> list[str]:
        return [value for key, value in self._headers if key == b"cookie"]

    @cached_property
    def query(self) -> Form:
        """Return what stands after the "?" of the address; read it as a form."""
        text = bytes(self._scope.get("query_string", b"")).decode("latin-1")
        try:
            return Form(parse_qs(text, max_num_fields=64, encoding="utf-8", errors="strict"))
        except ValueError:
            return Form({})

    def form(self) -> Form:
        """Return what the form sent. Raises: Unreadable when it was no form."""
        kind = self.header(b"content-type")
        if self._body is None or not is_form(kind):
            # The gate looks at forms alone for the token of a page.
            raise Unreadable(_("This is done by sending a form."))
        return Form(read_fields(kind, self._body))

    @property
    def wants_part(self) -> bool:
        """Tell whether htmx asks for a part of the page."""
        return self.header(b"hx-request") == "true"

    # --- who ------------------------------------------------------------------------------------

    @property
    def signed_in(self) -> bool:
        """Tell whether a person is signed in."""
        return self.caller.kind == "member" and self.caller.author is not None

    @cached_property
    def me(self) -> Person | None:
        """Return who is signed in."""
        author = self.caller.author
        return None if author is None else self.service.door.access.directory.by_author(author)

    @cached_property
    def acting(self) -> Person | None:
        """Return for whom the person who is signed in acts now; None for themselves.

        The cookie says for whom, the mandates of this moment whether it counts.
        """
        text = self.cookie(ACTING_COOKIE)
        if not text or self.caller.author is None or len(text) != 98:
            return None
        try:
            author = bytes.fromhex(text)
        except ValueError:
            return None
        if author == self.caller.author or not self.caller.may_act_for(author):
            return None
        return self.service.door.access.directory.by_author(author)

    @property
    def author(self) -> bytes:
        """Return whose affairs the page shows: 49 bytes. Raises: NotSignedIn."""
        if self.acting is not None:
            return self.acting.author
        self.caller.require("read")
        assert self.caller.author is not None
        return self.caller.author

    @property
    def person(self) -> str:
        """Return the id of whose affairs the page shows, hexadecimal. Raises: NotSignedIn."""
        return self.author[33:].hex()

    @property
    def signs_here(self) -> bool:
        """Tell whether the person signed in with a key of their own, which this device has.

        Then pages have the browser sign (`kit.signing`); otherwise the node does, for a form.
        """
        return self.signed_in and self.caller.key is not None

    # --- tokens of forms ------------------------------------------------------------------------

    @cached_property
    def csrf(self) -> str:
        """Return what a form says in its field `csrf` (api.gate)."""
        name = COOKIE if self.signed_in else FORM_COOKIE
        secret = secret_of(self._cookies, name)
        if secret is None:
            secret = self._site.house.random(bounds.SECRET_BYTES)
            value = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
            self.remember(FORM_COOKIE, value, age_s=None)
        return csrf_of(secret)

    @property
    def once(self) -> str:
        """Return what a form says in its field `once`: another one each time it is drawn."""
        return self._site.house.random(bounds.ONCE_BYTES).hex()

    # --- language and theme ---------------------------------------------------------------------

    @property
    def theme(self) -> str:
        """Return the theme that was chosen; "auto" follows the device."""
        chosen = self.cookie(THEME_COOKIE)
        return chosen if chosen in THEMES else "auto"

    @property
    def languages(self) -> list[tuple[str, str]]:
        """Return tag and own name of the languages there are."""
        names = {"fr": "Français", "en": "English"}
        return [(tag, names.get(tag, tag)) for tag in sorted(known_languages(), reverse=True)]

    def here(self, **changes: str | Sequence[str] | None) -> str:
        """Return the address of this page with other parameters; None takes one away."""
        text = bytes(self._scope.get("query_string", b"")).decode("latin-1")
        try:
            given = parse_qs(text, max_num_fields=64, encoding="utf-8")
        except ValueError:
            given = {}
        merged: dict[str, Any] = {**given, **changes}
        kept = {name: value for name, value in merged.items() if value not in (None, "", [])}
        asked = urlencode(kept, doseq=True)
        return f"{self.path}?{asked}" if asked else self.path

    # --- words ----------------------------------------------------------------------------------

    @cached_property
    def say(self) -> Words:
        """Return the words for amounts, times and categories."""
        return Words(
            zone=self.house.zone,
            now=self.now,
            units=self.service.federation().units,
            categories=categories.labels(self.service, language()),
        )

    # --- navigation -----------------------------------------------------------------------------

    def is_there(self, path: str) -> bool:
        """Tell whether this version has a page at a path without variable parts."""
        return path in self._site.places

    @property
    def links(self) -> list[Link]:
        """Return the navigation: what there is, and what the caller may see."""
        wished = [
            ("/", _("Home"), "home", ""),
            ("/search", _("Find"), "search", ""),
            ("/exchanges", _("Exchanges"), "exchange", "exchange"),
            ("/agenda", _("Agenda"), "calendar", "exchange"),
            ("/carnet", _("My carnet"), "book", "read"),
            ("/tours", _("Markets and tours"), "van", ""),
            ("/desk", _("Desk"), "desk", "desk"),
            ("/node", _("The coop's computer"), "pulse", "admin"),
        ]
        return [
            Link(path, label, icon, self._belongs(path))
            for path, label, icon, scope in wished
            if self.is_there(path) and (not scope or self.caller.may(scope))
        ]

    def _belongs(self, path: str) -> bool:
        return self.path == path or (path != "/" and self.path.startswith(f"{path}/"))

    # --- answers --------------------------------------------------------------------------------

    def remember(self, name: str, value: str, *, age_s: int | None, secret: bool = True) -> None:
        """Set a cookie with the answer; `age_s` None for as long as the browser is open, 0 ends it.

        One that is no `secret` is of a taste (language, theme): it goes without TLS as well.
        """
        self._set.append(
            Cookie(
                key=name,
                value=value,
                path="/",
                max_age=age_s,
                secure=secret or self.house.secure,
                httponly=True,
                samesite="strict" if secret else "lax",
            )
        )

    @cached_property
    def said(self) -> Said | None:
        """Return what the page before has to say, once."""
        text = self.cookie(SAID_COOKIE)
        if not text:
            return None
        self.remember(SAID_COOKIE, "", age_s=0)
        told, _dot, tag = text.partition(".")
        if not hmac.compare_digest(tag.encode("utf-8", "replace"), self._tag(told).encode()):
            return None
        try:
            tone, sentence = cast("list[str]", json.loads(base64.urlsafe_b64decode(told)))
        except (binascii.Error, ValueError):
            return None
        return Said(cast("Tone", tone), sentence)

    def _tag(self, told: str) -> str:
        # Bound to who it is for: on a shared device the next person does not read it.
        whom = self.caller.id.encode()
        return hmac.digest(self._site.key, told.encode() + b"\0" + whom, "sha256").hex()

    def go(self, path: str, said: str = "", tone: Tone = "done") -> Response[bytes]:
        """Return a redirection to a path of this site (303), which may say a sentence there."""
        if said:
            text = json.dumps([tone, said[: bounds.SAID_BYTES_MAX // 4]]).encode()
            told = base64.urlsafe_b64encode(text).decode()
            self.remember(SAID_COOKIE, f"{told}.{self._tag(told)}", age_s=bounds.SAID_S)
        where = local_path(path, bounds.PATH_CHARACTERS_MAX)
        return self._answer(b"", 303, {"Location": where})

    def render(
        self, template: str, *, status: int | None = None, **context: Any
    ) -> Response[bytes]:
        """Return a page. A `form` in the context that refused something makes it a 422."""
        form = context.get("form")
        if status is None:
            status = 422 if isinstance(form, Form) and form.sent and not form.ok else 200
        body = self._site.environment.get_template(template).render(
            {"frame": self, "house": self.house, "say": self.say, **context}
        )
        return self._answer(body.encode(), status, {"Content-Language": language()})

    def _answer(self, body: bytes, status: int, more: dict[str, str]) -> Response[bytes]:
        return Response(
            body,
            status_code=status,
            media_type="text/html",
            headers={**HEADERS, **more},
            cookies=self._set,
        )

    # --- for templates --------------------------------------------------------------------------

    safe_url = staticmethod(safe_url)
