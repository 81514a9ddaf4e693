"""Make the vectors of quorums, terms, votes and certificates (spec/06-blocks.md)."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from ledger_parts import World, changed, raw
from maillon.ledger import block, entries, quorum, signing
from maillon.protocol import encoding
from maillon.protocol.errors import MaillonError


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the file."""
    world = World(rng)
    body = world.place(entries.Intra(world.order(world.pay())))
    header = world.header(body, h=2, c=5, c2=5)
    return {
        "ledger-certificates.json": {
            "spec": "06-blocks",
            "about": "`quorums`: n witnesses, f that may lie, the usual quorum. `terms`: in "
            "ascending order. `certificates` and `votes` are read and judged in federation `fed` "
            "with the `witnesses` as committee, and quorum 3.",
            "fed": world.fed,
            "witnesses": list(world.committee.keys),
            "quorum": world.committee.quorum,
            "quorums": [
                {"n": n, "f": quorum.faults(n), "quorum": quorum.default_quorum(n)}
                for n in (*range(1, 17), 31, 32, 33, 64)
            ],
            "committees": _committees(),
            "terms": _terms(world),
            "certificates": _certificates(world, header),
            "votes": _votes(world, header),
        }
    }


def _committees() -> list[dict[str, object]]:
    listed: list[dict[str, object]] = []
    for n, q in ((1, 1), (2, 2), (3, 2), (3, 3), (4, 3), (4, 4), (64, 33), (64, 64)):
        committee = quorum.Committee.of([bytes([i]) * 32 for i in range(n)], q)
        listed.append(
            {
                "name": f"{q} of {n}",
                "n": n,
                "quorum": q,
                "expect": "ok",
                "liars": committee.liars_max,
                "silent": committee.silent_max,
            }
        )
    for n, q in ((2, 1), (4, 2), (4, 5), (65, 44), (3, -1)):
        try:
            quorum.Committee(tuple(bytes([i]) * 32 for i in range(n)), q)
        except MaillonError as error:
            listed.append({"name": f"{q} of {n}", "n": n, "quorum": q, "expect": error.code})
        else:
            raise AssertionError((n, q))
    return listed


def _terms(world: World) -> list[bytes]:
    low, high = bytes(15) + b"\1", b"\xff" * 16
    a, b = sorted([world.member.public, world.delegate.public])
    terms = [
        quorum.Term(1, low, a),
        quorum.Term(1, low, b),
        quorum.Term(1, high, a),
        quorum.Term(2, low, a),
        quorum.Term(255, high, b),
        quorum.Term(256, low, a),
    ]
    assert terms == sorted(terms)
    return [encoding.encode(term.array()) for term in terms]


def _judged(world: World, found: quorum.Certificate | quorum.VoteQC) -> tuple[str, str]:
    try:
        found.verify(world.committee, world.fed, signing.inline_verify)
    except MaillonError as error:
        return error.code, error.facts.get("rule", "")
    return "ok", ""


def _answer(
    world: World, decode: Callable[[bytes], quorum.Certificate | quorum.VoteQC], data: bytes
) -> tuple[str, str]:
    """Return the code, and the rule, that a reader answers these bytes with."""
    try:
        found = decode(data)
    except MaillonError as error:
        return error.code, error.facts.get("rule", "")
    assert found.encode() == data
    return _judged(world, found)


