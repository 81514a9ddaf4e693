"""Make the vectors of spec/06-charter: charter 0, entries, what changes, blocks, quorums."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from maillon.ledger.block import Block, Erased
from maillon.ledger.charter import approve
from maillon.ledger.charter_entries import (
    NAMES,
    AddUnit,
    CharterEntry,
    Clear,
    Refound,
    Remove,
    Retire,
    SetKey,
    SetLimit,
    SetQuorum,
    SetRule,
    SetTrustee,
    decode_charter_entry,
    encode_charter_entry,
)
from maillon.ledger.charter_proposals import make_proposal
from maillon.ledger.charter_rules import explain_quorum, heads_root, next_state
from maillon.ledger.errors import CharterRefused
from maillon.ledger.quorum import decode_certificate, default_quorum
from maillon.protocol.encoding import Encodable, encode
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import Unit
from maillon.protocol.keys import SigningKey
from support.charters import LedgerCoop, LedgerFederation
from support.world import NOW

Vector = dict[str, object]


def vectors(rng: random.Random) -> dict[str, object]:
    """Return charter.json; all randomness comes from the federation's own seed."""
    del rng
    f = LedgerFederation(4, seed="charter vectors")
    return {"charter.json": charter(f)}


def charter(f: LedgerFederation) -> dict[str, object]:
    state = f.chain.latest
    proposal = make_proposal(0, [SetLimit(f.coops[0].id, 0, 9_000)], "Une limite plus haute")
    return {
        "about": "spec/06-charter: charter 0 of the founding document; entries alone; what a block "
        "of entries makes of a charter, or why it is refused; blocks of the charter's chain.",
        "founding": f.founding.document,
        "fed": f.fed,
        "state": state.encode(),
        "root": state.root(),
        "coops": [coop.id for coop in f.coops],
        "proposal": {
            "bytes": proposal.encode(),
            "base": proposal.base,
            "entries": list(proposal.entries),
            "title": proposal.title,
            "hash": proposal.hash,
        },
        "entries": list(_entries(f)),
        "changes": list(_changes(f)),
        "approvals": list(_approvals(f)),
        "blocks": list(_blocks(f)),
        "quorums": [_quorum(n, q) for n in range(1, 11) for q in range(1, n + 2)],
    }


# --- Entries by themselves ----------------------------------------------------------------------


def _good(f: LedgerFederation) -> list[tuple[str, CharterEntry]]:
    a, b = sorted(coop.id for coop in f.coops[:2])
    heads = ((a, 7, b"a" * 32), (b, 0, b"b" * 32))
    key = f.key("fresh").public
    return [
        ("a coop enters", f.admit(f.make_coop("new"))),
        ("a neutral witness enters", f.admit(f.make_coop("neutral"), limits=(), accounts_max=0)),
        ("a coop enters without a witness", f.admit(f.make_coop("silent"), witness=b"")),
        ("a coop leaves", Remove(a, b)),
        ("a writer's key", SetKey(a, "writer", key)),
        ("a witness no more", SetKey(a, "witness", b"")),
        ("a limit", SetLimit(a, 1, 2**53 - 1)),
        ("a trustee", SetTrustee(a, b)),
        ("no trustee any more", SetTrustee(a, None)),
        ("a quorum", SetQuorum(64)),
        ("a unit", AddUnit(Unit("tomate", "credit", 2, "Tomate"))),
        ("a retirement", Retire(3, heads_root(heads), heads)),
        ("a root that could be no key", Retire(3, b"\x01" + bytes(31), heads)),
        ("a clearing", Clear(a, b"f" * 32)),
        ("approvals", SetRule("approvals", 300)),
        ("a wait", SetRule("recovery_s", 0)),
        ("a number of accounts", SetRule("accounts_max", 1_000_000)),
        ("a re-founding", Refound(heads, ((a, key, b""), (b, f.key("x").public, key)), 1)),
    ]


def _entries(f: LedgerFederation) -> Iterator[Vector]:
    for name, entry in _good(f):
        data = encode_charter_entry(entry)
        kind = NAMES[type(entry)]
        yield {"name": name, "entry": data, "expect": "ok", "kind": kind}
    for name, value in _bad_entries(f):
        data = value if isinstance(value, bytes) else encode(value)
        try:
            decode_charter_entry(data)
        except MaillonError as error:
            rule = error.facts.get("rule")
            vector: Vector = {"name": name, "entry": data, "expect": error.code}
            # The names of shapes are ours; those of fields are the registry's.
            yield {**vector, **({"rule": rule} if error.code == "schema" else {})}
        else:
            raise AssertionError(f"{name} is read")


