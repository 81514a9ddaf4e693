"""Make the vectors of exports, checkpoints, proofs and whole audits (spec/07)."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from maillon.ledger.block import Block, Placed, decode_block, history_leaf
from maillon.ledger.checkpoint import (
    COSIGNATURE_TYPE,
    NOTE_TYPE,
    Checkpoint,
    Note,
    NoteSignature,
    cosign,
    cosigned_bytes,
    decode_checkpoint,
    decode_note,
    key_id,
    origin,
    raw_signer,
    sign_checkpoint,
    verifier_key,
    witness_name,
)
from maillon.ledger.entries import In, Intra
from maillon.ledger.export.container import (
    FOUNDING,
    MANIFEST,
    FileEntry,
    Manifest,
    chain_path,
    encode_head,
    frame,
)
from maillon.ledger.merkle import consistency_path, inclusion_path, root
from maillon.ledger.proofs import EntryProof
from maillon.ledger.quorum import decode_certificate
from maillon.ledger.tool.auditing import audit_export
from maillon.ledger.tool.files import ExportReader, ExportWriter
from maillon.protocol.encoding import Encodable, encode
from maillon.protocol.founding import open_founding
from maillon.protocol.ids import CoopId
from maillon.protocol.keys import SigningKey
from support.ledger_corpus import Plan, certify, key_of, make_corpus
from support.tampering import Export, Forger, flipped, with_amount

PLAN = Plan(24, coops=3, members=3, per_block=4, cross=0.4, variety=0.0, seed=70)
EPOCHS = Plan(24, coops=3, members=3, per_block=4, cross=0.4, variety=0.0, seed=71, epochs=True)
AT = 1_800_000_000


def vectors(rng: random.Random) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder, "plain")
        make_corpus(first, PLAN)
        second = Path(folder, "epochs")
        make_corpus(second, EPOCHS)
        return {
            "export.json": _export(rng),
            "checkpoints.json": _checkpoints(rng, first),
            "audits.json": {
                "spec": "07-audit",
                "about": "`exports` are whole exports, file by file. A case changes files of one (a"
                " file that is null is taken away); `expect` is what an audit finds: code, chain,"
                " height and entry (-1 where there is none), and whether the sums could be judged."
                " Findings stand in no order.",
                "exports": {"plain": _files(first), "epochs": _files(second)},
                "cases": [
                    *_audits(first, PLAN, "plain", Path(folder, "a")),
                    *_audits_epochs(second, EPOCHS, "epochs", Path(folder, "b")),
                ],
            },
        }


def _files(folder: Path) -> dict[str, bytes]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


# --- The container --------------------------------------------------------------------------------


def _export(rng: random.Random) -> dict[str, object]:
    fed, coop, node = rng.randbytes(32), rng.randbytes(32), rng.randbytes(32)
    files = {
        FOUNDING: FileEntry(300, 0, rng.randbytes(32)),
        chain_path(coop): FileEntry(9_000, 12, rng.randbytes(32)),
    }
    good = Manifest(fed, AT, files, node)
    fields: dict[str, Encodable] = {
        "v": 1,
        "kind": "maillon-ledger",
        "fed": fed,
        "at": AT,
        "files": [[FOUNDING, 1, 0, bytes(32)]],
    }
    entry: list[Encodable] = [FOUNDING, 1, 0, bytes(32)]
    changes: list[tuple[str, str, dict[str, Encodable]]] = [
        ("another kind", "kind", {"kind": "other"}),
        ("a later major version", "version", {"v": 2}),
        ("a federation of 31 bytes", "fed", {"fed": bytes(31)}),
        ("a time below 0", "at", {"at": -1}),
        ("a time that is true", "at", {"at": True}),
        ("a node key of 31 bytes", "by", {"by": bytes(31)}),
        ("files that are a map", "files", {"files": {}}),
        ("no founding file", "founding_missing", {"files": []}),
        ("a file twice", "file_twice", {"files": [entry, entry]}),
        (
            "files in another order",
            "file_order",
            {"files": [entry, [chain_path(coop), *entry[1:]]]},
        ),
        ("a length below 0", "file_entry", {"files": [[FOUNDING, -1, 0, bytes(32)]]}),
        ("a length beyond 2^40", "file_entry", {"files": [[FOUNDING, 2**40 + 1, 0, bytes(32)]]}),
        ("a hash of 31 bytes", "file_entry", {"files": [[FOUNDING, 1, 0, bytes(31)]]}),
        ("a name that leads outside", "file_entry", {"files": [entry, ["../x", *entry[1:]]]}),
        (
            "a name in capitals",
            "file_entry",
            {"files": [entry, [f"chains/{coop.hex().upper()}.blocks", *entry[1:]]]},
        ),
    ]
    later = replace(good, extra={"title": "autumn"})
    manifests: list[dict[str, object]] = [
        dict[str, object](name=name, bytes=manifest.encode(), expect="ok", files=sorted(files))
        for name, manifest in (("a whole one", good), ("a field of a later version", later))
    ]
    manifests += [
        dict[str, object](
            name=name, bytes=encode({**fields, **change}), expect="export_damaged", rule=rule
        )
        for name, rule, change in changes
    ]
    manifests.append({"name": "no map", "bytes": encode([]), "expect": "export_damaged",
                      "rule": "manifest"})  # fmt: skip
    manifests.append({"name": "no bytes", "bytes": b"", "expect": "malformed"})
    one, two = rng.randbytes(5), rng.randbytes(40)
    streams: list[dict[str, object]] = [
        {"name": "nothing", "bytes": b"", "expect": "ok", "frames": []},
        {"name": "two", "bytes": frame(one) + frame(two), "expect": "ok", "frames": [one, two]},
        {"name": "an empty one", "bytes": frame(b""), "expect": "ok", "frames": [b""]},
        {
            "name": "cut in a frame",
            "bytes": frame(one) + frame(two)[:-1],
            "expect": "export_damaged",
            "rule": "cut",
            "offset": 9,
        },
        {
            "name": "cut in a length",
            "bytes": frame(one) + b"\0\0",
            "expect": "export_damaged",
            "rule": "cut",
            "offset": 9,
        },
        {
            "name": "a length beyond 262,144",
            "bytes": frame(one) + (262_145).to_bytes(4, "big") + bytes(20),
            "expect": "export_damaged",
            "rule": "frame_length",
            "offset": 9,
        },
    ]
    return {
        "spec": "07-audit",
        "about": "`manifests`: one file each. `streams`: the bytes of a file of frames; where it is"
        " refused, at which offset. `heads`: a frame of a file of heads.",
        "manifests": manifests,
        "streams": streams,
        "heads": [
            {
                "name": "a head",
                "bytes": encode_head(one, two),
                "expect": "ok",
                "header": one,
                "certificate": two,
            },
            {"name": "no certificate", "bytes": encode([one]), "expect": "export_damaged"},
            {"name": "a text", "bytes": encode([one, "x"]), "expect": "export_damaged"},
        ],
    }


# --- Checkpoints and proofs -----------------------------------------------------------------------


def _checkpoints(rng: random.Random, folder: Path) -> dict[str, object]:
    fed, chain = rng.randbytes(32), rng.randbytes(32)
    writer = SigningKey.from_seed(rng.randbytes(32))
    witnesses = [SigningKey.from_seed(rng.randbytes(32)) for _ in range(3)]
    blocks = [rng.randbytes(32) for _ in range(11)]
    leaves = [history_leaf(block) for block in blocks]
    checkpoint = Checkpoint.of(fed, chain, len(leaves), root(leaves))
    note = sign_checkpoint(checkpoint, writer.public, raw_signer(writer))
    for number, key in enumerate(witnesses):
        note = cosign(note, key.public, raw_signer(key), AT + number)
    one, two = note.signatures[:2]
    bad = NoteSignature(one.name, one.key_id, flipped(one.signature, 9))
    moved = NoteSignature(two.name, two.key_id, (AT - 1).to_bytes(8, "big") + two.signature[8:])
    stranger = SigningKey.from_seed(rng.randbytes(32))
    cases: list[tuple[str, bytes, str, str]] = [
        ("signed by all", note.encode(), "ok", ""),
        ("two of three witnesses", Note(note.text, note.signatures[:3]).encode(), "ok", ""),
        (
            "and a stranger, who is passed over",
            cosign(note, stranger.public, raw_signer(stranger), AT).encode(),
            "ok",
            "",
        ),
        (
            "one of three witnesses",
            Note(note.text, note.signatures[:2]).encode(),
            "note_untrusted",
            "quorum",
        ),
        (
            "one witness twice",
            Note(note.text, (one, two, two)).encode(),
            "note_untrusted",
            "quorum",
        ),
        (
            "not by the writer",
            Note(note.text, note.signatures[1:]).encode(),
            "note_untrusted",
            "log",
        ),
        (
            "a changed signature of the writer",
            Note(note.text, (bad, *note.signatures[1:])).encode(),
            "note_untrusted",
            "signature",
        ),
        (
            "a changed time of a witness",
            Note(note.text, (one, moved, *note.signatures[2:])).encode(),
            "note_untrusted",
            "signature",
        ),
        (
            "another size",
            Note(note.text.replace("\n11\n", "\n12\n"), note.signatures).encode(),
            "note_untrusted",
            "signature",
        ),
        (
            "of another chain",
            sign_checkpoint(
                Checkpoint.of(fed, bytes(32), 11, root(leaves)),
                writer.public,
                raw_signer(writer),
            ).encode(),
            "note_untrusted",
            "origin",
        ),
        ("a leading zero", note.encode().replace(b"\n11\n", b"\n011\n"), "note", "tree_size"),
        ("a fourth line", note.encode().replace(b"\n\n", b"\nmore\n\n"), "note",
         "checkpoint_lines"),
        ("no signature", note.text.encode() + b"\n", "note", "parts"),
        ("a carriage return", note.encode().replace(b"\n11\n", b"\n11\r\n"), "note", "control"),
        (
            "a hyphen for the dash",
            note.encode().replace("\N{EM DASH} ".encode(), b"- ", 1),
            "note",
            "signature_line",
        ),
        ("base64 with spare bits", note.encode().replace(b"=\n\n", b"=\n\n", 1)[:-2] + b"!\n",
         "note", "base64"),
    ]  # fmt: skip
    old = Checkpoint.of(fed, chain, 6, root(leaves[:6]))
    return {
        "spec": "07-audit",
        "about": "`notes` are opened for `origin` with the keys of `log` and `witnesses`, of which"
        " `quorum` are needed. `proofs` are about a real chain, whose committee and writer are"
        " named.",
        "fed": fed,
        "chain": chain,
        "origin": origin(fed, chain),
        "log": {
            "key": writer.public,
            "vkey": verifier_key(origin(fed, chain), NOTE_TYPE, writer.public),
        },
        "witnesses": [
            {
                "key": key.public,
                "name": witness_name(key.public),
                "key_id": key_id(witness_name(key.public), COSIGNATURE_TYPE, key.public),
                "vkey": verifier_key(witness_name(key.public), COSIGNATURE_TYPE, key.public),
            }
            for key in witnesses
        ],
        "quorum": 2,
        "cosigned": {"text": note.text, "at": AT, "bytes": cosigned_bytes(note.text, AT)},
        "notes": [
            {"name": name, "note": data, "expect": code, **({"rule": rule} if rule else {})}
            for name, data, code, rule in cases
        ],
        "consistency": {
            "blocks": blocks,
            "old": {"size": old.size, "root": old.root},
            "new": {"size": checkpoint.size, "root": checkpoint.root},
            "path": consistency_path(leaves, 6),
        },
        "proofs": _proofs(folder),
    }


def _proofs(folder: Path) -> dict[str, object]:
    reader = ExportReader(folder)
    chain = reader.manifest.chains[0]
    blocks = [decode_block(data) for _, data in reader.frames(chain_path(chain))]
    hashes = [blocks[0].header.prev, *(block.hash for block in blocks)]
    leaves = [history_leaf(one) for one in hashes]
    export_keys = [key_of(PLAN.seed, "witness", i, 0).public for i in range(PLAN.coops)]
    block = next(block for block in blocks[1:] if len(block.body.entries) > 2)
    placed = block.body.entries[1]
    assert isinstance(placed, Placed)
    bare = EntryProof(block.header, 1, placed.salt, placed.data, tuple(block.body.path(1)))
    certified = replace(bare, certificate=block.certificate)
    noted = replace(
        bare, note=reader.checkpoint(chain), history=tuple(inclusion_path(leaves, block.h))
    )
    other = next(one for one in blocks if one.h != block.h)
    cases: list[tuple[str, EntryProof, str]] = [
        ("by its certificate", certified, "ok"),
        ("by a checkpoint", noted, "ok"),
        ("another salt", replace(certified, salt=bytes(32)), "evidence"),
        ("another place", replace(certified, index=0), "evidence"),
        ("the certificate of another block", replace(certified, certificate=other.certificate),
         "certificate"),
        ("another path in the history", replace(noted, history=(bytes(32), *noted.history[1:])),
         "evidence"),
        ("both a certificate and a note", replace(noted, certificate=block.certificate),
         "malformed"),
        ("neither", bare, "malformed"),
    ]  # fmt: skip
    coops = [coop.id for coop in open_founding(reader.founding()).coops]
    writer = key_of(PLAN.seed, "writer", coops.index(CoopId(chain))).public
    return {
        "fed": reader.fed,
        "chain": chain,
        "committee": export_keys,
        "quorum": 2,
        "writer": writer,
        "cases": [{"name": n, "bytes": p.encode(), "expect": code} for n, p, code in cases],
    }


# --- Whole audits ---------------------------------------------------------------------------------


class _Cases:
    """Tamper with copies of an export, and note what differs and what the audit finds."""

    def __init__(self, original: Path, plan: Plan, name: str, work: Path) -> None:
        self.original, self.plan, self.name, self.work = original, plan, name, work
        self.before = _files(original)
        self.found: list[dict[str, object]] = []

    def case(self, name: str, tamper: Callable[[Export], None]) -> None:
        export = Export(self.original, self.work / str(len(self.found)))
        tamper(export)
        after = _files(export.folder)
        changed: dict[str, bytes | None] = {
            path: after.get(path)
            for path in sorted({*self.before, *after})
            if after.get(path) != self.before.get(path)
        }
        report = audit_export(export.folder, at=AT, jobs=1)
        self.found.append(
            {
                "name": name,
                "export": self.name,
                "files": changed,
                "expect": {
                    "verdict": report.verdict,
                    "judged": report.judged,
                    "sums": [total.total for total in report.sums],
                    "findings": sorted(
                        [one.code, one.chain.hex(), one.height, one.entry]
                        for one in report.findings
                    ),
                },
            }
        )


def _audits(original: Path, plan: Plan, name: str, work: Path) -> list[dict[str, object]]:
    cases = _Cases(original, plan, name, work)

    def last(export: Export, place: int = 0) -> tuple[bytes, Forger]:
        chain = export.chains[place]
        return chain, Forger(export, plan, chain, len(export.blocks(chain)))

    def amount(export: Export) -> None:
        chain = export.chains[1]
        height, index, _, _ = export.find(chain, Intra)
        export.change(chain, height, lambda block: with_amount(block, index, 77))

    def dropped(export: Export) -> None:
        blocks = export.blocks(export.chains[0])
        export.put(export.chains[0], [*blocks[:2], *blocks[3:]])

    def repeated(export: Export) -> None:
        blocks = export.blocks(export.chains[0])
        export.put(export.chains[0], [*blocks[:3], blocks[2], *blocks[3:]])

    def weakened(export: Export) -> None:
        chain = export.chains[0]
        committee = export.charters().latest.committee()

        def change(block: Block) -> Block:
            few = certify(plan, block.header, committee, 0, committee.quorum - 1)
            return replace(block, certificate=few.encode())

        export.change(chain, 3, change)

    def forged(export: Export) -> None:
        def change(block: Block) -> Block:
            certificate = decode_certificate(block.certificate)
            first, *others = certificate.signatures
            bad = replace(certificate, signatures=(flipped(first, 5), *others))
            return replace(block, certificate=bad.encode())

        export.change(export.chains[0], 3, change)

    def uncertified(export: Export) -> None:
        export.change(export.chains[0], 3, lambda block: replace(block, certificate=b""))

    def twice(export: Export) -> None:
        chain = export.chains[1]
        height, _, entry, _ = export.find(chain, In)
        assert isinstance(entry, In)
        proofs = decode_block(export.blocks(chain)[height - 1]).body.evidence
        proof = next(one for one in proofs if one.header.hash == entry.block)
        forger = Forger(export, plan, chain, height)
        forger.put(forger.block([entry], [proof], apply=False))

    def stale(export: Export) -> None:
        chain, forger = last(export)
        _, _, entry, _ = export.find(chain, Intra)
        forger.put(forger.block([entry], apply=False))

    def unsigned(export: Export) -> None:
        _, forger = last(export)
        order = forger.payment(0, 1, 5).order
        forger.put(forger.block([Intra(replace(order, signature=flipped(order.signature, 40)))]))

    def state(export: Export) -> None:
        _, forger = last(export)
        forger.put(forger.block([], change=lambda header: replace(header, state_root=bytes(32))))

    def fork(export: Export) -> None:
        chain = export.chains[0]
        forger = Forger(export, plan, chain, len(export.blocks(chain)) - 1)
        other = decode_block(forger.block([forger.payment(0, 1, 5)]))
        writer = ExportWriter(export.folder, export.fed)
        node = key_of(plan.seed, "node", 1).public
        writer.heads(node, [(other.header.encoded, other.certificate)])
        writer.commit(export.at)

    def hidden(export: Export) -> None:
        export.put(export.chains[2], export.blocks(export.chains[2])[:-2])

    def left_out(export: Export) -> None:
        manifest = ExportReader(export.folder).manifest
        path = chain_path(export.chains[0])
        files = {name: entry for name, entry in manifest.files.items() if name != path}
        (export.folder / MANIFEST).write_bytes(replace(manifest, files=files).encode())

    def cut(export: Export) -> None:
        export.damage(chain_path(export.chains[0]), lambda data: data[:-5])

    def flipped_bit(export: Export) -> None:
        export.damage(chain_path(export.chains[0]), lambda data: flipped(data, len(data) // 2))

    def checkpoint(export: Export) -> None:
        writer = ExportWriter(export.folder, export.fed)
        writer.checkpoint(
            export.chains[0], ExportReader(export.folder).checkpoint(export.chains[1])
        )
        writer.commit(export.at)

    def few(export: Export) -> None:
        chain = export.chains[1]
        note = decode_note(ExportReader(export.folder).checkpoint(chain))
        writer = ExportWriter(export.folder, export.fed)
        writer.checkpoint(chain, Note(note.text, note.signatures[:2]).encode())
        writer.commit(export.at)

    def alone(export: Export) -> None:
        chain = export.chains[1]
        note = decode_note(ExportReader(export.folder).checkpoint(chain))
        other = replace(decode_checkpoint(note.text), root=bytes(32))
        key = key_of(plan.seed, "writer", 1)
        writer = ExportWriter(export.folder, export.fed)
        writer.checkpoint(chain, sign_checkpoint(other, key.public, key.raw).encode())
        writer.commit(export.at)

    def unlink(folder: str) -> Callable[[Export], None]:
        return lambda export: sorted((export.folder / folder).iterdir())[0].unlink()

    def first_byte(export: Export) -> None:
        export.damage(chain_path(export.chains[0]), lambda data: b"\xff" + data[1:])

    def listed_differs(folder: str, at: int) -> Callable[[Export], None]:
        def tamper(export: Export) -> None:
            path = sorted((export.folder / folder).iterdir())[0]
            name = path.relative_to(export.folder).as_posix()
            export.damage(name, lambda data: flipped(data, at % len(data)))

        return tamper

    def left_off(export: Export) -> None:
        manifest = ExportReader(export.folder).manifest
        writer = ExportWriter(export.folder, export.fed)
        writer.rewrite(export.chains[2], export.blocks(export.chains[2])[:-2])
        writer.commit(export.at, manifest.by)

    cases.case("untouched", lambda _: None)
    cases.case("an amount changed in the file", amount)
    cases.case("a block taken out", dropped)
    cases.case("a block twice", repeated)
    cases.case("one signature too few", weakened)
    cases.case("a signature of a witness changed", forged)
    cases.case("no certificate", uncertified)
    cases.case("a payment taken twice, certified", twice)
    cases.case("an order carried out twice, certified", stale)
    cases.case("an order that nobody signed, certified", unsigned)
    cases.case("a wrong state root, certified", state)
    cases.case("another certified head at a node", fork)
    cases.case("the last blocks hidden", hidden)
    cases.case("a chain left out", left_out)
    cases.case("a file cut short", cut)
    cases.case("one bit of a file changed", flipped_bit)
    cases.case("the checkpoint of another chain", checkpoint)
    cases.case("a checkpoint with one cosignature", few)
    cases.case("a checkpoint of the writer alone, of another history", alone)
    cases.case("the last blocks hidden by the one whose own heads show it", left_off)
    cases.case("the file of a chain missing", unlink("chains"))
    cases.case("the file of a node's heads missing", unlink("heads"))
    cases.case("the file of a checkpoint missing", unlink("checkpoints"))
    cases.case("the first length of a chain's file changed", first_byte)
    cases.case("a length in a node's heads changed", listed_differs("heads", 0))
    cases.case("a byte of a node's heads changed", listed_differs("heads", 60))
    cases.case("the last byte of a node's heads changed", listed_differs("heads", -1))
    cases.case("a byte of a checkpoint changed", listed_differs("checkpoints", 170))
    return cases.found


def _audits_epochs(original: Path, plan: Plan, name: str, work: Path) -> list[dict[str, object]]:
    cases = _Cases(original, plan, name, work)

    def stolen(blocks: int) -> Callable[[Export], None]:
        def tamper(export: Export) -> None:
            chain = export.chains[0]
            pinned, _ = export.charters().latest.retired_heads[chain]
            epochs = [decode_block(data).header.c for data in export.blocks(chain)]
            start = max(h for h, c in enumerate(epochs, 1) if c == 0) - 1
            forger = Forger(export, plan, chain, start - 1)
            made: list[bytes] = []
            for _ in range(blocks or pinned - start + 1):
                made.append(forger.block([forger.payment(0, 1, 5)]))
                forger.audit.feed(made[-1])
            forger.put(*made)

        return tamper

    cases.case("untouched, with two epochs", lambda _: None)
    cases.case("a history written with retired keys", stolen(0))
    cases.case("one that stops before the pinned head", stolen(1))
    return cases.found
