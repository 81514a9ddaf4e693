"""Every part of the kit in every state, for screenshots and for what examines them. Tests alone."""

from __future__ import annotations

from typing import Final

from litestar.handlers import HTTPRouteHandler

from maillon.node.i18n import _
from maillon.node.web.forms import Form
from maillon.node.web.routes import Framed, Page, action, page

SAMPLE: Final = {
    "kind": "offer",
    "days": 30,
    "payload": {
        "title": 'L\'heure "calme" <pour tous>',
        "text": "Échecs, dames & cartes.",
        "lang": "fr",
        "categories": ["jeux"],
        "mode": ["on_site"],
        "reciprocity": {"kind": "free"},
    },
}


def _filled() -> Form:
    form = Form({"title": ["Aide au jardin"], "amount": ["dix"], "mode": ["at_home"]})
    form.wrong("amount", _("Write a whole number from {low} to {high}.").format(low=1, high=8))
    form.wrong("agreed", _("Choose one."))
    return form


@page("/kit")
def kit(frame: Framed) -> Page:
    """Show the kit."""
    return frame.render("kit_page.html", status=200, form=_filled(), sample=SAMPLE)


@page("/kit/fault")
def fault(frame: Framed) -> Page:
    """Break, as a page that has a fault would."""
    raise RuntimeError("a fault in a page")


@action("/kit")
async def send(frame: Framed) -> Page:
    """Take a form, and say what was typed on the next page."""
    form = frame.form()
    title = form.text("title", required=True)
    if form.ok:
        return frame.go("/kit", _("Your offer “{title}” is published.").format(title=title))
    return frame.render("kit_page.html", form=form, sample=SAMPLE)


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (kit, fault, send)