def _certificates(world: World, header: block.Header) -> list[dict[str, object]]:
    whole = world.certificate(header)
    parts: list[Any] = encoding.decode(whole.encode(), bytes_max=10_000)  # type: ignore[assignment]  # an array
    listed: list[dict[str, object]] = []

    def add(name: str, data: bytes, expect: str = "ok", rule: str = "") -> None:
        got = _answer(world, quorum.decode_certificate, data)
        assert got == (expect, rule), (name, got)
        case: dict[str, object] = {"name": name, "bytes": data, "expect": expect}
        if expect == "ok":
            case |= {
                "hash": header.hash,
                "signers": len(quorum.decode_certificate(data).signatures),
            }
        listed.append({**case, "rule": rule} if rule else case)

    add("three of four", whole.encode())
    rest = world.certificate(header, (0, 1, 2))
    signatures = [*whole.signatures[:2], rest.signatures[2], whole.signatures[2]]
    add("four of four", raw(*parts[:5], b"\x0f", signatures))
    fewer = raw(*parts[:5], b"\x03", list(whole.signatures[:2]))
    add("two of four", fewer, "no_quorum")
    flipped = bytes([whole.signatures[1][0] ^ 1]) + whole.signatures[1][1:]
    for name, changed_signatures in (
        ("a bit of a signature changed", [whole.signatures[0], flipped, whole.signatures[2]]),
        ("one witness's signature twice", [whole.signatures[0], *whole.signatures[:2]]),
        ("signatures in another order", list(reversed(whole.signatures))),
    ):
        data = raw(*parts[:6], changed_signatures)
        add(name, data, "certificate", "signature")
    add("another bitmap", changed(parts, 5, b"\x07"), "certificate", "signature")
    votes = world.votes(header)
    data = raw(*parts[:6], list(votes.signatures))
    add("votes for commits", data, "certificate", "signature")
    for place, name, value in (
        (0, "another charter", 6),
        (1, "another chain", world.other),
        (2, "another height", 3),
        (3, "another term", [4, *parts[3][1:]]),
        (4, "another block", world.other),
    ):
        add(name, changed(parts, place, value), "certificate", "signature")
    foreign = World(world.rng)
    foreign.witnesses, foreign.committee = world.witnesses, world.committee
    add("of another federation", foreign.certificate(header).encode(), "certificate", "signature")
    bad = "certificate"
    add("a bitmap of two bytes", changed(parts, 5, b"\x0b\0"), bad, "bitmap_length")
    add("a bit that is nobody's", changed(parts, 5, b"\x1b"), bad, "bitmap_spare")
    add("a bit more than signatures", changed(parts, 5, b"\x0f"), bad, "bitmap_count")
    add("a bit less than signatures", changed(parts, 5, b"\x03"), bad, "bitmap_count")
    add("no bits", changed(parts, 5, b"\0"), bad, "bitmap_count")
    add("six parts", raw(*parts[:6]), "malformed", bad)
    add("eight parts", raw(*parts, []), "malformed", bad)
    add("no bitmap", changed(parts, 5, b""), "malformed", bad)
    add("a bitmap of nine bytes", changed(parts, 5, bytes(9)), "too_large", bad)
    add("no signatures", changed(parts, 6, []), "malformed", bad)
    add("a signature of 63 bytes", changed(parts, 6, [bytes(63)]), "malformed", bad)
    add("height 0", changed(parts, 2, 0), "malformed", bad)
    add("a charter below 0", changed(parts, 0, -1), "malformed", bad)
    add("a term with counter 0", changed(parts, 3, [0, *parts[3][1:]]), "malformed", "term")
    add("a term without key", changed(parts, 3, parts[3][:2]), "malformed", "term")
    add("a nonce of 15 bytes", changed(parts, 3, [1, bytes(15), parts[3][2]]), "malformed", "term")
    add("cut short", whole.encode()[:-1], "malformed", "truncated")
    return listed


def _votes(world: World, header: block.Header) -> list[dict[str, object]]:
    whole = world.votes(header)
    parts: list[Any] = encoding.decode(whole.encode(), bytes_max=10_000)  # type: ignore[assignment]  # an array
    listed: list[dict[str, object]] = []

    def add(name: str, data: bytes, expect: str = "ok", rule: str = "") -> None:
        got = _answer(world, quorum.decode_vote_qc, data)
        assert got == (expect, rule), (name, got)
        case: dict[str, object] = {"name": name, "bytes": data, "expect": expect}
        if expect == "ok":
            case |= {"hash": header.hash, "counters": list(whole.counters)}
        listed.append({**case, "rule": rule} if rule else case)

    add("votes of three of four", whole.encode())
    add("another counter", changed(parts, 7, [7, 8, 9]), "certificate", "signature")
    add("commits for votes", changed(parts, 6, list(world.certificate(header).signatures)),
        "certificate", "signature")  # fmt: skip
    add("votes of two", raw(*parts[:5], b"\x03", parts[6][:2], parts[7][:2]), "no_quorum")
    add("a counter missing", changed(parts, 7, parts[7][:2]), "malformed", "vote_qc")
    add("a counter more", changed(parts, 7, [*parts[7], 1]), "malformed", "vote_qc")
    add("counter 0", changed(parts, 7, [0, 8, 10]), "malformed", "vote_qc")
    add("a certificate for votes", world.certificate(header).encode(), "malformed", "vote_qc")
    return listed
