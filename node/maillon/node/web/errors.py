"""Say in people's words what went wrong and what to do."""

from __future__ import annotations

from typing import Any

from litestar import Response

from maillon.node.i18n import _, ngettext
from maillon.node.web.frame import Frame


def page(frame: Frame, status: int, told: dict[str, Any]) -> Response[bytes]:
    """Return the page of an error, from its problem document (RFC 9457)."""
    code = str(told.get("code", ""))
    title, sentence, advice = _words(status, code, told)
    return frame.render(
        "error.html", status=status, title=title, sentence=sentence, advice=advice, code=status
    )


def _words(status: int, code: str, told: dict[str, Any]) -> tuple[str, str, str]:
    """Return title, what happened, and what to do."""
    detail = str(told.get("detail", ""))
    match code:
        case "csrf":
            return (
                _("This page was open for too long"),
                _("To protect you, forms only count for a while. Nothing was changed."),
                _("Go back, load the page again, then send it once more."),
            )
        case "origin":
            return (
                _("Another site tried to act in your name"),
                _("The request came from another site. Nothing was changed."),
                _("Close that other page. If you did this yourself, begin again from here."),
            )
        case "rate" | "quota" if status == 429:
            wait = max(1, int(told.get("retry_after", 60)))
            return (
                _("A little too fast"),
                _("Too much was asked from here in a short time."),
                ngettext(
                    "Wait {n} second, then try again.", "Wait {n} seconds, then try again.", wait
                ).format(n=wait),
            )
        case "idempotency_mismatch" | "idempotency_unknown":
            return (
                _("This form was sent already"),
                _("It was sent once before, perhaps with other words in it."),
                _("Look whether it was done. If not, open the form anew."),
            )
        case "idempotency_running":
            return (
                _("This is being done"),
                _("You sent the form twice; the first time is still under way."),
                _("Wait a moment, then look whether it was done."),
            )
        case "unauthenticated" | "sign_in":
            return (
                _("Please sign in"),
                _("This page belongs to a person of the coop."),
                _("Sign in, then come back here."),
            )
        case "forbidden":
            return (
                _("This is not open to you"),
                _("It belongs to somebody else, or needs another role at the coop."),
                _("Ask the people at your coop if you think that it should be."),
            )
        case "not_found":
            return (
                _("There is nothing here"),
                _("The address is wrong, or what stood here was taken away."),
                _("Go to the home page, or search for it."),
            )
        case "too_large":
            return (
                _("This is too long"),
                _("More was sent than can be read here. Nothing was changed."),
                _("Go back and shorten your text."),
            )
        case "host":
            return (
                _("This is not the right address"),
                _("Your coop's pages are reached under another address."),
                _("Ask your coop for the address of its pages."),
            )
        case _ if status >= 500:
            return (
                _("Something broke here"),
                _("It is not your fault. The people of the coop can see what happened."),
                _("Try again in a moment. If it stays so, call your coop."),
            )
        case _:
            return (
                _("This could not be done"),
                detail or _("The request could not be understood."),
                _("Go back and try again."),
            )
