"""The demonstration's liar really lies, on the messages that real witnesses read."""

from __future__ import annotations

from collections import deque

import trio

from maillon.ledger.entries import Open
from maillon.ledger.limits import BALANCE_MAX
from maillon.ledger.messages import decode_message
from maillon.node.demo.liar import Lie
from support.rounds import Place, Rounds, stream

PAYER, ONE, OTHER = (bytes([n]) * 16 for n in (1, 2, 3))


class InMemory:
    """A stream to a witness in this process: what it answers is there to be received."""

    def __init__(self, rounds: Rounds, place: Place) -> None:
        self.rounds = rounds
        self.place = place
        self.peer = place.coop.node.public
        self.answers: deque[bytes] = deque()

    async def send(self, frame: bytes) -> None:
        step = self.place.witness.handle(b"liar", decode_message(frame), self.rounds.now)
        self.place.disk.commit(step.writes)
        self.answers += [send.message.encode() for send in step.sends if send.to == b""]
        await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes | None:
        await trio.lowlevel.checkpoint()
        return self.answers.popleft() if self.answers else None

    async def close(self) -> None: ...

    async def reset(self) -> None: ...


def test_a_lie_gathers_no_quorum_and_leaves_a_proof_with_every_witness_that_was_shown_both() -> (
    None
):
    rounds = Rounds(5)
    key = rounds.federation.key("payer")
    pen = rounds.pen(4)
    rounds.start(pen)
    rounds.submit(pen, Open(PAYER, 0, key.public, ((0, 100, BALANCE_MAX),)))
    rounds.run()
    chain = rounds.chain(4)
    before = [place.book.head(chain) for place in rounds.places]
    assert before[0].h == 1

    # Prepares are rationed: what the honest writer used up is there again.
    rounds.now += 600
    lie = Lie(rounds.places[4].book, chain, rounds.federation.coops[4].writer, bytes(16))
    salt = stream("lie")
    first, second = (
        lie.block(PAYER, key, rounds.chain(goal), account, rounds.now, salt)
        for goal, account in ((0, ONE), (1, OTHER))
    )
    assert first.hash != second.hash and first.h == second.h == 2
    streams = {place.key: InMemory(rounds, place) for place in rounds.places[:4]}
    told = trio.run(lie.tell, streams, first, second)

    assert told["quorum"] == 4 and sum(told["votes"]) <= 4
    assert max(told["votes"]) < told["quorum"]
    assert [place.book.head(chain).h for place in rounds.places] == [head.h for head in before]
    for place in rounds.places[:4]:
        assert place.witness.frauds.frozen(chain)
        (proof,) = place.witness.frauds.proofs()
        assert proof.accused == lie.writer.public
