"""What strangers send cannot stop a node's ledger, change it, or go unnoticed."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from maillon.ledger import signing
from maillon.ledger.fraud import TwoProposals
from maillon.ledger.messages import (
    AskHeads,
    Blocks,
    Get,
    HeadHint,
    Heads,
    Prepare,
    Submit,
    decode_message,
    encode_hints,
    encode_message,
)
from maillon.ledger.orders import Order, order_body, sign_order
from maillon.ledger.quorum import Term
from maillon.ledger.rounds import propose_body
from maillon.node.ledger.links import PROTOCOL, ask
from maillon.protocol.encoding import encode
from maillon.protocol.errors import MaillonError
from support.ledgernet import LedgerNet, LedgerTestNode, agreed, ledger_net, stream_pair, until

SEED = 20_261_122


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[LedgerNet]:
    async with ledger_net(tmp_path, 2) as net:
        yield net


async def put(node: LedgerTestNode, stranger: bytes, frame: bytes) -> list[bytes]:
    """Send one frame on a stream of its own; return what is answered."""
    ours, theirs = stream_pair(stranger, node.wire.own)
    answers: list[bytes] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.serve, theirs)
        await ours.send(frame)
        with trio.move_on_after(5):
            answer = await ours.receive()
            if answer is not None:
                answers.append(answer)
        await ours.close()
    return answers


async def test_bytes_of_all_sorts_change_nothing_and_the_node_goes_on(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    await agreed(pair.nodes)
    before, stranger = a.heads(), b"\x01" * 32
    rng = random.Random(SEED)  # noqa: TID251 - seeded
    good = encode_message(a.runner.machine.catchup.ask())
    block = a.runner.machine.book.block(a.coop, 1)
    bodies = [
        b"",
        b"\xc1",
        b"\x91\x00",
        b"\xdc\xff\xff" + b"\xc0" * 64,
        encode([99, b"x"]),
        encode([12, a.coop, 5, 4]),
        encode([1, a.coop, [1, b"short", b"key"], b"", []]),
        encode([13, b.coop, [[block.header.encoded, b"", b"", []]]]),
        *(rng.randbytes(rng.randrange(1, 300)) for _ in range(100)),
    ]
    for _ in range(200):
        spoilt = bytearray(rng.choice([good, block.encode(), encode_message(Get(a.coop, 1, 2))]))
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
        bodies.append(bytes(spoilt))
    for body in bodies:
        await put(a, stranger, body)
    assert a.running and a.heads() == before
    assert a.runner.machine.reloads == 0, a.runner.machine.faults
    assert any(peer == stranger for peer, _code in a.wire.penalties)
    assert (await a.pay(ana, bo, 5)).status == "certified"


async def test_a_prepare_that_nobody_signed_is_refused_and_promised_is_nothing(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    await b.member("Bo")
    await agreed(pair.nodes)
    row = a.runner.machine.witness.row(b.coop)
    term = Term(row.promised.counter + 1, b"n" * 16, b.keys.writer.public)
    forged = Prepare(b.coop, term, b"\x11" * 64)
    (answer,) = await put(a, b"\x02" * 32, encode_message(forged))
    assert decode_message(answer).TYPE in (3, 23)
    assert a.runner.machine.witness.row(b.coop) == row


async def test_blocks_without_a_good_certificate_are_not_taken(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    await a.member("Ana")
    await agreed(pair.nodes)
    block = a.runner.machine.book.block(a.coop, 1)
    spoilt = block.with_certificate(block.certificate[:-1] + bytes([block.certificate[-1] ^ 1]))
    pair.cut(b)
    fresh = LedgerTestNode(pair, pair.federation.coops[1], b.home.parent / "fresh", clone="x")
    pair.by_node[b.wire.own] = b
    before = fresh.heads()
    frame = encode_message(Blocks(a.coop, (spoilt,)))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fresh.run)
        await put(fresh, b"\x03" * 32, frame)
        assert fresh.heads() == before
        await put(fresh, b"\x03" * 32, encode_message(Blocks(a.coop, (block,))))
        assert fresh.heads()[a.coop] == (1, block.hash), "a good one is taken from anybody"
        nursery.cancel_scope.cancel()
    fresh.register.close()


async def test_a_hint_with_a_forged_certificate_is_neither_relayed_nor_followed(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    await agreed(pair.nodes)
    pair.cut(b)
    block = a.runner.machine.book.block(a.coop, 2)
    wrong = bytearray(block.certificate)
    wrong[-1] ^= 1
    forged = encode_hints([HeadHint(block.header, bytes(wrong))])
    assert not b.runner.gossip(b"\x04" * 32, forged)
    for junk in (b"", b"\x92\x02", b"\x92\x02\x90", encode([2, [[9, b"x"]]]), forged[:-3]):
        assert not b.runner.gossip(b"\x04" * 32, junk)
    assert b.running and b.runner.machine.reloads == 0
    pair.heal()
    assert (await a.pay(ana, bo, 1)).status == "certified"


async def test_an_order_for_another_coop_or_without_a_signature_gets_a_receipt_that_says_so(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    ana, bo = await a.member("Ana"), await a.member("Bo")
    await agreed(pair.nodes)
    pair.cut(a, b)
    await a.pay(ana, bo, 3, wait_s=0)
    (item,) = a.runner.machine.queue.waiting()
    waiting = len(a.runner.machine.queue)
    order = item.wish
    assert isinstance(order, Order)
    body = order_body(order.account, order.seq + 9, order.chain, order.until, order.action)
    forged = Order(body, order.key, b"", order.signature)
    (answer,) = await put(a, b"\x05" * 32, encode_message(Submit(forged)))
    assert decode_message(answer).status == "refused"  # type: ignore[union-attr]
    thief = sign_order(
        b.keys.writer, a.runner.machine.fed, order.account, order.seq + 9, order.chain,
        order.until, order.action,
    )  # fmt: skip
    (answer,) = await put(a, b"\x05" * 32, encode_message(Submit(thief)))
    assert decode_message(answer).status == "refused"  # type: ignore[union-attr]
    (answer,) = await put(b, b"\x05" * 32, encode_message(Submit(order)))
    assert decode_message(answer).status == "refused"  # type: ignore[union-attr]
    assert len(a.runner.machine.queue) == waiting and len(b.runner.machine.queue) == 0


async def test_questions_are_answered_within_bounds(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    for name in ("Ana", "Bo", "Cy"):
        await a.member(name)
    await agreed(pair.nodes)
    frames = [
        encode_message(Get(a.coop, 1, 2**40)),
        encode_message(Get(b"\x09" * 32, 1, 2)),
        encode_message(AskHeads(())),
    ]
    blocks, none, heads = [decode_message(f) for f in await ask(b.wire, a.wire.own, frames)]
    assert isinstance(blocks, Blocks) and 1 <= len(blocks.blocks) <= 64
    assert isinstance(none, Blocks) and not none.blocks
    assert isinstance(heads, Heads) and len(heads.heads) == 1
    with pytest.raises(MaillonError):
        await a.wire.open_stream(b"\x0a" * 32, PROTOCOL)


async def test_a_proof_that_was_kept_and_never_told_is_told_at_the_next_connection(
    pair: LedgerNet, autojump_clock: object
) -> None:
    a, b = pair.nodes
    key, chain = b.keys.writer, b.coop
    term = Term(9, b"n" * 16, key.public)
    hashes = (b"\1" * 32, b"\2" * 32)
    signatures = [
        signing.sign(key, signing.PROPOSE, a.founding.fed, propose_body(chain, term, 1, block))
        for block in hashes
    ]
    proof = TwoProposals(chain, term, 1, hashes[0], signatures[0], hashes[1], signatures[1])
    witness = a.runner.machine.witness
    # As when the power goes between keeping it and telling of it.
    a.disk.commit(witness.frauds.take(proof).writes)
    assert witness.frauds.standing() == [proof]
    assert b.runner.machine.witness.frauds.proofs() == []
    a.runner.connected(b.keys.node.public)
    await until(lambda: b.runner.machine.witness.frauds.proofs() == [proof], "b knows it")
