"""A coop that lies outright: its writer signs two blocks for one place and shows both around.

    python -m maillon.node.demo.liar HOME PAYER COOP:ACCOUNT COOP:ACCOUNT

It is a process of its own that opens the coop's real keys and speaks the real messages over real
libp2p, while the coop's honest node is stopped. In the first block PAYER gives all there is to one
account, in the second the same to another; both are valid. Half of the witnesses see the first,
half the second. Then everybody is shown the other one too. It prints, as JSON, the votes that each
block gathered, how many it takes, and what the witnesses answered at the end.
"""

from __future__ import annotations

import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import trio

from maillon.ledger.block import Block
from maillon.ledger.book import Book
from maillon.ledger.build import OrderWish, build_block
from maillon.ledger.messages import Message, decode_message
from maillon.ledger.openings import without_copies
from maillon.ledger.orders import PayAction, sign_order
from maillon.ledger.quorum import Term
from maillon.ledger.rounds import Opening, Prepare, Promise, Propose, Refuse, Vote
from maillon.ledger.signing import Signer, inline_verify
from maillon.node import clock, keyring
from maillon.node.demo.nodes import DemoFailed
from maillon.node.home import Home
from maillon.node.i18n import _
from maillon.node.ledger.links import PROTOCOL
from maillon.node.net import Libp2pNetwork, NetSettings
from maillon.node.ports import FrameStream
from maillon.node.run.founding import load_founding
from maillon.node.run.register import Register
from maillon.node.store.ledgerdisk import SqliteDisk
from maillon.protocol.founding import Founding
from maillon.protocol.gossip import topic
from maillon.protocol.keys import SigningKey

# All of it is done in a second; a stuck libp2p must not hold the demonstration up.
WITHIN_S = 60.0
ANSWER_S = 5.0
TERMS_TRIED_MAX = 10
PAUSE_S = 1.0
NONCE_BYTES = 16
ORDER_S = 600
Salt = Callable[[int], bytes]


class Lie:
    """Two valid blocks for one place, and how they are shown around."""

    def __init__(self, book: Book, chain: bytes, writer: Signer, nonce: bytes) -> None:
        self.book = book
        self.fed = book.fed
        self.chain = chain
        self.writer = writer
        self.quorum = book.charter_state(book.governing(chain)).committee().quorum
        self.term = Term(1, nonce, writer.public)

    def block(
        self, payer: bytes, key: Signer, coop: bytes, account: bytes, now: int, salt: Salt
    ) -> Block:
        """Return a valid next block in which the payer gives everything to one account."""
        row = self.book.state(self.chain).account(payer)
        if row is None:
            raise DemoFailed(_("The account of {name} is missing.").format(name=payer.hex()[:8]))
        unit, balance, limit, _max = next(iter(row.positions.values()))
        action = PayAction(coop, account, unit, balance + limit)
        until = now + ORDER_S
        order = sign_order(key, self.fed, payer, row.seq + 1, self.chain, until, action)
        adopt = self.book.governing(self.chain)
        built = build_block(
            self.book, self.chain, [OrderWish(order)], time=now, adopt=adopt, salt=salt
        )
        if built.block is None:
            why = "; ".join(str(error) for _wish, error in built.refused)
            raise DemoFailed(_("The lie could not be written down: {why}").format(why=why))
        return built.block

    # --- on the wire ----------------------------------------------------------------------------

    async def tell(
        self, streams: Mapping[bytes, FrameStream], first: Block, second: Block
    ) -> dict[str, Any]:
        """Show the first block to half of the witnesses, the second to the others, then both.

        Return the votes that each gathered, the quorum, and what was answered at the end.
        """
        promises = await self._promises(streams)
        opening = Opening(self.chain, self.term, without_copies(promises))
        lies = [Propose.sign(self.writer, self.fed, self.term, block) for block in (first, second)]
        votes = [0, 0]
        told: dict[bytes, int] = {}
        for place, (witness, stream) in enumerate(streams.items()):
            await stream.send(opening.encode())
            half = told[witness] = place % 2
            votes[half] += isinstance(await _ask(stream, lies[half]), Vote)
        # The bold part: whoever voted is asked for a vote for the other block as well.
        at_last: Counter[str] = Counter()
        for witness, stream in streams.items():
            answer = await _ask(stream, lies[1 - told[witness]])
            if isinstance(answer, Vote):
                votes[1 - told[witness]] += 1
            at_last[answer.reason if isinstance(answer, Refuse) else type(answer).__name__] += 1
        return {"votes": votes, "quorum": self.quorum, "answers": dict(at_last)}

    async def _promises(self, streams: Mapping[bytes, FrameStream]) -> list[Promise]:
        """Ask for promises in a term above all that honest work has used; return a quorum."""
        promises: list[Promise] = []
        refused: list[str] = []
        for _turn in range(TERMS_TRIED_MAX):
            prepare = Prepare.sign(self.writer, self.fed, self.chain, self.term)
            answers = [await _ask(stream, prepare) for stream in streams.values()]
            promises = [answer for answer in answers if isinstance(answer, Promise)]
            if len(promises) >= self.quorum:
                return promises
            higher = [a for a in answers if isinstance(a, Refuse) and a.reason == "term"]
            refused = [a.reason for a in answers if isinstance(a, Refuse)]
            if not higher:
                # Witnesses ration what one coop may ask; honest work may have used it up.
                await trio.sleep(PAUSE_S)
                continue
            used = [decode_message(refusal.evidence) for refusal in higher]
            counter = max(m.term.counter for m in used if isinstance(m, Prepare))
            self.term = Term(counter + 1, self.term.nonce, self.writer.public)
        raise DemoFailed(
            _("Only {n} witnesses listened to the liar: {why}").format(n=len(promises), why=refused)
        )


