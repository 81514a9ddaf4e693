"""Every kind of tampering is caught, and the audit says what is wrong and since which block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from maillon.ledger.audit.findings import Finding
from maillon.ledger.audit.report import FINE, WRONG, Report
from maillon.ledger.block import Block, Evidence, Placed, decode_block
from maillon.ledger.charter_entries import SetLimit, encode_charter_entry
from maillon.ledger.entries import Close, Entry, In, Intra, Limit, Out, decode_entry
from maillon.ledger.export.container import CHARTER, FOUNDING, MANIFEST, chain_path
from maillon.ledger.quorum import decode_certificate
from maillon.ledger.tool.auditing import Unusable, audit_export
from maillon.ledger.tool.files import ExportReader, ExportWriter
from support.ledger_corpus import Plan, certify, key_of, make_corpus
from support.tampering import Export, Forger, flipped, with_amount

PLAN = Plan(180, coops=4, members=8, per_block=12, cross=0.3, variety=0.3, seed=11, epochs=True)
AT = 1_800_000_000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus") / "export"
    make_corpus(folder, PLAN)
    return folder


@pytest.fixture
def export(original: Path, tmp_path: Path) -> Export:
    return Export(original, tmp_path / "export")


def audit(export: Export, cache: Path | None = None) -> Report:
    return audit_export(export.folder, at=AT, cache=cache, jobs=1)


def errors(report: Report) -> list[Finding]:
    return [one for one in report.findings if one.is_error]


def only(report: Report, code: str, chain: bytes, height: int) -> Finding:
    """Return the one finding of this code, which is the first that is wrong with its chain."""
    assert report.verdict == WRONG
    found = [one for one in report.findings if one.code == code and one.chain == chain]
    assert [one.height for one in found] == [height], report.findings
    assert report.since()[chain] == height
    for language in ("en", "fr"):
        text = report.say(found[0], language)
        assert report.coop_names()[chain] in text
        assert str(height) in text
        assert "?" not in text
        assert text in "\n".join(report.lines(language))
    return found[0]


def test_what_nobody_touched_is_right(export: Export) -> None:
    report = audit(export)
    assert report.findings == ()
    assert report.verdict == FINE
    assert report.judged
    assert [total.total for total in report.sums] == [0, 0, 0]
    assert any(total.in_flight for total in report.sums)
    assert report.counts()["transfers"] >= 180
    assert {held.verdict for held in report.heads} == {"same"}
    assert len(report.checkpoints) == 4
    assert report.charters.height == 2
    assert report.as_json()["verdict"] == "fine"


def first_payment(export: Export, chain: bytes) -> tuple[int, int]:
    height, index, _, _ = export.find(chain, Intra)
    return height, index


# --- Somebody changes the copy --------------------------------------------------------------------


def test_an_amount_that_was_changed_is_found_in_its_block(export: Export) -> None:
    chain = export.chains[1]
    height, index = first_payment(export, chain)
    export.change(chain, height, lambda block: with_amount(block, index, 77))
    found = only(audit(export), "block_invalid", chain, height)
    assert found.facts["reason"] == "entries_root"


def test_a_block_rewritten_to_fit_a_changed_amount_has_nobody_who_certified_it(
    export: Export,
) -> None:
    chain = export.chains[1]
    height, index = first_payment(export, chain)
    forger = Forger(export, PLAN, chain, height - 1)

    def rewrite(block: Block) -> Block:
        made = with_amount(block, index, 77)
        entries = [decode_entry_of(placed) for placed in made.body.entries]
        forged = decode_block(forger.block(entries, block.body.evidence))
        return replace(forged, certificate=block.certificate)

    export.change(chain, height, rewrite)
    only(audit(export), "block_forged", chain, height)


def decode_entry_of(placed: object) -> Entry:
    assert isinstance(placed, Placed)
    return decode_entry(placed.data)


def test_a_dropped_block_is_missed(export: Export) -> None:
    chain = export.chains[0]
    blocks = export.blocks(chain)
    export.put(chain, [*blocks[:3], *blocks[4:]])
    found = only(audit(export), "block_missing", chain, 4)
    assert found.facts["next"] == 5


def test_two_blocks_in_the_wrong_order_are_noticed(export: Export) -> None:
    chain = export.chains[0]
    blocks = export.blocks(chain)
    export.put(chain, [*blocks[:2], blocks[3], blocks[2], *blocks[4:]])
    only(audit(export), "block_missing", chain, 3)
    export.put(chain, [*blocks[:3], blocks[1], *blocks[3:]])
    found = only(audit(export), "block_order", chain, 4)
    assert found.facts["found"] == 2


def test_a_block_of_another_chain_does_not_fit_in(export: Export) -> None:
    chain, other = export.chains[0], export.chains[1]
    blocks = export.blocks(chain)
    export.put(chain, [*blocks[:2], export.blocks(other)[2], *blocks[3:]])
    only(audit(export), "block_order", chain, 3)


def test_a_chain_whose_last_blocks_are_hidden_contradicts_those_who_saw_them(
    export: Export,
) -> None:
    chain = export.chains[2]
    blocks = export.blocks(chain)
    export.put(chain, blocks[:-3])
    report = audit(export)
    assert report.verdict == WRONG
    codes = {one.code for one in report.findings if one.chain == chain}
    assert codes >= {"head_ahead", "checkpoint_differs"}
    taken = [one for one in report.findings if one.code == "message_unknown"]
    assert {one.facts["source"] for one in taken} <= {chain}


def test_a_certificate_with_one_signature_too_few_does_not_count(export: Export) -> None:
    chain = export.chains[0]
    height = len(export.blocks(chain))
    charters = export.charters()

    def weaken(block: Block) -> Block:
        committee = charters.state(block.header.c).committee()
        certificate = certify(PLAN, block.header, committee, block.header.c, committee.quorum - 1)
        assert len(certificate.signatures) == committee.quorum - 1
        return replace(block, certificate=certificate.encode())

    export.change(chain, height, weaken)
    found = only(audit(export), "block_few", chain, height)
    assert (found.facts["got"], found.facts["needed"]) == (2, 3)


def test_a_signature_in_a_certificate_that_was_changed_is_found(export: Export) -> None:
    chain = export.chains[0]

    def spoil(block: Block) -> Block:
        certificate = decode_certificate(block.certificate)
        first, *others = certificate.signatures
        bad = replace(certificate, signatures=(flipped(first, 5), *others))
        return replace(block, certificate=bad.encode())

    export.change(chain, 5, spoil)
    only(audit(export), "block_forged", chain, 5)


def test_a_block_that_nobody_certified_does_not_count(export: Export) -> None:
    chain = export.chains[0]
    export.change(chain, 5, lambda block: replace(block, certificate=b""))
    only(audit(export), "block_uncertified", chain, 5)


def test_a_charter_that_was_changed_is_refused(export: Export) -> None:
    blocks = [data for _, data in ExportReader(export.folder).frames(CHARTER)]
    block = decode_block(blocks[0])
    placed = block.body.entries[0]
    assert isinstance(placed, Placed)
    raised = encode_charter_entry(SetLimit(export.chains[0], 0, 10**13))
    body = replace(block.body, entries=(Placed(placed.salt, raised),))
    writer = ExportWriter(export.folder, export.fed)
    writer.rewrite(None, [replace(block, body=body).encode(), *blocks[1:]])
    writer.commit(export.at)
    report = audit(export)
    assert [one.height for one in report.findings if one.code == "charter_invalid"] == [1]
    assert report.verdict == WRONG
    assert "block 1" in report.say(errors(report)[0], "en")


# --- The copy is damaged --------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [1, 3, 100])
def test_a_file_that_was_cut_is_noticed(export: Export, missing: int) -> None:
    chain = export.chains[0]
    export.damage(chain_path(chain), lambda data: data[:-missing])
    report = audit(export)
    (found,) = [one for one in report.findings if one.code == "file_damaged"]
    assert found.chain == chain
    assert found.height == len(Export.blocks(export, export.chains[1])) or found.height > 1
    assert report.verdict == WRONG


def test_every_flipped_bit_of_a_chain_is_noticed(export: Export) -> None:
    path = export.folder / chain_path(export.chains[3])
    good = path.read_bytes()
    for at in range(3, len(good), 997):
        path.write_bytes(flipped(good, at))
        assert audit(export).verdict == WRONG, f"byte {at}"
    path.write_bytes(good)
    assert audit(export).verdict == FINE


def test_a_chain_that_is_left_out_is_told_of(export: Export) -> None:
    reader = ExportReader(export.folder)
    files = {p: e for p, e in reader.manifest.files.items() if p != chain_path(export.chains[0])}
    manifest = replace(reader.manifest, files=files)
    (export.folder / MANIFEST).write_bytes(manifest.encode())
    report = audit(export)
    codes = {one.code for one in report.findings}
    assert "chain_absent" in codes
    assert "not_closed" in codes
    assert not report.judged
    assert report.verdict == WRONG


@pytest.mark.parametrize("name", [MANIFEST, FOUNDING])
def test_without_manifest_or_founding_there_is_nothing_to_audit(export: Export, name: str) -> None:
    (export.folder / name).unlink()
    with pytest.raises(Unusable):
        audit(export)


def test_another_federations_founding_is_refused(export: Export, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_corpus(other, replace(PLAN, seed=12, transfers=8))
    (export.folder / FOUNDING).write_bytes((other / FOUNDING).read_bytes())
    with pytest.raises(Unusable):
        audit(export)


# --- Writer and witnesses lie together ------------------------------------------------------------

Lie = Callable[[Forger], bytes]


def over_limit(forger: Forger) -> bytes:
    account, _ = forger.member(0)
    small = forger.block([Limit(account, 0, 0, 2**53 - 1)])
    assert forger.audit.feed(small)
    forger.kept.append(small)
    return forger.block([forger.payment(0, 1, 10**9)], apply=False)


def forged_order(forger: Forger) -> bytes:
    return forger.block([forger.payment(0, 1, 5, key=forger.member(2)[1])], apply=False)


def old_order(forger: Forger) -> bytes:
    return forger.block([forger.payment(0, 1, 5, seq=1)], apply=False)


def unknown_account(forger: Forger) -> bytes:
    return forger.block([Close(b"\x77" * 16)], apply=False)


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        (over_limit, "over_limit"),
        (forged_order, "not_authorised"),
        (old_order, "stale_sequence"),
        (unknown_account, "account_unknown"),
    ],
)
def test_what_breaks_a_rule_is_found_though_all_witnesses_certified_it(
    export: Export, lie: Lie, why: str
) -> None:
    chain = export.chains[1]
    forger = Forger(export, PLAN, chain, len(export.blocks(chain)))
    block = lie(forger)
    forger.put(block)
    height = len(forger.kept) + 1
    found = only(audit(export), "block_entry", chain, height)
    assert (found.facts["why"], found.entry) == (why, 0)
    assert found.time == forger.time


def test_an_order_that_its_member_never_signed_is_found_and_named(export: Export) -> None:
    chain = export.chains[1]
    forger = Forger(export, PLAN, chain, len(export.blocks(chain)))
    good, bad = forger.payment(0, 1, 5), forger.payment(2, 1, 5)
    signature = flipped(bad.order.signature, 40)
    forger.put(forger.block([good, Intra(replace(bad.order, signature=signature))]))
    found = only(audit(export), "block_signature", chain, len(forger.kept) + 1)
    assert found.entry == 1


def test_a_payment_that_is_taken_a_second_time_is_found(export: Export) -> None:
    chain = export.chains[1]
    height, index, entry, _ = export.find(chain, In)
    proof = next(
        proof
        for proof in decode_block(export.blocks(chain)[height - 1]).body.evidence
        if isinstance(entry, In) and proof.header.hash == entry.block
    )
    assert index >= 0
    forger = Forger(export, PLAN, chain, height)
    # Before the epochs changed, so that the evidence still counts.
    forger.put(forger.block([entry], [proof], apply=False))
    found = only(audit(export), "block_entry", chain, height + 1)
    assert found.facts["why"] == "already_consumed"


def test_a_wrong_state_root_is_found(export: Export) -> None:
    chain = export.chains[2]
    forger = Forger(export, PLAN, chain, len(export.blocks(chain)))
    forger.put(
        forger.block(
            [forger.payment(0, 1, 5)], change=lambda header: replace(header, state_root=bytes(32))
        )
    )
    found = only(audit(export), "block_invalid", chain, len(forger.kept) + 1)
    assert found.facts["reason"] == "state_root"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"history_root": bytes(32)}, "history_root"),
        ({"time": 0}, "time"),
        ({"count": 3}, "count"),
        ({"size": 9}, "size"),
        ({"c2": 99}, None),
    ],
)
def test_each_part_of_a_header_is_held_to_what_it_says(
    export: Export, change: dict[str, int], reason: str | None
) -> None:
    chain = export.chains[2]
    forger = Forger(export, PLAN, chain, len(export.blocks(chain)))
    forger.put(
        forger.block(
            [forger.payment(0, 1, 5)],
            change=lambda header: replace(header, **change),  # type: ignore[arg-type]  # by name
        )
    )
    code = "block_invalid" if reason else "charter_ahead"
    found = only(audit(export), code, chain, len(forger.kept) + 1)
    assert found.facts.get("reason") == reason


def retired_forgery(export: Export, chain: bytes, blocks: int) -> tuple[int, int]:
    """Let a thief of the first epoch's keys write another end of a chain; return since where, and
    the height that the charter pinned."""
    pinned, _ = export.charters().latest.retired_heads[chain]
    epochs = [decode_block(data).header.c for data in export.blocks(chain)]
    last_old = max(h for h, c in enumerate(epochs, 1) if c == 0)
    assert 2 < last_old < pinned
    forger = Forger(export, PLAN, chain, last_old - 2)
    made: list[bytes] = []
    for _ in range(blocks or pinned - last_old + 2):
        made.append(forger.block([forger.payment(0, 1, 5)]))
        assert forger.audit.feed(made[-1]) or len(made) + last_old - 2 == pinned
    forger.put(*made)
    return last_old - 1, pinned


def test_a_history_written_with_retired_keys_does_not_count(export: Export) -> None:
    chain = export.chains[2]
    _, pinned = retired_forgery(export, chain, 0)
    found = only(audit(export), "block_retired", chain, pinned)
    assert found.facts["below"] == 1


def test_a_history_of_retired_keys_that_stops_before_the_pinned_head_proves_nothing(
    export: Export,
) -> None:
    chain = export.chains[2]
    since, pinned = retired_forgery(export, chain, 1)
    found = only(audit(export), "pin_missing", chain, since)
    assert found.facts["pinned"] == pinned


def test_two_certified_blocks_at_one_height_show_in_what_two_nodes_hold(export: Export) -> None:
    chain = export.chains[0]
    blocks = export.blocks(chain)
    forger = Forger(export, PLAN, chain, len(blocks) - 1)
    other = decode_block(forger.block([forger.payment(0, 1, 5)]))
    node = key_of(PLAN.seed, "node", 1).public
    writer = ExportWriter(export.folder, export.fed)
    writer.heads(node, [(other.header.encoded, other.certificate)])
    writer.commit(export.at)
    report = audit(export)
    found = only(report, "fork", chain, len(blocks))
    assert found.facts["node"] == node
    assert found.facts["parted"] == "here"
    # The names of those who signed both are said: Bugey, Dombes, Revermont.
    assert found.facts["witnesses"].count(",") == 2
    assert "Coop du Bugey" in report.say(found, "fr")


def test_a_fork_below_the_head_is_told_from_one_at_it(export: Export) -> None:
    chain = export.chains[0]
    blocks = export.blocks(chain)
    forger = Forger(export, PLAN, chain, len(blocks) - 2)
    assert forger.audit.feed(forger.block([forger.payment(0, 1, 5)]))
    other = decode_block(forger.block([]))
    writer = ExportWriter(export.folder, export.fed)
    writer.heads(key_of(PLAN.seed, "node", 1).public, [(other.header.encoded, other.certificate)])
    writer.commit(export.at)
    found = only(audit(export), "fork", chain, len(blocks))
    assert found.facts["parted"] == "before"


def test_an_uncertified_head_accuses_nobody(export: Export) -> None:
    chain = export.chains[0]
    block = decode_block(export.blocks(chain)[-1])
    forged = replace(block.header, time=block.header.time + 1)
    writer = ExportWriter(export.folder, export.fed)
    writer.heads(key_of(PLAN.seed, "node", 1).public, [(forged.encoded, block.certificate)])
    writer.commit(export.at)
    report = audit(export)
    assert [one.code for one in report.findings] == ["head_forged"]
    assert report.verdict == FINE


def test_a_payment_taken_from_a_second_version_of_a_chain_is_found(export: Export) -> None:
    source, target = export.chains[0], export.chains[1]
    height, _, entry, _ = export.find(target, In)
    assert isinstance(entry, In)
    # The source's file holds another history than the one that was taken from.
    source = entry.source
    sent_in = next(
        h for h, data in enumerate(export.blocks(source), 1)
        if decode_block(data).hash == entry.block
    )  # fmt: skip
    forger = Forger(export, PLAN, source, sent_in - 1)
    outs = [
        decode_entry_of(placed)
        for placed in decode_block(export.blocks(source)[sent_in - 1]).body.entries
    ]
    forger.put(forger.block([one for one in outs if isinstance(one, Out)]))
    report = audit(export)
    found = [one for one in report.findings if one.code in ("message_other", "message_unknown")]
    assert target in {one.chain for one in found}
    assert report.verdict == WRONG
    assert all(report.say(one, "fr") for one in found)
    assert height >= 1


def test_evidence_of_one_block_for_another_is_refused(export: Export) -> None:
    chain = export.chains[1]
    height, _, entry, _ = export.find(chain, In)
    assert isinstance(entry, In)
    proofs = decode_block(export.blocks(chain)[height - 1]).body.evidence
    forger = Forger(export, PLAN, chain, height - 1)
    proof = next(p for p in proofs if p.header.hash == entry.block)
    fake = replace(proof.header, entries_root=bytes(32))
    forger.put(forger.block([entry], [Evidence(fake, fake, proof.certificate)], apply=False))
    found = only(audit(export), "block_entry", chain, height)
    assert found.facts["what"] == "evidence"
