"""Apply an entry to the state of its chain, or say why it cannot be (spec/06-accounts.md).

One function a kind of entry. Each decides first and changes last: an entry that is refused has
changed nothing, and noted no signature. Signatures are noted in the context and verified together,
before the block counts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from maillon.ledger import entries as kinds
from maillon.ledger.context import Context
from maillon.ledger.entries import Entry
from maillon.ledger.rules_accounts import close, limit, member, open_, recover
from maillon.ledger.rules_arrivals import in_, return_
from maillon.ledger.rules_holds import hold, post, void
from maillon.ledger.rules_pay import intra, out, settle
from maillon.ledger.state import ChainState
from maillon.protocol.errors import MaillonError

_Rule = Callable[[ChainState, Any, Context], None]

_RULES: Final[dict[type, _Rule]] = {
    kinds.Open: open_,
    kinds.Close: close,
    kinds.Limit: limit,
    kinds.Recover: recover,
    kinds.Member: member,
    kinds.Intra: intra,
    kinds.Out: out,
    kinds.In: in_,
    kinds.Return: return_,
    kinds.Hold: hold,
    kinds.Post: post,
    kinds.Void: void,
    kinds.Settle: settle,
}


def apply_entry(state: ChainState, entry: Entry, context: Context) -> None:
    """Apply an entry, or raise and leave the state and the context as they were.

    Raises: LedgerError of the rule that is broken, with the facts; Malformed and its kinds when
    what it carries of another chain cannot be read.
    """
    noted = len(context.checks)
    try:
        _RULES[type(entry)](state, entry, context)
    except MaillonError:
        del context.checks[noted:], context.places[noted:]
        raise
