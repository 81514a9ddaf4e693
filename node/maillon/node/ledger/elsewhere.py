"""Do what another coop's chain has to write: hand over orders, make confirmations binding."""

from __future__ import annotations

import trio

from maillon.ledger.entries import Confirmation, Release, confirmation_hash
from maillon.ledger.messages import Ack, Confirm, ConfirmHint, GiveBack, Message, Receipt, Submit
from maillon.ledger.orders import Order
from maillon.node.api import ledger_shapes as shapes
from maillon.node.i18n import _
from maillon.node.ledger.host import Host
from maillon.node.ledger.index import VOID, TransferRow
from maillon.node.ledger.queue import CERTIFIED, WAITING
from maillon.node.ledger.runner import LedgerRunner
from maillon.protocol.errors import LocalError


class NotReached(LocalError):
    """The other coop's node cannot be reached now."""

    code = "network_down"


class Elsewhere:
    """Speak with the nodes of other coops about their chains."""

    def __init__(self, host: Host, runner: LedgerRunner) -> None:
        self._host = host
        self._runner = runner

    async def hand_over(self, order: Order) -> shapes.Placed:
        """Hand an order to the node of its coop, which keeps it until it is certified.

        Raises: NotReached when it does not answer.
        """
        coop = self._runner.machine.book.charter.latest.coops.get(order.chain)
        peer = self._host.node_of(order.chain) or (None if coop is None else coop.node_key)
        answer = None if peer is None else await self._runner.ask_peer(peer, Submit(order))
        if not isinstance(answer, Receipt):
            raise NotReached(
                _("{coop} does not answer now; nothing was done.").format(
                    coop=self._host.coop_name(order.chain)
                ),
                hint=_("Give it to the node of that coop itself, or try again later."),
            )
        facts = {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in answer.facts.items()
        }
        return shapes.Placed(
            answer.id.hex(),
            answer.status,
            order.account.hex(),
            reason=str(answer.facts.get("code", "")),
            facts=facts,
        )

    async def give_back(self, row: TransferRow, release: Release, wait_s: float) -> shapes.Placed:
        """Hand a payee's release to the node of the payer's coop; wait until it is certified.

        Raises: NotReached when it does not answer.
        """
        coop = self._runner.machine.book.charter.latest.coops.get(row.coop)
        peer = self._host.node_of(row.coop) or (None if coop is None else coop.node_key)
        message = GiveBack(row.coop, row.id, release)
        answer = None if peer is None else await self._runner.ask_peer(peer, message)
        if not isinstance(answer, Receipt):
            raise NotReached(
                _("{coop} does not answer now; nothing was done.").format(
                    coop=self._host.coop_name(row.coop)
                ),
                hint=_("Try again later; the reservation ends by itself when it expires."),
            )
        placed = shapes.Placed(
            row.id.hex(),
            answer.status,
            row.account.hex(),
            reason=str(answer.facts.get("code", "")),
            facts={"coop": self._host.coop_name(row.coop)},
        )
        index = self._runner.machine.index
        with trio.move_on_after(wait_s):
            while placed.status == WAITING:
                now = index.transfer(row.id)
                if now is not None and now.status == VOID:
                    placed.status = CERTIFIED
                    break
                await self._runner.next_run()
        return placed

    async def confirm(self, row: TransferRow, confirmation: Confirmation) -> shapes.Placed:
        """Show a confirmation to the witnesses of the payer's chain and make it known to its coop.

        Once a quorum has acknowledged it the reservation cannot be given back any more.
        """
        book = self._runner.machine.book
        charter = book.charter_state(book.governing(row.coop))
        committee = charter.committee()
        message = Confirm(row.coop, row.id, confirmation)
        self._runner.tell([ConfirmHint(row.coop, row.id, confirmation)])
        acks: dict[bytes, Ack] = {}

        async def ask(witness: bytes) -> None:
            answer: Message | None
            peer = self._runner.node_of_witness(witness)
            if witness == self._runner.own_witness:
                answer = self._runner.local(message)
            elif peer is not None:
                answer = await self._runner.ask_peer(peer, message)
            else:
                return
            if isinstance(answer, Ack) and answer.witness == witness:
                named = answer.confirmation_hash == confirmation_hash(confirmation)
                if named and book.verify([answer.check(book.fed)])[0]:
                    acks[witness] = answer

        async with trio.open_nursery() as nursery:
            for witness in committee.keys:
                nursery.start_soon(ask, witness)
        binding = len(acks) >= committee.quorum
        return shapes.Placed(
            row.id.hex(),
            "held",
            row.account.hex(),
            reason="confirmed" if binding else "no_quorum",
            detail=_("{n} of {m} witnesses hold the confirmation: it cannot be taken back.").format(
                n=len(acks), m=committee.n
            )
            if binding
            else _("{n} witnesses hold the confirmation; {quorum} make it binding.").format(
                n=len(acks), quorum=committee.quorum
            ),
            facts={"acknowledged": len(acks), "needed": committee.quorum},
        )
