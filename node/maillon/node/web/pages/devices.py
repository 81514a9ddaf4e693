"""The devices of a person: which keys speak for them, and where they are signed in."""

from __future__ import annotations

import re
from typing import Final

from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from maillon.node.api.auth import NotFound
from maillon.node.i18n import _
from maillon.node.web.routes import Framed, Page, action, page

_SESSION: Final = re.compile(r"[0-9a-f]{16}")


@page("/devices", "read")
def devices(frame: Framed) -> Page:
    """List keys and sessions."""
    access = frame.service.door.access
    sessions = access.store.sessions(frame.author, access.now())
    person = frame.service.persons.person(frame.caller, frame.person)
    return frame.render("devices/list.html", person=person, sessions=sessions)


@action("/devices/sessions/{id:str}/end", "read")
async def end_session(frame: Framed, id: FromPath[str]) -> Page:
    """Sign out another device."""
    frame.form()
    if not _SESSION.fullmatch(id):
        raise NotFound(_("There is no such session."))
    frame.service.door.access.end_session(frame.caller, id)
    return frame.go("/devices", _("That device is signed out."))


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (devices, end_session)
