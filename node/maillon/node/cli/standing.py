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
    positions = (entry or {"positions": []})["positions"]
    several = len(positions) > 1
    lines = [
        _("{name} stands at {balance} and can give {available}.").format(
            name=name,
            balance=with_unit(position["text"], position["code"], several=several),
            available=with_unit(position["available_text"], position["code"], several=several),
        )
        for position in positions
        if code in (None, position["code"])
    ]
    return "".join(f"\n  {base.printable(line)}" for line in lines)


def with_unit(text: str, code: str, *, several: bool) -> str:
    """Return an amount with its unit where it could be of several; time says so by itself."""
    return f"{text} {code}" if several and not any(map(str.isalpha, text)) else text


def then(done: str, account: str, name: str, code: str | None = None) -> Callable[[], str]:
    """Return what says `done` and how the account stands, asked for when it is said."""
    return lambda: done + how_it_stands(account, name, code)