async def _ask(stream: FrameStream, message: Message) -> Message | None:
    """Send a message and return the answer to it; None when there is none in time."""
    await stream.send(message.encode())
    with trio.move_on_after(ANSWER_S):
        frame = await stream.receive()
        return None if frame is None else decode_message(frame)
    return None


async def _around(
    lie: Lie, founding: Founding, node_key: SigningKey, first: Block, second: Block
) -> dict[str, Any]:
    """Speak to the witnesses of all other founders, over libp2p."""
    founders = {bytes(entry.node_key): entry for entry in founding.coops}
    witnesses = {
        coop.witness: founders[coop.node_key]
        for coop in lie.book.charter.latest.coops.values()
        if coop.witness and coop.node_key in founders and coop.id != lie.chain
    }
    network = Libp2pNetwork(
        NetSettings(topic=topic(lie.fed), listen=("/ip4/127.0.0.1/tcp/0",)),
        node_key.secret_bytes(),
        lambda _peer, _data: False,
        lambda _event: None,
        lambda key: key in founders,
        rng=random.Random(node_key.public),
    )
    streams: dict[bytes, FrameStream] = {}
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
            for witness, founder in witnesses.items():
                await network.connect(founder.node_key, founder.addresses)
                streams[witness] = await network.open_stream(founder.node_key, PROTOCOL)
            result = await lie.tell(streams, first, second)
            nursery.cancel_scope.cancel()
    return result


def _party(text: str) -> tuple[bytes, bytes]:
    coop, _colon, account = text.partition(":")
    return bytes.fromhex(coop), bytes.fromhex(account)


def main(arguments: list[str]) -> int:
    """Lie as the arguments say, and print what came of it."""
    path, payer, *goals = arguments
    home = Home(Path(path))
    password = keyring.read_password_file(home.path / "password")
    founding = load_founding(home)
    writer = keyring.open_writer(home, password)
    book = Book(founding, SqliteDisk(home.path), inline_verify)
    coops = book.charter.latest.coops.values()
    chain = next(coop.id for coop in coops if coop.writer == writer.public)
    # The coop was trusted with its member's key, and uses it.
    register = Register(home.private, keyring.open_sealing(home, password))
    held = [key.public for key in register.keys_of(bytes.fromhex(payer)) if key.held]
    member = register.held_key(held[-1])
    lie = Lie(book, chain, writer, os.urandom(NONCE_BYTES))
    first, second = (
        lie.block(bytes.fromhex(payer), member, *_party(goal), clock.now(), os.urandom)
        for goal in goals
    )
    node_key = keyring.open_node(home, password)
    print(json.dumps(trio.run(_around, lie, founding, node_key, first, second)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
