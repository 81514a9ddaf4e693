"""Make the vectors of messages and of hints (spec/06-blocks.md)."""

from __future__ import annotations

import random
from typing import Any

from ledger_parts import Cases, World, raw
from maillon.ledger import block, entries, messages, rounds
from maillon.ledger.messages import Frame
from maillon.ledger.signing import inline_verify
from maillon.protocol import encoding

IDENTITY = b"\x01" + bytes(31)


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the file."""
    world = World(rng)
    body = world.place(entries.Intra(world.order(world.pay())))
    header = world.header(body, h=2)
    proposed = block.Block(header, body)
    made = _messages(world, proposed)
    return {
        "ledger-messages.json": {
            "spec": "06-blocks",
            "about": "Reading `bytes` as a message, or in `hints` as a gossip message of hints. "
            "`signed` says which message of federation `fed` carries a valid signature of its own.",
            "fed": world.fed,
            "vectors": _vectors(world, made),
            "signed": _signed(world, made),
            "hints": _hints(world, header),
        }
    }


def _messages(world: World, proposed: block.Block) -> list[tuple[str, Frame]]:
    fed, chain, term = world.fed, world.chain, world.term
    header = proposed.header
    at = (header.c, chain, header.h, term, header.hash)
    witness = world.witnesses[1]
    vote = rounds.Vote.sign(witness, fed, *at, 12)
    commit = rounds.Commit.sign(witness, fed, *at)
    head = world.header(block.Body(), h=1)
    certificate = world.certificate(head).encode()
    lock = rounds.LockAt(header.h, term, header.hash)
    qc = world.votes(header)
    promise = rounds.Promise.sign(
        witness, fed, chain, term, 1, head.hash, lock, certificate=certificate,
        lock_qc=qc.encode(), lock_block=rounds.encode_proposed(proposed),
    )  # fmt: skip
    shown = tuple(
        rounds.Promise.sign(
            key, fed, chain, term, 1, head.hash, certificate=certificate if first else b""
        )
        for first, key in zip((True, False, False), world.witnesses, strict=False)
    )
    prepare = rounds.Prepare.sign(world.writer, fed, chain, term)
    order = world.order(world.hold())
    hold = order.id(fed)
    said = entries.sign_confirmation(world.member, fed, chain, hold)
    approvals = tuple(
        block.Approval(coop, bytes(64)) for coop in sorted((world.chain, world.other))
    )
    whole = proposed.with_certificate(world.certificate(header).encode())
    heads = sorted((world.chain, world.other))
    return [
        ("a prepare", prepare),
        ("a prepare that echoes a vote", rounds.Prepare.sign(
            world.writer, fed, chain, term, vote.echo()
        )),
        ("a promise at the genesis", rounds.Promise.sign(
            witness, fed, chain, term, 0, block.genesis_hash(fed, chain)
        )),
        ("a promise with a lock", promise),
        ("a refusal for a higher term", rounds.Refuse.sign(
            witness, fed, chain, term, 1, "term", prepare.encode()
        )),
        ("a refusal of a block", rounds.Refuse.sign(witness, fed, chain, term, 1, "time")),
        ("an opening", rounds.Opening(chain, term, shown)),
        ("a proposal", rounds.Propose.sign(world.writer, fed, term, proposed)),
        ("a proposal that echoes a vote", rounds.Propose.sign(
            world.writer, fed, term, proposed, vote.echo()
        )),
        ("a vote", vote),
        ("a lock", rounds.Lock(qc)),
        ("a commit", commit),
        ("a certificate", rounds.Final(world.certificate(header))),
        ("done", rounds.Done(chain, header.h, header.hash)),
        ("need", messages.Need(chain, 1)),
        ("get", messages.Get(chain, 1, 20)),
        ("blocks", messages.Blocks(chain, (whole,))),
        ("no blocks", messages.Blocks(chain, ())),
        ("heads asked for", messages.AskHeads(((heads[0], 0), (heads[1], 7)))),
        ("heads", messages.Heads(((header, world.certificate(header).encode()),))),
        ("a confirmation", messages.Confirm(chain, hold, said)),
        ("a secret that confirms", messages.Confirm(
            chain, hold, entries.PreimageConfirmation(bytes(32))
        )),
        ("an acknowledgement", messages.Ack.sign(
            witness, fed, chain, hold, entries.confirmation_hash(said), 0
        )),
        ("a proposal for the charter", messages.Proposal(b"\x93\x00\x90\xa0", approvals)),
        ("ok", messages.Ok()),
        ("an order", messages.Submit(order)),
        ("a receipt", messages.Receipt(hold, "refused", {"balance": -60, "code": "over_limit"})),
        ("a fraud proof", messages.FraudReport(b"\x90")),
        ("an error", messages.Failure("chain_unknown", "There is no such chain here.")),
        ("a release", messages.GiveBack(
            chain, hold, entries.sign_release(world.member, fed, chain, hold)
        )),
    ]  # fmt: skip


def _vectors(world: World, made: list[tuple[str, Frame]]) -> list[dict[str, object]]:
    def read(data: bytes) -> dict[str, object]:
        found = messages.decode_message(data)
        assert found.encode() == data
        return {"type": found.TYPE}

    cases = Cases(read)
    parts: dict[str, list[Any]] = {}
    for name, message in made:
        data = message.encode()
        cases.good(name, data)
        parts[name] = encoding.decode(data, bytes_max=300_000)  # type: ignore[assignment]  # an array
    assert {case["type"] for case in cases.listed} == set(range(1, 25))
    cases.cut(made[0][1].encode())
    cases.bad("a map for a message", "message", encoding.encode({}))
    cases.bad("no parts", "message_type", raw())
    cases.bad("type 0", "message_type", raw(0))
    cases.bad("type 25", "message_type", raw(25))
    cases.bad("type true", "message_type", raw(True, world.chain))
    for name, found in parts.items():
        if name not in ("a receipt",):
            cases.bad(f"{name}, a part more", "message_parts", raw(*found, 0))

    def bad(of: str, what: str, rule: str, place: int, value: Any) -> None:
        found = parts[of]
        data = raw(*found[:place], value, *found[place + 1 :])
        cases.bad(f"{of}: {what}", rule, data)

    bad("a prepare", "a chain of 31 bytes", "chain", 1, bytes(31))
    bad("a prepare", "a term that is a number", "term", 2, 3)
    bad("a prepare", "a signature of 63 bytes", "signature", 3, bytes(63))
    echo = parts["a prepare that echoes a vote"][4]
    bad("a prepare", "an echo of three parts", "echo", 4, echo[:3])
    bad("a prepare", "an echo with counter 0", "echo", 4, [*echo[:5], 0, echo[6]])
    bad("a promise at the genesis", "a head of one part", "head", 3, [0])
    bad("a promise at the genesis", "a certificate of the genesis", "certificate", 7, b"\x90")
    bad("a promise at the genesis", "a lock of two parts", "lock", 4, [1, 2])
    bad("a promise at the genesis", "votes without lock", "lock", 8, b"\x90")
    bad("a promise at the genesis", "a block without lock", "lock", 9, b"\x90")
    bad("a promise at the genesis", "a witness of small order", "bad_key", 5, IDENTITY)
    bad("a promise at the genesis", "a witness of 31 bytes", "witness", 5, bytes(31))
    bad("a receipt", "an id of 31 bytes", "order_id", 1, bytes(31))
    bad("a refusal of a block", "a reason that is unknown", "reason", 4, "mood")
    bad("a refusal of a block", "a reason that is a number", "reason", 4, 1)
    bad("a refusal of a block", "the hash of no evidence", "evidence_hash", 5, bytes(32))
    bad("a refusal for a higher term", "no hash of the evidence", "evidence_hash", 5, b"")
    bad("a refusal for a higher term", "other evidence", "evidence_hash", 8, b"\x90")
    bad("an opening", "no promises", "promises", 3, [])
    bad("an opening", "a promise that is none", "message_type", 3, [raw(6)])
    bad("an opening", "a promise in an array", "message", 3, [[2]])
    bad("a proposal", "another height than its block's", "block", 3, 3)
    bad("a proposal", "another chain than its block's", "block", 1, world.other)
    bad("a proposal", "a block with certificate", "block", 4, [*parts["a proposal"][4], b"", []])
    bad("a vote", "counter 0", "counter", 6, 0)
    bad("a vote", "height 0", "height", 3, 0)
    bad("a vote", "a charter below 0", "charter", 1, -1)
    bad("a lock", "a certificate for votes", "vote_qc", 1, parts["a certificate"][1])
    bad("a certificate", "votes for a certificate", "certificate", 1, parts["a lock"][1])
    bad("a commit", "a hash of 31 bytes", "block_hash", 5, bytes(31))
    bad("need", "height 0", "height", 2, 0)
    bad("get", "backwards", "height", 3, 0)
    bad("blocks", "of another chain", "blocks", 1, world.other)
    one = parts["blocks"][2][0]
    bad("blocks", "a block twice", "blocks", 2, [one, one])
    bad("blocks", "a block without certificate's place", "block", 2, [one[:2]])
    heads = parts["heads asked for"][1]
    bad("heads asked for", "in another order", "heads", 1, list(reversed(heads)))
    bad("heads asked for", "a chain twice", "heads", 1, [heads[0], heads[0]])
    bad("heads", "one without certificate", "heads", 1, [[parts["heads"][1][0][0], b""]])
    bad("a confirmation", "a hold of 31 bytes", "hold", 2, bytes(31))
    bad("a confirmation", "a confirmation of kind 3", "confirmation", 3, [3, bytes(32)])
    bad("an acknowledgement", "a hash of 31 bytes", "confirmation", 3, bytes(31))
    approvals = parts["a proposal for the charter"][2]
    bad("a proposal for the charter", "of no bytes", "proposal", 1, b"")
    bad("a proposal for the charter", "approvals backwards", "approvals", 2, approvals[::-1])
    bad("an order", "that is an array", "order", 1, [])
    bad("a receipt", "facts that are an array", "facts", 3, [])
    bad("a receipt", "a status in words", "status", 2, "not yet")
    bad("a receipt", "facts without end", "facts", 3, {"text": "x" * 2_100})
    bad("a fraud proof", "of no bytes", "fraud", 1, b"")
    bad("an error", "a code in words", "code", 1, "no such chain")
    bad("an error", "a line break in the sentence", "text", 2, "a\nb")
    return cases.listed


def _signed(world: World, made: list[tuple[str, Frame]]) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []
    foreign = World(world.rng)
    for name, message in made:
        check = getattr(message, "check", None)
        if check is None:
            continue
        assert inline_verify([check(world.fed)]) == [True], name
        assert inline_verify([check(foreign.fed)]) == [False], name
        listed.append({"name": name, "bytes": message.encode(), "expect": "ok"})
        assert isinstance(
            message,
            rounds.Prepare | rounds.Promise | rounds.Refuse | rounds.Propose | rounds.Vote
            | rounds.Commit | messages.Ack,
        )  # fmt: skip
        data = message.encode()
        spoilt = data.replace(message.signature, _flipped(message.signature), 1)
        listed.append({"name": f"{name}, spoilt", "bytes": spoilt, "expect": "bad_signature"})
    return listed


def _flipped(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def _hints(world: World, header: block.Header) -> list[dict[str, object]]:
    def read(data: bytes) -> dict[str, object]:
        found = messages.decode_hints(data)
        assert messages.encode_hints(found) == data and messages.is_hints(data)
        return {"kinds": [hint.KIND for hint in found]}

    cases = Cases(read)
    hold = world.order(world.hold()).id(world.fed)
    said = entries.sign_confirmation(world.member, world.fed, world.chain, hold)
    head = messages.HeadHint(header, world.certificate(header).encode())
    approvals = (block.Approval(world.other, bytes(64)),)
    hints: list[messages.Hint] = [
        head,
        messages.FraudHint(b"\x90"),
        messages.ConfirmHint(world.chain, hold, said),
        messages.ProposalHint(b"\x93\x00\x90\xa0", approvals),
    ]
    data = messages.encode_hints(hints)
    cases.good("one of each", data)
    cases.good("a new head", messages.encode_hints([head]))
    cases.cut(data)
    cases.bad("records for hints", "version_unsupported", raw(1, [b"\x90"]))
    cases.bad("version 3", "version_unsupported", raw(3, {}))
    cases.bad("version true", "hints", raw(True, []))
    cases.bad("no hints", "hints", raw(2, []))
    cases.bad("no list", "hints", raw(2))
    cases.bad("65 hints", "hints", raw(2, [[2, b"\x90"]] * 65))
    cases.bad("a hint of kind 5", "hint", raw(2, [[5, b"\x90"]]))
    cases.bad("a hint that is a number", "hint", raw(2, [1]))
    cases.bad("a head without certificate", "hint", raw(2, [[1, header.encoded]]))
    cases.bad("a head with an empty certificate", "heads", raw(2, [[1, header.encoded, b""]]))
    return cases.listed
