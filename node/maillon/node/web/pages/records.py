"""One offer, one demand, one coop."""

from __future__ import annotations

import re
from typing import Any, Final

from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from maillon.node.api.auth import NotFound
from maillon.node.api.service import ListOptions, SearchOptions
from maillon.node.i18n import _
from maillon.node.web.pages.search import access_words
from maillon.node.web.routes import Framed, Page, page

PATHS: Final = {"offer": "/offers/", "demand": "/demands/"}
COOPS_MAX: Final = 1_000
NEWEST: Final = 6
_ID: Final = re.compile(r"[0-9a-f]{8,64}")


def _show(frame: Framed, id: str, kind: str) -> Page:
    if not _ID.fullmatch(id):
        raise NotFound(_("There is nothing at this address."))
    found = frame.service.record(id, False)
    if found.kind != kind:
        if found.kind not in PATHS:
            raise NotFound(_("There is nothing at this address."))
        return frame.go(PATHS[found.kind] + found.id)
    state = found.state if isinstance(found.state, str) else "live"
    replaced = found.replaced_by if isinstance(found.replaced_by, str) else ""
    return frame.render(
        "records/show.html",
        status=200 if found.payload else 410,
        record=found,
        payload=found.payload or {},
        state=state,
        newer=PATHS[kind] + replaced if replaced else "",
        access=_access(found.payload or {}),
        profile=coop_profile(frame, found.coop) or {},
        own=frame.signed_in and _is_own(frame, found.id),
    )


def _is_own(frame: Framed, id: str) -> bool:
    return frame.service.door.owner(id) == frame.author


def _access(payload: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the conditions of access as name and value in words."""
    words = access_words()
    told: dict[str, Any] = payload.get("access", {})
    said = {True: _("yes"), False: _("no")}
    return [
        (words.get(name, name), said[value] if isinstance(value, bool) else str(value))
        for name, value in told.items()
    ]


def coop_profile(frame: Framed, coop: str) -> dict[str, Any] | None:
    """Return what a coop says of itself; None when it says nothing here."""
    found = frame.service.records(ListOptions(kinds=("coop_profile",), limit=COOPS_MAX)).records
    return next((record.payload for record in found if record.coop == coop), None)


@page("/offers/{id:str}")
def show_offer(frame: Framed, id: FromPath[str]) -> Page:
    """Show one offer."""
    return _show(frame, id, "offer")


@page("/demands/{id:str}")
def show_demand(frame: Framed, id: FromPath[str]) -> Page:
    """Show one demand."""
    return _show(frame, id, "demand")


@page("/coops/{id:str}")
def show_coop(frame: Framed, id: FromPath[str]) -> Page:
    """Show one coop of the federation: who they are, where, and what they offer."""
    coops = {row.coop: row for row in frame.service.federation().coops}
    found = coops.get(id)
    if found is None:
        raise NotFound(_("There is no such coop in this federation."))
    hits = frame.service.search(SearchOptions(coops=(id,), order="newest", limit=NEWEST)).hits
    return frame.render(
        "records/coop.html", coop=found, profile=coop_profile(frame, id) or {}, hits=hits
    )


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (show_offer, show_demand, show_coop)
