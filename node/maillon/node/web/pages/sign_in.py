"""Sign in with the key of this device or a code of the desk, claim an account, sign out."""

from __future__ import annotations

import base64
from typing import Final

import trio
from litestar.handlers import HTTPRouteHandler

from maillon.node.api.caller import Forbidden, NotSignedIn
from maillon.node.api.gate import COOKIE, FORM_COOKIE
from maillon.node.i18n import _
from maillon.node.web import bounds
from maillon.node.web.forms import Form
from maillon.node.web.frame import ACTING_COOKIE, Frame
from maillon.node.web.routes import Framed, Page, action, page
from maillon.node.web.words import local_path


def _next(form: Form) -> str:
    return local_path(form.value("next") or "/", bounds.PATH_CHARACTERS_MAX)


@page("/sign-in")
def sign_in(frame: Framed) -> Page:
    """Show the ways to sign in."""
    where = _next(frame.query)
    if frame.signed_in:
        return frame.go(where)
    return frame.render("sign_in/sign_in.html", form=Form().fill(next=where), next=where)


@action("/sign-in")
async def sign_in_with_code(frame: Framed) -> Page:
    """Begin a session with an access code that the desk handed out."""
    form = frame.form()
    code = "".join(form.text("code", required=True).split())
    if form.ok:
        access = frame.service.door.access
        access.attempt(frame.caller.address, trio.current_time())
        try:
            shown = access.by_token(code)
            person = None if shown.author is None else access.directory.by_author(shown.author)
            if person is None:
                raise Forbidden(_("This code is not of a person."))
        except (NotSignedIn, Forbidden):
            # The same words for every reason: which codes there were is nobody's to learn.
            form.wrong("code", _("This code does not count. Ask your coop for another one."))
        else:
            access.attempt_was_good(frame.caller.address, trio.current_time())
            new = access.begin_session(
                person, key=shown.key or b"", method="token", scopes=shown.scopes
            )
            age = new.session.expires - new.session.created
            value = base64.urlsafe_b64encode(new.secret).rstrip(b"=").decode()
            frame.remember(COOKIE, value, age_s=age)
            frame.remember(FORM_COOKIE, "", age_s=0)
            return frame.go(_next(form))
    return frame.render("sign_in/sign_in.html", form=form, next=_next(form))


@action("/sign-out")
async def sign_out(frame: Framed) -> Page:
    """End the session; the key of the device stays where it is."""
    frame.form()
    leave(frame)
    return frame.go("/")


def leave(frame: Frame) -> None:
    """End the session of a frame and forget for whom its person acted."""
    if frame.caller.id:
        frame.service.door.access.store.end_session(frame.caller.id)
    frame.remember(COOKIE, "", age_s=0)
    frame.remember(ACTING_COOKIE, "", age_s=0)


@page("/claim")
def claim(frame: Framed) -> Page:
    """Show how an own key is made on this device, with the code from the coop's sheet."""
    return frame.render("sign_in/claim.html", form=Form().fill(code=frame.query.value("code")))


ROUTES: Final[tuple[HTTPRouteHandler, ...]] = (
    sign_in,
    sign_in_with_code,
    sign_out,
    claim,
)