def _bad_entries(f: LedgerFederation) -> Iterator[tuple[str, Encodable]]:
    a, b = sorted(coop.id for coop in f.coops[:2])
    key, other, third = (f.key(label).public for label in ("one", "two", "three"))
    admit: list[Encodable] = [1, key, other, third, b"", "New", [[0, 5]], 10]
    weak = b"\x01" + bytes(31)

    def bent(place: int, value: Encodable) -> list[Encodable]:
        return [*admit[:place], value, *admit[place + 1 :]]

    yield "a map", {"a": 1}
    yield "an array of nothing", []
    yield "a number that is true", [True, 5]
    yield "entry 0", [0, 5]
    yield "entry 12", [12, 5]
    yield "a byte behind", encode([6, 2]) + b"\0"
    yield "a number in a long form", b"\x92\x06\xcc\x02"
    yield "a part too many", [6, 2, 2]
    yield "a part too few", [4, a, 1]
    yield "half a coop", [2, a[:16], b]
    yield "a coop that is text", [2, "a" * 32, b]
    yield "another role", [3, a, "node", key]
    yield "a key of 31 bytes", [3, a, "writer", key[:31]]
    yield "a key of small order", [3, a, "writer", weak]
    yield "a limit below zero", [4, a, 0, -1]
    yield "a limit that is true", [4, a, 0, True]
    yield "unit 16", [4, a, 16, 5]
    yield "a trustee of 16 bytes", [5, a, b[:16]]
    yield "quorum 0", [6, 0]
    yield "quorum 65", [6, 65]
    yield "a unit code in capitals", [7, "Heure", "hours", 0, "Heure"]
    yield "a unit of another kind", [7, "heure", "days", 0, "Heure"]
    yield "seven decimals", [7, "heure", "hours", 7, "Heure"]
    yield "a label of nothing", [7, "heure", "hours", 0, ""]
    yield "a label with a space ahead", [7, "heure", "hours", 0, " Heure"]
    yield "retiring what is below 0", [8, 0, bytes(32), [[a, 1, b]]]
    yield "a retirement without heads", [8, 1, bytes(32), []]
    yield "heads in another order", [8, 1, bytes(32), [[b, 1, a], [a, 1, a]]]
    yield "a head twice", [8, 1, bytes(32), [[a, 1, a], [a, 1, a]]]
    yield "heads that are a map", [8, 1, bytes(32), {"a": 1}]
    yield "a head of two parts", [8, 1, bytes(32), [[a, 1]]]
    yield "a head that is a map", [8, 1, bytes(32), [{"a": 1}]]
    yield "a head of height -1", [8, 1, bytes(32), [[a, -1, a]]]
    yield "half a fraud proof's hash", [9, a, bytes(16)]
    yield "a rule of another name", [10, "quorum", 2]
    yield "approvals of none", [10, "approvals", 0]
    yield "approvals of 301", [10, "approvals", 301]
    yield "a wait of more than a year", [10, "recovery_s", 31_622_401]
    yield "a rule that is true", [10, "recovery_s", True]
    yield "no accounts", [10, "accounts_max", 0]
    yield "a re-founding by nobody", [11, [[a, 1, a]], [], 1]
    yield "a re-founding with a weak witness", [11, [[a, 1, a]], [[a, key, weak]], 1]
    yield "coops in another order", [11, [[a, 1, a]], [[b, key, b""], [a, other, b""]], 1]
    yield "a newcomer without a writer", bent(3, b"")
    yield "a newcomer with a key twice", bent(4, key)
    yield "a newcomer with a weak node key", bent(2, weak)
    yield "a newcomer without a name", bent(5, "")
    yield "limits in another order", bent(6, [[1, 5], [0, 5]])
    yield "a limit twice", bent(6, [[1, 5], [1, 6]])
    yield "a million and one accounts", bent(7, 1_000_001)


# --- What entries make of a charter -------------------------------------------------------------


