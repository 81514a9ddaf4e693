"""Fuzz the readers of the ledger: what is read is written with the same bytes (spec/06)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from maillon.ledger import block, entries, fraud, merkle, messages, orders, quorum, units
from maillon.ledger.errors import AmountText, BadEvidence
from maillon.protocol import encoding
from maillon.protocol.errors import RemoteError
from maillon.protocol.founding import Unit
from support.vectors import load

FED = bytes(range(32))
UNITS = units.UnitTable(
    [Unit("h", "hours", 0, "h"), Unit("c", "credit", 2, "c"), Unit("n", "count", 0, "n")]
)


def _same(read: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        found = read(data)
    except RemoteError:
        return None
    assert found.encode() == data
    return found


def order(data: bytes) -> None:
    """An order is refused by name, or is the one writing of its parts."""
    found = _same(orders.decode_order, data)
    if found is not None:
        parts = (found.account, found.seq, found.chain, found.until, found.action)
        assert orders.order_body(*parts) == found.body
        assert len(found.id(FED)) == 32


def entry(data: bytes) -> None:
    """An entry is refused by name; what it sends can be read, or is refused by name."""
    found = _same(entries.decode_entry, data)
    if found is None:
        return
    assert entries.entry_kind(data) == found.KIND
    try:
        message = entries.message_of(found, entries.entry_leaf(bytes(32), data), FED)
    except RemoteError:
        return
    assert message is None or message.n > 0


def header(data: bytes) -> None:
    """A header is refused by name, or its hash is that of its bytes."""
    found = _same(block.decode_header, data)
    assert found is None or found.encoded == data


def body(data: bytes) -> None:
    """A body of either chain is refused by name, or is the one writing of its parts."""
    for charter in (False, True):
        try:
            found = block.decode_body(data, charter=charter)
        except RemoteError:
            continue
        again = block.Body(found.entries, found.evidence, found.approvals)
        assert again.encode() == data
        if not found.erased:
            shown: Any = encoding.decode(data, bytes_max=len(data))
            assert found.size() == len(encoding.encode(shown[0]))
        for index, leaf in enumerate(found.leaves()[:3]):
            path = found.path(index)
            merkle.verify_inclusion(leaf, index, len(found.entries), path, found.root())


def whole(data: bytes) -> None:
    """A block is refused by name, before or by what its header commits to."""
    found = _same(block.decode_block, data)
    if found is not None:
        try:
            found.check_form()
            found.certified_by()
        except RemoteError:
            return


def evidence(data: bytes) -> None:
    """Evidence is refused by name; it is judged without any other error."""
    found = _same(block.decode_evidence, data)
    if found is not None:
        try:
            found.check(found.header.fed)
        except BadEvidence:
            return


def certificate(data: bytes) -> None:
    """Certificates, quorums of votes and re-foundings are refused by name."""
    committee = quorum.Committee.of([bytes([place]) * 32 for place in range(4)])
    for read in (quorum.decode_certificate, quorum.decode_vote_qc):
        found = _same(read, data)
        if found is not None:
            try:
                checks = found.items(committee, FED)
            except RemoteError:
                continue
            assert committee.quorum <= len(checks) <= committee.n
    try:
        signatures = quorum.decode_refounding(data)
    except RemoteError:
        return
    assert quorum.encode_refounding(signatures) == data


def message(data: bytes) -> None:
    """A message is refused by name, or is the one writing of its parts."""
    _same(messages.decode_message, data)


def hints(data: bytes) -> None:
    """A gossip message of hints is refused by name, or is the one writing of its hints."""
    try:
        found = messages.decode_hints(data)
    except RemoteError:
        return
    assert messages.encode_hints(found) == data
    assert messages.is_hints(data)


def proof(data: bytes) -> None:
    """A fraud proof is refused by name, or names two different blocks at one place."""
    found = _same(fraud.decode_fraud, data)
    if found is not None:
        first, second = found.checks(FED)
        assert first[0] == second[0] == found.accused
        assert first[1] != second[1]


def path(data: bytes) -> None:
    """No path proves another leaf; lengths that do not fit are refused, never read beyond."""
    size, index = 1 + data[0] % 40 if data else 1, data[1] % 40 if len(data) > 1 else 0
    hashes = [data[at : at + 32].ljust(32, b"\0") for at in range(2, len(data), 32)][:60]
    try:
        merkle.verify_inclusion(bytes(32), index, size, hashes, b"\1" * 32)
    except BadEvidence:
        pass
    else:
        raise AssertionError("a root that nothing hashes to was reached")
    try:
        merkle.verify_consistency(index, size, hashes, b"\1" * 32, b"\2" * 32)
    except BadEvidence:
        return
    raise AssertionError("two roots that nothing hashes to were reached")


def amount(data: bytes) -> None:
    """A typed amount is refused with a hint, or read as what it is written as again."""
    typed = data.decode("utf-8", "replace")
    for unit in range(len(UNITS)):
        try:
            found = UNITS.parse(unit, typed)
        except AmountText as error:
            assert error.hint
            continue
        assert found >= 0
        assert UNITS.parse(unit, UNITS.format(unit, found)) == found


TARGETS: dict[str, Callable[[bytes], None]] = {
    "order": order,
    "entry": entry,
    "header": header,
    "body": body,
    "whole": whole,
    "evidence": evidence,
    "certificate": certificate,
    "message": message,
    "hints": hints,
    "proof": proof,
    "path": path,
    "amount": amount,
}


def _seeds(file: str, *groups: str) -> list[bytes]:
    content = load(file)
    return [
        bytes.fromhex(vector["bytes"])
        for group in groups or ("vectors",)
        for vector in content[group]
        if "bytes" in vector
    ]


SEEDS: dict[str, list[bytes]] = {
    "order": _seeds("ledger-orders.json", "vectors", "signatures"),
    "entry": _seeds("ledger-entries.json"),
    "header": _seeds("ledger-blocks.json", "headers"),
    "body": _seeds("ledger-blocks.json", "bodies"),
    "whole": _seeds("ledger-blocks.json", "blocks"),
    "evidence": _seeds("ledger-blocks.json", "evidence"),
    "certificate": _seeds("ledger-certificates.json", "certificates", "votes"),
    "message": _seeds("ledger-messages.json"),
    "hints": _seeds("ledger-messages.json", "hints"),
    "proof": _seeds("ledger-fraud.json"),
    "path": [bytes([8, 5]) + bytes(96)],
    "amount": [typed.encode() for typed in ("1h30", "90 min", "12,50", "1 250,00", "2 h", "3")],
}
