"""Say how an account stands after a command, and who has to act next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from maillon.node.cli import base
from maillon.node.i18n import _
from maillon.protocol.errors import LocalError


def read_account(account: str) -> dict[str, Any] | None:
    """Return an account of this coop as it is now; None when the node cannot tell any more.

    What was asked is done by then: that it cannot be looked at is no reason to call it a failure.
    """
    try:
        found: dict[str, Any] = base.state().client().get(f"/v1/accounts/{account}")
    except LocalError:
        return None
    return found


def how_it_stands(account: str, name: str, code: str | None = None) -> str:
    """Return a line for each unit (or the one of `code`): the balance, and what can be given."""
    entry = read_account(account)
    lines = [
        _("{name} stands at {balance} and can give {available}.").format(
            name=name, balance=position["text"], available=position["available_text"]
        )
        for position in (entry or {"positions": []})["positions"]
        if code in (None, position["code"])
    ]
    return "".join(f"\n  {base.printable(line)}" for line in lines)


def then(done: str, account: str, name: str, code: str | None = None) -> Callable[[], str]:
    """Return what says `done` and how the account stands, asked for when it is said."""
    return lambda: done + how_it_stands(account, name, code)