def _changes(f: LedgerFederation) -> Iterator[Vector]:
    """Yield blocks of entries after blocks of entries, and what becomes of them."""
    a, b, c, _ = (coop.id for coop in f.coops)
    new, fresh = f.make_coop("new"), f.key("fresh").public
    first = f.coops[0]
    tomato = AddUnit(Unit("tomate", "credit", 2, "Tomate"))
    heads = tuple((coop, 4, b"H" * 32) for coop in sorted(f.chain.latest.coops))
    retire = Retire(1, heads_root(heads), heads)
    moved = tuple((chain, 9 if chain == a else h, block) for chain, h, block in heads)
    back = tuple((chain, 3 if chain == a else h, block) for chain, h, block in heads)
    beside = tuple((ch, h, b"X" * 32 if ch == a else block) for ch, h, block in heads)
    left, fraud = Remove(a, b), b"f" * 32
    keys = sorted((x.id, x.writer.public, x.witness.public) for x in f.coops)
    two = [row for row in keys if row[0] in (a, b)]

    def unit(at: int) -> AddUnit:
        return AddUnit(Unit(f"u{at}", "count", 0, f"Unit {at}"))

    def refound(rows: Sequence[tuple[bytes, bytes, bytes]], q: int) -> Refound:
        return Refound(heads, tuple(rows), q)

    cases: list[tuple[str, list[list[CharterEntry]], list[CharterEntry]]] = [
        ("a limit is raised", [], [SetLimit(a, 0, 9_000)]),
        ("a limit in a unit that had none", [[tomato]], [SetLimit(a, 3, 5)]),
        ("a coop enters", [], [f.admit(new)]),
        ("a coop and its witness enter a larger quorum", [[f.admit(new)]],
         [f.admit(f.make_coop("sixth")), SetQuorum(4)]),
        ("a neutral witness enters", [], [f.admit(new, limits=(), accounts_max=0)]),
        ("a coop leaves", [], [left]),
        ("a witness's key is replaced", [], [SetKey(a, "witness", fresh)]),
        ("a witness goes with the quorum", [], [SetKey(a, "witness", b""), SetQuorum(2)]),
        ("a trustee takes over", [], [SetTrustee(a, b), SetKey(a, "writer", b"")]),
        ("a trustee is let go", [[SetTrustee(a, b)]], [SetTrustee(a, None)]),
        ("the trustee of a coop that left is replaced", [[left]], [SetTrustee(a, c)]),
        ("a chain is cleared", [], [SetKey(a, "writer", fresh), Clear(a, fraud)]),
        ("a chain is cleared as its coop leaves", [], [left, Clear(a, fraud)]),
        ("the numbers", [], [SetRule("approvals", 4), SetRule("recovery_s", 5),
                             SetRule("accounts_max", 10)]),
        ("an epoch is retired", [[tomato]], [retire]),
        ("another epoch is retired", [[tomato], [retire]],
         [Retire(2, heads_root(moved), moved)]),
        ("a federation is founded again", [[tomato]], [refound(two, 2)]),
        ("a federation is founded again with new keys", [], [refound(
            [(coop, f.key(f"{at} w").public, f.key(f"{at} v").public)
             for at, (coop, _w, _v) in enumerate(keys)], 3)]),
        ("no entries", [], []),
        ("a founder enters", [], [f.admit(first)]),
        ("who left comes back", [[left]], [f.admit(first, writer=fresh)]),
        ("a newcomer with another's writer", [], [f.admit(new, writer=first.writer.public)]),
        ("a key that is another's witness", [], [SetKey(a, "writer", f.coops[1].witness.public)]),
        ("a key that comes back", [[SetKey(a, "witness", fresh)]],
         [SetKey(a, "witness", first.witness.public)]),
        ("the key that stands already", [], [SetKey(a, "writer", first.writer.public)]),
        ("taking a witness from whom is none", [[SetKey(a, "witness", b"")]],
         [SetKey(a, "witness", b"")]),
        ("a quorum beyond the witnesses", [], [SetQuorum(5)]),
        ("a quorum of half", [], [SetQuorum(2)]),
        ("more witnesses than the quorum bears", [[f.admit(new)]],
         [f.admit(f.make_coop("sixth"))]),
        ("more approvals than coops", [], [SetRule("approvals", 5)]),
        ("approvals of all, and one leaves", [[SetRule("approvals", 4)]], [left]),
        ("a chain without a writer", [], [SetKey(a, "writer", b"")]),
        ("its own trustee", [], [SetTrustee(a, a)]),
        ("a stranger as trustee", [], [SetTrustee(a, new.id)]),
        ("the trustee of another leaves", [[SetTrustee(a, b)]], [Remove(b, c)]),
        ("the trustee that stands already", [[SetTrustee(a, b)]], [SetTrustee(a, b)]),
        ("a limit of a stranger", [], [SetLimit(new.id, 0, 5)]),
        ("a limit of who left", [[left]], [SetLimit(a, 0, 5)]),
        ("a unit twice", [], [AddUnit(Unit("heure", "credit", 2, "Autre"))]),
        ("a limit in no unit", [], [SetLimit(a, 3, 5)]),
        ("a limit in what only counts", [], [SetLimit(a, 2, 5)]),
        ("as many units as there may be", [[unit(at) for at in range(12)]], [unit(12)]),
        ("a unit too many", [[unit(at) for at in range(13)]], [unit(13)]),
        ("a number that stands already", [], [SetRule("approvals", 2)]),
        ("retiring the first epoch in its own block", [], [retire]),
        ("retiring twice", [[tomato], [retire]], [retire]),
        ("a head too few", [[tomato]], [Retire(1, heads_root(heads[1:]), heads[1:])]),
        ("a head behind the last", [[tomato], [retire]], [Retire(2, heads_root(back), back)]),
        ("a head beside the last", [[tomato], [retire]], [Retire(2, heads_root(beside), beside)]),
        ("another root", [[tomato]], [Retire(1, bytes(32), heads)]),
        ("clearing a stranger", [], [SetKey(a, "writer", fresh), Clear(new.id, fraud)]),
        ("clearing with the writer in place", [], [Clear(a, fraud)]),
        ("clearing before the key changes", [], [Clear(a, fraud), SetKey(a, "writer", fresh)]),
        ("clearing twice", [[SetKey(a, "writer", fresh), Clear(a, fraud)]],
         [SetKey(a, "writer", f.key("third").public), Clear(a, fraud)]),
        ("founding again and more", [], [refound(two, 2), SetRule("recovery_s", 5)]),
        ("founding again with too few", [], [refound(two[:1], 2)]),
        ("founding again with a stranger", [], [refound(
            sorted([*two, (new.id, fresh, f.key("v").public)]), 2)]),
        ("founding again with another's key", [], [refound(
            [(a, f.coops[1].writer.public, fresh)], 1)]),
    ]  # fmt: skip
    for name, before, entries in cases:
        state = f.chain.latest
        for block in before:
            state = next_state(state, block)
        vector: Vector = {
            "name": name,
            "before": [[encode_charter_entry(entry) for entry in block] for block in before],
            "entries": [encode_charter_entry(entry) for entry in entries],
        }
        try:
            made = next_state(state, entries)
        except CharterRefused as error:
            yield {**vector, "expect": error.code, "reason": error.reason}
        else:
            writers = {coop.hex(): sorted(made.writers(coop)) for coop in made.coops}
            yield {
                **vector,
                "expect": "ok",
                "state": made.encode(),
                "root": made.root(),
                "witnesses": list(made.committee().keys),
                "writers": writers,
            }


