"""Read what people typed into a form, and say beside each field what is wrong with it.

    form = await frame.form()
    title = form.text("title", required=True)
    if form.ok:
        with form.trying():
            await frame.service.publish(…)
            return frame.go("/offers/…", _("Your offer is published."))
    return frame.render("offers/new.html", form=form)          # status 422, what was typed is kept

A form that nobody filled in yet is `Form()`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Generator, Mapping, Sequence
from typing import Final

from maillon.node.i18n import _
from maillon.node.web import bounds
from maillon.protocol.encoding import nfc
from maillon.protocol.errors import LocalError, MaillonError, RemoteError

# What no text holds: control characters other than the end of a line and a tab.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_NOT_TYPED: Final = ("unauthenticated", "forbidden", "internal")


class Form:
    """What was typed, and what is wrong with it.

    The readers below note what they refuse in `errors`; they return something of their type all the
    same, so that all faults of a form are told at once.
    """

    def __init__(self, values: Mapping[str, Sequence[str]] | None = None) -> None:
        self._values = {name: list(found) for name, found in (values or {}).items()}
        self.sent = values is not None
        self.errors: dict[str, str] = {}
        self.general: list[str] = []
        """What is wrong with the form as a whole."""

    @property
    def ok(self) -> bool:
        """Tell whether nothing was refused so far."""
        return not self.errors and not self.general

    def fill(self, **values: str | Sequence[str]) -> Form:
        """Put into the fields what nobody typed yet, and return the form."""
        for name, value in values.items():
            if name not in self._values:
                self._values[name] = [value] if isinstance(value, str) else list(value)
        return self

    def value(self, name: str) -> str:
        """Return what a field holds, as it was typed, for showing it again."""
        found = self._values.get(name)
        return found[0] if found else ""

    def values(self, name: str) -> list[str]:
        """Return all that was chosen of a field."""
        return self._values.get(name, [])[: bounds.CHOICES_MAX]

    def error(self, name: str) -> str:
        """Return what is wrong with a field, or an empty text."""
        return self.errors.get(name, "")

    def wrong(self, name: str, sentence: str) -> None:
        """Say what is wrong with a field; the first sentence stays. Without a name: of the form."""
        if not name:
            self.general.append(sentence)
        else:
            self.errors.setdefault(name, sentence)

    # --- reading --------------------------------------------------------------------------------

    def text(
        self,
        name: str,
        *,
        required: bool = False,
        most: int = bounds.LINE_CHARACTERS_MAX,
        lines: bool = False,
    ) -> str:
        """Return a text in NFC without blanks around it; with `lines` it may have several."""
        text = nfc(self.value(name)).replace("\r\n", "\n").replace("\r", "\n").strip()
        if not lines:
            text = " ".join(text.split())
        if _CONTROL.search(text):
            self.wrong(name, _("There are characters in it that cannot be shown. Type it again."))
        elif len(text) > most:
            sentence = _("This is too long: {n} characters. There is room for {most}.")
            self.wrong(name, sentence.format(n=len(text), most=most))
        elif required and not text:
            self.wrong(name, _("Write something here."))
        return text

    def choice(self, name: str, among: Collection[str], *, required: bool = False) -> str:
        """Return one of several values, empty when none was chosen."""
        value = self.value(name)
        if value and value not in among:
            self.wrong(name, _("Choose one of the list."))
            return ""
        if required and not value:
            self.wrong(name, _("Choose one."))
        return value

    def choices(self, name: str, among: Collection[str], *, required: bool = False) -> list[str]:
        """Return those that were chosen, each once, in the order of `among`."""
        chosen = set(self.values(name))
        if chosen - set(among):
            self.wrong(name, _("Choose from the list."))
        if required and not chosen:
            self.wrong(name, _("Choose at least one."))
        return [value for value in among if value in chosen]

    def number(self, name: str, low: int, high: int, *, required: bool = False) -> int | None:
        """Return a whole number between two bounds, None when the field is empty."""
        text = self.value(name).strip()
        if not text:
            if required:
                self.wrong(name, _("Write a number."))
            return None
        if not re.fullmatch(r"-?[0-9]{1,12}", text) or not low <= int(text) <= high:
            sentence = _("Write a whole number from {low} to {high}.")
            self.wrong(name, sentence.format(low=low, high=high))
            return None
        return int(text)

    def ticked(self, name: str) -> bool:
        """Tell whether a box was ticked."""
        return self.value(name) in ("1", "on", "yes")

    # --- asking the node ------------------------------------------------------------------------

    @contextlib.contextmanager
    def trying(self, **fields: str) -> Generator[None]:
        """Ask something of the node; what it refuses is said beside the field, or above the form.

        `fields` maps names of the node's fields to those of the form. Errors that typing something
        else would not mend (nobody is signed in, it is not allowed) go on.
        """
        try:
            yield
        except (LocalError, RemoteError) as fault:
            if fault.code in _NOT_TYPED:
                raise
            name = str(fault.facts.get("field", ""))
            name = fields.get(name, name)
            self.wrong(name if name in self._values else "", _said(fault))


def _said(fault: MaillonError) -> str:
    hint = fault.hint if isinstance(fault, LocalError) else None
    # Advice to somebody at a command line is none to somebody at a page.
    if not hint or "maillon " in hint or "/v1/" in hint:
        return str(fault)
    return f"{fault} {hint}"
