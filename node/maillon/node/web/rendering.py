"""Turn templates into pages.

Everything that a template shows is text: it is escaped, and characters that turn the reading
direction or hide are taken out, whoever wrote them. A name that a template uses and nobody gave is
an error, not an empty place.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from maillon.node.i18n import _, language, ngettext
from maillon.node.web.static import Assets
from maillon.node.web.words import NBSP, fields, plain, safe_url


def make_environment(assets: Assets) -> Environment:
    """Return the environment of all templates."""
    environment = Environment(
        loader=PackageLoader("maillon.node.web", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.loopcontrols"],
        # Templates are files of this version: they do not change while it runs.
        auto_reload=False,
        cache_size=400,
    )
    i18n: Any = environment
    i18n.install_gettext_callables(_, ngettext, newstyle=True)
    environment.policies["ext.i18n.trimmed"] = True
    # Its type is that of the library's own globals.
    known: Any = environment.globals
    known.update(asset=assets.url, fields=fields, language=language, nbsp=NBSP, safe_url=safe_url)
    return environment


def _shown(value: object) -> object:
    if isinstance(value, str) and not isinstance(value, Markup):
        return plain(value)
    if value is None:
        # "None" on a page is never what was meant.
        raise TypeError("a template shows a value that is not there")
    return value
