"""Make the vectors of headers, bodies, evidence and blocks (spec/06-blocks.md)."""

from __future__ import annotations

import random
from typing import Any

from ledger_parts import Cases, World, changed, raw
from maillon.ledger import block, entries, merkle, quorum
from maillon.ledger.limits import BODY_BYTES_MAX
from maillon.ledger.signing import inline_verify
from maillon.protocol import encoding
from maillon.protocol.limits import INT_MAX


def vectors(rng: random.Random) -> dict[str, object]:
    """Return the file."""
    world = World(rng)
    body = world.place(
        entries.Intra(world.order(world.pay(), 1)),
        entries.Out(world.order(world.pay(to=world.other), 2), 1),
        entries.Hold(world.order(world.hold(), 3)),
    )
    header = world.header(body, h=3)
    return {
        "ledger-blocks.json": {
            "spec": "06-blocks",
            "about": "`headers`, `bodies` and `blocks` are read; an ok body gives "
            "its entries' `root` and `size`; `charter` says that it is of the charter's chain. "
            "`evidence` is read and judged in federation `fed`, with the four `witnesses` and "
            "quorum 3 as the committee of every charter.",
            "fed": world.fed,
            "witnesses": list(world.committee.keys),
            "genesis": {
                "chain": world.chain,
                "hash": block.genesis_hash(world.fed, world.chain),
            },
            "headers": _headers(world, header),
            "bodies": _bodies(world, body),
            "blocks": _blocks(world, header, body),
            "evidence": _evidence(world),
        }
    }


def _headers(world: World, header: block.Header) -> list[dict[str, object]]:
    def read(data: bytes) -> dict[str, object]:
        found = block.decode_header(data)
        assert found.encode() == data
        return {"hash": found.hash, "h": found.h, "chain": found.chain, "time": found.time}

    cases = Cases(read)
    cases.good("of a block of three entries", header.encoded)
    cases.good("that adopts a charter", world.header(block.Body(), c=4, c2=6).encoded)
    cases.good("of the charter's chain", world.header(block.Body(), chain=world.fed, c2=1).encoded)
    parts: list[Any] = encoding.decode(header.encoded, bytes_max=400)  # type: ignore[assignment]  # an array
    greatest = list(parts)
    for place in (3, 5, 6, 7):
        greatest[place] = INT_MAX
    greatest[9], greatest[12] = 256, BODY_BYTES_MAX
    cases.good("with the greatest numbers", raw(*greatest))
    cases.cut(header.encoded)
    names = (
        "header_fed", "header_chain", "header_height", "header_prev", "header_charter",
        "header_charter", "header_time", "header_entries", "header_count", "header_state",
        "header_history", "header_size",
    )  # fmt: skip
    for place, rule in enumerate(names, 1):
        wrong: Any = bytes(31) if isinstance(parts[place], bytes) else -1
        cases.bad(f"part {place} is wrong", rule, changed(parts, place, wrong))
    cases.bad("version 2", "version_unsupported", changed(parts, 0, 2))
    cases.bad("version 2 of another shape", "version_unsupported", raw(2))
    cases.bad("version true", "header", changed(parts, 0, True))
    cases.bad("no parts", "header", raw())
    cases.bad("a part more", "header", raw(*parts, 0))
    cases.bad("height 0", "header_height", changed(parts, 3, 0))
    cases.bad("257 entries", "header_count", changed(parts, 9, 257))
    cases.bad("entries of no bytes", "header_size", changed(parts, 12, 0))
    cases.bad("entries of too many bytes", "header_size", changed(parts, 12, BODY_BYTES_MAX + 1))
    older = [*parts[:5], 5, 4, *parts[7:]]
    cases.bad("an older charter adopted", "header_charter", raw(*older))
    cases.bad("too long for a header", "total_length", raw(*parts, bytes(60)))
    return cases.listed