# --- Approvals ----------------------------------------------------------------------------------


def _approvals(f: LedgerFederation) -> Iterator[Vector]:
    entry = SetLimit(f.coops[0].id, 0, 9_000)
    proposal = make_proposal(0, [entry])
    a = f.coops[0]
    other = make_proposal(1, [entry])
    cases: list[tuple[str, LedgerCoop, SigningKey, bytes, bytes, str]] = [
        ("by the writer", a, a.writer, proposal.hash, f.fed, "ok"),
        ("by the root", a, a.root, proposal.hash, f.fed, "ok"),
        ("by the node key", a, a.node, proposal.hash, f.fed, "bad_signature"),
        ("by the witness", a, a.witness, proposal.hash, f.fed, "bad_signature"),
        ("by another coop", a, f.coops[1].writer, proposal.hash, f.fed, "bad_signature"),
        ("of another charter's height", a, a.writer, other.hash, f.fed, "bad_signature"),
        ("in another federation", a, a.writer, proposal.hash, b"F" * 32, "bad_signature"),
        ("by a stranger", f.make_coop("stranger"), a.writer, proposal.hash, f.fed, "charter"),
    ]
    for name, coop, key, signed, fed, expect in cases:
        approval = approve(fed, signed, coop.id, key)
        yield {"name": name, "proposal": proposal.hash, "coop": approval.coop,
               "signature": approval.signature, "expect": expect}  # fmt: skip


# --- Blocks -------------------------------------------------------------------------------------


