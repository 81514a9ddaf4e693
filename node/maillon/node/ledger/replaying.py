"""Replay every chain from its first block and add everything up (spec/07, "The audit equation")."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maillon.ledger.block import Placed, verify_certificate
from maillon.ledger.book import Book
from maillon.ledger.check import Head, check_block, governing
from maillon.ledger.entries import decode_entry, message_of
from maillon.ledger.signing import Check, inline_verify
from maillon.ledger.state import ChainState
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.protocol.errors import MaillonError


def replay(book: Book, report: shapes.VerifyReport, sums: dict[int, int]) -> Iterator[None]:
    """Fill in the report; yields after each block. `sums` gets Σ balances + Σ under way by unit.

    Every signature is verified anew, whatever this node remembers. Blocks that are certified
    meanwhile are left for the next time.
    """
    counted = 0

    def verify(checks: Sequence[Check]) -> list[bool]:
        nonlocal counted
        counted += len(checks)
        return inline_verify(checks)

    tops = {chain: book.head(chain).h for chain in [book.fed, *book.chains()]}
    sent: dict[tuple[bytes, bytes, int], tuple[int, int]] = {}
    received: dict[tuple[bytes, bytes], int] = {}
    for chain, top in tops.items():
        report.chains += 1
        if chain == book.fed:
            report.blocks += top
            continue
        coop = book.charter.latest.coops[chain]
        head, state = Head.genesis(book.fed, chain, coop.entered), ChainState(chain)
        for h in range(1, top + 1):
            try:
                block = book.block(chain, h)
                c = governing(book.charter_state, book.charter.height, chain, head)
                committee = book.charter_state(block.header.c).committee()
                certificate = block.certified_by()
                verify_certificate(block.header, certificate, committee, verify)
                checked = check_block(
                    block,
                    head,
                    state,
                    book.charter_state,
                    verify,
                    fed=book.fed,
                    c=c,
                    certified=True,
                )
            except MaillonError as fault:
                name = coop.name
                report.faults.append(
                    _("Block {h} of {name}: {fault}").format(h=h, name=name, fault=fault)
                )
                break
            state.absorb(checked.state)
            head = head.after(block.header, certificate)
            report.blocks += 1
            for placed in block.body.entries:
                if not isinstance(placed, Placed):
                    report.erased += 1
                    continue
                report.entries += 1
                message = message_of(decode_entry(placed.data), placed.leaf(), book.fed)
                if message is not None:
                    at = (chain, message.to_coop, message.n)
                    sent[at] = (message.unit, message.amount)
            yield None
        for unit, total in state.totals.trade.items():
            sums[unit] = sums.get(unit, 0) + total
        for channel in state.channels():
            received[channel.coop, chain] = channel.received
        if state.root() != book.state(chain).root() and top == book.head(chain).h:
            report.faults.append(
                _("The balances kept of {name} are not those of its blocks.").format(
                    name=coop.name
                )
            )
    units = book.charter.latest.units
    for (source, destination, n), (unit, amount) in sent.items():
        if n > received.get((source, destination), 0) and units[unit].kind != "count":
            sums[unit] = sums.get(unit, 0) + amount
    report.signatures = counted