def _bodies(world: World, body: block.Body) -> list[dict[str, object]]:
    charter = False

    def read(data: bytes) -> dict[str, object]:
        found = block.decode_body(data, charter=charter)
        assert found.encode() == data
        again = block.Body(found.entries, found.evidence, found.approvals)
        assert again.encode() == data
        return {
            "root": found.root(),
            "size": found.size(),
            "erased": found.erased,
            "charter": charter,
        }

    cases = Cases(read)
    cases.good("of three entries", body.encode())
    cases.good("of no entries", block.Body().encode())
    first, second, third = body.entries
    cases.good(
        "the second entry erased",
        block.Body((first, block.Erased(second.leaf()), third)).encode(),
    )
    one = raw(bytes(32), b"x")
    cases.good("of 256 entries", raw([[bytes(32), b"x"]] * 256, []), one)
    cases.cut(block.Body().encode())
    cases.bad("a map for a body", "body", encoding.encode({}))
    cases.bad("a body of one part", "body", raw([]))
    cases.bad("a body of three parts", "body", raw([], [], []))
    cases.bad("evidence in no list", "body_evidence", raw([], b""))
    cases.bad("257 entries in a body", "body_entries", raw([[bytes(32), b"x"]] * 257, []), one)
    cases.bad("an entry without salt", "body_entry", raw([[b"x"]], []))
    cases.bad("an entry with a salt of 31 bytes", "body_salt", raw([[bytes(31), b"x"]], []))
    cases.bad("an entry of no bytes", "body_entry", raw([[bytes(32), b""]], []))
    cases.bad("an erased entry of 31 bytes", "body_entry", raw([bytes(31)], []))
    cases.bad("evidence that is a number", "evidence", raw([], [1]))
    cases.bad(
        "a body too long", "total_length", raw([[bytes(32), bytes(BODY_BYTES_MAX)]], []), b"\0"
    )
    charter = True
    approval = [world.other, bytes(64)]
    above = bytes([255]) * 32
    cases.good("a charter's with two approvals", raw([], [approval, [above, bytes(64)]]))
    refused: list[tuple[str, list[Any]]] = [
        ("a charter's with evidence", [[bytes(32), bytes(32), b"", []]]),
        ("a charter's with a signature of 63 bytes", [[world.other, bytes(63)]]),
        ("a charter's with a coop twice", [approval, approval]),
        ("a charter's with coops in another order", [[above, bytes(64)], approval]),
    ]
    for name, proofs in refused:
        cases.listed.append(_charter_bad(name, raw([], proofs)))
    return cases.listed


def _charter_bad(name: str, data: bytes) -> dict[str, object]:
    try:
        block.decode_body(data, charter=True)
    except Exception as error:
        assert getattr(error, "rule", "") == "body_approvals", name
    else:
        raise AssertionError(name)
    return {
        "name": name,
        "bytes": data,
        "expect": "malformed",
        "rule": "body_approvals",
        "charter": True,
    }


def _blocks(world: World, header: block.Header, body: block.Body) -> list[dict[str, object]]:
    def read(data: bytes) -> dict[str, object]:
        found = block.decode_block(data)
        assert found.encode() == data
        found.check_form()
        return {"hash": found.hash, "delta": [[row.slot, row.leaf()] for row in found.delta]}

    cases = Cases(read)
    certificate = world.certificate(header).encode()
    first, _, third = body.entries
    erased = block.Body((first, block.Erased(body.entries[1].leaf()), third))
    rows = (block.DeltaRow(0, raw(2, [], 1)), block.DeltaRow(3, b"", bytes(32)))
    whole = block.Block(header, body, certificate)
    cases.good("without certificate", block.Block(header, body).encode())
    cases.good("certified", whole.encode())
    cases.good("with an entry erased", block.Block(header, erased, certificate, rows).encode())
    cases.cut(whole.encode())
    parts: list[Any] = [header.encoded, body.encode(), certificate, []]
    cases.bad("of one part", "block", raw(header.encoded))
    cases.bad("of three parts", "block", raw(*parts[:3]))
    cases.bad("a header that is an array", "block", changed(parts, 0, []))
    cases.bad(
        "a certificate of too many bytes", "block", changed(parts, 2, b"\x55" * 32_769), b"\x55"
    )
    cases.bad("another body", "count", changed(parts, 1, block.Body().encode()))
    placed = list[Any](body.entries)
    longer = [block.Placed(placed[0].salt, placed[0].data + b"\0"), *placed[1:]]
    other = block.Body(tuple(longer))
    cases.bad("a body of another size", "size", changed(parts, 1, other.encode()))
    swapped = block.Body((placed[1], placed[0], placed[2]))
    cases.bad("entries in another order", "entries_root", changed(parts, 1, swapped.encode()))
    salted = block.Body((block.Placed(bytes(32), placed[0].data), *placed[1:]))
    cases.bad("another salt", "entries_root", changed(parts, 1, salted.encode()))
    wrong = block.Body((block.Erased(bytes(32)), *placed[1:]))
    cases.bad("erased with another leaf", "entries_root", changed(parts, 1, wrong.encode()))
    for name, delta in (
        ("a row without bytes or leaf", [[0, b""]]),
        ("a row with bytes and leaf", [[0, b"\x90", bytes(32)]]),
        ("a row's leaf of 31 bytes", [[0, b"", bytes(31)]]),
        ("slots in another order", [[1, b"\x90"], [0, b"\x90"]]),
        ("a slot twice", [[1, b"\x90"], [1, b"\x90"]]),
        ("a slot below 0", [[-1, b"\x90"]]),
        ("a slot beyond four bytes", [[2**32, b"\x90"]]),
    ):
        cases.bad(name, "delta", changed(parts, 3, delta))
    return cases.listed