def _blocks(f: LedgerFederation) -> Iterator[Vector]:
    """Yield blocks that follow the ones of `after`, with certificate; what is amiss is named."""
    entry = SetLimit(f.coops[0].id, 0, 9_000)
    first = f.grow(entry)
    new = f.make_coop("new")
    second = f.grow(f.admit(new), SetQuorum(4))
    f.coops.append(new)
    third = f.block(SetRule("recovery_s", 5))
    third = third.with_certificate(f.certify(third))
    good = [first, second, third]
    for at, block in enumerate(good):
        yield {"name": f"charter block {at + 1}", "after": [one.encode() for one in good[:at]],
               "block": block.encode(), "expect": "ok", "hash": block.hash}  # fmt: skip
    after = [one.encode() for one in good[:2]]

    def amiss(name: str, block: Block, expect: str, reason: str = "") -> Vector:
        why = {"reason": reason} if reason else {}
        return {"name": name, "after": after, "block": block.encode(), "expect": expect, **why}

    def header(**change: Any) -> Block:
        bent = dataclasses.replace(third.header, **change)
        block = dataclasses.replace(third, header=bent)
        return block.with_certificate(f.certify(block) if bent.fed == f.fed else b"")

    bent: list[tuple[str, Callable[[], Block], str]] = [
        ("another predecessor", lambda: header(prev=b"P" * 32), "prev"),
        ("governed by the charter before", lambda: header(c=1), "charter"),
        ("adopting a charter beyond", lambda: header(c2=4), "charter"),
        ("older than the last", lambda: header(time=NOW - 1), "time"),
        ("another history", lambda: header(history_root=bytes(32)), "history_root"),
        ("another state", lambda: header(state_root=bytes(32)), "state_root"),
        ("another count", lambda: header(count=2), "count"),
        ("another size", lambda: header(size=third.header.size + 1), "size"),
        ("another root of entries", lambda: header(entries_root=bytes(32)), "entries_root"),
    ]
    for name, make, reason in bent:
        yield amiss(name, make(), "bad_block", reason)
    erased = dataclasses.replace(
        third, body=dataclasses.replace(third.body, entries=(Erased(third.body.entries[0].leaf()),))
    )
    yield amiss("an erased entry", erased, "bad_block", "erased")
    ahead = header(h=4)
    yield amiss("over a gap", ahead, "need_blocks")
    lone = f.block(SetRule("recovery_s", 5), by=f.coops[:1])
    lone = lone.with_certificate(f.certify(lone))
    yield amiss("approved by one coop of two", lone, "not_approved")
    stranger = f.block(SetRule("recovery_s", 5), by=[*f.coops[:2], f.make_coop("stranger")])
    stranger = stranger.with_certificate(f.certify(stranger))
    yield amiss("approved by a stranger too", stranger, "charter", "coop_unknown")
    few = f.certify(third, [coop.witness for coop in f.coops[:3]])
    yield amiss("certified by three of five", third.with_certificate(few), "no_quorum")
    signatures = decode_certificate(third.certificate).signatures
    wrong = dataclasses.replace(
        decode_certificate(third.certificate), signatures=(signatures[1], *signatures[1:])
    )
    third_wrong = third.with_certificate(wrong.encode())
    yield amiss("a signature that is another's", third_wrong, "certificate")
    yield amiss("without a certificate", third.with_certificate(b""), "not_certified")
    yield from _refoundings(f, amiss)


def _refoundings(f: LedgerFederation, amiss: Callable[..., Vector]) -> Iterator[Vector]:
    heads = tuple((coop, 3, b"H" * 32) for coop in sorted(f.chain.latest.coops))
    named = sorted((c.id, c.writer.public, c.witness.public) for c in f.coops[:2])
    entry = encode_charter_entry(Refound(heads, tuple(named), 2))
    block = f.chain.build([entry], (), time=NOW)
    whole = block.with_certificate(f.refound(block, f.coops[:4]))
    yield {**amiss("founded again by four roots of five", whole, "ok"), "hash": block.hash}
    few = block.with_certificate(f.refound(block, f.coops[:3]))
    yield amiss("founded again by three roots of five", few, "not_approved")
    stranger = block.with_certificate(f.refound(block, [*f.coops, f.make_coop("stranger")]))
    yield amiss("founded again with a stranger's root", stranger, "certificate")


def _quorum(n: int, q: int) -> Vector:
    facts = explain_quorum(n, q)
    return {"witnesses": n, "quorum": q, "possible": facts.possible, "liars": facts.liars,
            "silent": facts.silent, "usual": q == default_quorum(n)}  # fmt: skip
