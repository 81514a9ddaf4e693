"""Run the vectors of what blocks do to accounts against the code."""

from __future__ import annotations

from typing import Any

import pytest

from maillon.ledger.block import Block, block_from, decode_block
from maillon.ledger.book import Book
from maillon.ledger.charter import CheckedCharter
from maillon.ledger.check import Checked
from maillon.ledger.errors import BadBlock
from maillon.ledger.signing import inline_verify
from maillon.protocol.errors import MaillonError
from maillon.protocol.founding import decode_founding
from support.charters import MemoryDisk
from support.vectors import cases, load

FILE = "ledger-accounts.json"


class Reader:
    """A node that takes the history step by step; a vector is tried on a copy of its disk."""

    def __init__(self) -> None:
        self.content: dict[str, Any] = load(FILE)
        self.founding = decode_founding(bytes.fromhex(self.content["founding"]))
        self.disk = MemoryDisk()
        self.disks: list[dict[str, dict[bytes, bytes]]] = []
        book = Book(self.founding, self.disk, inline_verify)
        for step in self.content["history"]:
            self.disks.append({space: dict(rows) for space, rows in self.disk.spaces.items()})
            block = decode_block(bytes.fromhex(step["block"]))
            self.disk.commit(book.apply(block, block.certificate))
        self.disks.append(self.disk.spaces)
        self.book = book

    def after(self, step: int) -> tuple[Book, MemoryDisk]:
        disk = MemoryDisk()
        disk.spaces = {space: dict(rows) for space, rows in self.disks[step].items()}
        return Book(self.founding, disk, inline_verify), disk


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader()


def test_the_history_leads_to_the_states_of_the_vectors(reader: Reader) -> None:
    disk = MemoryDisk()
    book = Book(reader.founding, disk, inline_verify)
    genesis = reader.content["genesis"]
    for coop in reader.content["coops"]:
        state = book.state(bytes.fromhex(coop))
        assert [row.row.hex() for row in state.rows()] == genesis["rows"]
        assert state.root().hex() == genesis["state_root"]
    for step in reader.content["history"]:
        block = decode_block(bytes.fromhex(step["block"]))
        disk.commit(book.apply(block, block.certificate))
        if "rows" in step:
            state = book.state(block.chain)
            assert [row.row.hex() for row in state.rows()] == step["rows"]
            assert state.root().hex() == step["state_root"] == block.header.state_root.hex()


def snapshot(book: Book) -> list[tuple[int, bytes]]:
    return [(book.head(chain).h, book.state(chain).root()) for chain in book.chains()]


@pytest.mark.parametrize("vector", cases(FILE))
def test_a_next_block_is_judged_as_the_vector_says(reader: Reader, vector: dict[str, Any]) -> None:
    book, _ = reader.after(vector["after"])
    block: Block = block_from([bytes.fromhex(vector["header"]), bytes.fromhex(vector["body"])])
    before = snapshot(book)
    if vector["expect"] == "ok":
        checked = book.check(block)
        assert isinstance(checked, Checked) and not isinstance(checked, CheckedCharter)
        changed = [[row.slot, row.row.hex()] for row in checked.state.changed()]
        assert changed == vector["changed"]
    else:
        with pytest.raises(MaillonError) as caught:
            book.check(block)
        error = caught.value
        assert error.code == vector["expect"]
        for fact in ("reason", "index", "entry_code"):
            if fact in vector:
                assert error.facts[fact] == vector[fact]
    assert snapshot(book) == before


@pytest.mark.parametrize("vector", cases(FILE, "erased"))
def test_an_erased_block_is_taken_or_refused_as_the_vector_says(
    reader: Reader, vector: dict[str, Any]
) -> None:
    book, disk = reader.after(vector["after"])
    block = decode_block(bytes.fromhex(vector["block"]))
    before = snapshot(book)
    if vector["expect"] == "ok":
        disk.commit(book.apply(block, block.certificate))
        assert book.state(block.chain).root().hex() == vector["state_root"]
        return
    with pytest.raises(BadBlock) as caught:
        book.apply(block, block.certificate)
    assert caught.value.reason == vector["reason"]
    assert snapshot(book) == before


def test_the_history_with_its_erased_blocks_leads_to_the_same_heads(reader: Reader) -> None:
    replaced = {v["after"]: v["block"] for v in reader.content["erased"] if v["expect"] == "ok"}
    disk = MemoryDisk()
    book = Book(reader.founding, disk, inline_verify)
    for place, step in enumerate(reader.content["history"]):
        block = decode_block(bytes.fromhex(replaced.get(place, step["block"])))
        disk.commit(book.apply(block, block.certificate))
    assert snapshot(book) == snapshot(reader.book)


def test_every_refusal_of_an_entry_has_a_vector(reader: Reader) -> None:
    codes = {v.get("entry_code") for v in reader.content["vectors"]}
    assert codes >= {
        "account_exists", "account_in_use", "account_unknown", "accounts_full",
        "already_consumed", "amount", "bad_signature", "channel_gap", "confirmation",
        "coop_limit", "evidence", "hold_open", "hold_unknown", "key_change",
        "ledger_coop_unknown", "malformed", "mandate_exhausted", "mandate_unknown",
        "no_quorum", "not_authorised", "order_expired", "order_mandate_expired",
        "order_mandate_scope", "over_limit", "over_maximum", "sequence_gap", "stale_sequence",
        "too_many", "unit_unknown", "wrong_account", "wrong_unit",
    }  # fmt: skip