def _evidence(world: World) -> list[dict[str, object]]:
    def read(data: bytes) -> dict[str, object]:
        found = block.decode_evidence(data)
        assert found.encode() == data

        found.verify(world.committee, world.fed, inline_verify)
        return {"hash": found.header.hash, "carrier": found.carrier.h}

    cases = Cases(read)
    body = world.place(entries.Out(world.order(world.pay(to=world.other)), 1))
    past = [block.genesis_hash(world.fed, world.chain)]
    headers: list[block.Header] = []
    for h in range(1, 6):
        headers.append(world.header(body, h=h, history=list(past)))
        past.append(headers[-1].hash)
    early, late = headers[1], headers[4]
    own = block.Evidence(early, early, world.certificate(early))
    path = tuple(merkle.inclusion_path([block.history_leaf(each) for each in past[:5]], 2))
    later = block.Evidence(early, late, world.certificate(late), path)
    cases.good("by its own certificate", own.encode())
    cases.good("by that of a later block", later.encode())
    signed_by_all = block.Evidence(early, early, _all(world, early))
    cases.good("signed by more than a quorum", signed_by_all.encode())
    cases.bad("of three parts", "evidence", raw(*own.array()[:3]))

    def bad(name: str, rule: str, found: block.Evidence) -> None:
        cases.bad(name, rule, found.encode())

    certificate = world.certificate(early)
    bad(
        "another block without path",
        "carrier",
        block.Evidence(early, late, world.certificate(late)),
    )
    bad("a path from a block to itself", "carrier", block.Evidence(early, early, certificate, path))
    bad("a path backwards", "carrier", block.Evidence(late, early, certificate, path))
    bad(
        "another block's certificate",
        "certificate",
        block.Evidence(early, early, world.certificate(late)),
    )
    bad(
        "a path to another place",
        "path_root",
        block.Evidence(headers[2], late, world.certificate(late), path),
    )
    bad(
        "a path too short",
        "path_length",
        block.Evidence(early, late, world.certificate(late), path[:1]),
    )
    foreign = World(world.rng)
    strange = foreign.header(body, h=2)
    bad(
        "of another federation",
        "federation",
        block.Evidence(strange, strange, foreign.certificate(strange)),
    )
    elsewhere = world.header(body, chain=world.other, h=7)
    bad(
        "carried by another chain",
        "carrier",
        block.Evidence(early, elsewhere, world.certificate(elsewhere), path),
    )
    fewer = quorum.Certificate(
        certificate.c, certificate.chain, certificate.h, certificate.term, certificate.block,
        b"\x03", certificate.signatures[:2],
    )  # fmt: skip
    bad("signed by too few", "no_quorum", block.Evidence(early, early, fewer))
    forged = quorum.Certificate(
        certificate.c, certificate.chain, certificate.h, certificate.term, certificate.block,
        certificate.bitmap, (*certificate.signatures[:2], certificate.signatures[0]),
    )  # fmt: skip
    bad("a signature by another witness", "signature", block.Evidence(early, early, forged))
    cases.bad("a path of 54 hashes", "evidence_path", raw(*own.array()[:3], [bytes(32)] * 54))
    return cases.listed


def _all(world: World, header: block.Header) -> quorum.Certificate:
    part = world.certificate(header)
    rest = world.certificate(header, (0, 1, 2))
    signatures = (*part.signatures[:2], rest.signatures[2], part.signatures[2])
    return quorum.Certificate(
        part.c, part.chain, part.h, part.term, part.block, b"\x0f", signatures
    )
